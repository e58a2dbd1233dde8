//! Appending to the log across segments.
//!
//! # Invariants
//! - A segment's header and its directory entry are durable before anything is appended to it: a
//!   synced record can not vanish with its file, or become unreadable for want of its identity.
//! - The last record of a sealed segment names the next one; that one's header repeats the identity,
//!   the end and the last checksum of the one before. So replay knows which segments must be there,
//!   and tells a hole between them from the end of the log.
//! - [`Wal::unsynced`] names the segments that must be synced, oldest first; nothing in a segment
//!   counts as durable before every older segment is.
//! - After a failed append nothing has advanced: the next one overwrites the same place.

use super::group::RecordKind;
use crate::base::checksum::Identity;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::fs::{Fs, OpenFile};
use crate::record::{FileHeader, HEADER_BYTES, LogKind, RECORD_HEADER_BYTES, RecordWriter, Way};
use std::collections::VecDeque;
use std::path::PathBuf;

/// What the record takes that names the next segment.
const NEXT_BYTES: u64 = RECORD_HEADER_BYTES + 16;

/// Where there is no room for a segment, one of so small a part of it is tried.
const SMALLER: u64 = 4;

/// How the log is laid out.
#[derive(Clone, Debug)]
pub struct WalOptions {
    /// Where the segments stand.
    pub fs: Fs,
    /// The store's directory.
    pub dir: PathBuf,
    /// The store's own random number.
    pub store: u64,
    /// Identities of segments come from here.
    pub random: Random,
    /// The size to which a segment is preallocated, in bytes.
    pub segment_bytes: u64,
    /// The size of the first segment, of those at rest, and of all while there is no room for larger ones.
    pub least_bytes: u64,
    /// Whether segments are mapped into memory, as far as they can be.
    pub mapped: bool,
}

/// A segment that is still needed.
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    /// The number in its name.
    pub number: FileNumber,
    /// Its own random number.
    pub identity: Identity,
    /// The last sequence number in it, or before it if it holds none.
    pub last_seq: SeqNum,
    /// Bytes of records in it.
    pub bytes: u64,
    /// Where the last record ends in the file that does not only name the next segment.
    pub end: u64,
    /// What the file takes, in bytes, with what was set aside and not used.
    pub file_bytes: u64,
}

/// What a new segment may do about a disk without room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is reserved whole, or not made: no append within it can then meet a full disk.
    Reserved,
    /// It is a small one, and if it cannot be reserved it grows with each record, as far as that goes.
    Any,
}

/// What must be synced to make everything written so far durable.
#[derive(Clone, Debug)]
pub struct Unsynced {
    /// The segments, oldest first.
    pub files: Vec<Arc<OpenFile>>,
    /// The log position that is durable once all of them are synced.
    pub lsn: u64,
}

/// The log, as its one appender holds it.
#[derive(Debug)]
pub struct Wal {
    options: WalOptions,
    number: FileNumber,
    capacity: u64,
    last_seq: SeqNum,
    writer: RecordWriter,
    sealed: VecDeque<SegmentInfo>,
    /// Sealed segments that are needed and that no sync has covered yet.
    unsynced: VecDeque<Ended>,
    /// Segments that were made and could not be started, oldest first.
    prepared: VecDeque<Prepared>,
}

/// A sealed segment that has yet to be synced.
#[derive(Debug)]
struct Ended {
    number: FileNumber,
    file: Arc<OpenFile>,
    /// The log position of its end.
    lsn: u64,
}

/// A segment that was made while the record that would have named it could not be written. It is
/// taken when the next attempt begins at the same place; otherwise it is removed once what stands
/// at that place instead is durable.
#[derive(Debug)]
struct Prepared {
    header: FileHeader,
    writer: RecordWriter,
    capacity: u64,
}

impl Wal {
    /// Starts a new stream with a first segment.
    pub fn create(options: WalOptions, number: FileNumber) -> Result<Wal> {
        let header = FileHeader {
            identity: options.random.next_u64(),
            store: options.store,
            number,
            start_lsn: 0,
            previous: 0,
            chain: 0,
            least_bytes: 0,
        };
        // A store whose disk is full must open: that is how space is made.
        let least = options.least_bytes;
        let (writer, capacity) = create_with_room(&options, header, least, least, Room::Any)?;
        Ok(Wal {
            options,
            number,
            capacity,
            last_seq: 0,
            writer,
            sealed: VecDeque::new(),
            unsynced: VecDeque::new(),
            prepared: VecDeque::new(),
        })
    }

