use super::{Heads, Memtable, MemtableCursor, PIN_VALUE_BYTES};
use crate::base::cursor::Cursor;
use crate::base::hash::key_hash;
use crate::base::key::{EntryRef, Kind, MAX_SEQ, NEVER, SeqNum};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Arc, thread};
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// User key ascending, newest first.
type Model = BTreeMap<At, Held>;
type At = (Vec<u8>, Reverse<SeqNum>);
/// Kind, expiry, value.
type Held = (Kind, u64, Vec<u8>);

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0u32..300).prop_map(|i| format!("user{i:012}").into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 0..20),
        2 => (0u8..40).prop_map(|i| [&[b'p'; 100][..], &[i], &[b'x'; 30]].concat()),
        1 => prop::collection::vec(prop_oneof![Just(0u8), Just(b'u'), Just(0xff)], 0..4),
        1 => Just(Vec::new()),
    ]
}

fn prefix() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"".to_vec()),
        Just(b"user".to_vec()),
        Just(b"user00000000".to_vec()),
        Just(vec![b'p'; 100]),
        Just(vec![0xff, 0xff]),
    ]
}

fn value() -> impl Strategy<Value = Held> {
    prop_oneof![
        1 => Just((Kind::Delete, NEVER, Vec::new())),
        4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(|value| (Kind::Put, NEVER, value)),
        1 => (1u64..1000).prop_map(|at| (Kind::Put, at, at.to_be_bytes().to_vec())),
        1 => (0u8..9).prop_map(|fill| (Kind::Put, NEVER, vec![fill; PIN_VALUE_BYTES + usize::from(fill)])),
    ]
}

fn build(prefix: &[u8], entries: Vec<(Vec<u8>, Held)>) -> (Arc<Memtable>, Model) {
    let table = Arc::new(Memtable::new(7, prefix, 1 << 20));
    let mut model = Model::new();
    for (i, chunk) in entries.chunks(40).enumerate() {
        let mut writer = table.writer();
        let mut together = Vec::new();
        for (j, (key, (kind, expires_at, value))) in chunk.iter().enumerate() {
            let seq = (i * 40 + j) as u64 + 3;
            let entry = EntryRef { key, seq, kind: *kind, expires_at: *expires_at, value };
            if i % 3 == 0 {
                writer.insert(&entry);
            } else {
                together.push(entry);
            }
            model.insert((key.clone(), Reverse(seq)), (*kind, *expires_at, value.clone()));
        }
        writer.insert_all(&together);
    }
    (table, model)
}

proptest! {
    #[test]
    fn another_prefix_changes_nothing(
        entries in prop::collection::vec((key(), value()), 1..200),
        prefixes in (prefix(), prefix()),
    ) {
        let (table, _) = build(&prefixes.0, entries);
        table.note_deletion_at(17);
        table.set_has_unlogged();
        let rebuilt = Arc::new(table.rebuilt(&prefixes.1[..], 1 << 20));
        let facts = |t: &Memtable| {
            let times = (t.earliest_expiry(), t.oldest_deletion_ms(), t.has_unlogged());
            (t.id(), t.entries(), t.deletions(), t.first_seq(), t.last_seq(), times)
        };
        prop_assert_eq!(facts(&table), facts(&rebuilt));
        let (mut a, mut b) = (MemtableCursor::new(table), MemtableCursor::new(rebuilt));
        a.seek_to_first().unwrap();
        b.seek_to_first().unwrap();
        while a.valid() {
            prop_assert!(b.valid());
            prop_assert_eq!(a.entry(), b.entry());
            a.next().unwrap();
            b.next().unwrap();
        }
        prop_assert!(!b.valid());
    }
}

fn assert_same(entry: EntryRef<'_>, model: (&At, &Held)) {
    let ((key, Reverse(seq)), (kind, expires_at, value)) = model;
    assert_eq!(entry, EntryRef { key, seq: *seq, kind: *kind, expires_at: *expires_at, value });
}

