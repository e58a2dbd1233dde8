//! Making the checksums of logs, manifests and `CURRENT` fit whatever stands there, as a writer with other
//! intentions would have written it.

use esker::base::checksum::{bound, context};
use esker::record::{FileHeader, HEADER_BYTES, LogKind, RECORD_HEADER_BYTES, RecordHeader, padded};

/// A record whose last header byte (a zero, where records are sound) is this keeps the checksums that it has:
/// damage amid what is sound.
const LEFT_ALONE: u8 = 0xff;

/// Makes the checksums of a log or manifest fit. Returns the log position at which its records end.
pub(super) fn records(bytes: &mut [u8]) -> u64 {
    let Some(raw) = bytes.first_chunk_mut::<{ HEADER_BYTES as usize }>() else { return 0 };
    let header = FileHeader::fields(raw);
    raw[12..16].fill(0);
    let checksum = bound(raw, header.identity, 0);
    raw[12..16].copy_from_slice(&checksum.to_le_bytes());
    let (mut offset, mut chain) = (HEADER_BYTES as usize, header.chain);
    while let Some(next) = record(bytes, offset, &header, &mut chain) {
        offset = next;
    }
    header.start_lsn.saturating_add(offset as u64 - HEADER_BYTES)
}

/// Mends the record at `offset`; returns where the next one stands.
fn record(bytes: &mut [u8], offset: usize, file: &FileHeader, chain: &mut u32) -> Option<usize> {
    let start = offset + RECORD_HEADER_BYTES as usize;
    let (before, payload) = bytes.split_at_mut_checked(start)?;
    let raw = before.last_chunk_mut::<{ RECORD_HEADER_BYTES as usize }>()?;
    if raw.iter().all(|byte| *byte == 0) {
        return None;
    }
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
    let (len, synced, kind) = (u64_at(8), u64_at(16), raw[28]);
    if raw[31] == LEFT_ALONE {
        *chain = u32::from_le_bytes(std::array::from_fn(|i| raw[i]));
    } else {
        let covered = payload.get(..usize::try_from(len).ok()?).unwrap_or_default();
        let payload_checksum = bound(covered, file.identity, start as u64);
        let mut header = RecordHeader { checksum: 0, payload_checksum, len, synced, chain: *chain, kind };
        *raw = header.encode(file.identity, offset as u64);
        *chain = header.checksum;
    }
    (len <= payload.len() as u64).then(|| start + padded(len) as usize)
}

/// Makes segments of a log follow each other: the position and the identity of the one before.
pub(super) fn segments(segments: &mut [Vec<u8>]) {
    let mut before: Option<(u64, u64)> = None;
    for bytes in segments {
        let Some(raw) = bytes.first_chunk_mut::<{ HEADER_BYTES as usize }>() else { continue };
        if let Some((identity, end)) = before {
            raw[40..48].copy_from_slice(&end.to_le_bytes());
            raw[48..56].copy_from_slice(&identity.to_le_bytes());
        }
        let identity = FileHeader::fields(raw).identity;
        before = Some((identity, records(bytes)));
    }
}

/// Which kind of file begins with these bytes.
pub(super) fn kind(bytes: &[u8]) -> Option<LogKind> {
    match bytes.first_chunk::<8>()? {
        b"ESKERWAL" => Some(LogKind::Wal),
        b"ESKERMAN" => Some(LogKind::Manifest),
        _ => None,
    }
}

/// The line of a `CURRENT` with the checksum that belongs to it.
pub(super) fn current(bytes: &[u8]) -> Vec<u8> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let end = line.iter().rposition(|byte| *byte == b' ').unwrap_or(line.len());
    signed(&line[..end])
}

/// The words of a `CURRENT` and behind them their checksum.
pub(super) fn signed(words: &[u8]) -> Vec<u8> {
    let checksum = bound(words, 0, 0).wrapping_sub(context(0, 0));
    [words, format!(" {checksum:08x}\n").as_bytes()].concat()
}