    /// What the buffer takes in which records are put together.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.writer.buffer_bytes()
    }

    /// Starts a record; the payload is appended to the returned buffer.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.writer.begin()
    }

    /// Writes the record that was begun. `synced` is the log position known to be durable;
    /// `last_seq` the last sequence number in the record; `next_number` numbers a new segment,
    /// should one be needed, which `room` is about.
    pub fn append(
        &mut self,
        kind: RecordKind,
        synced: u64,
        last_seq: SeqNum,
        room: Room,
        next_number: impl FnOnce() -> FileNumber,
    ) -> Result<()> {
        self.append_by(Way::Call, kind, synced, last_seq, room, next_number)
    }

    /// As [`Wal::append`], with the choice of how the record is written.
    pub fn append_by(
        &mut self,
        way: Way,
        kind: RecordKind,
        synced: u64,
        last_seq: SeqNum,
        room: Room,
        next_number: impl FnOnce() -> FileNumber,
    ) -> Result<()> {
        let bytes = self.writer.pending_bytes();
        let full = self.writer.offset() + bytes + NEXT_BYTES > self.capacity;
        if full && (self.holds_records() || self.capacity < self.options.segment_bytes) {
            self.rotate(next_number, self.options.segment_bytes, bytes, synced, room)?;
        }
        self.writer.finish_by(kind as u8, synced, way)?;
        self.last_seq = self.last_seq.max(last_seq);
        Ok(())
    }

    /// Whether the segment that is appended to holds any record.
    #[must_use]
    pub fn holds_records(&self) -> bool {
        self.writer.offset() > HEADER_BYTES
    }

    /// Starts a new segment, so that the current one can be removed once it is not needed.
    pub fn seal(&mut self, next_number: impl FnOnce() -> FileNumber, synced: u64) -> Result<()> {
        let most = self.capacity.min(self.options.segment_bytes);
        self.rotate(next_number, most, 0, synced, Room::Reserved)
    }

    /// The same if the current one is large: the next one is small.
    pub fn shrink(&mut self, next_number: impl FnOnce() -> FileNumber, synced: u64) -> Result<()> {
        let least = self.options.least_bytes;
        if self.capacity <= least {
            return Ok(());
        }
        self.rotate(next_number, least, 0, synced, Room::Reserved)
    }

    /// Seals the current segment and starts the next, which has room for a record of `bytes` and otherwise
    /// `most`, or what there is room for.
    fn rotate(
        &mut self,
        next_number: impl FnOnce() -> FileNumber,
        most: u64,
        bytes: u64,
        synced: u64,
        room: Room,
    ) -> Result<()> {
        let start_lsn = self.writer.lsn() + NEXT_BYTES;
        let needed = HEADER_BYTES + bytes + NEXT_BYTES;
        let Prepared { header, writer: mut next, capacity } = match self.prepared.pop_back() {
            Some(prepared) if prepared.header.start_lsn == start_lsn && prepared.capacity >= needed => {
                prepared
            }
            older => {
                self.prepared.extend(older);
                let header = FileHeader {
                    identity: self.options.random.next_u64(),
                    store: self.options.store,
                    number: next_number(),
                    start_lsn,
                    previous: self.writer.identity(),
                    chain: 0,
                    least_bytes: 0,
                };
                let least = self.options.least_bytes.max(needed);
                // On a disk that is full others need what it would only set aside.
                let most = if room == Room::Any { least } else { most };
                let (writer, capacity) = create_with_room(&self.options, header, most, least, room)?;
                Prepared { header, writer, capacity }
            }
        };
        let before = self.current_info();
        self.writer.hand_over(&mut next);
        let buffer = self.writer.begin();
        buffer.extend_from_slice(&header.number.to_le_bytes());
        buffer.extend_from_slice(&header.identity.to_le_bytes());
        if let Err(error) = self.writer.finish(RecordKind::Next as u8, synced) {
            // The record may turn up after a crash and must not name a file that is gone.
            self.prepared.push_back(Prepared { header, writer: next, capacity });
            return Err(error);
        }
        debug_assert_eq!(self.writer.lsn(), header.start_lsn);
        let bytes = self.writer.offset() - HEADER_BYTES;
        self.sealed.push_back(SegmentInfo { bytes, ..before });
        let (number, file, lsn) = (self.number, self.writer.file().clone(), self.writer.lsn());
        self.unsynced.push_back(Ended { number, file, lsn });
        self.writer = next;
        self.number = header.number;
        self.capacity = capacity;
        Ok(())
    }

    /// Gives back the space that was reserved behind the last record; for a log that is closed.
    pub fn trim(&self) -> Result<()> {
        self.writer.file().truncate(self.writer.offset())
    }

    /// The log position behind the last record.
    #[must_use]
    pub fn lsn(&self) -> u64 {
        self.writer.lsn()
    }

    /// What must be synced now.
    #[must_use]
    pub fn unsynced(&self) -> Unsynced {
        let sealed = self.unsynced.iter().map(|ended| ended.file.clone());
        Unsynced { files: sealed.chain([self.writer.file().clone()]).collect(), lsn: self.lsn() }
    }

    /// Everything up to `lsn` is durable now.
    pub fn synced(&mut self, lsn: u64) {
        while self.unsynced.front().is_some_and(|ended| ended.lsn <= lsn) {
            self.unsynced.pop_front();
        }
        // Where they would have been named something else stands now, for good.
        while self.prepared.front().is_some_and(|p| p.header.start_lsn - NEXT_BYTES < lsn) {
            if let Some(Prepared { header, writer, .. }) = self.prepared.pop_front() {
                drop(writer);
                // What cannot be removed now is removed when the store is opened.
                let _ = self.options.fs.remove(&FileKind::Wal(header.number).path(&self.options.dir));
            }
        }
    }

    /// The number of the segment that is appended to.
    #[must_use]
    pub fn current(&self) -> FileNumber {
        self.number
    }

    /// What that segment holds so far.
    #[must_use]
    pub fn current_info(&self) -> SegmentInfo {
        let end = self.writer.offset();
        SegmentInfo {
            number: self.number,
            identity: self.writer.identity(),
            last_seq: self.last_seq,
            bytes: end - HEADER_BYTES,
            end,
            file_bytes: self.capacity.max(end),
        }
    }

    /// The size that was set aside for it, as far as that could be had.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Where the last record of that segment ends in its file.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.writer.offset()
    }

    /// The sealed segments that are still needed, oldest first.
    pub fn sealed(&self) -> impl Iterator<Item = &SegmentInfo> {
        self.sealed.iter()
    }

    /// Bytes of records in all segments that are still needed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sealed.iter().map(|s| s.bytes).sum::<u64>() + self.writer.offset() - HEADER_BYTES
    }

    /// The oldest segment that holds anything newer than `flushed`.
    #[must_use]
    pub fn oldest_needed(&self, flushed: SeqNum) -> FileNumber {
        self.sealed.iter().find(|s| s.last_seq > flushed).map_or(self.number, |s| s.number)
    }

    /// Forgets the sealed segments before `oldest` and returns their numbers. They must be synced
    /// or no longer matter to anybody.
    pub fn release(&mut self, oldest: FileNumber) -> Vec<FileNumber> {
        let mut released = Vec::new();
        while let Some(segment) = self.sealed.front().filter(|s| s.number < oldest) {
            released.push(segment.number);
            self.sealed.pop_front();
        }
        // As long as one of them is open, the disk has its room.
        while self.unsynced.front().is_some_and(|ended| ended.number < oldest) {
            self.unsynced.pop_front();
        }
        released
    }
}

