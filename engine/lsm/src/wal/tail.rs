//! Reading a log that somebody else may still be writing.
//!
//! A [`LogTail`] reads every whole group up to the first thing that is not one, as replay does, and later
//! goes on from there. It takes nothing and holds nothing back: the writer knows nothing of it.
//!
//! # What the writer may do meanwhile
//! - **Append.** A record that is only partly there fails one of its checksums and is not there yet. Whole,
//!   it follows the one before by its chain value, and its checksums are bound to the segment's identity and
//!   to the place. So bytes of another segment, or from elsewhere, are never taken for it.
//! - **Write another record to the same place**, after an append that failed. If the first one was whole for
//!   a moment it may have been read. Then the next record does not follow it; and since that one may begin
//!   elsewhere, each [`LogTail::advance`] first looks whether the record that it read last is still there,
//!   and answers [`Reached::TakenBack`] if not.
//! - **Seal the segment**: its last record names the next one, which was complete before.
//! - **Remove segments.** What is open stays readable under Unix. One that is not open any more is an error
//!   of kind `NotFound` on its path; the manifest says whether it is still needed.
//! - **Close the log**, which cuts the segment behind the mark of the close. A size that was asked for before
//!   is asked for again.
//!
//! Segments are never written to under another number or identity: each is a new file.
//!
//! # The end of the log, or damage
//! What a record header, or the manifest, says of how far the log was synced was written behind what it
//! speaks of. So it is looked for first, and the place where reading has stopped is looked at once more
//! behind that: who then still does not get as far has met damage.

use super::group::{GroupHeader, LoggedBatch, ManifestEnd};
use super::replay::{Place, Replay, open_segment, read_segment};
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::sync::Arc;
use crate::fs::{Fs, OpenFile};
use crate::record::{FileHeader, HEADER_BYTES, ReadPlace, RecordReader, Stop};
use std::path::{Path, PathBuf};

/// How often a segment may turn out shorter than it was a moment ago: it is cut once, at a close.
const CUTS: u32 = 2;

/// Bytes that are no whole record are taken for one that is being written, but for one in so many times.
const DOUBTS: u32 = 64;

/// How far reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The end of what is there.
    End,
    /// What was read last is not part of the log any more: it belongs to a write that was refused. All that
    /// was made of this log must be made anew.
    TakenBack,
}

/// What is called for each batch: its group, the batch, the file, and where its record's payload stands.
pub type EachBatch<'e> = dyn FnMut(GroupHeader, LoggedBatch<'_>, &Path, u64) -> Result<()> + 'e;

/// A position in a log that may grow.
#[derive(Clone, Debug)]
pub struct LogTail {
    fs: Fs,
    dir: PathBuf,
    store: u64,
    number: FileNumber,
    at: Segment,
    /// The segment before, as long as nothing was read in this one: the record that names it may be one of
    /// those that are taken back.
    before: Option<Segment>,
    /// The segment that the last record of this one names.
    next: Option<(FileNumber, u64)>,
    /// The greatest position that a record which was read calls synced.
    synced: u64,
    /// Where bytes stand that are no whole record, and how often they did.
    doubted: (u64, u32),
    found: Replay,
}

/// A segment, and how far it was read.
#[derive(Clone, Debug)]
struct Segment {
    file: Arc<OpenFile>,
    header: FileHeader,
    place: ReadPlace,
}

impl Segment {
    /// Opens a segment that must be the one at `place`, and stands before its first record.
    fn open(fs: &Fs, dir: &Path, store: u64, place: &Place) -> Result<Segment> {
        let file = fs.open(&FileKind::Wal(place.number).path(dir))?;
        let reader = open_segment(&file, store, Some(place))?;
        let (header, place) = (*reader.header(), reader.place());
        Ok(Segment { file: Arc::new(file), header, place })
    }

    fn reader(&self) -> Result<RecordReader<&OpenFile>> {
        RecordReader::open_at(&self.file, self.header, self.place)
    }

    fn still_follows(&self) -> Result<bool> {
        RecordReader::<&OpenFile>::still_follows(&self.file, &self.header, self.place)
    }
}

impl LogTail {
    /// Stands before the first record of the segment `oldest`.
    ///
    /// # Errors
    /// [`Error::Corruption`] if it is not the segment expected; what opening it gives.
    pub fn open(fs: &Fs, dir: &Path, store: u64, oldest: FileNumber) -> Result<LogTail> {
        let place = Place { number: oldest, identity: None, before: None };
        Ok(LogTail {
            fs: fs.clone(),
            dir: dir.to_owned(),
            store,
            number: oldest,
            at: Segment::open(fs, dir, store, &place)?,
            before: None,
            next: None,
            synced: 0,
            doubted: (0, 0),
            found: Replay::default(),
        })
    }

    /// The segment in which it stands.
    #[must_use]
    pub fn number(&self) -> FileNumber {
        self.number
    }

    /// The log position that it has reached.
    #[must_use]
    pub fn lsn(&self) -> u64 {
        let Segment { header, place, .. } = &self.at;
        header.start_lsn.saturating_add(place.offset - HEADER_BYTES)
    }

