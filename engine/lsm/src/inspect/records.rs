//! The records of a log file, those behind damage included.
//!
//! # Steps
//! Records are read in order up to the first place where none stands. What is known about that place
//! decides whether it is damage (see [`Break`]). Then the next intact record header is looked for,
//! which its own checksum proves, and reading goes on there; until nothing more is found.

use crate::base::error::{Error, Result};
use crate::fs::OpenFile;
use crate::record::{FileHeader, LogKind, RECORD_HEADER_BYTES, RecordHeader, RecordReader, Step};

/// The beginning of a log file.
#[derive(Clone, Debug)]
pub struct LogHeader {
    /// What it says; unproven if there is damage.
    pub header: FileHeader,
    /// The size of the file in bytes, preallocated space included.
    pub size_bytes: u64,
    /// What is wrong with it.
    pub damage: Option<Error>,
}

/// An intact record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intact {
    /// Where its header stands in the file.
    pub offset: u64,
    /// The log position of that place.
    pub lsn: u64,
    /// Its header.
    pub header: RecordHeader,
    /// Whether it stands behind a [`Break`]: recovery does not get here.
    pub beyond: bool,
}

impl Intact {
    /// Where its payload stands in the file.
    #[must_use]
    pub fn payload_offset(&self) -> u64 {
        self.offset + RECORD_HEADER_BYTES
    }
}

/// A place where no record follows the one before.
#[derive(Clone, Debug)]
pub struct Break {
    /// Where the record should stand.
    pub offset: u64,
    /// The log position of that place.
    pub lsn: u64,
    /// What should stand there and what does; `None` for zeros and the end of the file.
    pub why: Option<(String, String)>,
    /// Whether it is known from this file alone that what stood here was synced once, as an error:
    /// the place is damaged. If it is not known, this may be where writing was interrupted.
    pub damage: Option<Error>,
    /// Whether no intact record follows.
    pub last: bool,
}

/// What a walk meets.
pub(super) enum Met<'a> {
    Header(LogHeader),
    Record(Intact, &'a [u8]),
    Break(Break),
}

/// Walks a log file from its beginning to its end.
pub(super) fn walk<E: From<Error>>(
    file: &OpenFile,
    kind: LogKind,
    mut visit: impl FnMut(Met<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut reader, damage) = RecordReader::open_damaged(file, kind)?;
    let header = *reader.header();
    visit(Met::Header(LogHeader { header, size_bytes: reader.size(), damage }))?;
    let (mut synced, mut records, mut beyond) = (0, 0u64, false);
    loop {
        let lsn_of = |offset: u64| header.start_lsn.saturating_add(offset - crate::record::HEADER_BYTES);
        let stop = match reader.step()? {
            Step::Record { offset, header, payload } => {
                synced = synced.max(header.synced);
                records += 1;
                visit(Met::Record(Intact { offset, lsn: lsn_of(offset), header, beyond }, payload))?;
                continue;
            }
            Step::Stop(stop) => stop,
        };
        if !beyond {
            synced = synced.max(reader.synced_behind()?);
        }
        // CURRENT names a manifest only when its first record is synced.
        let known = stop.lsn < synced || (kind == LogKind::Manifest && records == 0);
        let more = reader.resume()?;
        visit(Met::Break(Break {
            offset: stop.offset,
            lsn: stop.lsn,
            damage: known.then(|| stop.corruption(file)),
            why: stop.damage,
            last: !more,
        }))?;
        if !more {
            return Ok(());
        }
        beyond = true;
    }
}
