//! The payload of a log record: the batches that were written with one write.

use crate::base::coding::{Decoder, Malformed, put_varint};
use crate::base::filename::FileNumber;
use crate::base::key::{MAX_SEQ, SeqNum};

/// What a record of the log holds. The numbers stand on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A group of batches.
    Group = 1,
    /// The log was closed in good order: a [`CloseMark`].
    Close = 2,
    /// The log goes on in another segment: its number and its identity, 8 bytes each. The last record
    /// of a segment that was sealed.
    Next = 3,
}

impl RecordKind {
    /// Decodes the kind byte of a record header.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<RecordKind> {
        match byte {
            1 => Some(RecordKind::Group),
            2 => Some(RecordKind::Close),
            3 => Some(RecordKind::Next),
            _ => None,
        }
    }
}

/// Where a manifest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestEnd {
    /// Its number.
    pub number: FileNumber,
    /// The position in its stream behind the last edit.
    pub lsn: u64,
}

/// The payload of the record that closes a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseMark {
    /// The last sequence number that was handed out.
    pub last_seq: SeqNum,
    /// The manifest that was in force, and how long it was; `None` in logs of the first versions.
    pub manifest: Option<ManifestEnd>,
}

impl CloseMark {
    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.last_seq.to_le_bytes());
        if let Some(ManifestEnd { number, lsn }) = self.manifest {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&lsn.to_le_bytes());
        }
    }

    /// Decodes the stored form.
    pub fn decode(payload: &[u8]) -> Result<CloseMark, Malformed> {
        let mut bytes = Decoder::new(payload);
        let last_seq = bytes.fixed64("the last sequence number")?;
        if last_seq > MAX_SEQ {
            return Err(Malformed { at: 0, expected: "a sequence number of 56 bits" });
        }
        let manifest = match bytes.is_empty() {
            true => None,
            false => Some(ManifestEnd {
                number: bytes.fixed64("the number of the manifest")?,
                lsn: bytes.fixed64("the end of the manifest")?,
            }),
        };
        Ok(CloseMark { last_seq, manifest })
    }
}

/// What stands in front of the batches of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// The sequence number of the first operation of the first batch.
    pub first_seq: SeqNum,
    /// The expiry clock when the group was written, in milliseconds since the epoch.
    pub clock_ms: u64,
}

/// One batch of a group, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedBatch<'a> {
    /// The sequence number of its first operation; each operation takes one.
    pub first_seq: SeqNum,
    /// The number of operations.
    pub count: u32,
    /// The operations (see [`crate::batch::decode_ops`]).
    pub ops: &'a [u8],
}

impl LoggedBatch<'_> {
    /// The sequence number of its last operation; if it has none, the one before its first.
    #[must_use]
    pub fn last_seq(&self) -> SeqNum {
        (self.first_seq + u64::from(self.count)).saturating_sub(1)
    }
}

/// Starts a group in `out`.
pub fn begin_group(out: &mut Vec<u8>, header: GroupHeader) {
    out.extend_from_slice(&header.first_seq.to_le_bytes());
    out.extend_from_slice(&header.clock_ms.to_le_bytes());
}

/// Appends a batch to the group that was begun in `out`.
pub fn push_batch(out: &mut Vec<u8>, group: GroupHeader, batch: LoggedBatch<'_>) {
    put_varint(out, batch.first_seq - group.first_seq);
    put_varint(out, u64::from(batch.count));
    put_varint(out, batch.ops.len() as u64);
    out.extend_from_slice(batch.ops);
}

/// Decodes a group: its header and an iterator over its batches.
pub fn decode_group(payload: &[u8]) -> Result<(GroupHeader, Batches<'_>), Malformed> {
    let mut bytes = Decoder::new(payload);
    let first_seq = bytes.fixed64("a sequence number")?;
    if first_seq > MAX_SEQ {
        return Err(Malformed { at: 0, expected: "a sequence number of 56 bits" });
    }
    let header = GroupHeader { first_seq, clock_ms: bytes.fixed64("the clock")? };
    Ok((header, Batches { header, bytes, failed: false }))
}

