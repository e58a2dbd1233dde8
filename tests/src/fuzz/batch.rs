//! Groups of batches, batches of operations: what a record of the log holds.

use super::allocation;
use super::source::Source;
use esker::WriteBatch;
use esker::base::coding::{put_bytes, put_varint};
use esker::base::key::{EXPIRY_FLAG, Kind, NEVER};
use esker::batch::{FamilyRef, Op, decode_ops};
use esker::wal::{GroupHeader, LoggedBatch, begin_group, decode_group, push_batch};

/// The payload of a log's record: as a group, as a batch, and as what a batch is made of.
pub(super) fn batch(data: &[u8]) {
    allocation::within(allocation::plain(data.len()), || {
        let _ = decode_group(data).map(|(_, batches)| batches.count());
        decode_ops(data).count()
    });
    group(data);
    operations(data);
    built(data);
}

/// Bytes as a group.
fn group(data: &[u8]) {
    let Ok((header, batches)) = decode_group(data) else { return };
    let Ok(batches) = batches.collect::<Result<Vec<LoggedBatch<'_>>, _>>() else { return };
    let mut again = Vec::new();
    begin_group(&mut again, header);
    batches.iter().for_each(|batch| push_batch(&mut again, header, *batch));
    assert!(again.len() <= data.len(), "nothing is shorter than what the encoder writes");
    let (second, rest) = decode_group(&again).expect("what was just encoded");
    assert_eq!(second, header);
    assert_eq!(rest.collect::<Result<Vec<_>, _>>().expect("what was just encoded"), batches);
    batches.iter().for_each(|batch| operations(batch.ops));
}

/// Bytes as the operations of a batch.
fn operations(data: &[u8]) {
    let mut decoded = Vec::new();
    for op in decode_ops(data) {
        match op {
            Ok(op) => decoded.push(op),
            Err(malformed) => {
                assert!(malformed.at <= data.len(), "a place within the bytes");
                return;
            }
        }
    }
    let again = encoded(&decoded);
    let second: Vec<Op<'_>> = decode_ops(&again).map(|op| op.expect("what was just encoded")).collect();
    assert_eq!(second, decoded);
}

/// Operations in the bytes of the log.
fn encoded(ops: &[Op<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for op in ops {
        let expires = op.expires_at != NEVER;
        out.push(op.kind as u8 | if expires { EXPIRY_FLAG } else { 0 });
        put_varint(&mut out, u64::from(op.family));
        put_bytes(&mut out, op.key);
        if expires {
            out.extend_from_slice(&op.expires_at.to_le_bytes());
        }
        if op.kind != Kind::Delete {
            put_bytes(&mut out, op.value);
        }
    }
    out
}

/// A family by its number.
struct Family(u32);

impl FamilyRef for Family {
    fn family_id(&self) -> u32 {
        self.0
    }
    fn store_id(&self) -> u64 {
        1
    }
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
}

/// A batch as a user makes it, alone in its group.
fn built(data: &[u8]) {
    let mut source = Source::new(data);
    let header = GroupHeader { first_seq: source.long() >> 9, clock_ms: source.long() };
    let (mut batch, mut wanted) = (WriteBatch::new(), Vec::new());
    while !source.is_empty() {
        let (what, family) = (source.below(4), Family(u32::from(source.short())));
        let (key, mut value, mut expires_at) = (source.string(40), &[][..], NEVER);
        let mut kind = if what == 0 { Kind::Delete } else { Kind::Put };
        match what {
            0 => drop(batch.delete(&family, key).len()),
            1 => {
                value = source.string(200);
                batch.put(&family, key, value);
            }
            2 => {
                value = source.string(40);
                if key >= value {
                    continue;
                }
                kind = Kind::RangeDelete;
                batch.delete_range(&family, key..value);
            }
            _ => {
                value = source.string(200);
                expires_at = source.long();
                batch.put_until(&family, key, value, expires_at);
            }
        }
        wanted.push(Op { family: family.0, kind, key, value, expires_at });
    }
    let found: Vec<Op<'_>> = batch.iter().map(|op| op.expect("what was just encoded")).collect();
    assert_eq!(found, wanted);
    assert_eq!((batch.len(), batch.encoded()), (wanted.len(), &encoded(&wanted)[..]));
    let mut out = Vec::new();
    begin_group(&mut out, header);
    let logged = LoggedBatch { first_seq: header.first_seq, count: batch.len() as u32, ops: batch.encoded() };
    push_batch(&mut out, header, logged);
    let (found, mut batches) = decode_group(&out).expect("what was just encoded");
    assert_eq!((found, batches.next()), (header, Some(Ok(logged))));
    assert_eq!(batches.next(), None);
}
