//! Reading the log back: every whole group up to the first thing that is not one.
//!
//! Where reading stops, the log itself says whether that is its torn tail or damage: the greatest
//! known-synced position in any record header that can still be found is compared with the place.
//! Below it - or if the segment is shorter than it was made - the bytes were once safely on disk and
//! are now wrong: the store refuses to open, naming file and offset. At or above it, they may never
//! have been written: they are cut, and reported.

use super::group::{CloseMark, GroupHeader, LoggedBatch, ManifestEnd, RecordKind, decode_group};
use crate::base::checksum::Identity;
use crate::base::coding::Decoder;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::fs::{Fs, OpenFile};
use crate::record::{
    FileHeader, HEADER_BYTES, LogKind, RECORD_HEADER_BYTES, RecordReader, Step, Stop, padded,
};
use std::path::{Path, PathBuf};

/// What replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Whole groups that were applied.
    pub groups: u64,
    /// The greatest clock value in them.
    pub clock_ms: u64,
    /// If the log ends with the mark of a close in good order: the last sequence number that was
    /// handed out.
    pub closed: Option<SeqNum>,
    /// What that mark says of the manifest.
    pub manifest: Option<ManifestEnd>,
    /// What was cut off the end, if anything.
    pub cut: Option<Cut>,
    /// The segments that were read, oldest first.
    pub segments: Vec<ReplayedSegment>,
    /// Up to this position of the stream the log is known to have been synced.
    pub synced: u64,
}

/// A segment that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayedSegment {
    /// The number in its name.
    pub number: FileNumber,
    /// Its own random number.
    pub identity: Identity,
    /// The position of its first record in the stream.
    pub start_lsn: u64,
    /// Where its last whole group ends in the file.
    pub end: u64,
    /// The last sequence number in it, or before it if it holds none; 0 if there is none.
    pub last_seq: SeqNum,
    /// What the file takes, in bytes.
    pub file_bytes: u64,
}

/// The end of the log that was not recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment in which reading stopped.
    pub file: PathBuf,
    /// Where.
    pub offset: u64,
    /// How many bytes that were not zero stood behind it, in this segment and the later ones.
    pub bytes: u64,
    /// What was wrong there.
    pub why: String,
    /// Whether the bytes had once been synced, so that this is damage and not a torn tail. Only
    /// where recovery up to damage was asked for.
    pub damaged: bool,
}

/// What is known of a log before it is read.
#[derive(Clone, Copy, Debug)]
pub struct LogKnown {
    /// The store's random number.
    pub store: u64,
    /// The oldest segment that is needed.
    pub oldest: FileNumber,
    /// The position up to which it was synced, as far as the manifest knows. A log may keep records of
    /// that only behind its last sync, where a run of zeros looks like an end.
    pub synced: u64,
}

