//! Blocks against a sorted vector.

use super::*;
use crate::base::key::{EntryRef, Kind, MAX_SEQ, NEVER, Trailer, compare};
use crate::base::memory::Account;
use crate::base::sync::Arc;
use proptest::prelude::*;
use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    key: Vec<u8>,
    seq: u64,
    kind: Kind,
    expires_at: u64,
    value: Vec<u8>,
}

impl Owned {
    fn as_ref(&self) -> EntryRef<'_> {
        let Owned { key, seq, kind, expires_at, value } = self;
        EntryRef { key, seq: *seq, kind: *kind, expires_at: *expires_at, value }
    }
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0u32..500).prop_map(|i| format!("user{i:012}").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(0u8..2, 0..6),
        (any::<u8>(), 0usize..300).prop_map(|(last, n)| [vec![b'p'; n], vec![last]].concat()),
    ]
}

/// Keys that all share a prefix, with versions.
fn any_entries() -> impl Strategy<Value = Vec<Owned>> {
    let entry = (any_key(), 0u64..20, any::<bool>(), any::<Option<u64>>(), 0usize..200);
    (prop::collection::vec(any::<u8>(), 0..12), prop::collection::vec(entry, 1..120)).prop_map(
        |(prefix, raw)| {
            let mut entries: Vec<Owned> = raw
                .into_iter()
                .map(|(key, seq, put, expires_at, len)| Owned {
                    key: [&prefix[..], &key].concat(),
                    seq,
                    kind: if put { Kind::Put } else { Kind::Delete },
                    expires_at: expires_at.filter(|&at| put && at != NEVER).unwrap_or(NEVER),
                    value: if put { vec![len as u8; len] } else { Vec::new() },
                })
                .collect();
            entries.sort_by(|a, b| compare((&a.key, a.as_ref().trailer()), (&b.key, b.as_ref().trailer())));
            entries.dedup_by(|a, b| a.key == b.key && a.seq == b.seq);
            entries
        },
    )
}

fn build(entries: &[Owned], interval: u32) -> Arc<Block> {
    let mut builder = BlockBuilder::new(interval);
    for entry in entries {
        let bound = builder.size_with(&entry.as_ref());
        builder.add(&entry.as_ref());
        assert!(builder.size_bytes() <= bound);
    }
    let size = builder.size_bytes();
    let bytes: Box<[u8]> = builder.finish().into();
    assert_eq!(bytes.len(), size);
    let block = Arc::new(Block::new(bytes, None).unwrap());
    block.check().unwrap();
    block
}

/// A block of the keys `ab` and `ac`, the second with so many shared bytes, with this head and this place
/// of the second restart, if there is one.
fn two_keys(shared: u8, head: u64, second: Option<u32>) -> Result<(), &'static str> {
    let mut bytes = Vec::new();
    for (shared, key) in [(0, &b"ab"[..]), (shared, &b"ac"[shared as usize..])] {
        bytes.extend_from_slice(&[shared, key.len() as u8, 0]);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&Trailer::new(1, Kind::Put, NEVER).0.to_le_bytes());
    }
    let restarts = [Some(0), second].into_iter().flatten();
    restarts.clone().for_each(|_| bytes.extend_from_slice(&head.to_le_bytes()));
    restarts.clone().for_each(|at: u32| bytes.extend_from_slice(&at.to_le_bytes()));
    bytes.extend_from_slice(&[0, 0, 0, 0, restarts.count() as u8, 0, 0, 0]);
    Block::new(bytes.into(), None).unwrap().check().map_err(|malformed| malformed.expected)
}

#[test]
fn what_searches_rely_on_is_checked() {
    let (ab, ac) = (u64::from_be_bytes(*b"ab\0\0\0\0\0\0"), u64::from_be_bytes(*b"ac\0\0\0\0\0\0"));
    assert_eq!(two_keys(1, ab, None), Ok(()));
    assert_eq!(two_keys(0, ab, None), Err("an entry that shares all that it can"));
    assert_eq!(two_keys(1, ac, None), Err("a restart whose key has the head that is stored"));
    assert_eq!(two_keys(1, ab, Some(13)), Err("an entry that shares all that it can"));
    assert_eq!(two_keys(0, ab, Some(13)), Err("a restart whose key has the head that is stored"));
    assert_eq!(two_keys(1, ab, Some(14)), Err("restarts where entries begin"));
}

fn first_at_or_after(entries: &[Owned], key: &[u8], seq: u64) -> usize {
    let target = (key, Trailer::seek(seq));
    entries.partition_point(|e| compare((&e.key, e.as_ref().trailer()), target) == Ordering::Less)
}