/// Makes a segment of `most` bytes or of fewer, as far as there is room, but for `least`; one that grows if
/// `room` allows it and there is none to reserve. Returns its size, too.
fn create_with_room(
    options: &WalOptions,
    header: FileHeader,
    most: u64,
    least: u64,
    room: Room,
) -> Result<(RecordWriter, u64)> {
    let mut capacity = most.max(least);
    loop {
        let smaller = (capacity / SMALLER).max(least);
        let created = match create_segment(options, header, capacity) {
            Err(error @ Error::DiskFull(_)) if !error.is_failed_sync() => {
                if smaller < capacity {
                    capacity = smaller;
                    continue;
                }
                if room == Room::Any { create_segment(options, header, 0) } else { Err(error) }
            }
            created => created,
        };
        return created.map(|writer| (writer, capacity));
    }
}

/// Makes a segment under a temporary name, complete and synced, and then gives it its own: a file
/// that is named like a segment always was one. `capacity` is reserved; with 0 the segment grows as
/// it is written.
fn create_segment(options: &WalOptions, mut header: FileHeader, capacity: u64) -> Result<RecordWriter> {
    let temp = FileKind::Temp(header.number).path(&options.dir);
    let path = FileKind::Wal(header.number).path(&options.dir);
    let dir = options.fs.dir(&options.dir)?;
    let file = options.fs.create_new(&temp)?;
    let mut create = || {
        if capacity > 0 && file.allocate(capacity)? {
            header.least_bytes = u32::try_from(capacity).unwrap_or(u32::MAX);
        }
        file.write_all_at(&header.encode(LogKind::Wal), 0)?;
        file.sync()?;
        options.fs.rename(&temp, &path)?;
        dir.sync()?;
        let file = options.fs.open_writable(&path)?;
        if options.mapped && header.least_bytes > 0 {
            // Where it cannot be mapped, each record is a call.
            file.map(capacity);
        }
        Ok(RecordWriter::resume(file, header))
    };
    let created = create();
    if created.is_err() {
        // Nothing names it, but its space is wanted back on a full disk.
        let _ = options.fs.remove(&temp);
        let _ = options.fs.remove(&path);
    }
    created
}
