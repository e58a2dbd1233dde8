//! Reading the log as far as it can be read, records behind damage included, and working out which
//! sequence numbers are missing.

use super::catalog::Catalog;
use super::report::{FileRole, FileState, LogEnd, RepairedFile, RepairedLog, SeqRange, Use};
use crate::base::checksum::Identity;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::batch::Op;
use crate::fs::{Fs, OpenFile};
use crate::inspect::{SegmentItem, walk_segment};
use crate::record::LogKind;
use crate::wal::ManifestEnd;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What follows what in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Groups one after the other.
    Groups { first: SeqNum, last: SeqNum },
    /// Something that cannot be read.
    Gap { certain: bool, why: String },
    /// The mark of a close.
    Close(SeqNum),
}

/// A segment after it was read.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) number: FileNumber,
    /// As its header says; `None` if that is damaged.
    identity: Option<Identity>,
    previous: Option<Identity>,
    store: Option<u64>,
    bytes: u64,
    groups: u64,
    pub(super) entries: u64,
    /// Of these, those that stand in no table yet.
    saved: u64,
    clock_ms: u64,
    families: BTreeSet<u32>,
    pieces: Vec<Piece>,
    /// Where its records begin and end in the stream of the log.
    lsns: (u64, u64),
    /// What the mark of a close says of the manifest.
    manifest: Option<ManifestEnd>,
    next: Option<(FileNumber, Identity)>,
    errors: Vec<String>,
    /// Whether the store needs it.
    pub(super) needed: bool,
    foreign: bool,
    /// Whether another file holds the same segment, and at least as much of it.
    copy: bool,
}

/// A stretch of sequence numbers that cannot be read.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) seqs: SeqRange,
    pub(super) certain: bool,
    pub(super) why: String,
}

/// The log after it was read.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) segments: Vec<Segment>,
    pub(super) gaps: Vec<Gap>,
    pub(super) end: LogEnd,
    pub(super) last_seq: Option<SeqNum>,
    pub(super) closed: Option<SeqNum>,
    /// What the mark of a close says of the manifest, if the log ends with one.
    pub(super) manifest: Option<ManifestEnd>,
    pub(super) clock_ms: u64,
    /// Families that operations in it name.
    pub(super) families: BTreeSet<u32>,
    /// The last segment that was read.
    last: Option<String>,
    /// Segments that ought to be there.
    missing: Vec<FileNumber>,
}

impl Log {
    /// Reads all segments.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`] if a newer version wrote one.
    pub(super) fn read(fs: &Fs, dir: &Path, names: &[String], catalog: &Catalog) -> Result<Log> {
        let mut log = Log {
            segments: Vec::new(),
            gaps: Vec::new(),
            end: LogEnd::None,
            last_seq: None,
            closed: None,
            manifest: None,
            clock_ms: 0,
            families: BTreeSet::new(),
            last: None,
            missing: Vec::new(),
        };
        for name in names {
            let number = FileKind::parse(name).and_then(FileKind::number).unwrap_or(0);
            log.segments.push(read_segment(fs, dir, name, number, catalog)?);
        }
        log.segments.sort_by_key(|segment| segment.number);
        let known = catalog.store;
        let oldest = catalog.state.oldest_wal;
        let mut best: BTreeMap<Identity, (u64, std::cmp::Reverse<usize>)> = BTreeMap::new();
        for (at, segment) in log.segments.iter().enumerate() {
            if let Some(identity) = segment.identity {
                let held = best.entry(identity).or_insert((segment.entries, std::cmp::Reverse(at)));
                *held = (*held).max((segment.entries, std::cmp::Reverse(at)));
            }
        }
        for (at, segment) in log.segments.iter_mut().enumerate() {
            let stranger = known != 0 && segment.store.is_some_and(|store| store != known);
            let named = oldest > 0 && segment.number >= oldest;
            segment.copy = segment.identity.is_some_and(|identity| best[&identity].1.0 != at);
            segment.foreign |= stranger;
            segment.needed = !segment.foreign && (!catalog.is_certain() || named);
        }
        // What is not this store's must not set its clock.
        let needed = || log.segments.iter().filter(|segment| segment.needed);
        log.clock_ms = needed().map(|segment| segment.clock_ms).max().unwrap_or(0);
        log.families = needed().flat_map(|segment| segment.families.iter().copied()).collect();
        log.join(catalog);
        Ok(log)
    }

