//! The bytes of a record file; the grammar with a worked example stands in `docs/format/log.md`.
//!
//! A file is a 64-byte header and then records, each aligned to eight bytes. All positions of a
//! stream of files are counted in one number, the log position (LSN): a file's header says at which
//! LSN its first record stands. Each record's header carries a checksum of itself, so that headers
//! behind a damaged record can still be found, and the LSN up to which the stream was known to be
//! synced when the record was written. The greatest such LSN tells damage from a torn tail: bytes
//! below it were once safely on disk.

use crate::base::checksum::{Identity, bound};
use crate::base::error::{Corruption, Error, Result};
use std::path::Path;

/// The format version that this build writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// Size of the header of a file.
pub const HEADER_BYTES: u64 = 64;

/// Size of the header of a record.
pub const RECORD_HEADER_BYTES: u64 = 32;

/// Which of the files with this framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// A segment of the write-ahead log.
    Wal,
    /// A manifest.
    Manifest,
}

impl LogKind {
    /// The kind that the first eight bytes of a file name.
    #[must_use]
    pub fn of(beginning: &[u8]) -> Option<LogKind> {
        [LogKind::Wal, LogKind::Manifest].into_iter().find(|kind| kind.magic() == beginning)
    }

    /// Whether the beginning of a file, damaged though it may be, is more like this kind's than like
    /// the other's: records of both are framed alike, and must not be taken for each other.
    #[must_use]
    pub fn resembles(self, beginning: &[u8]) -> bool {
        let other = if self == LogKind::Wal { LogKind::Manifest } else { LogKind::Wal };
        let same = |kind: LogKind| kind.magic().iter().zip(beginning).filter(|(a, b)| a == b).count();
        same(self) > same(other)
    }

    fn magic(self) -> [u8; 8] {
        match self {
            LogKind::Wal => *b"ESKERWAL",
            LogKind::Manifest => *b"ESKERMAN",
        }
    }
}

/// The first 64 bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Drawn at random when the file was created; every checksum in it is bound to this.
    pub identity: Identity,
    /// The store's own random number.
    pub store: u64,
    /// The number in the file's name.
    pub number: u64,
    /// The log position of the first record.
    pub start_lsn: u64,
    /// The identity of the file before this one in the stream; 0 for the first.
    pub previous: Identity,
    /// The chain value that the first record must carry: 0, as the first of a stream does. A
    /// continuation is bound by `previous` and by the record that names it.
    pub chain: u32,
    /// How long the file was made before anything was appended to it, in bytes, as far as 32 bits
    /// say: a shorter one has lost its end. 0 where no space was reserved.
    pub least_bytes: u32,
}

impl FileHeader {
    /// Encodes the header.
    #[must_use]
    pub fn encode(&self, kind: LogKind) -> [u8; HEADER_BYTES as usize] {
        let mut out = [0; HEADER_BYTES as usize];
        out[0..8].copy_from_slice(&kind.magic());
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.identity.to_le_bytes());
        out[24..32].copy_from_slice(&self.store.to_le_bytes());
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        out[40..48].copy_from_slice(&self.start_lsn.to_le_bytes());
        out[48..56].copy_from_slice(&self.previous.to_le_bytes());
        out[56..60].copy_from_slice(&self.chain.to_le_bytes());
        out[60..64].copy_from_slice(&self.least_bytes.to_le_bytes());
        let checksum = self.checksum(&out);
        out[12..16].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Covers everything but the checksum itself, which counts as zero.
    fn checksum(&self, bytes: &[u8; HEADER_BYTES as usize]) -> u32 {
        let mut covered = *bytes;
        covered[12..16].fill(0);
        bound(&covered, self.identity, 0)
    }

    /// Decodes and checks the header of `file`.
    pub fn decode(kind: LogKind, file: &Path, bytes: &[u8]) -> Result<FileHeader> {
        let damaged = |expected: &str, found: &str| Error::from(Corruption::new(file, 0, expected, found));
        let Some(raw) = bytes.first_chunk::<{ HEADER_BYTES as usize }>() else {
            return Err(damaged("a header of 64 bytes", &format!("{} bytes", bytes.len())));
        };
        if raw[0..8] != kind.magic() {
            let name = String::from_utf8_lossy(&kind.magic()).into_owned();
            return Err(damaged(&format!("the magic number {name}"), "other bytes"));
        }
        let header = FileHeader::fields(raw);
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
        let version = u32_at(8);
        let checksum = header.checksum(raw);
        if checksum != u32_at(12) {
            return Err(damaged(&format!("checksum {checksum:#010x}"), &format!("{:#010x}", u32_at(12))));
        }
        if version != VERSION {
            let (found, supported) = (u64::from(version), u64::from(VERSION));
            return Err(Error::UnsupportedVersion { file: file.into(), found, supported });
        }
        Ok(header)
    }