/// Where the cursor must stand, or nowhere.
fn assert_at(cursor: &MemtableCursor, model: Option<(&At, &Held)>) {
    assert_eq!(cursor.valid(), model.is_some());
    let Some(model) = model else { return };
    assert_same(cursor.entry(), model);
    assert_eq!(cursor.user_key(), &model.0.0);
    assert_eq!(cursor.trailer(), cursor.entry().trailer());
    assert_eq!(cursor.value_slice(), model.1.2);
}

proptest! {
    #[test]
    fn lookups_give_the_newest_entry_at_or_below_the_sequence(
        prefix in prefix(),
        entries in prop::collection::vec((key(), value()), 0..400),
        probes in prop::collection::vec((key(), 0u64..420), 0..100),
    ) {
        let (table, model) = build(&prefix, entries);
        let known = model.keys().map(|(key, Reverse(seq))| (key.clone(), *seq));
        for (key, seq) in probes.into_iter().chain(known) {
            for seq in [seq, seq.saturating_sub(1), MAX_SEQ] {
                let expected = model.range((key.clone(), Reverse(seq))..).next();
                let expected = expected.filter(|((found, _), _)| *found == key);
                match (table.get_slice(&key, seq), expected) {
                    (Some((entry, slice)), Some(expected)) => {
                        prop_assert_eq!(&slice, &expected.1.2);
                        assert_same(entry, expected);
                    }
                    (found, expected) => prop_assert!(found.is_none() && expected.is_none()),
                }
                prop_assert_eq!(table.get(&key, key_hash(&key), seq).is_some(), expected.is_some());
            }
        }
    }

    #[test]
    fn a_cursor_walks_both_ways(
        prefix in prefix(),
        entries in prop::collection::vec((key(), value()), 0..400),
        steps in prop::collection::vec((0u8..9, key(), 0u64..420), 0..200),
    ) {
        let (table, model) = build(&prefix, entries);
        let mut cursor = MemtableCursor::new(table);
        let mut at: Option<At> = None;
        for (step, key, seq) in steps {
            let target = (key.clone(), Reverse(seq));
            let found = match step {
                0 => { cursor.seek_to_first()?; model.iter().next() }
                1 => { cursor.seek_to_last()?; model.iter().next_back() }
                2 => { cursor.seek(&key, seq)?; model.range(target..).next() }
                3 => { cursor.seek_before(&key, seq)?; model.range(..target).next_back() }
                step => {
                    let Some(at) = at else { continue };
                    if step < 6 {
                        cursor.next()?;
                        model.range((std::ops::Bound::Excluded(at), std::ops::Bound::Unbounded)).next()
                    } else {
                        cursor.prev()?;
                        model.range(..at).next_back()
                    }
                }
            };
            assert_at(&cursor, found);
            at = found.map(|(key, _)| key.clone());
        }
    }

    #[test]
    fn the_facts_are_those_of_the_entries(
        entries in prop::collection::vec((key(), value()), 0..100),
    ) {
        let (table, model) = build(b"user", entries);
        prop_assert_eq!(table.is_empty(), model.is_empty());
        prop_assert_eq!(table.entries(), model.len() as u64);
        let deletions = model.values().filter(|(kind, ..)| *kind == Kind::Delete).count();
        prop_assert_eq!(table.deletions(), deletions as u64);
        prop_assert_eq!(table.first_seq(), model.keys().map(|key| key.1.0).min());
        prop_assert_eq!(table.last_seq(), model.keys().map(|key| key.1.0).max());
        let earliest = model.values().map(|value| value.1).min().unwrap_or(NEVER);
        prop_assert_eq!(table.earliest_expiry(), earliest);
        let bytes: usize = model.iter().map(|(key, value)| key.0.len() + value.2.len()).sum();
        prop_assert!(table.allocated_bytes() >= bytes);
        let keys: Vec<&[u8]> = model.keys().map(|key| &key.0[..]).collect();
        prop_assert_eq!(table.smallest_key(), keys.first().copied());
        prop_assert_eq!(table.largest_key(), keys.last().copied());
        prop_assert_eq!(table.suggested_heads(), Heads::of(&keys));
    }
}

