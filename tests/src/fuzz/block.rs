//! Data blocks and the cursor over them.

use super::agreement::{self, Entry};
use super::allocation;
use super::source::Source;
use esker::base::coding::{Decoder, Malformed};
use esker::base::cursor::Cursor;
use esker::base::key::{EntryRef, NEVER, SeqNum, Trailer, common_prefix, compare, head};
use esker::block::{Block, BlockBuilder, BlockCursor};
use esker::{Result, Slice};
use std::path::Path;
use std::sync::Arc;

/// The raw payload of a data block; then entries made from the same bytes.
pub(super) fn block(data: &[u8]) {
    any(data);
    let mut source = Source::new(data);
    let interval = 1 + source.below(20) as u32;
    let entries = agreement::entries(&mut source, 400);
    if entries.is_empty() {
        return;
    }
    let payload = built(&entries, interval).expect("entries that a writer makes");
    assert_eq!(decode(&payload).as_ref(), Some(&entries), "the grammar is what the builder writes");
    sound(&payload, &entries);
}

fn built(entries: &[Entry], interval: u32) -> Option<Vec<u8>> {
    let mut builder = BlockBuilder::new(interval);
    for entry in entries {
        let entry = entry.borrowed()?;
        let bound = builder.size_with(&entry);
        builder.add(&entry);
        assert!(builder.size_bytes() <= bound, "no block is larger than was foretold");
    }
    Some(builder.finish().to_vec())
}

/// Whatever the bytes are, a block that is taken can be walked, and every walk ends.
fn any(data: &[u8]) {
    let steps = data.len() + 2;
    let loaded = allocation::within(allocation::plain(data.len()), || {
        let block = Arc::new(Block::new(data.into(), None).ok()?);
        let mut cursor = BlockCursor::new();
        cursor.set_block(block.clone());
        for forward in [true, false] {
            let mut left = steps;
            let mut moved = if forward { cursor.seek_to_first() } else { cursor.seek_to_last() };
            while moved.is_ok() && cursor.valid() {
                assert!(left > 0, "a walk that does not end");
                left -= 1;
                moved = if forward { cursor.next() } else { cursor.prev() };
            }
        }
        for (key, seq) in [(&data[..data.len().min(9)], 5), (b"", 0), (&data[data.len() / 2..], 1 << 40)] {
            let _ = cursor.seek(key, seq);
            let _ = cursor.seek_before(key, seq);
            let _ = block.get(key, Trailer::seek(seq));
        }
        Some(block)
    });
    match (decode(data), loaded) {
        (Some(entries), Some(_)) => {
            sound(data, &entries);
            if let Some(again) = built(&entries, 16) {
                assert_eq!(decode(&again), Some(entries));
            }
        }
        (Some(_), None) => panic!("a block that is all that the format asks is refused"),
        (None, _) => {}
    }
}

/// A sound block: cursor and lookup agree with its entries.
fn sound(payload: &[u8], entries: &[Entry]) {
    let block = Arc::new(Block::new(payload.into(), None).expect("a sound block"));
    let mut cursor = BlockCursor::new();
    cursor.set_block(block.clone());
    agreement::check(&mut Walk(cursor), entries);
    for entry in entries.iter().take(100) {
        for seq in [entry.trailer.seq(), entry.trailer.seq().saturating_sub(1)] {
            let target = (&entry.key[..], Trailer::seek(seq));
            let first = entries.iter().find(|e| compare((&e.key, e.trailer), target).is_ge());
            let wanted =
                first.filter(|first| first.key == entry.key).map(|e| (e.trailer.seq(), &e.value[..]));
            let found = block.get(target.0, target.1).expect("a sound block");
            assert_eq!(found.map(|e| (e.seq, e.value)), wanted);
        }
    }
}

/// The entries of a payload, by the grammar of `docs/format/sst.md` and by nothing else; `None` if it is not
/// all that the grammar and its words ask for.
fn decode(payload: &[u8]) -> Option<Vec<Entry>> {
    let tail = payload.len().checked_sub(8)?;
    let u32_at = |at: usize| Some(u32::from_le_bytes(*payload.get(at..)?.first_chunk()?) as usize);
    let (lcp, count) = (u32_at(tail)?, u32_at(tail + 4)?);
    let end = tail.checked_sub(count.checked_mul(12)?)?;
    let mut decoder = Decoder::new(&payload[..end]);
    let (mut entries, mut restarts) = (Vec::<Entry>::new(), 0);
    while !decoder.is_empty() {
        let at = decoder.position();
        let shared = decoder.varint32("").ok()? as usize;
        let (unshared, value_len) =
            (decoder.varint32("").ok()? as usize, decoder.varint32("").ok()? as usize);
        let before = entries.last().map_or(&[][..], |entry| &entry.key);
        let key = [before.get(..shared)?, decoder.take(unshared, "").ok()?].concat();
        if restarts < count && u32_at(end + count * 8 + restarts * 4)? == at {
            let stored = payload.get(end + restarts * 8..)?.first_chunk()?;
            if shared > 0 || key.len() < lcp || u64::from_le_bytes(*stored) != head(&key, lcp) {
                return None;
            }
            restarts += 1;
        } else if shared != common_prefix(before, &key) {
            return None;
        }
        let trailer = Trailer(decoder.fixed64("").ok()?);
        trailer.kind()?;
        let expires_at = if trailer.has_expiry() { decoder.fixed64("").ok()? } else { NEVER };
        let value = decoder.take(value_len, "").ok()?.to_vec();
        entries.push(Entry { key, trailer, expires_at, value });
    }
    let first = entries.first()?.key.get(..lcp)?;
    let begun = u32_at(end + count * 8)? == 0 && restarts == count && count > 0;
    let common = entries.iter().all(|entry| entry.key.starts_with(first));
    (begun && common && agreement::ascends(&entries)).then_some(entries)
}

/// A block's cursor as the cursor of a run.
struct Walk(BlockCursor);

fn in_file(result: Result<(), Malformed>) -> Result<()> {
    result.map_err(|malformed| malformed.in_file(Path::new("block"), 0))
}

impl Cursor for Walk {
    fn valid(&self) -> bool {
        self.0.valid()
    }
    fn user_key(&self) -> &[u8] {
        self.0.user_key()
    }
    fn trailer(&self) -> Trailer {
        self.0.trailer()
    }
    fn entry(&self) -> EntryRef<'_> {
        self.0.entry()
    }
    fn value_slice(&self) -> Slice {
        self.0.value_slice()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        in_file(self.0.seek_to_first())
    }
    fn seek_to_last(&mut self) -> Result<()> {
        in_file(self.0.seek_to_last())
    }
    fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        in_file(self.0.seek(key, seq))
    }
    fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        in_file(self.0.seek_before(key, seq))
    }
    fn next(&mut self) -> Result<()> {
        in_file(self.0.next())
    }
    fn prev(&mut self) -> Result<()> {
        in_file(self.0.prev())
    }
}