/// The batches of a group; ends after the first error.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    header: GroupHeader,
    bytes: Decoder<'a>,
    failed: bool,
}

impl<'a> Batches<'a> {
    fn decode(&mut self) -> Result<LoggedBatch<'a>, Malformed> {
        let wrong = self.bytes.malformed("a sequence number of 56 bits");
        let delta = self.bytes.varint("the distance of a sequence number")?;
        let count = self.bytes.varint32("a number of operations")?;
        let first_seq = self.header.first_seq.checked_add(delta).ok_or(wrong)?;
        let ops = self.bytes.bytes("the operations of a batch")?;
        if first_seq.saturating_add(u64::from(count)) > MAX_SEQ {
            return Err(wrong);
        }
        Ok(LoggedBatch { first_seq, count, ops })
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<LoggedBatch<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.bytes.is_empty() {
            return None;
        }
        let batch = self.decode();
        self.failed = batch.is_err();
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_round_trip() {
        let header = GroupHeader { first_seq: 7, clock_ms: 99 };
        let batches = [
            LoggedBatch { first_seq: 7, count: 2, ops: b"abc" },
            LoggedBatch { first_seq: 12, count: 1, ops: b"" },
        ];
        let mut out = Vec::new();
        begin_group(&mut out, header);
        batches.iter().for_each(|batch| push_batch(&mut out, header, *batch));
        let (decoded, rest) = decode_group(&out).unwrap();
        assert_eq!(decoded, header);
        assert_eq!(rest.collect::<Result<Vec<_>, _>>().unwrap(), batches);
    }

    #[test]
    fn marks_of_a_close_round_trip_with_and_without_the_manifest() {
        let manifest = Some(ManifestEnd { number: 5, lsn: 700 });
        for mark in [CloseMark { last_seq: 9, manifest: None }, CloseMark { last_seq: MAX_SEQ, manifest }] {
            let mut bytes = Vec::new();
            mark.encode(&mut bytes);
            assert_eq!(CloseMark::decode(&bytes), Ok(mark));
            for len in (0..bytes.len()).filter(|len| *len != 8) {
                assert!(CloseMark::decode(&bytes[..len]).is_err(), "{len}");
            }
        }
        assert!(CloseMark::decode(&(MAX_SEQ + 1).to_le_bytes()).is_err());
    }

    /// The bound itself may be handed out; nothing behind it is a number.
    #[test]
    fn a_group_beyond_the_last_sequence_number_is_refused() {
        let decoded = |first_seq, distance, count| {
            let mut out = Vec::new();
            let header = GroupHeader { first_seq, clock_ms: 1 };
            begin_group(&mut out, header);
            let first_seq = first_seq + distance;
            push_batch(&mut out, header, LoggedBatch { first_seq, count, ops: b"" });
            let (_, mut batches) = decode_group(&out)?;
            batches.next().unwrap().map(|batch| batch.first_seq)
        };
        assert_eq!(decoded(MAX_SEQ, 0, 0), Ok(MAX_SEQ));
        assert_eq!(decoded(MAX_SEQ - 3, 2, 1), Ok(MAX_SEQ - 1));
        assert!(decoded(MAX_SEQ - 3, 2, 2).is_err());
        for beyond in [MAX_SEQ + 1, MAX_SEQ + 2, u64::MAX - 2] {
            assert!(decoded(beyond, 0, 0).is_err(), "{beyond}");
            assert!(decode_group(&[beyond.to_le_bytes(), [0; 8]].concat()).is_err(), "{beyond}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok((_, batches)) = decode_group(&bytes) {
                prop_assert!(batches.count() <= bytes.len());
            }
        }
    }
}
