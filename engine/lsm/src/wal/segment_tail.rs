//! Reading the groups of one segment up to a place that may move on while it is written.
//!
//! Nothing behind that place is looked at, not even to be thrown away: it may be half written, and what was
//! read once is not read again.

use super::group::RecordKind;
use crate::base::checksum::Identity;
use crate::base::coding::Decoder;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::FileNumber;
use crate::base::sync::Arc;
use crate::fs::OpenFile;
use crate::record::{LogKind, RECORD_HEADER_BYTES, RecordReader, Step};

/// Groups up to so many bytes are handed out in memory.
const MOST_IN_MEMORY: u64 = 4 << 20;

/// Reads one segment.
#[derive(Debug)]
pub struct SegmentTail {
    reader: RecordReader<Arc<OpenFile>>,
    /// How long the file was when it was last looked at.
    size: u64,
}

/// What stands next in a segment.
#[derive(Debug)]
pub enum Tailed<'t> {
    /// A group, checked.
    Group {
        /// Its payload.
        payload: &'t [u8],
        /// Where that stands in the file.
        base: u64,
    },
    /// A group that is too large to be held in memory at once, checked.
    Long {
        /// Where its payload stands in the file.
        base: u64,
        /// The length of that.
        len: u64,
    },
    /// The log goes on in the segment with this number, and here is nothing more.
    Next(FileNumber),
    /// Nothing more, up to the end that was set.
    End,
}

impl SegmentTail {
    /// Opens the segment that stands in `file`.
    ///
    /// # Errors
    /// [`Error::Corruption`] if it is not segment `number` of the store `store`, with this identity if that
    /// is known; what reading gives.
    pub fn open(file: OpenFile, store: u64, number: FileNumber, identity: Option<Identity>) -> Result<Self> {
        let mut reader = RecordReader::open(Arc::new(file), LogKind::Wal)?;
        let (header, size) = (*reader.header(), reader.size());
        let wrong = |offset, expected: String, found: String| {
            Err(Error::from(Corruption::new(reader.file().path(), offset, expected, found)))
        };
        if header.store != store {
            return wrong(24, format!("a segment of store {store:016x}"), format!("{:016x}", header.store));
        }
        if header.number != number {
            return wrong(32, format!("segment {number}"), header.number.to_string());
        }
        if let Some(identity) = identity.filter(|identity| *identity != header.identity) {
            return wrong(16, format!("identity {identity:016x}"), format!("{:016x}", header.identity));
        }
        reader.set_end(reader.offset());
        Ok(SegmentTail { reader, size })
    }

    /// The position of its first record in the stream.
    #[must_use]
    pub fn start_lsn(&self) -> u64 {
        self.reader.header().start_lsn
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Arc<OpenFile> {
        self.reader.file()
    }

    /// What stands next in front of `end`, an offset at which a record ends, or anything behind the last one.
    ///
    /// # Errors
    /// [`Error::Corruption`] for what is no record: all that is read here was once on disk. What reading
    /// gives.
    pub fn next(&mut self, end: u64) -> Result<Tailed<'_>> {
        if end > self.size {
            // A file that could not be made in its full length grows.
            self.size = self.reader.file().size()?;
        }
        let within = end.min(self.size);
        if within <= self.reader.offset() {
            return Ok(Tailed::End);
        }
        self.reader.set_end(within);
        let long = self.reader.next_len()?.is_some_and(|len| len > MOST_IN_MEMORY);
        let file = self.reader.file().clone();
        let step = if long { self.reader.step_over()? } else { self.reader.step()? };
        let (offset, header, payload) = match step {
            Step::Stop(stop) => return Err(stop.corruption(&file)),
            Step::Record { offset, header, payload } => (offset, header, payload),
        };
        let base = offset + RECORD_HEADER_BYTES;
        match RecordKind::from_byte(header.kind) {
            Some(RecordKind::Group) if long => Ok(Tailed::Long { base, len: header.len }),
            Some(RecordKind::Group) => Ok(Tailed::Group { payload, base }),
            Some(RecordKind::Next) => {
                let number = Decoder::new(payload).fixed64("the number of the next segment");
                Ok(Tailed::Next(number.map_err(|malformed| malformed.in_file(file.path(), base))?))
            }
            Some(RecordKind::Close) => Ok(Tailed::End),
            None => {
                let kind = format!("kind {}", header.kind);
                Err(Corruption::new(file.path(), offset, "a known kind of record", kind).into())
            }
        }
    }
}
