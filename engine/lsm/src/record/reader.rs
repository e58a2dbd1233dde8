//! Reading the records of one file, and finding what can still be found behind damage.

use super::format::{FileHeader, HEADER_BYTES, LogKind, RECORD_HEADER_BYTES, RecordHeader, padded};
use crate::base::checksum::bound;
use crate::base::error::{Corruption, Error, Result};
use crate::fs::OpenFile;

/// How much is read at once.
const WINDOW_BYTES: usize = 256 << 10;

/// Reads one file from its first record on.
#[derive(Debug)]
pub struct RecordReader<'f> {
    file: &'f OpenFile,
    header: FileHeader,
    size: u64,
    offset: u64,
    chain: u32,
    window: Vec<u8>,
    window_at: u64,
}

/// What a step found.
#[derive(Debug)]
pub enum Step<'r> {
    /// An intact record.
    Record {
        /// Where its header stands.
        offset: u64,
        /// Its header.
        header: RecordHeader,
        /// Its payload.
        payload: &'r [u8],
    },
    /// No intact record stands at `offset`.
    Stop(Stop),
}

/// Where and why reading stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Where the next record should stand.
    pub offset: u64,
    /// The log position of `offset`.
    pub lsn: u64,
    /// What is wrong there; `None` at the end of the file or before zeros, as a log that was left in
    /// good order ends.
    pub damage: Option<(String, String)>,
}

impl Stop {
    /// As an error of the file.
    #[must_use]
    pub fn corruption(&self, file: &OpenFile) -> Error {
        let (expected, found) = self
            .damage
            .clone()
            .unwrap_or_else(|| ("a record that was known to be synced".into(), "the end of the log".into()));
        Corruption::new(file.path(), self.offset, expected, found).into()
    }
}

impl<'f> RecordReader<'f> {
    /// Reads and checks the header.
    pub fn open(file: &'f OpenFile, kind: LogKind) -> Result<RecordReader<'f>> {
        let size = file.size()?;
        let mut raw = [0; HEADER_BYTES as usize];
        let read = file.read_at(&mut raw, 0)?;
        let header = FileHeader::decode(kind, file.path(), &raw[..read])?;
        Ok(RecordReader {
            file,
            header,
            size,
            offset: HEADER_BYTES,
            chain: header.chain,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// The file's header.
    #[must_use]
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// The file's size in bytes, preallocated space included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The chain value that the next record must carry.
    #[must_use]
    pub fn chain(&self) -> u32 {
        self.chain
    }

    /// The log position of an offset of this file.
    #[must_use]
    pub fn lsn_of(&self, offset: u64) -> u64 {
        // A damaged header is refused by its checksum; saturation only keeps nonsense from wrapping.
        self.header.start_lsn.saturating_add(offset.saturating_sub(HEADER_BYTES))
    }

    /// Reads the next record. After a stop the reader stands still.
    pub fn step(&mut self) -> Result<Step<'_>> {
        let offset = self.offset;
        let header = match self.header_at(offset)? {
            Ok(header) => header,
            Err(damage) => return Ok(self.stop(damage)),
        };
        if header.chain != self.chain {
            let damage = (format!("chain value {:#010x}", self.chain), format!("{:#010x}", header.chain));
            return Ok(self.stop(Some(damage)));
        }
        let start = offset + RECORD_HEADER_BYTES;
        if header.len > self.size.saturating_sub(start) {
            let damage = (format!("a payload of {} bytes", header.len), "the end of the file".into());
            return Ok(self.stop(Some(damage)));
        }
        let len = header.len as usize;
        self.fill(start, len)?;
        let from = (start - self.window_at) as usize;
        let checksum = bound(&self.window[from..from + len], self.header.identity, start);
        if checksum != header.payload_checksum {
            let expected = format!("payload checksum {:#010x}", header.payload_checksum);
            return Ok(self.stop(Some((expected, format!("{checksum:#010x}")))));
        }
        self.offset = start + padded(header.len);
        self.chain = header.checksum;
        Ok(Step::Record { offset, header, payload: &self.window[from..from + len] })
    }

    /// The greatest known-synced position in any record header at or behind the place where reading
    /// stopped. Headers are found by their own checksums, so that damage in front hides none.
    pub fn synced_behind(&mut self) -> Result<u64> {
        let mut greatest = 0;
        let mut offset = self.offset.next_multiple_of(8);
        while offset + RECORD_HEADER_BYTES <= self.size {
            self.fill(offset, RECORD_HEADER_BYTES as usize)?;
            let from = (offset - self.window_at) as usize;
            let zeros = self.window[from..].chunks_exact(8).take_while(|word| **word == [0; 8]).count();
            if zeros > 0 {
                offset += 8 * zeros as u64;
                continue;
            }
            if let Ok(header) = self.header_at(offset)? {
                greatest = greatest.max(header.synced);
            }
            offset += 8;
        }
        Ok(greatest)
    }

    fn stop(&self, damage: Option<(String, String)>) -> Step<'static> {
        let (offset, lsn) = (self.offset, self.lsn_of(self.offset));
        Step::Stop(Stop { offset, lsn, damage })
    }

    /// The header at `offset`, or what is wrong with it (`None` for zeros and the end of the file).
    fn header_at(
        &mut self,
        offset: u64,
    ) -> Result<std::result::Result<RecordHeader, Option<(String, String)>>> {
        if offset >= self.size {
            return Ok(Err(None));
        }
        if self.size - offset < RECORD_HEADER_BYTES {
            let found = format!("{} bytes before the end of the file", self.size - offset);
            return Ok(Err(Some(("a record header of 32 bytes".into(), found))));
        }
        self.fill(offset, RECORD_HEADER_BYTES as usize)?;
        let from = (offset - self.window_at) as usize;
        let Some(raw) = self.window[from..].first_chunk::<{ RECORD_HEADER_BYTES as usize }>() else {
            return Ok(Err(None));
        };
        if raw.iter().all(|byte| *byte == 0) {
            return Ok(Err(None));
        }
        Ok(RecordHeader::decode(raw, self.header.identity, offset)
            .ok_or_else(|| Some(("a record header with its checksum".into(), "other bytes".into()))))
    }

    /// Makes `len` bytes from `offset` stand in the window. `offset + len` must be within the file.
    fn fill(&mut self, offset: u64, len: usize) -> Result<()> {
        let end = offset + len as u64;
        if offset >= self.window_at && end <= self.window_at + self.window.len() as u64 {
            return Ok(());
        }
        let want = (len.max(WINDOW_BYTES) as u64).min(self.size - offset) as usize;
        self.window.resize(want, 0);
        self.window_at = offset;
        if let Err(error) = self.file.read_exact_at(&mut self.window, offset) {
            self.window.clear();
            return Err(error);
        }
        Ok(())
    }
}
