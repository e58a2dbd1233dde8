//! What is left of the log.

use super::report::{FileReport, FileState, LogGap};
use super::survey::unused;
use crate::base::checksum::Identity;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::batch::{Op, decode_ops};
use crate::fs::Fs;
use crate::inspect::{Break, SegmentItem, walk_segment};
use crate::record::HEADER_BYTES;
use crate::wal::LoggedBatch;
use std::path::Path;

/// What is known about the log before it is read.
pub(super) struct Expected {
    /// The store's random number; `None` without a manifest.
    pub(super) store: Option<u64>,
    /// The oldest segment that is needed; `None` without a manifest.
    pub(super) oldest: Option<FileNumber>,
}

/// What reading the log gave.
#[derive(Default)]
pub(super) struct Log {
    pub(super) files: Vec<FileReport>,
    pub(super) gaps: Vec<LogGap>,
    /// The last sequence number that was read, or that a close named.
    pub(super) last_seq: SeqNum,
    /// The latest time that a group was written at.
    pub(super) clock_ms: u64,
}

/// Takes an operation, with its sequence number and the time of its group.
pub(super) type Apply<'a> = dyn FnMut(SeqNum, u64, &Op<'_>) -> Result<()> + 'a;

/// A gap that has begun and to whose end the walk has not come yet.
struct Open {
    file: String,
    after: SeqNum,
    certain: bool,
    why: String,
}

struct Walk<'a, 'b> {
    log: Log,
    gap: Option<Open>,
    /// The segment that the one before has named.
    next: Option<(FileNumber, Identity)>,
    /// Whether a segment was read, and did not end by naming the next.
    ended: bool,
    last_seq: SeqNum,
    apply: &'a mut Apply<'b>,
}

/// Reads the segments in order, what stands behind damage too.
pub(super) fn read(
    fs: &Fs,
    dir: &Path,
    segments: &[FileNumber],
    expected: &Expected,
    apply: &mut Apply<'_>,
) -> Result<Log> {
    let mut walk = Walk { log: Log::default(), gap: None, next: None, ended: false, last_seq: 0, apply };
    let oldest = expected.oldest.unwrap_or(0);
    let (old, needed): (Vec<u64>, Vec<u64>) = segments.iter().partition(|number| **number < oldest);
    for number in old {
        let name = FileKind::Wal(number).name();
        let bytes = fs.open(&dir.join(&name)).and_then(|file| file.size()).unwrap_or(0);
        walk.log.files.push(unused(&name, bytes, "everything in it stands in tables"));
    }
    if oldest != 0 && needed.first() != Some(&oldest) {
        walk.missing(oldest);
    }
    for number in needed {
        walk.segment(fs, dir, number, expected)?;
    }
    if let Some((number, _)) = walk.next.take() {
        walk.missing(number);
    }
    walk.close_gap(None);
    walk.log.last_seq = walk.log.last_seq.max(walk.last_seq);
    Ok(walk.log)
}

impl Walk<'_, '_> {
    fn missing(&mut self, number: FileNumber) {
        let name = FileKind::Wal(number).name();
        self.log.files.push(FileReport {
            name: name.clone(),
            state: FileState::Missing,
            bytes: 0,
            saved: 0,
            lost: None,
            seqs: None,
            why: Some("the log goes on in it".into()),
        });
        self.open_gap(name, true, "the segment is missing".into());
    }

    fn open_gap(&mut self, file: String, certain: bool, why: String) {
        match &mut self.gap {
            Some(gap) => gap.certain |= certain,
            None => self.gap = Some(Open { file, after: self.last_seq, certain, why }),
        }
    }

    fn close_gap(&mut self, before: Option<SeqNum>) {
        let Some(Open { file, after, certain, why }) = self.gap.take() else { return };
        // Numbers that follow each other leave no room for a write in between.
        if before != Some(after + 1) || after == 0 {
            self.log.gaps.push(LogGap { file, after, before, certain, why });
        }
    }

