//! A segment of the write-ahead log.

use super::records::{Break, Intact, LogHeader, Met, walk};
use crate::base::checksum::Identity;
use crate::base::coding::{Decoder, Malformed};
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::FileNumber;
use crate::base::key::SeqNum;
use crate::batch::{Op, decode_ops};
use crate::fs::OpenFile;
use crate::record::LogKind;
use crate::wal::{CloseMark, GroupHeader, LoggedBatch, RecordKind, decode_group};

/// What stands in a segment, in the order of the file.
#[derive(Clone, Debug)]
pub enum SegmentItem<'a> {
    /// The beginning, always first.
    Header(LogHeader),
    /// A group of batches, which were written with one write.
    Group {
        /// The record.
        record: Intact,
        /// What stands in front of the batches.
        group: GroupHeader,
    },
    /// A batch of the group before.
    Batch(LoggedBatch<'a>),
    /// An operation of the batch before.
    Op {
        /// Its sequence number.
        seq: SeqNum,
        /// What it does.
        op: Op<'a>,
    },
    /// The log was closed in good order.
    Close {
        /// The record.
        record: Intact,
        /// What it says.
        mark: CloseMark,
    },
    /// The log goes on in another segment.
    Next {
        /// The record.
        record: Intact,
        /// The number of that segment.
        number: FileNumber,
        /// Its identity.
        identity: Identity,
    },
    /// A record with intact checksums whose kind this build does not know.
    Unknown(Intact),
    /// A record with intact checksums whose payload makes no sense from some place on.
    Damage(Error),
    /// Where records break off; the last item is one with `last`.
    Break(Break),
}

/// Walks a segment. An error of `visit` ends the walk and is returned.
///
/// # Errors
/// [`Error::UnsupportedVersion`] if a newer version wrote the file; what reading it gives. Damage is
/// visited, not returned.
pub fn walk_segment<E: From<Error>>(
    file: &OpenFile,
    mut visit: impl FnMut(SegmentItem<'_>) -> Result<(), E>,
) -> Result<(), E> {
    walk(file, LogKind::Wal, |met| match met {
        Met::Header(header) => visit(SegmentItem::Header(header)),
        Met::Break(place) => visit(SegmentItem::Break(place)),
        Met::Record(record, payload) => match RecordKind::from_byte(record.header.kind) {
            Some(RecordKind::Group) => group(file, record, payload, &mut visit),
            Some(kind) => {
                let malformed =
                    |e: Malformed| SegmentItem::Damage(e.in_file(file.path(), record.payload_offset()));
                visit(mark(record, kind, payload).unwrap_or_else(malformed))
            }
            None => visit(SegmentItem::Unknown(record)),
        },
    })
}

/// The end of a segment.
fn mark(record: Intact, kind: RecordKind, payload: &[u8]) -> Result<SegmentItem<'static>, Malformed> {
    if kind == RecordKind::Close {
        return Ok(SegmentItem::Close { record, mark: CloseMark::decode(payload)? });
    }
    let mut bytes = Decoder::new(payload);
    let number = bytes.fixed64("the number of the next segment")?;
    Ok(SegmentItem::Next { record, number, identity: bytes.fixed64("the identity of the next segment")? })
}

fn group<E>(
    file: &OpenFile,
    record: Intact,
    payload: &[u8],
    visit: &mut impl FnMut(SegmentItem<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let base = record.payload_offset();
    let (group, mut batches) = match decode_group(payload) {
        Ok(decoded) => decoded,
        Err(e) => return visit(SegmentItem::Damage(e.in_file(file.path(), base))),
    };
    visit(SegmentItem::Group { record, group })?;
    loop {
        let batch = match batches.next() {
            Some(Ok(batch)) => batch,
            Some(Err(e)) => return visit(SegmentItem::Damage(e.in_file(file.path(), base))),
            None => return Ok(()),
        };
        visit(SegmentItem::Batch(batch))?;
        let mut ops = 0;
        for op in decode_ops(batch.ops) {
            let op = match op {
                Ok(op) => op,
                Err(e) => {
                    visit(SegmentItem::Damage(e.in_file(file.path(), base)))?;
                    break;
                }
            };
            visit(SegmentItem::Op { seq: batch.first_seq.saturating_add(ops), op })?;
            ops += 1;
        }
        if ops != u64::from(batch.count) {
            let (expected, found) = (format!("{} operations", batch.count), format!("{ops}"));
            visit(SegmentItem::Damage(Corruption::new(file.path(), base, expected, found).into()))?;
        }
    }
}