    /// The greatest clock value that was met.
    #[must_use]
    pub fn clock_ms(&self) -> u64 {
        self.found.clock_ms
    }

    /// How many groups were read.
    #[must_use]
    pub fn groups(&self) -> u64 {
        self.found.groups
    }

    /// Where the manifest ended when the log was closed, if its last record is the mark of a close that says
    /// so.
    #[must_use]
    pub fn closed_with(&self) -> Option<ManifestEnd> {
        self.found.closed.and(self.found.manifest)
    }

    /// Reads on to the end, and hands each batch to `each`. `known` is a position up to which the log is
    /// known to be synced, from somewhere that was read before. With `thorough`, and if the same bytes stand
    /// at the end again and are no record, all that lies behind the end is
    /// searched for evidence that more was there, as replay does: the reserved space of a segment, and later
    /// segments.
    ///
    /// After an error the position must not be used any more: part of a group may have been handed out.
    ///
    /// # Errors
    /// [`Error::Corruption`] if the log does not get as far as it is known to have been synced, or says what
    /// makes no sense; what reading gives; those of `each`.
    pub fn advance(&mut self, known: u64, thorough: bool, each: &mut EachBatch<'_>) -> Result<Reached> {
        if !self.still_follows()? {
            return Ok(Reached::TakenBack);
        }
        let stop = self.read_on(each)?;
        let short = self.has_lost_its_end()?;
        let mut evidence = known.max(self.synced);
        if thorough || self.has_doubts(&stop) {
            evidence = evidence.max(self.synced_behind()?);
        }
        if stop.lsn >= evidence && !short {
            return Ok(Reached::End);
        }
        let again = self.read_on(each)?;
        if again.lsn >= evidence && !(short && self.has_lost_its_end()?) {
            return Ok(Reached::End);
        }
        if !self.still_follows()? {
            return Ok(Reached::TakenBack);
        }
        Err(again.corruption(&self.at.file))
    }

    /// Whether what was read last is still there.
    fn still_follows(&self) -> Result<bool> {
        let before = self.before.as_ref().filter(|_| self.at.place.last.is_none());
        Ok(self.at.still_follows()? && before.map_or(Ok(true), Segment::still_follows)?)
    }

    /// Whether a record that is not whole has not become whole for a while: now and then then.
    fn has_doubts(&mut self, stop: &Stop) -> bool {
        let times = if self.doubted.0 == stop.lsn { self.doubted.1 + 1 } else { 1 };
        self.doubted = (stop.lsn, if stop.damage.is_some() { times % DOUBTS } else { 0 });
        self.doubted.1 == 2
    }

    /// Reads on to where no whole record stands.
    fn read_on(&mut self, mut each: &mut EachBatch<'_>) -> Result<Stop> {
        let mut patience = CUTS;
        loop {
            let mut reader = self.at.reader()?;
            let read = read_segment(&mut reader, &self.at.file, &mut self.found, &mut self.synced, &mut each);
            let place = reader.place();
            let (stop, next) = match read {
                Err(error) if patience > 0 && ends_too_soon(&error) => {
                    // What was handed out so far came in whole groups.
                    self.at.place = place;
                    patience -= 1;
                    continue;
                }
                read => read?,
            };
            self.at.place = place;
            if place.last.is_some() {
                // The space of a segment that the writer has removed is wanted back.
                self.before = None;
            }
            let Some((number, identity)) = next.or(self.next) else { return Ok(stop) };
            self.next = Some((number, identity));
            let before = Some((self.at.header.identity, stop.lsn));
            let place = Place { number, identity: Some(identity), before };
            let opened = Segment::open(&self.fs, &self.dir, self.store, &place)?;
            self.before = Some(std::mem::replace(&mut self.at, opened));
            (self.number, self.next) = (number, None);
        }
    }

    /// Whether the segment is shorter than it was made, which only a close does.
    fn has_lost_its_end(&self) -> Result<bool> {
        Ok(self.found.closed.is_none() && self.at.file.size()? < u64::from(self.at.header.least_bytes))
    }

    /// The greatest position that any record behind the end calls synced.
    fn synced_behind(&self) -> Result<u64> {
        let mut synced = match self.at.reader()?.synced_behind() {
            Err(error) if ends_too_soon(&error) => 0,
            synced => synced?,
        };
        for name in self.fs.list(&self.dir)? {
            let Some(FileKind::Wal(number)) = FileKind::parse(&name) else { continue };
            if number <= self.number {
                continue;
            }
            // Whoever writes may have removed it since, or be writing it.
            let Ok(file) = self.fs.open(&FileKind::Wal(number).path(&self.dir)) else { continue };
            if let Ok(mut later) = open_segment(&file, self.store, None)
                && later.header().start_lsn >= self.lsn()
            {
                synced = synced.max(later.synced_behind().unwrap_or(0));
            }
        }
        Ok(synced)
    }
}

/// Whether a file was cut after its size was asked for.
fn ends_too_soon(error: &Error) -> bool {
    matches!(error, Error::Io(failure) if failure.source.kind() == std::io::ErrorKind::UnexpectedEof)
}