    /// Goes along the segments that are needed and puts down what is missing between them.
    fn join(&mut self, catalog: &Catalog) {
        let certain = catalog.is_certain();
        let oldest = catalog.state.oldest_wal;
        let flushed = catalog.state.families.values().map(|family| family.flushed).min().unwrap_or(0);
        let mut walk = Walk { last: flushed, gap: None, gaps: Vec::new(), seen: None, closed: None };
        let needed = self.segments.iter().filter(|segment| segment.needed && !segment.copy);
        let needed: Vec<&Segment> = needed.collect();
        if certain && oldest > 0 && needed.first().is_none_or(|segment| segment.number != oldest) {
            self.missing.push(oldest);
            walk.open(true, &format!("{} is missing", FileKind::Wal(oldest).name()));
        }
        let mut before: Option<&Segment> = None;
        for segment in &needed {
            if let Some(before) = before {
                walk.between(before, segment, &mut self.missing);
            }
            segment.pieces.iter().for_each(|piece| walk.piece(piece));
            before = Some(segment);
        }
        if let Some((number, _)) = before.and_then(|last| last.next) {
            self.missing.push(number);
            walk.open(true, &format!("{} is missing", FileKind::Wal(number).name()));
        }
        if certain {
            walk.check_end(&needed, oldest, catalog.state.synced_log);
        }
        self.end = match (&walk.gap, walk.closed) {
            (Some((_, true, _)), _) => LogEnd::Damaged,
            (Some(_), _) => LogEnd::Torn,
            (None, Some(_)) => LogEnd::Closed,
            (None, None) if needed.is_empty() && self.missing.is_empty() => LogEnd::None,
            (None, None) => LogEnd::Open,
        };
        self.closed = walk.closed;
        // Behind the segment that was closed there may be one that an attempt to open has made.
        self.manifest =
            needed.iter().rev().find_map(|segment| segment.manifest).filter(|_| walk.closed.is_some());
        self.last = before.map(|last| last.name.clone());
        self.last_seq = walk.seen;
        self.gaps = walk.finish();
    }

    /// The segments that may hold what stood in tables too.
    pub(super) fn filling(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.needed || segment.fills())
    }

    /// The segments, and the log as a whole, as a report shows them.
    pub(super) fn report(&self, filled: bool) -> (Vec<RepairedFile>, RepairedLog) {
        let mut files: Vec<RepairedFile> =
            self.segments.iter().map(|segment| segment.report(filled)).collect();
        if self.end == LogEnd::Open {
            let last = files.iter_mut().filter(|file| Some(&file.name) == self.last.as_ref());
            for file in last.filter(|file| file.state == FileState::Intact) {
                (file.state, file.entries_lost) = (FileState::OpenEnd, None);
            }
        }
        for number in &self.missing {
            files.push(RepairedFile {
                name: FileKind::Wal(*number).name(),
                role: FileRole::Log,
                state: FileState::Missing,
                used: Use::Taken,
                bytes: None,
                entries_saved: 0,
                entries_lost: None,
                entries_gone: 0,
                family: None,
                lost_keys: Vec::new(),
                lost_seqs: None,
                why: "the manifest or the segment before names it".into(),
            });
        }
        let read = || self.segments.iter().filter(|segment| segment.needed && !segment.copy);
        let log = RepairedLog {
            segments: read().count() as u64,
            groups: read().map(|segment| segment.groups).sum(),
            last_seq: self.last_seq,
            end: self.end,
            missing: self.gaps.iter().map(|gap| gap.seqs).collect(),
        };
        (files, log)
    }
}

/// Where the walk along the log stands.
struct Walk {
    /// The last sequence number that is accounted for.
    last: SeqNum,
    /// Something that cannot be read since then: the first number in it, whether that is certain, why.
    gap: Option<(SeqNum, bool, String)>,
    gaps: Vec<Gap>,
    /// The last sequence number that was read.
    seen: Option<SeqNum>,
    closed: Option<SeqNum>,
}

impl Walk {
    fn open(&mut self, certain: bool, why: &str) {
        self.closed = None;
        match &mut self.gap {
            Some((_, known, _)) => *known |= certain,
            None => self.gap = Some((self.last + 1, certain, why.into())),
        }
    }

    /// Everything that stood before `next` is accounted for, or missing.
    fn reach(&mut self, next: SeqNum) {
        if let Some((first, certain, why)) = self.gap.take()
            && first < next
        {
            let seqs = SeqRange { first, last: Some(next - 1) };
            self.gaps.push(Gap { seqs, certain, why });
        }
    }

