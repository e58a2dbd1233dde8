//! Reading the records of one file, and finding what can still be found behind damage.

use super::format::{FileHeader, HEADER_BYTES, LogKind, RECORD_HEADER_BYTES, RecordHeader, padded};
use crate::base::checksum::{Pieces, bound};
use crate::base::error::{Corruption, Error, Result};
use crate::fs::OpenFile;
use std::ops::Deref;

/// How much is read at once.
const WINDOW_BYTES: usize = 256 << 10;

/// Reads one file from its first record on.
#[derive(Debug)]
pub struct RecordReader<F> {
    file: F,
    header: FileHeader,
    size: u64,
    offset: u64,
    chain: u32,
    last: Option<u64>,
    window: Vec<u8>,
    window_at: u64,
}

/// Where the reading of a file goes on that somebody else still writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPlace {
    /// Behind the last record that was read.
    pub offset: u64,
    /// The header checksum of that record; what the file's header says if none was read.
    pub chain: u32,
    /// Where that record stands, if one was read.
    pub last: Option<u64>,
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

/// What should stand somewhere and what does; `None` at the end of the file or before zeros.
type Damage = Option<(String, String)>;

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

impl<F: Deref<Target = OpenFile>> RecordReader<F> {
    /// Reads and checks the header.
    pub fn open(file: F, kind: LogKind) -> Result<RecordReader<F>> {
        let size = file.size()?;
        let mut raw = [0; HEADER_BYTES as usize];
        let read = file.read_at(&mut raw, 0)?;
        let header = FileHeader::decode(kind, file.path(), &raw[..read])?;
        Ok(Self::behind(file, header, size))
    }

    /// For looking into a damaged file: what is wrong with the header is handed out, and what it says
    /// is believed as far as it goes, since the checksums of records prove the identity in it.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`]; what reading the file gives.
    pub fn open_damaged(file: F, kind: LogKind) -> Result<(RecordReader<F>, Option<Error>)> {
        let size = file.size()?;
        let mut raw = [0; HEADER_BYTES as usize];
        let read = file.read_at(&mut raw, 0)?;
        match FileHeader::decode(kind, file.path(), &raw[..read]) {
            Ok(header) => Ok((Self::behind(file, header, size), None)),
            Err(damage @ Error::Corruption(_)) => {
                Ok((Self::behind(file, FileHeader::fields(&raw), size), Some(damage)))
            }
            Err(error) => Err(error),
        }
    }

    fn behind(file: F, header: FileHeader, size: u64) -> RecordReader<F> {
        let (offset, chain) = (HEADER_BYTES, header.chain);
        RecordReader { file, header, size, offset, chain, last: None, window: Vec::new(), window_at: 0 }
    }

    /// Goes on reading at `place`, in a file that may have grown meanwhile and has this header.
    ///
    /// # Errors
    /// What looking at the file gives.
    pub fn open_at(file: F, header: FileHeader, place: ReadPlace) -> Result<RecordReader<F>> {
        let size = file.size()?;
        let mut reader = Self::behind(file, header, size);
        (reader.offset, reader.chain, reader.last) = (place.offset, place.chain, place.last);
        Ok(reader)
    }

    /// Where another reader would go on.
    #[must_use]
    pub fn place(&self) -> ReadPlace {
        ReadPlace { offset: self.offset, chain: self.chain, last: self.last }
    }

    /// Where it stands, as a stop for which no reason is known.
    #[must_use]
    pub fn stopped(&self) -> Stop {
        Stop { offset: self.offset, lsn: self.lsn_of(self.offset), damage: None }
    }

    /// Whether the record before `place` is still the one that was read. A writer whose append failed puts
    /// another one there.
    ///
    /// # Errors
    /// What reading the file gives.
    pub fn still_follows(file: &OpenFile, header: &FileHeader, place: ReadPlace) -> Result<bool> {
        let Some(at) = place.last else { return Ok(true) };
        let mut raw = [0; RECORD_HEADER_BYTES as usize];
        let read = file.read_at(&mut raw, at)?;
        let found = RecordHeader::decode(&raw, header.identity, at).filter(|_| read == raw.len());
        Ok(found.is_some_and(|record| record.checksum == place.chain))
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

    /// Reads on to `end` only, which must be within the file, at the end of a record, and no less than
    /// before: what stands behind it may still be written.
    pub fn set_end(&mut self, end: u64) {
        debug_assert!(end >= self.offset, "what was read stays read");
        self.size = end;
    }

    /// Where the next record should stand.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &F {
        &self.file
    }

    /// The log position of an offset of this file.
    #[must_use]
    pub fn lsn_of(&self, offset: u64) -> u64 {
        // A damaged header is refused by its checksum; saturation only keeps nonsense from wrapping.
        self.header.start_lsn.saturating_add(offset.saturating_sub(HEADER_BYTES))
    }