fn put<'a>(key: &'a [u8], seq: SeqNum, value: &'a [u8]) -> EntryRef<'a> {
    EntryRef { key, seq, kind: Kind::Put, expires_at: NEVER, value }
}

#[test]
fn large_runs_in_every_order_come_out_sorted() {
    let orders: [fn(u64) -> u64; 4] =
        [|i| i, |i| 49_999 - i, |i| i * 7919 % 50_000, |i| if i % 2 == 0 { i } else { 50_000 - i }];
    for (order, together) in orders.into_iter().flat_map(|order| [(order, false), (order, true)]) {
        let table = Arc::new(Memtable::new(1, b"user", 64 << 20));
        let mut writer = table.writer();
        let keys: Vec<String> = (0..50_000).map(|i| format!("user{:012}", order(i))).collect();
        let entries: Vec<_> =
            keys.iter().zip(0..).map(|(key, i)| put(key.as_bytes(), i, key.as_bytes())).collect();
        if together {
            writer.insert_all(&entries);
        } else {
            entries.iter().for_each(|entry| writer.insert(entry));
        }
        drop(writer);
        let mut cursor = MemtableCursor::new(table.clone());
        cursor.seek_to_first().unwrap();
        for i in 0..50_000u64 {
            assert_eq!(cursor.entry().value, format!("user{i:012}").as_bytes());
            assert!(table.get(cursor.user_key(), key_hash(cursor.user_key()), MAX_SEQ).is_some());
            cursor.next().unwrap();
        }
        assert!(!cursor.valid());
        cursor.seek_to_last().unwrap();
        for i in (0..50_000u64).rev() {
            assert_eq!(cursor.user_key(), format!("user{i:012}").as_bytes());
            cursor.prev().unwrap();
        }
        assert!(!cursor.valid());
    }
}

#[test]
fn an_ascending_run_fills_its_nodes() {
    let bytes_per_entry = |order: fn(u64) -> u64| {
        let table = Memtable::new(1, b"", 1 << 20);
        let mut writer = table.writer();
        (0..10_000).for_each(|i| writer.insert(&put(&order(i).to_be_bytes(), i, b"")));
        table.allocated_bytes() / 10_000
    };
    let (ascending, scattered) = (bytes_per_entry(|i| i), bytes_per_entry(|i| i * 7919 % 10_000));
    assert!(ascending < scattered, "{ascending} and {scattered} bytes an entry");
    // 32 for the entry itself.
    assert!(scattered < 32 + 40, "{scattered} bytes an entry");
}

#[test]
fn a_cursor_stands_firm_while_nodes_split_under_it() {
    let table = Arc::new(Memtable::new(1, b"", 1 << 20));
    let key = |i: u64| i.to_be_bytes();
    for i in 0..15 {
        table.writer().insert(&put(&key(i * 1000), i, b"old"));
    }
    let mut ahead = MemtableCursor::new(table.clone());
    let mut back = MemtableCursor::new(table.clone());
    ahead.seek_to_first().unwrap();
    back.seek_to_last().unwrap();
    let mut seq = 100;
    for i in 0..15u64 {
        assert_eq!(ahead.user_key(), key(i * 1000));
        assert_eq!(back.user_key(), key((14 - i) * 1000));
        for offset in 1..60 {
            for base in 0..15 {
                seq += 1;
                table.writer().insert(&put(&key(base * 1000 + i * 60 + offset), seq, b"new"));
            }
        }
        for (cursor, forward) in [(&mut ahead, true), (&mut back, false)] {
            let mut last = cursor.user_key().to_vec();
            loop {
                if forward {
                    cursor.next().unwrap()
                } else {
                    cursor.prev().unwrap()
                };
                if !cursor.valid() {
                    break;
                }
                assert_eq!(cursor.user_key() > &last[..], forward, "out of order");
                if cursor.entry().value == b"old" {
                    break;
                }
                last = cursor.user_key().to_vec();
            }
        }
    }
    assert!(!ahead.valid() && !back.valid());
}

