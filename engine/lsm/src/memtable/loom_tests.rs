//! The protocol of `skiplist` under every interleaving of a writer and a reader (within loom's
//! bounds). Nodes have two slots here, so that the third insertion splits one.

use super::{Memtable, MemtableCursor};
use crate::base::cursor::Cursor;
use crate::base::hash::key_hash;
use crate::base::key::{EntryRef, Kind, MAX_SEQ, NEVER};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Arc, thread};

fn model(preemptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(check);
}

fn insert(table: &Memtable, key: &[u8], seq: u64) {
    let value = [key, key].concat();
    table.writer().insert(&EntryRef { key, seq, kind: Kind::Put, expires_at: NEVER, value: &value });
}

/// Inserts `before`, then `during` while `read` runs with the number of published entries.
fn race(
    preemptions: usize,
    before: &'static [&'static [u8]],
    during: &'static [&'static [u8]],
    read: fn(&Arc<Memtable>, &[&[u8]], u64),
) {
    model(preemptions, move || {
        let table = Arc::new(Memtable::new(1, b"k", 0));
        let published = Arc::new(AtomicU64::new(before.len() as u64));
        for (i, key) in before.iter().enumerate() {
            insert(&table, key, i as u64 + 1);
        }
        let writer = {
            let (table, published) = (table.clone(), published.clone());
            thread::spawn(move || {
                for (i, key) in during.iter().enumerate() {
                    let seq = (before.len() + i) as u64 + 1;
                    insert(&table, key, seq);
                    published.store(seq, Ordering::Release);
                }
            })
        };
        let visible = published.load(Ordering::Acquire);
        let keys = [before, during].concat();
        read(&table, &keys, visible);
        writer.join().unwrap();
        read(&table, &keys, keys.len() as u64);
    });
}

fn get_all(table: &Arc<Memtable>, keys: &[&[u8]], visible: u64) {
    for (i, key) in keys.iter().enumerate().take(visible as usize) {
        let entry = table.get(key, key_hash(key), visible).expect("published");
        assert_eq!((entry.key, entry.seq), (*key, i as u64 + 1));
        assert_eq!(entry.value, [*key, *key].concat());
    }
}

fn scan(table: &Arc<Memtable>, keys: &[&[u8]], visible: u64) {
    let mut cursor = MemtableCursor::new(table.clone());
    cursor.seek_to_first().unwrap();
    walk(cursor, keys, visible, true);
}

fn scan_back(table: &Arc<Memtable>, keys: &[&[u8]], visible: u64) {
    let mut cursor = MemtableCursor::new(table.clone());
    cursor.seek_to_last().unwrap();
    walk(cursor, keys, visible, false);
}

/// Sorted, whole, and nothing of what was published is missing.
fn walk(mut cursor: MemtableCursor, keys: &[&[u8]], visible: u64, forward: bool) {
    let mut last: Option<Vec<u8>> = None;
    let mut seen = 0;
    while cursor.valid() {
        let entry = cursor.entry();
        assert_eq!(entry.value, [entry.key, entry.key].concat());
        assert_eq!(entry.key, keys[entry.seq as usize - 1]);
        if let Some(last) = last {
            assert_eq!(*entry.key > last[..], forward, "out of order");
        }
        last = Some(entry.key.to_vec());
        seen += u64::from(entry.seq <= visible);
        if forward { cursor.next().unwrap() } else { cursor.prev().unwrap() }
    }
    assert_eq!(seen, visible, "a published entry is missing");
}

#[test]
fn loom_lookups_see_what_was_published() {
    race(3, &[], &[b"k2", b"k1"], get_all);
}

#[test]
fn loom_lookups_survive_a_split_and_slots_written_again() {
    race(3, &[b"k2", b"k6"], &[b"k4", b"k1"], get_all);
}

#[test]
fn loom_lookups_survive_an_appended_node() {
    race(3, &[b"k2", b"k4"], &[b"k6", b"k5"], get_all);
}

#[test]
fn loom_scans_are_sorted_and_whole() {
    race(3, &[b"k2", b"k6"], &[b"k4", b"k1"], scan);
}

#[test]
fn loom_backward_scans_are_sorted_and_whole() {
    // Steps back over a node's start are searches: many more interleavings.
    race(2, &[b"k2", b"k6"], &[b"k4", b"k1"], scan_back);
}

#[test]
fn loom_keys_with_equal_heads_and_without_the_prefix() {
    race(3, &[b"kkkkkkkkk1", b"z"], &[b"kkkkkkkkk0", b"a"], get_all);
}

#[test]
fn loom_versions_of_one_key() {
    race(3, &[b"k1"], &[b"k1", b"k1"], |table, _, visible| {
        for seq in 1..=visible {
            assert_eq!(table.get(b"k1", key_hash(b"k1"), seq).expect("published").seq, seq);
        }
        assert!(table.get(b"k1", key_hash(b"k1"), MAX_SEQ).expect("published").seq >= visible);
    });
}