    /// Reads the next record. After a stop the reader stands still.
    pub fn step(&mut self) -> Result<Step<'_>> {
        let (offset, header) = match self.next_header()? {
            Ok(next) => next,
            Err(damage) => return Ok(self.stop(damage)),
        };
        let (start, len) = (offset + RECORD_HEADER_BYTES, header.len as usize);
        self.fill(start, len)?;
        let from = (start - self.window_at) as usize;
        let checksum = bound(&self.window[from..from + len], self.header.identity, start);
        if checksum != header.payload_checksum {
            return Ok(self.stop(Some(mismatch(&header, checksum))));
        }
        self.pass(offset, &header);
        Ok(Step::Record { offset, header, payload: &self.window[from..from + len] })
    }

    /// If the next record is intact as far as its header goes, the length of its payload.
    pub fn next_len(&mut self) -> Result<Option<u64>> {
        Ok(self.next_header()?.ok().map(|(_, header)| header.len))
    }

    /// As [`RecordReader::step`] for a record that is too long to be held in memory: its payload is checked
    /// piece by piece, and what is handed out of it is empty.
    pub fn step_over(&mut self) -> Result<Step<'static>> {
        let (offset, header) = match self.next_header()? {
            Ok(next) => next,
            Err(damage) => return Ok(self.stop(damage)),
        };
        let start = offset + RECORD_HEADER_BYTES;
        let (mut at, end) = (start, start + header.len);
        let mut pieces = Pieces::default();
        while at < end {
            let len = (end - at).min(WINDOW_BYTES as u64);
            self.fill(at, len as usize)?;
            let from = (at - self.window_at) as usize;
            pieces.push(&self.window[from..from + len as usize]);
            at += len;
        }
        let checksum = pieces.bound(self.header.identity, start);
        if checksum != header.payload_checksum {
            return Ok(self.stop(Some(mismatch(&header, checksum))));
        }
        self.pass(offset, &header);
        Ok(Step::Record { offset, header, payload: &[] })
    }

    /// The header of the next record, which follows the one before and ends within the file; or what is
    /// wrong with it.
    fn next_header(&mut self) -> Result<std::result::Result<(u64, RecordHeader), Damage>> {
        let offset = self.offset;
        let header = match self.header_at(offset)? {
            Ok(header) => header,
            Err(damage) => return Ok(Err(damage)),
        };
        if header.chain != self.chain {
            let damage = (format!("chain value {:#010x}", self.chain), format!("{:#010x}", header.chain));
            return Ok(Err(Some(damage)));
        }
        if header.len > self.size.saturating_sub(offset + RECORD_HEADER_BYTES) {
            let damage = (format!("a payload of {} bytes", header.len), "the end of the file".into());
            return Ok(Err(Some(damage)));
        }
        Ok(Ok((offset, header)))
    }

    /// Goes on behind a record.
    fn pass(&mut self, offset: u64, header: &RecordHeader) {
        self.offset = offset + RECORD_HEADER_BYTES + padded(header.len);
        self.chain = header.checksum;
        self.last = Some(offset);
    }

    /// The greatest known-synced position in any record header at or behind the place where reading
    /// stopped. Headers are found by their own checksums, so that damage in front hides none.
    pub fn synced_behind(&mut self) -> Result<u64> {
        let mut greatest = 0;
        let mut from = self.offset;
        while let Some((offset, header)) = self.find_header(from)? {
            greatest = greatest.max(header.synced);
            from = offset + 8;
        }
        Ok(greatest)
    }

    /// After a stop: moves on to the next place where a record header is intact, its chain value
    /// taken as it is; `false` if there is none. Each call gets further, so that stepping and resuming
    /// in turn comes to an end.
    pub fn resume(&mut self) -> Result<bool> {
        // A record that only does not follow the one before it is where reading goes on.
        let unchained = match self.header_at(self.offset)? {
            Ok(header) => header.chain != self.chain,
            Err(_) => false,
        };
        let from = if unchained { self.offset } else { self.offset.saturating_add(8) };
        let found = self.find_header(from)?;
        if let Some((offset, header)) = found {
            self.offset = offset;
            self.chain = header.chain;
            self.last = None;
        }
        Ok(found.is_some())
    }

    /// The first intact record header at or behind `from`.
    fn find_header(&mut self, from: u64) -> Result<Option<(u64, RecordHeader)>> {
        let mut offset = from.next_multiple_of(8);
        while offset.saturating_add(RECORD_HEADER_BYTES) <= self.size {
            self.fill(offset, RECORD_HEADER_BYTES as usize)?;
            let from = (offset - self.window_at) as usize;
            let zeros = self.window[from..].chunks_exact(8).take_while(|word| **word == [0; 8]).count();
            if zeros > 0 {
                offset += 8 * zeros as u64;
                continue;
            }
            if let Ok(header) = self.header_at(offset)? {
                return Ok(Some((offset, header)));
            }
            offset += 8;
        }
        Ok(None)
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

/// What is wrong with a payload of which the checksum is another one.
fn mismatch(header: &RecordHeader, checksum: u32) -> (String, String) {
    let expected = format!("payload checksum {:#010x}", header.payload_checksum);
    (expected, format!("{checksum:#010x}"))
}
