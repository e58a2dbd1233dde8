//! What of a log was never known to be synced, written anew.
//!
//! A log that ended with a crash may hold groups behind the last sync that is on record. They were replayed,
//! but the disk has promised nothing about them: after a sync that failed, a file may read well and be gone
//! with the next loss of power. Who is to read them later reads a copy that was synced.

use super::group::{RecordKind, decode_group};
use super::log::{Room, SegmentInfo, Wal, WalOptions};
use super::replay::ReplayedSegment;
use super::segment_tail::{SegmentTail, Tailed};
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::fs::OpenFile;
use crate::record::{HEADER_BYTES, RECORD_HEADER_BYTES, padded};

/// A log in two parts.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// What of its segments was known to be synced.
    pub synced: Vec<ReplayedSegment>,
    /// The segments in which a copy of the rest stands.
    pub copied: Vec<SegmentInfo>,
}

/// Copies what a log holds behind the position `synced` into new segments, which are synced.
///
/// # Errors
/// What reading the old and writing the new segments gives.
pub fn salvage(
    options: &WalOptions,
    segments: &[ReplayedSegment],
    synced: u64,
    mut next_number: impl FnMut() -> FileNumber,
) -> Result<Salvaged> {
    let mut salvaged = Salvaged::default();
    let mut wal = None;
    for segment in segments {
        let position = |offset: u64| segment.start_lsn.saturating_add(offset.saturating_sub(HEADER_BYTES));
        if position(segment.end) <= synced {
            salvaged.synced.push(*segment);
            continue;
        }
        let file = options.fs.open(&FileKind::Wal(segment.number).path(&options.dir))?;
        let mut tail = SegmentTail::open(file, options.store, segment.number, Some(segment.identity))?;
        let last_seq = salvaged.synced.last().map_or(0, |before| before.last_seq);
        let mut before = ReplayedSegment { end: HEADER_BYTES, last_seq, ..*segment };
        loop {
            let file = tail.file().clone();
            let (base, payload) = match tail.next(segment.end)? {
                Tailed::Group { base, payload } => (base, payload.to_vec()),
                Tailed::Long { base, len } => (base, read_whole(&file, base, len)?),
                Tailed::Next(_) | Tailed::End => break,
            };
            let last_seq = last_seq_of(&file, base, &payload)?;
            let end = base + padded(payload.len() as u64);
            if position(end) <= synced {
                before = ReplayedSegment { end, last_seq: last_seq.max(before.last_seq), ..before };
                continue;
            }
            let wal = match &mut wal {
                Some(wal) => wal,
                None => wal.insert(Wal::create(options.clone(), next_number())?),
            };
            wal.begin().extend_from_slice(&payload);
            wal.append(RecordKind::Group, 0, last_seq, Room::Any, &mut next_number)?;
        }
        if before.end > HEADER_BYTES {
            salvaged.synced.push(before);
        }
    }
    if let Some(wal) = wal {
        wal.trim()?;
        wal.unsynced().files.iter().try_for_each(|file| file.sync())?;
        let last = wal.current_info();
        let last = SegmentInfo { file_bytes: last.end, ..last };
        salvaged.copied = wal.sealed().cloned().chain([last]).collect();
    }
    Ok(salvaged)
}

fn read_whole(file: &OpenFile, base: u64, len: u64) -> Result<Vec<u8>> {
    debug_assert!(base >= RECORD_HEADER_BYTES, "its header was read");
    let mut payload = vec![0; len as usize];
    file.read_exact_at(&mut payload, base)?;
    Ok(payload)
}

/// The last sequence number in a group.
fn last_seq_of(file: &OpenFile, base: u64, payload: &[u8]) -> Result<SeqNum> {
    let (_, batches) = decode_group(payload).map_err(|malformed| malformed.in_file(file.path(), base))?;
    let mut last = None;
    for batch in batches {
        last = Some(batch.map_err(|malformed| malformed.in_file(file.path(), base))?.last_seq());
    }
    let empty = || Error::from(Corruption::new(file.path(), base, "a group with a batch", "none"));
    last.ok_or_else(empty)
}
