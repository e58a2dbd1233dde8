//! Reading the log back: every whole group up to the first thing that is not one.
//!
//! Where reading stops, the log itself says whether that is its torn tail or damage: the greatest
//! known-synced position in any record header that can still be found is compared with the place.
//! Below it, the bytes were once safely on disk and are now wrong: the store refuses to open, naming
//! file and offset. At or above it, they may never have been written: they are cut, and reported.

use super::group::{GroupHeader, LoggedBatch, RecordKind, decode_group};
use crate::base::coding::Decoder;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::fs::{Fs, OpenFile};
use crate::record::{HEADER_BYTES, LogKind, RECORD_HEADER_BYTES, RecordReader, Step, Stop};
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
    /// What was cut off the end, if anything.
    pub cut: Option<Cut>,
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

/// Replays the segments `numbers` (ascending) of the store with the random number `store`.
///
/// `each` is called for every batch, in commit order. With `to_damage` a damaged middle ends the
/// replay as a torn tail does.
pub fn replay(
    fs: &Fs,
    dir: &Path,
    numbers: &[FileNumber],
    store: u64,
    to_damage: bool,
    mut each: impl FnMut(GroupHeader, LoggedBatch<'_>, &Path, u64) -> Result<()>,
) -> Result<Replay> {
    let mut found = Replay::default();
    // Identity, end and chain value of the segment before.
    let mut before: Option<(u64, u64, u32)> = None;
    let mut synced = 0;
    for (index, number) in numbers.iter().enumerate() {
        let path = FileKind::Wal(*number).path(dir);
        let file = fs.open(&path)?;
        let later = &numbers[index + 1..];
        let mut reader = match open_segment(&file, store, before) {
            Ok(reader) => reader,
            Err(error @ (Error::Io(_) | Error::UnsupportedVersion { .. })) => return Err(error),
            Err(error) => {
                let stop = Stop {
                    offset: 0,
                    lsn: before.map_or(0, |(_, end, _)| end),
                    damage: Some(("the next segment of the log".into(), error.to_string())),
                };
                let mut tail = Tail { fs, dir, store, synced, bytes: meaningful_bytes(&file, 0)? };
                tail.look_at(later)?;
                return tail.decide(found, &file, &stop, to_damage, before.is_some());
            }
        };
        let stop = read_segment(&mut reader, &file, &mut found, &mut synced, &mut each)?;
        before = Some((reader.header().identity, stop.lsn, reader.chain()));
        // The segment is whole if the next one starts exactly where this one stopped.
        let continued = later.first().is_some_and(|next| {
            let path = FileKind::Wal(*next).path(dir);
            fs.open(&path).is_ok_and(|file| open_segment(&file, store, before).is_ok())
        });
        if !continued {
            let bytes = meaningful_bytes(&file, stop.offset)?;
            let mut tail = Tail { fs, dir, store, synced: synced.max(reader.synced_behind()?), bytes };
            tail.look_at(later)?;
            return tail.decide(found, &file, &stop, to_damage, true);
        }
    }
    Ok(found)
}

/// Opens a segment and checks that it continues the one before.
fn open_segment(file: &OpenFile, store: u64, before: Option<(u64, u64, u32)>) -> Result<RecordReader<'_>> {
    let reader = RecordReader::open(file, LogKind::Wal)?;
    let header = reader.header();
    let wrong = |offset, expected: String, found: String| {
        Err(Error::from(Corruption::new(file.path(), offset, expected, found)))
    };
    if header.store != store {
        return wrong(24, format!("a segment of store {store:016x}"), format!("{:016x}", header.store));
    }
    let Some((identity, end, chain)) = before else { return Ok(reader) };
    if (header.previous, header.start_lsn, header.chain) != (identity, end, chain) {
        let found = format!("a segment that continues at {}", header.start_lsn);
        return wrong(40, format!("a segment that continues at {end}"), found);
    }
    Ok(reader)
}

fn read_segment(
    reader: &mut RecordReader<'_>,
    file: &OpenFile,
    found: &mut Replay,
    synced: &mut u64,
    each: &mut impl FnMut(GroupHeader, LoggedBatch<'_>, &Path, u64) -> Result<()>,
) -> Result<Stop> {
    loop {
        match reader.step()? {
            Step::Stop(stop) => return Ok(stop),
            Step::Record { offset, header, payload } => {
                *synced = (*synced).max(header.synced);
                let base = offset + RECORD_HEADER_BYTES;
                found.closed = None;
                match RecordKind::from_byte(header.kind) {
                    Some(RecordKind::Close) => {
                        let last_seq = Decoder::new(payload).fixed64("the last sequence number");
                        found.closed = Some(last_seq.map_err(|e| e.in_file(file.path(), base))?);
                    }
                    Some(RecordKind::Group) => {
                        let (group, batches) =
                            decode_group(payload).map_err(|e| e.in_file(file.path(), base))?;
                        found.clock_ms = found.clock_ms.max(group.clock_ms);
                        for batch in batches {
                            let batch = batch.map_err(|e| e.in_file(file.path(), base))?;
                            each(group, batch, file.path(), base)?;
                        }
                        found.groups += 1;
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

    fn decide(
        self,
        mut found: Replay,
        file: &OpenFile,
        stop: &Stop,
        to_damage: bool,
        position_known: bool,
    ) -> Result<Replay> {
        let damaged = stop.lsn < self.synced || (!position_known && self.synced > 0);
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