    fn between(&mut self, before: &Segment, segment: &Segment, missing: &mut Vec<FileNumber>) {
        let empty = segment.pieces.is_empty() && segment.next.is_none();
        match before.next {
            Some((number, identity)) => {
                let same = segment.identity.is_none_or(|own| own == identity);
                if !same || number != segment.number {
                    missing.push(number);
                    self.open(true, &format!("{} is missing", FileKind::Wal(number).name()));
                }
            }
            // A segment that nothing names yet holds nothing; and a new stream begins without one before.
            None if empty || (segment.previous == Some(0) && self.closed.is_some()) => {}
            None => self.open(true, &format!("{} breaks off before {}", before.name, segment.name)),
        }
    }

    /// Where the log ends below what the manifest knows to be synced, its end is lost: zeros in its place
    /// look like an end.
    fn check_end(&mut self, needed: &[&Segment], oldest: FileNumber, synced: u64) {
        let end = |segment: &&Segment| {
            let (begins, ends) = segment.lsns;
            let used = !segment.pieces.is_empty() || segment.next.is_some();
            // One that nothing names yet begins where it would have been named.
            if used {
                Some((ends, segment.name.clone()))
            } else {
                Some((begins, segment.name.clone())).filter(|_| segment.number == oldest)
            }
        };
        let known = needed.iter().copied().filter(|segment| segment.identity.is_some());
        let last = known.filter_map(|segment| end(&segment)).max();
        if let Some((at, name)) = last.filter(|(at, _)| *at < synced) {
            self.open(true, &format!("{name} ends at position {at} of a log that was synced up to {synced}"));
        }
    }

    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Groups { first, last } => {
                self.reach(*first);
                self.closed = None;
                self.last = self.last.max(*last);
                self.seen = self.seen.max(Some(*last));
            }
            Piece::Gap { certain, why } => self.open(*certain, why),
            Piece::Close(last) => {
                self.reach(last.saturating_add(1));
                self.last = self.last.max(*last);
                self.closed = Some(*last);
            }
        }
    }

    fn finish(mut self) -> Vec<Gap> {
        if let Some((first, certain, why)) = self.gap.take() {
            self.gaps.push(Gap { seqs: SeqRange { first, last: None }, certain, why });
        }
        self.gaps
    }
}

impl Segment {
    /// Whether it may fill in: it is this store's, and no longer needed.
    pub(super) fn fills(&self) -> bool {
        !self.foreign && !self.needed
    }

    fn report(&self, filled: bool) -> RepairedFile {
        let gap = self.pieces.iter().any(|piece| matches!(piece, Piece::Gap { .. }));
        let state = match (gap || !self.errors.is_empty(), self.groups) {
            (false, _) => FileState::Intact,
            (true, 0) if self.identity.is_none() => FileState::Unreadable,
            (true, _) => FileState::PartlyRead,
        };
        let (used, why) = match (self.foreign, self.needed) {
            (true, _) => (Use::LeftOut, "it is no log of this store".into()),
            (false, true) if self.copy => (Use::Filled, "a copy of another segment".into()),
            (false, true) => (Use::Taken, self.why()),
            (false, false) if filled => (Use::Filled, "the store no longer needs it".into()),
            (false, false) => (Use::LeftOut, "the store no longer needs it".into()),
        };
        RepairedFile {
            name: self.name.clone(),
            role: FileRole::Log,
            state,
            used,
            bytes: Some(self.bytes),
            entries_saved: if used == Use::Taken { self.saved } else { self.entries },
            entries_lost: if gap { None } else { Some(0) },
            entries_gone: 0,
            family: None,
            lost_keys: Vec::new(),
            lost_seqs: None,
            why,
        }
    }

    fn why(&self) -> String {
        let gap = self.pieces.iter().find_map(|piece| match piece {
            Piece::Gap { why, .. } => Some(why.clone()),
            _ => None,
        });
        self.errors.first().cloned().or(gap).unwrap_or_default()
    }

    fn gap(&mut self, certain: bool, why: String) {
        match self.pieces.last_mut() {
            Some(Piece::Gap { certain: known, .. }) => *known |= certain,
            _ => self.pieces.push(Piece::Gap { certain, why }),
        }
    }