    fn segment(&mut self, fs: &Fs, dir: &Path, number: FileNumber, expected: &Expected) -> Result<()> {
        let name = FileKind::Wal(number).name();
        let file = match fs.open(&dir.join(&name)) {
            Ok(file) => file,
            Err(error) => {
                self.unreadable(name, 0, error.to_string());
                return Ok(());
            }
        };
        let mut reading = Reading { name: name.clone(), bytes: file.size()?, ..Reading::default() };
        let ended = std::mem::replace(&mut self.ended, true);
        let walked = walk_segment(&file, |item| {
            if reading.foreign.is_some() {
                return Ok(());
            }
            match item {
                SegmentItem::Header(header) => {
                    let least = u64::from(header.header.least_bytes);
                    let (bytes, damage) = (header.size_bytes, header.damage);
                    let proven = damage.is_none();
                    if let Some(damage) = damage {
                        reading.wrong(damage.to_string());
                    } else if header.header.number != number {
                        reading.foreign = Some(format!("it was written as number {}", header.header.number));
                    } else if expected.store.is_some_and(|store| store != header.header.store) {
                        reading.foreign = Some("it belongs to another store".into());
                    }
                    if proven && bytes < least {
                        reading.short = Some(format!("{bytes} bytes of at least {least}"));
                    }
                    let starts = proven && header.header.previous == 0;
                    if starts {
                        // Opening a store begins a new stream; what came before stands in tables.
                        self.next = None;
                    }
                    let identity = proven.then_some(header.header.identity);
                    self.arrive(&reading, number, identity, ended && !starts);
                }
                SegmentItem::Group { group, .. } => {
                    reading.clock_ms = group.clock_ms;
                    self.log.clock_ms = self.log.clock_ms.max(group.clock_ms);
                }
                SegmentItem::Batch(batch) => self.batch(&mut reading, &batch)?,
                SegmentItem::Op { .. } => {}
                SegmentItem::Close { last_seq, .. } => {
                    self.log.last_seq = self.log.last_seq.max(last_seq);
                    // What was reserved behind the end is given back by a close.
                    reading.short = None;
                    self.ended = false;
                }
                SegmentItem::Next { number, identity, .. } => {
                    self.next = Some((number, identity));
                    reading.short = None;
                    self.ended = false;
                }
                SegmentItem::Unknown(record) => {
                    let why = format!("a record of an unknown kind at {}", record.offset);
                    reading.wrong(why.clone());
                    self.open_gap(reading.name.clone(), true, why);
                }
                SegmentItem::Damage(damage) => {
                    reading.wrong(damage.to_string());
                    self.open_gap(reading.name.clone(), true, damage.to_string());
                }
                SegmentItem::Break(place) => self.stop(&mut reading, &place),
            }
            Ok::<_, Error>(())
        });
        match walked {
            Ok(()) => {}
            Err(error @ Error::UnsupportedVersion { .. }) => {
                self.unreadable(name, reading.bytes, error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if let Some(why) = reading.foreign {
            self.log.files.push(unused(&reading.name, reading.bytes, &why));
            self.open_gap(reading.name, true, format!("another file stands in its place: {why}"));
            return Ok(());
        }
        if let Some(why) = &reading.short {
            reading.wrong.get_or_insert(format!("it has lost its end: {why}"));
            self.open_gap(reading.name.clone(), true, format!("the segment has lost its end: {why}"));
        }
        let state = match (&reading.wrong, reading.operations) {
            (None, _) => FileState::Intact,
            (Some(_), 0) => FileState::Unreadable,
            (Some(_), _) => FileState::Partial,
        };
        self.log.files.push(FileReport {
            name: reading.name,
            state,
            bytes: reading.bytes,
            saved: reading.operations,
            lost: reading.wrong.is_none().then_some(0),
            seqs: reading.seqs,
            why: reading.wrong,
        });
        Ok(())
    }

    fn unreadable(&mut self, name: String, bytes: u64, why: String) {
        self.open_gap(name.clone(), true, why.clone());
        let (state, why) = (FileState::Unreadable, Some(why));
        self.log.files.push(FileReport { name, state, bytes, saved: 0, lost: None, seqs: None, why });
    }

    /// At the beginning of a segment: is it the one that the log before it goes on in?
    fn arrive(&mut self, reading: &Reading, number: FileNumber, identity: Option<Identity>, ended: bool) {
        if reading.foreign.is_some() {
            return;
        }
        match self.next.take() {
            Some((named, _)) if named != number => self.missing(named),
            Some((_, named)) if identity.is_some_and(|identity| identity != named) => {
                let why = "it is not the segment that the log goes on in".to_owned();
                self.open_gap(reading.name.clone(), true, why);
            }
            Some(_) => {}
            // A segment is only begun when the one before was sealed.
            None if ended => {
                self.open_gap(reading.name.clone(), true, "the end of the segment before it is lost".into());
            }
            None => {}
        }
    }

    fn batch(&mut self, reading: &mut Reading, batch: &LoggedBatch<'_>) -> Result<()> {
        if batch.first_seq <= self.last_seq {
            reading.wrong(format!("a batch at sequence number {} a second time", batch.first_seq));
            return Ok(());
        }
        let ops: Vec<Op<'_>> = decode_ops(batch.ops).filter_map(Result::ok).collect();
        if ops.len() != batch.count as usize {
            // Half a batch is no batch; the walk tells of the damage.
            return Ok(());
        }
        self.close_gap(Some(batch.first_seq));
        for (seq, op) in (batch.first_seq..).zip(&ops) {
            (self.apply)(seq, reading.clock_ms, op)?;
        }
        reading.operations += ops.len() as u64;
        self.last_seq = batch.first_seq + u64::from(batch.count) - 1;
        let first = reading.seqs.map_or(batch.first_seq, |(first, _)| first);
        reading.seqs = Some((first, self.last_seq));
        Ok(())
    }

    /// At a place where no record follows the one before.
    fn stop(&mut self, reading: &mut Reading, place: &Break) {
        let why = match (&place.damage, &place.why) {
            (Some(damage), _) => damage.to_string(),
            (None, Some((expected, found))) => {
                format!("the record at {} does not hold: expected {expected}, found {found}", place.offset)
            }
            (None, None) if place.last => return,
            (None, None) => format!("no record at {}, although some follow", place.offset),
        };
        // A segment that was not used yet has nothing to lose.
        if place.offset == HEADER_BYTES && place.last && place.why.is_none() && place.damage.is_none() {
            return;
        }
        reading.wrong(why.clone());
        self.open_gap(reading.name.clone(), place.damage.is_some(), why);
    }
}

#[derive(Default)]
struct Reading {
    name: String,
    bytes: u64,
    clock_ms: u64,
    operations: u64,
    seqs: Option<(SeqNum, SeqNum)>,
    wrong: Option<String>,
    foreign: Option<String>,
    short: Option<String>,
}

impl Reading {
    fn wrong(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }
}