/// Replays a log. `numbers` are all segments that there are, ascending.
///
/// `each` is called for every batch, in commit order. With `to_damage` a damaged middle ends the
/// replay as a torn tail does.
pub fn replay(
    fs: &Fs,
    dir: &Path,
    known: LogKnown,
    numbers: &[FileNumber],
    to_damage: bool,
    mut each: impl FnMut(GroupHeader, LoggedBatch<'_>, &Path, u64) -> Result<()>,
) -> Result<Replay> {
    let mut found = Replay::default();
    let LogKnown { store, oldest, mut synced } = known;
    let mut place = Place { number: oldest, identity: None, before: None };
    loop {
        let path = FileKind::Wal(place.number).path(dir);
        // The header was synced before anything named the segment: it must be there, and sound.
        let opened = open_file(fs, &path).and_then(|file| {
            open_segment(&file, store, Some(&place))?;
            Ok(file)
        });
        let file = match opened {
            Ok(file) => file,
            Err(Error::Corruption(damage)) if to_damage => {
                let why = format!("expected {}, found {}", damage.expected, damage.found);
                found.closed = None;
                found.cut = Some(Cut { file: path, offset: 0, bytes: 0, why, damaged: true });
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        let mut reader = open_segment(&file, store, Some(&place))?;
        let (stop, next) = read_segment(&mut reader, &file, &mut found, &mut synced, &mut each)?;
        found.synced = synced;
        if let Some((number, identity)) = next {
            let before = Some((reader.header().identity, stop.lsn));
            place = Place { number, identity: Some(identity), before };
            continue;
        }
        let bytes = meaningful_bytes(&file, stop.offset)?;
        // A close gives the reserved space back.
        let short = found.closed.is_none() && reader.size() < u64::from(reader.header().least_bytes);
        let mut tail = Tail { fs, dir, store, synced: synced.max(reader.synced_behind()?), bytes, short };
        let later = numbers.partition_point(|number| *number <= place.number);
        tail.look_at(numbers.get(later..).unwrap_or_default())?;
        found.synced = tail.synced;
        return tail.decide(found, &file, &stop, to_damage);
    }
}

/// The segment that comes next, and what is known of it.
pub(super) struct Place {
    pub(super) number: FileNumber,
    /// As the segment before names it.
    pub(super) identity: Option<u64>,
    /// Identity and end of the segment before.
    pub(super) before: Option<(u64, u64)>,
}

fn open_file(fs: &Fs, path: &Path) -> Result<OpenFile> {
    fs.open(path).map_err(|error| {
        if !error.is_not_found() {
            return error;
        }
        Corruption::new(path, 0, "a segment of the log that is needed", "no such file").into()
    })
}

/// Opens a segment and checks that it is the one expected.
pub(super) fn open_segment<'f>(
    file: &'f OpenFile,
    store: u64,
    place: Option<&Place>,
) -> Result<RecordReader<&'f OpenFile>> {
    let reader = RecordReader::open(file, LogKind::Wal)?;
    let header = reader.header();
    let wrong = |offset, expected: String, found: String| {
        Err(Error::from(Corruption::new(file.path(), offset, expected, found)))
    };
    if header.store != store {
        return wrong(24, format!("a segment of store {store:016x}"), format!("{:016x}", header.store));
    }
    let Some(place) = place else { return Ok(reader) };
    if header.number != place.number {
        return wrong(32, format!("segment {}", place.number), header.number.to_string());
    }
    if place.identity.is_some_and(|identity| identity != header.identity) {
        let found = format!("identity {:016x}", header.identity);
        return wrong(16, format!("identity {:016x}", place.identity.unwrap_or_default()), found);
    }
    if let Some((previous, end)) = place.before
        && (header.previous, header.start_lsn) != (previous, end)
    {
        let found = format!("a segment that continues at {}", header.start_lsn);
        return wrong(40, format!("a segment that continues at {end}"), found);
    }
    Ok(reader)
}

/// Reads all records of a segment. Returns where it stopped, and the segment that the last record
/// names as the next.
pub(super) fn read_segment(
    reader: &mut RecordReader<&OpenFile>,
    file: &OpenFile,
    found: &mut Replay,
    synced: &mut u64,
    each: &mut impl FnMut(GroupHeader, LoggedBatch<'_>, &Path, u64) -> Result<()>,
) -> Result<(Stop, Option<(FileNumber, u64)>)> {
    let (mut next, mut last_seq) = (None, found.segments.last().map_or(0, |before| before.last_seq));
    let FileHeader { number, identity, start_lsn, .. } = *reader.header();
    let mut end = HEADER_BYTES;
    loop {
        match reader.step()? {
            Step::Stop(stop) => {
                let file_bytes = reader.size();
                let segment = ReplayedSegment { number, identity, start_lsn, end, last_seq, file_bytes };
                found.segments.push(segment);
                return Ok((stop, next));
            }
            Step::Record { offset, .. } if next.is_some() => {
                let found = "another record";
                return Err(Corruption::new(file.path(), offset, "the end of a sealed segment", found).into());
            }
            Step::Record { offset, header, payload } => {
                *synced = (*synced).max(header.synced);
                let base = offset + RECORD_HEADER_BYTES;
                found.closed = None;
                match RecordKind::from_byte(header.kind) {
                    Some(RecordKind::Close) => {
                        let mark = CloseMark::decode(payload).map_err(|e| e.in_file(file.path(), base))?;
                        found.closed = Some(mark.last_seq);
                        found.manifest = mark.manifest;
                    }
                    Some(RecordKind::Next) => {
                        let mut bytes = Decoder::new(payload);
                        let number = bytes.fixed64("the number of the next segment");
                        let number = number.map_err(|e| e.in_file(file.path(), base))?;
                        let identity = bytes.fixed64("the identity of the next segment");
                        next = Some((number, identity.map_err(|e| e.in_file(file.path(), base))?));
                    }
                    Some(RecordKind::Group) => {
                        let (group, batches) =
                            decode_group(payload).map_err(|e| e.in_file(file.path(), base))?;
                        found.clock_ms = found.clock_ms.max(group.clock_ms);
                        for batch in batches {
                            let batch = batch.map_err(|e| e.in_file(file.path(), base))?;
                            each(group, batch, file.path(), base)?;
                            last_seq = last_seq.max(batch.last_seq());
                        }
                        found.groups += 1;
                        end = base + padded(header.len);
                    }
                    None => {
                        let kind = format!("kind {}", header.kind);
                        return Err(
                            Corruption::new(file.path(), offset, "a known kind of record", kind).into()
                        );
                    }
                }
            }
        }
    }
}

/// What lies behind the place where reading stopped.
struct Tail<'a> {
    fs: &'a Fs,
    dir: &'a Path,
    store: u64,
    synced: u64,
    bytes: u64,
    /// Whether the segment has lost its end, which was on disk before anything was appended.
    short: bool,
}

impl Tail<'_> {
    /// Later segments cannot be recovered any more, but they may know what had been synced.
    fn look_at(&mut self, later: &[FileNumber]) -> Result<()> {
        for number in later {
            let file = self.fs.open(&FileKind::Wal(*number).path(self.dir))?;
            self.bytes += meaningful_bytes(&file, HEADER_BYTES)?;
            if let Ok(mut reader) = open_segment(&file, self.store, None) {
                self.synced = self.synced.max(reader.synced_behind()?);
            }
        }
        Ok(())
    }

    fn decide(self, mut found: Replay, file: &OpenFile, stop: &Stop, to_damage: bool) -> Result<Replay> {
        let damaged = stop.lsn < self.synced || self.short;
        if damaged && !to_damage {
            return Err(stop.corruption(file));
        }
        if damaged || stop.damage.is_some() || self.bytes > 0 {
            let why = match &stop.damage {
                Some((expected, found)) => format!("expected {expected}, found {found}"),
                None => "records behind the end of the log".into(),
            };
            found.closed = None;
            found.cut =
                Some(Cut { file: file.path().into(), offset: stop.offset, bytes: self.bytes, why, damaged });
        }
        Ok(found)
    }
}

/// How many bytes from `offset` to the last one that is not zero.
fn meaningful_bytes(file: &OpenFile, offset: u64) -> Result<u64> {
    let size = file.size()?;
    let (mut at, mut end) = (offset, offset);
    let mut window = vec![0; 256 << 10];
    while at < size {
        let read = file.read_at(&mut window, at)?;
        if read == 0 {
            break;
        }
        if let Some(last) = window[..read].iter().rposition(|byte| *byte != 0) {
            end = at + last as u64 + 1;
        }
        at += read as u64;
    }
    Ok(end - offset)
}