    fn item(&mut self, item: SegmentItem<'_>, least: &mut u64, catalog: &Catalog) {
        match item {
            SegmentItem::Header(header) => {
                self.bytes = header.size_bytes;
                match header.damage {
                    Some(damage) => self.errors.push(damage.to_string()),
                    None => {
                        let header = header.header;
                        self.number = header.number;
                        self.identity = Some(header.identity);
                        self.previous = Some(header.previous);
                        self.store = Some(header.store);
                        self.lsns = (header.start_lsn, header.start_lsn);
                        *least = u64::from(header.least_bytes);
                    }
                }
            }
            SegmentItem::Group { group, .. } => {
                self.groups += 1;
                self.clock_ms = self.clock_ms.max(group.clock_ms);
            }
            SegmentItem::Batch(batch) => {
                let last = batch.first_seq.saturating_add(u64::from(batch.count).saturating_sub(1));
                match self.pieces.last_mut() {
                    Some(Piece::Groups { last: end, .. }) => *end = (*end).max(last),
                    _ => self.pieces.push(Piece::Groups { first: batch.first_seq, last }),
                }
            }
            SegmentItem::Op { op, seq } => {
                self.entries += 1;
                self.saved += u64::from(catalog.counts(op.family, seq));
                self.families.insert(op.family);
            }
            SegmentItem::Close { mark, .. } => {
                self.pieces.push(Piece::Close(mark.last_seq));
                self.manifest = mark.manifest;
            }
            SegmentItem::Next { number, identity, .. } => self.next = Some((number, identity)),
            SegmentItem::Unknown(record) => {
                self.gap(true, format!("a record of an unknown kind at offset {}", record.offset));
            }
            SegmentItem::Damage(error) => self.gap(true, error.to_string()),
            SegmentItem::Break(place) => {
                let at = place.offset;
                self.lsns.1 = self.lsns.1.max(place.lsn);
                if self.next.is_some() && place.last && place.damage.is_none() {
                    // The end of a sealed segment, where a header need not fit any more.
                    return;
                }
                match (place.damage, place.why) {
                    (Some(damage), _) => self.gap(true, damage.to_string()),
                    (None, Some((expected, found))) => {
                        self.gap(!place.last, format!("at offset {at}: expected {expected}, found {found}"));
                    }
                    (None, None) if !place.last => self.gap(true, format!("no record at offset {at}")),
                    (None, None) => {}
                }
            }
        }
    }
}

fn read_segment(fs: &Fs, dir: &Path, name: &str, number: FileNumber, catalog: &Catalog) -> Result<Segment> {
    let path = dir.join(name);
    let mut segment = Segment {
        name: name.into(),
        path: path.clone(),
        number,
        identity: None,
        previous: None,
        store: None,
        bytes: 0,
        groups: 0,
        entries: 0,
        saved: 0,
        clock_ms: 0,
        families: BTreeSet::new(),
        pieces: Vec::new(),
        lsns: (0, 0),
        manifest: None,
        next: None,
        errors: Vec::new(),
        needed: false,
        foreign: false,
        copy: false,
    };
    let mut least = 0;
    let walked = fs.open(&path).and_then(|file| {
        segment.bytes = file.size()?;
        if !resembles(&file, LogKind::Wal)? {
            segment.foreign = true;
            return Ok(());
        }
        walk_segment(&file, |item| {
            segment.item(item, &mut least, catalog);
            Ok(())
        })
    });
    match walked {
        Ok(()) => {}
        Err(error @ Error::UnsupportedVersion { .. }) => return Err(error),
        Err(error) => segment.gap(true, error.to_string()),
    }
    let closed = matches!(segment.pieces.last(), Some(Piece::Close(_)));
    if !closed && segment.bytes < least {
        let why = format!("{} bytes of at least {least} are there", segment.bytes);
        segment.gap(true, why);
    }
    // Without its identity no record can be proven.
    if segment.identity.is_none() && segment.pieces.is_empty() {
        let why = segment.errors.first().cloned();
        segment.gap(true, why.unwrap_or_else(|| "it does not begin as a segment of a log does".into()));
    }
    Ok(segment)
}

/// Whether a file begins as a log file of this kind does, as far as that can still be told.
///
/// # Errors
/// What reading gives.
pub(super) fn resembles(file: &OpenFile, kind: LogKind) -> Result<bool> {
    let mut beginning = [0; 8];
    let read = file.read_at(&mut beginning, 0)?;
    Ok(kind.resembles(&beginning[..read]))
}

/// Visits the operations that can be read of a segment, with their sequence numbers. What cannot be
/// read was put down before.
///
/// # Errors
/// Those of `visit`.
pub(super) fn operations(
    fs: &Fs,
    segment: &Segment,
    mut visit: impl FnMut(SeqNum, Op<'_>) -> Result<()>,
) -> Result<()> {
    let (mut failed, mut count) = (None, 0);
    let walked = fs.open(&segment.path).and_then(|file| {
        walk_segment(&file, |item| match item {
            SegmentItem::Op { seq, op } => {
                count += 1;
                visit(seq, op).inspect_err(|error| failed = Some(error.clone()))
            }
            _ => Ok(()),
        })
    });
    match failed {
        Some(error) => Err(error),
        None => super::tables::read_again(&segment.path, segment.entries, count, walked.err()),
    }
}