    /// What the bytes of a header say, unchecked: for looking into damaged files.
    #[must_use]
    pub fn fields(raw: &[u8; HEADER_BYTES as usize]) -> FileHeader {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
        FileHeader {
            identity: u64_at(16),
            store: u64_at(24),
            number: u64_at(32),
            start_lsn: u64_at(40),
            previous: u64_at(48),
            chain: u32_at(56),
            least_bytes: u32_at(60),
        }
    }
}

/// The 32 bytes in front of each record's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Over the rest of this header; the next record repeats it as its chain value.
    pub checksum: u32,
    /// Over the payload.
    pub payload_checksum: u32,
    /// The payload's length in bytes, without padding.
    pub len: u64,
    /// The log position up to which everything was known to be synced.
    pub synced: u64,
    /// The header checksum of the record before this one.
    pub chain: u32,
    /// What the payload is; the meaning belongs to the file's kind.
    pub kind: u8,
}

impl RecordHeader {
    /// Encodes the header for a record that starts at `offset`, and fills in its checksum.
    pub fn encode(&mut self, identity: Identity, offset: u64) -> [u8; RECORD_HEADER_BYTES as usize] {
        let mut out = [0; RECORD_HEADER_BYTES as usize];
        out[4..8].copy_from_slice(&self.payload_checksum.to_le_bytes());
        out[8..16].copy_from_slice(&self.len.to_le_bytes());
        out[16..24].copy_from_slice(&self.synced.to_le_bytes());
        out[24..28].copy_from_slice(&self.chain.to_le_bytes());
        out[28] = self.kind;
        self.checksum = bound(&out[4..], identity, offset);
        out[0..4].copy_from_slice(&self.checksum.to_le_bytes());
        out
    }

    /// Decodes a header; `None` if its checksum does not fit the place.
    #[must_use]
    pub fn decode(raw: &[u8; RECORD_HEADER_BYTES as usize], identity: Identity, offset: u64) -> Option<Self> {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
        let header = RecordHeader {
            checksum: u32_at(0),
            payload_checksum: u32_at(4),
            len: u64_at(8),
            synced: u64_at(16),
            chain: u32_at(24),
            kind: raw[28],
        };
        (bound(&raw[4..], identity, offset) == header.checksum).then_some(header)
    }
}

/// The space that a payload of `len` bytes takes: records are aligned to eight bytes.
#[must_use]
pub fn padded(len: u64) -> u64 {
    len.next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: FileHeader =
        FileHeader { identity: 3, store: 4, number: 5, start_lsn: 6, previous: 7, chain: 8, least_bytes: 9 };

    #[test]
    fn headers_round_trip_and_every_flipped_bit_is_noticed() {
        let file = Path::new("000005.log");
        let good = HEADER.encode(LogKind::Wal);
        assert_eq!(FileHeader::decode(LogKind::Wal, file, &good).unwrap(), HEADER);
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(LogKind::Wal, file, &bad).is_err(), "bit {bit}");
        }
        assert!(FileHeader::decode(LogKind::Manifest, file, &good).is_err());
        assert!(FileHeader::decode(LogKind::Wal, file, &good[..63]).is_err());
    }

    #[test]
    fn a_damaged_beginning_resembles_the_kind_that_more_of_it_is_like() {
        use LogKind::{Manifest, Wal};
        for (beginning, wal, manifest) in [
            (&b"ESKERWAL"[..], true, false),
            (b"ESKERMAN", false, true),
            (b"xxxxxWxx", true, false),
            (b"ESKERMxx", false, true),
            (b"ESKERxxx", false, false),
            (b"ESK", false, false),
        ] {
            let found = (Wal.resembles(beginning), Manifest.resembles(beginning));
            assert_eq!(found, (wal, manifest), "{}", beginning.escape_ascii());
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut raw = HEADER.encode(LogKind::Wal);
        raw[8] = 9;
        let checksum = HEADER.checksum(&raw);
        raw[12..16].copy_from_slice(&checksum.to_le_bytes());
        let error = FileHeader::decode(LogKind::Wal, Path::new("x"), &raw).unwrap_err();
        assert!(matches!(error, Error::UnsupportedVersion { found: 9, .. }), "{error}");
    }

    #[test]
    fn a_record_header_holds_only_in_its_place() {
        let mut header =
            RecordHeader { checksum: 0, payload_checksum: 1, len: 2, synced: 3, chain: 4, kind: 5 };
        let raw = header.encode(9, 64);
        assert_eq!(RecordHeader::decode(&raw, 9, 64), Some(header));
        assert_eq!(RecordHeader::decode(&raw, 9, 72), None);
        assert_eq!(RecordHeader::decode(&raw, 8, 64), None);
    }
}