fn expect(cursor: &BlockCursor, wanted: Option<&Owned>) {
    assert_eq!(cursor.valid(), wanted.is_some());
    if let Some(wanted) = wanted {
        assert_eq!(cursor.entry(), wanted.as_ref());
        assert_eq!(cursor.trailer(), wanted.as_ref().trailer());
        assert_eq!(cursor.value_slice(), wanted.value);
    }
}

proptest! {
    #[test]
    fn a_block_is_a_sorted_vector(
        entries in any_entries(),
        interval in 1u32..20,
        strangers in prop::collection::vec((any_key(), 0u64..22), 20),
        walk in prop::collection::vec(any::<bool>(), 0..80),
    ) {
        let block = build(&entries, interval);
        let mut cursor = BlockCursor::new();
        cursor.set_block(block.clone());
        cursor.seek_to_first().unwrap();
        for entry in &entries {
            expect(&cursor, Some(entry));
            cursor.next().unwrap();
        }
        expect(&cursor, None);
        cursor.seek_to_last().unwrap();
        for entry in entries.iter().rev() {
            expect(&cursor, Some(entry));
            cursor.prev().unwrap();
        }
        expect(&cursor, None);
        let own = entries.iter().flat_map(|e| [0, 1].map(|less| (e.key.clone(), e.seq.saturating_sub(less))));
        let longer = entries.iter().map(|e| ([&e.key[..], b"\0"].concat(), MAX_SEQ));
        for (key, seq) in own.chain(longer).chain(strangers) {
            let i = first_at_or_after(&entries, &key, seq);
            cursor.seek(&key, seq).unwrap();
            expect(&cursor, entries.get(i));
            let same = entries.get(i).filter(|e| e.key == key).map(|e| e.as_ref());
            prop_assert_eq!(block.get(&key, Trailer::seek(seq)).unwrap(), same);
            prop_assert_eq!(block.get_as_stored(&key, Trailer::seek(seq)).unwrap(), same);
            cursor.seek_before(&key, seq).unwrap();
            expect(&cursor, i.checked_sub(1).and_then(|i| entries.get(i)));
        }
        let mut i = entries.len() / 2;
        cursor.seek(&entries[i].key, entries[i].seq).unwrap();
        for forward in walk {
            if forward { cursor.next().unwrap() } else { cursor.prev().unwrap() }
            i = if forward { i + 1 } else { i.wrapping_sub(1) };
            expect(&cursor, entries.get(i));
            if i >= entries.len() {
                break;
            }
        }
    }

    #[test]
    fn damage_never_panics(
        entries in any_entries(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        key in any_key(),
    ) {
        let mut builder = BlockBuilder::new(4);
        entries.iter().for_each(|entry| builder.add(&entry.as_ref()));
        let mut bytes = builder.finish().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        exercise(bytes, &key);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(0u8..12, 0..200), key in any_key()) {
        exercise(bytes, &key);
    }
}

/// Walks a block of whatever bytes; an error ends a walk.
fn exercise(bytes: Vec<u8>, key: &[u8]) {
    let Ok(block) = Block::new(bytes.into(), None) else { return };
    let block = Arc::new(block);
    let _ = block.get(key, Trailer::seek(5));
    let mut cursor = BlockCursor::new();
    cursor.set_block(block);
    let _ = cursor.seek(key, 7);
    let _ = cursor.seek_before(key, 7);
    for forward in [true, false] {
        let mut result = if forward { cursor.seek_to_first() } else { cursor.seek_to_last() };
        let mut steps = 0;
        while result.is_ok() && cursor.valid() {
            let _ = (cursor.entry(), cursor.value_slice());
            result = if forward { cursor.next() } else { cursor.prev() };
            steps += 1;
            assert!(steps < 10_000, "a walk ends");
        }
        assert!(result.is_ok() || !cursor.valid());
    }
}

#[test]
fn a_slice_keeps_its_block_alive_and_counted() {
    let account = Account::new();
    let mut builder = BlockBuilder::new(16);
    let value = vec![7; 1000];
    builder.add(&EntryRef { key: b"k", seq: 1, kind: Kind::Put, expires_at: NEVER, value: &value });
    let block = Arc::new(Block::new(builder.finish().into(), Some(&account)).unwrap());
    let slice = block.slice(block.get(b"k", Trailer::FIRST).unwrap().unwrap().value);
    let bytes = block.size_bytes() as u64;
    drop(block);
    assert_eq!(account.bytes(), bytes);
    assert_eq!(slice, value);
    drop(slice);
    assert_eq!(account.bytes(), 0);
}

#[test]
#[should_panic(expected = "lies within the block")]
fn a_slice_of_something_else_is_refused() {
    let mut builder = BlockBuilder::new(16);
    builder.add(&EntryRef { key: b"k", seq: 1, kind: Kind::Put, expires_at: NEVER, value: b"v" });
    let block = Arc::new(Block::new(builder.finish().into(), None).unwrap());
    let _ = block.slice(&[0; 64]);
}