#[test]
fn large_values_are_shared_and_outlive_the_handle() {
    let table = Arc::new(Memtable::new(1, b"", 1 << 20));
    let value = vec![42u8; 3 << 20];
    table.writer().insert(&put(b"k", 1, &value));
    table.writer().insert(&put(b"small", 2, &value[..PIN_VALUE_BYTES - 1]));
    let (_, slice) = table.get_slice(b"k", MAX_SEQ).unwrap();
    assert_eq!(Arc::strong_count(&table), 2);
    let (_, small) = table.get_slice(b"small", MAX_SEQ).unwrap();
    assert_eq!(Arc::strong_count(&table), 2);
    drop(table);
    assert_eq!(slice, value);
    assert_eq!(small, &value[..PIN_VALUE_BYTES - 1]);
}

#[test]
fn the_oldest_deletion_stays() {
    let table = Memtable::new(1, b"", 1 << 20);
    assert_eq!(table.oldest_deletion_ms(), None);
    table.note_deletion_at(500);
    table.note_deletion_at(900);
    assert_eq!(table.oldest_deletion_ms(), Some(500));
    assert!(!table.has_unlogged());
    table.set_has_unlogged();
    assert!(table.has_unlogged());
}

/// Readers see whatever was published, in order and whole, while one thread inserts.
#[test]
fn readers_keep_up_with_a_writer() {
    const ENTRIES: u64 = 40_000;
    let table = Arc::new(Memtable::new(3, b"k", 8 << 20));
    let published = Arc::new(AtomicU64::new(0));
    let key = |seq: u64| format!("k{:08}", seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44).into_bytes();
    thread::scope(|scope| {
        for reader in 0..2u64 {
            let (table, published) = (table.clone(), published.clone());
            scope.spawn(move || {
                let mut probe = reader;
                while published.load(Ordering::Acquire) < ENTRIES {
                    let visible = published.load(Ordering::Acquire);
                    for _ in 0..20.min(visible) {
                        probe = probe.wrapping_mul(6364136223846793005).wrapping_add(1);
                        let seq = (probe >> 33) % visible + 1;
                        let entry = table.get(&key(seq), key_hash(&key(seq)), seq).expect("published");
                        assert_eq!((entry.seq, entry.value), (seq, &seq.to_be_bytes()[..]));
                    }
                    let mut cursor = MemtableCursor::new(table.clone());
                    let start = key(probe);
                    cursor.seek(&start, MAX_SEQ).unwrap();
                    let mut last: Option<(Vec<u8>, u64)> = None;
                    for step in 0..100 {
                        if !cursor.valid() {
                            break;
                        }
                        let entry = cursor.entry();
                        assert_eq!(entry.key, key(entry.seq));
                        let now = (entry.key.to_vec(), u64::MAX - entry.trailer().0);
                        let forward = step < 50;
                        if let Some(last) = last.filter(|_| step != 50) {
                            assert_eq!(now > last, forward, "out of order");
                        }
                        last = Some(now);
                        if forward {
                            cursor.next().unwrap()
                        } else {
                            cursor.prev().unwrap()
                        };
                    }
                }
            });
        }
        for seq in 1..=ENTRIES {
            table.writer().insert(&put(&key(seq), seq, &seq.to_be_bytes()));
            published.store(seq, Ordering::Release);
        }
    });
    let mut cursor = MemtableCursor::new(table);
    cursor.seek_to_first().unwrap();
    let mut count = 0;
    while cursor.valid() {
        count += 1;
        cursor.next().unwrap();
    }
    assert_eq!(count, ENTRIES);
}
