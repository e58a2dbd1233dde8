//! Deleted and dropped ranges, as a program that links the engine meets them, on a simulated disk.

use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, Durability, Error, Result, Snapshot, WriteBatch};
use std::ops::RangeFull;

fn small(disk: &SimFs) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(disk.clone()))
        .deterministic(7)
        .memory_budget(4 << 20)
        .memtable_bytes(16 << 10)
        .target_file_bytes(8 << 10)
        .level_base_bytes(32 << 10)
        .wal_segment_bytes(64 << 10)
        .default_durability(Durability::Os)
}

fn store() -> (SimFs, Db) {
    let disk = SimFs::new();
    let db = small(&disk).open().unwrap();
    (disk, db)
}

fn key(i: u32) -> String {
    format!("user{i:08}")
}

fn fill(db: &Db, from: u32, to: u32) -> Result<()> {
    (from..to).try_for_each(|i| db.put(key(i), format!("{i:0100}")))
}

/// The keys that a walk shows, which must be the same both ways and by gets.
fn keys(db: &Db, at: Option<&Snapshot>) -> Vec<String> {
    let walk = || match at {
        Some(at) => at.iter(db).unwrap(),
        None => db.iter().unwrap(),
    };
    let name = |entry: Result<(esker::Slice, esker::Slice)>| String::from_utf8(entry.unwrap().0.to_vec());
    let forward: Vec<String> = walk().map(|entry| name(entry).unwrap()).collect();
    let mut backward: Vec<String> = walk().rev().map(|entry| name(entry).unwrap()).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    for key in &forward {
        let found = at.map_or_else(|| db.get(key), |at| at.get(db, key)).unwrap();
        assert!(found.is_some(), "{key}");
    }
    forward
}

fn named(range: impl Iterator<Item = u32>) -> Vec<String> {
    range.map(key).collect()
}

/// Everything that there is to say of a store in every state that it goes through.
fn in_every_state(disk: &SimFs, db: Db, check: &dyn Fn(&Db)) -> Db {
    check(&db);
    db.flush().unwrap();
    check(&db);
    db.close().unwrap();
    let db = small(disk).open().unwrap();
    check(&db);
    db.compact().unwrap();
    check(&db);
    assert_eq!(db.verify().unwrap().problems.len(), 0);
    db.close().unwrap();
    let db = small(disk).open().unwrap();
    check(&db);
    db
}

fn entries(db: &Db) -> u64 {
    db.stats().families[0].levels.iter().map(|level| level.entries).sum()
}

#[test]
fn a_deleted_range_is_gone_whole_and_what_is_set_behind_it_is_there() -> Result<()> {
    let (disk, db) = store();
    fill(&db, 0, 500)?;
    let mut batch = WriteBatch::new();
    batch.put(&db, key(200), "before").delete_range(&db, key(100)..key(400)).put(&db, key(300), "behind");
    db.write(batch, Durability::Os)?;
    db.put(key(150), "later")?;
    let expected: Vec<String> = named((0..100).chain([150, 300]).chain(400..500));
    let db = in_every_state(&disk, db, &|db| {
        assert_eq!(keys(db, None), expected);
        assert_eq!(db.get(key(300)).unwrap().unwrap(), "behind");
        assert!(db.get(key(200)).unwrap().is_none() && !db.contains_key(key(399)).unwrap());
        assert_eq!(db.size_of(key(200)).unwrap(), None);
        assert!(db.multi_get(&[key(120), key(150)]).unwrap()[0].is_none());
        let inside = db.range(key(120)..=key(140)).unwrap();
        assert_eq!((inside.count(), db.range(key(120)..key(301)).unwrap().rev().count()), (0, 2));
    });
    assert_eq!((entries(&db), db.stats().families[0].ranges.deleted), (202, 0));
    db.close()
}

#[test]
fn bounds_of_every_kind_are_honoured() -> Result<()> {
    let all: RangeFull = ..;
    let (disk, db) = store();
    fill(&db, 0, 20)?;
    db.delete_range(key(3)..=key(4))?;
    db.delete_range((std::ops::Bound::Excluded(key(6)), std::ops::Bound::Excluded(key(8))))?;
    db.delete_range(key(18)..)?;
    db.delete_range(..key(1))?;
    db.delete_range(key(10)..key(10))?;
    assert!(matches!(db.delete_range(key(2)..key(1)), Err(Error::InvalidArgument { what: "range", .. })));
    db.delete_prefix("user0000001")?;
    let db = in_every_state(&disk, db, &|db| {
        assert_eq!(keys(db, None), named([1, 2, 5, 6, 8, 9].into_iter()));
    });
    db.delete_range::<&str, _>(all)?;
    let db = in_every_state(&disk, db, &|db| assert!(keys(db, None).is_empty()));
    assert_eq!(entries(&db), 0);
    db.close()
}

#[test]
fn a_snapshot_from_before_a_range_shows_all_of_it_until_it_is_let_go() -> Result<()> {
    let (_disk, db) = store();
    fill(&db, 0, 300)?;
    db.compact()?;
    let before = db.snapshot();
    let walk = db.iter()?;
    db.delete_range(key(50)..key(250))?;
    fill(&db, 100, 110)?;
    let behind = db.snapshot();
    db.delete_range(key(0)..key(150))?;
    for _ in 0..2 {
        assert_eq!(keys(&db, Some(&before)), named(0..300));
        assert_eq!(keys(&db, Some(&behind)), named((0..50).chain(100..110).chain(250..300)));
        assert_eq!(keys(&db, None), named(250..300));
        db.compact()?;
    }
    assert!(entries(&db) >= 300 && db.stats().families[0].ranges.deleted > 0, "{:?}", db.stats());
    assert_eq!(walk.count(), 300);
    drop(before);
    db.compact()?;
    assert_eq!(keys(&db, Some(&behind)), named((0..50).chain(100..110).chain(250..300)));
    drop(behind);
    db.compact()?;
    assert_eq!((entries(&db), db.stats().families[0].ranges.deleted), (50, 0));
    assert_eq!(keys(&db, None), named(250..300));
    db.close()
}

/// In the last level sequence numbers become zero, and zero is older than any range.
#[test]
fn what_is_newer_than_a_range_in_force_keeps_its_number() -> Result<()> {
    let (disk, db) = store();
    fill(&db, 0, 400)?;
    db.compact()?;
    db.delete_range(key(10)..key(390))?;
    db.put(key(300), "new")?;
    db.flush()?;
    // Only the end of the keys: elsewhere tables still have what the range hides.
    db.compact_range(key(280)..)?;
    assert!(db.stats().families[0].ranges.deleted > 0, "the range went too early: {:?}", db.stats());
    let expected = named((0..10).chain([300]).chain(390..400));
    let db = in_every_state(&disk, db, &|db| assert_eq!(keys(db, None), expected));
    db.close()
}

#[test]
fn a_range_stays_on_record_until_every_table_is_clean_and_no_longer() -> Result<()> {
    let (disk, db) = store();
    fill(&db, 0, 400)?;
    db.compact()?;
    db.delete_range(key(0)..key(200))?;
    db.delete_range(key(100)..key(300))?;
    db.flush()?;
    db.compact_range(key(250)..)?;
    let db = in_every_state(&disk, db, &|db| assert_eq!(keys(db, None), named(300..400)));
    assert_eq!(db.stats().families[0].ranges.deleted, 0);
    // A range over nothing is not even put on record, nor is one that a wider one replaces.
    db.delete_range("a".."b")?;
    db.flush()?;
    assert_eq!(db.stats().families[0].ranges.deleted, 0);
    db.delete_range(key(310)..key(320))?;
    db.flush()?;
    db.delete_range(key(305)..key(325))?;
    db.flush()?;
    assert!(db.stats().families[0].ranges.deleted <= 1, "{:?}", db.stats());
    assert_eq!(keys(&db, None), named((300..305).chain(325..400)));
    db.close()
}

#[test]
fn tables_inside_a_range_go_without_being_read() -> Result<()> {
    let (_disk, db) = store();
    fill(&db, 0, 2_000)?;
    db.compact()?;
    let before = db.stats();
    let files: u64 = before.families[0].levels.iter().map(|level| level.files).sum();
    assert!(files > 10, "{before:?}");
    db.drop_range(key(0)..key(5_000))?;
    db.flush()?;
    for _ in 0..400 {
        db.write(WriteBatch::new(), Durability::Os)?;
    }
    let after = db.stats();
    assert_eq!((entries(&db), after.families[0].ranges.dropped), (0, 0), "{after:?}");
    assert_eq!(after.compacted_bytes_in, before.compacted_bytes_in);
    assert_eq!(after.table_moves - before.table_moves, files);
    db.close()
}

#[test]
fn dropped_ranges_give_their_space_back_and_nothing_newer() -> Result<()> {
    let (disk, db) = store();
    fill(&db, 0, 1_000)?;
    let held = db.snapshot();
    db.drop_range(key(100)..key(900))?;
    db.put(key(500), "anew")?;
    db.compact()?;
    assert_eq!(held.get(&db, key(400))?.unwrap().len(), 100, "a snapshot from before still reads it");
    assert!(entries(&db) >= 1_000);
    drop(held);
    let expected = || named((0..100).chain([500]).chain(900..1_000));
    db.compact()?;
    assert_eq!((entries(&db), db.stats().families[0].ranges.dropped), (201, 0));
    let db = in_every_state(&disk, db, &|db| assert_eq!(keys(db, None), expected()));
    db.close()
}

#[test]
fn whoever_reads_what_was_dropped_is_caught_where_that_is_checked() {
    let (_disk, db) = store();
    fill(&db, 0, 10).unwrap();
    let before = db.snapshot();
    db.drop_range(key(3)..key(5)).unwrap();
    db.put(key(4), "anew").unwrap();
    assert!(db.get(key(4)).unwrap().is_some() && before.get(&db, key(3)).unwrap().is_some());
    let caught = |read: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err();
    assert!(caught(&|| drop(db.get(key(3)))));
    assert!(caught(&|| assert!(db.iter().unwrap().count() > 0)));
    assert!(caught(&|| assert!(db.iter().unwrap().rev().count() > 0)));
    assert!(!caught(&|| assert!(db.range(key(4)..).unwrap().count() > 0)));
}

#[test]
fn ranges_survive_what_a_crash_leaves_of_them_and_batches_stay_whole() -> Result<()> {
    let disk = SimFs::new();
    let db = small(&disk).open()?;
    fill(&db, 0, 100)?;
    db.compact()?;
    let mut batch = WriteBatch::new();
    batch.delete_range(&db, key(10)..key(90)).put(&db, key(50), "behind");
    db.write(batch, Durability::Sync)?;
    db.delete_range(..key(5))?;
    for image in [disk.kill_image(), disk.image(esker::fs::sim::Image::Nothing, 1)] {
        let again = small(&image).open()?;
        let found = keys(&again, None);
        let with_the_last = named((5..10).chain([50]).chain(90..100));
        let without = named((0..10).chain([50]).chain(90..100));
        assert!(found == with_the_last || found == without, "{found:?}");
        again.compact()?;
        assert_eq!(keys(&again, None), found);
        again.close()?;
    }
    drop(db);
    Ok(())
}

#[test]
fn the_record_of_ranges_is_bounded_and_nobody_waits_for_ever() -> Result<()> {
    let disk = SimFs::new();
    let db = small(&disk).max_ranges(8).open()?;
    fill(&db, 0, 1_000)?;
    db.compact()?;
    let mut most = 0;
    let ranges = |db: &Db| db.stats().families[0].ranges.deleted;
    for i in (0..1_000).step_by(5) {
        db.delete_range(key(i)..key(i + 3))?;
        if i % 25 == 0 {
            db.flush()?;
        }
        most = most.max(ranges(&db));
    }
    assert!(most <= 32, "{most} ranges were on record");
    let expected = named((0..1_000).filter(|i| i % 5 >= 3));
    assert_eq!(keys(&db, None), expected);
    // What a snapshot reads cannot be cleaned away: writers are slowed, and nobody fails or hangs.
    let held = db.snapshot();
    for i in 0..100 {
        db.delete_range(key(i * 10)..key(i * 10 + 4))?;
        db.flush()?;
    }
    assert!(ranges(&db) > 32);
    assert_eq!(keys(&db, Some(&held)), expected);
    drop(held);
    db.compact()?;
    assert_eq!(ranges(&db), 0);
    db.close()
}

#[test]
fn many_ranges_beside_one_memtable_seal_it_and_a_batch_has_a_limit() -> Result<()> {
    let (disk, db) = store();
    fill(&db, 0, 600)?;
    for i in (0..600).step_by(2) {
        db.delete_range(key(i)..key(i + 1))?;
        assert!(db.stats().families[0].ranges.unflushed <= 2 * 256, "{:?}", db.stats());
    }
    let mut batch = WriteBatch::new();
    for i in 0..4_096 {
        batch.delete_range(&db, key(i % 600)..=key(i % 600));
        batch.put(&db, key(i % 600), "behind");
    }
    db.write(batch.clone(), Durability::Sync)?;
    batch.delete_range(&db, key(1)..key(2));
    assert!(matches!(db.write(batch, Durability::Sync), Err(Error::InvalidArgument { what: "ranges", .. })));
    let image = disk.kill_image();
    let again = small(&image).open()?;
    assert_eq!(keys(&again, None), named(0..600));
    again.compact()?;
    assert_eq!((keys(&again, None).len(), again.stats().families[0].ranges.deleted), (600, 0));
    again.close()?;
    drop(db);
    Ok(())
}

#[test]
fn the_memory_of_ranges_is_counted() -> Result<()> {
    let (_disk, db) = store();
    fill(&db, 0, 1_000)?;
    db.compact()?;
    let _held = db.snapshot();
    let before = db.stats();
    for i in 0..50 {
        // None touches another, or they would become one.
        db.delete_range(key(10 * i)..format!("{}{}", key(10 * i), "x".repeat(1_000)))?;
    }
    assert!(db.stats().memory_bytes > before.memory_bytes + 50_000);
    db.flush()?;
    let stats = db.stats();
    assert!(stats.families[0].ranges.bytes > 50_000, "{stats:?}");
    assert!(stats.families[0].ranges.oldest.is_some());
    db.close()
}

/// Many threads read while ranges are deleted and keys set in the same batches.
#[test]
fn no_reader_ever_sees_half_of_a_batch_with_a_range() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder(dir.path().join("db"))
        .memtable_bytes(32 << 10)
        .default_durability(Durability::Os)
        .open()?;
    let rounds = 3_000u32;
    let write = |round: u32| {
        let mut batch = WriteBatch::new();
        batch.delete_range(&db, "k".."l");
        for i in 0..4 {
            batch.put(&db, format!("k{}", (round + i) % 7), round.to_be_bytes());
        }
        db.write(batch, Durability::None)
    };
    write(0)?;
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reverse in [false, true] {
            let (db, done) = (&db, &done);
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let walk = db.range("k".."l").unwrap();
                    let found: Vec<_> = match reverse {
                        false => walk.map(|entry| entry.unwrap().1).collect(),
                        true => walk.rev().map(|entry| entry.unwrap().1).collect(),
                    };
                    assert_eq!(found.len(), 4, "{found:?}");
                    assert!(found.iter().all(|value| value == &found[0]), "{found:?}");
                    let keys: Vec<String> = (0..7).map(|i| format!("k{i}")).collect();
                    let found: Vec<_> = db.multi_get(&keys).unwrap().into_iter().flatten().collect();
                    assert!(found.len() == 4 && found.iter().all(|v| v == &found[0]), "{found:?}");
                }
            });
        }
        let written = (1..rounds).try_for_each(write);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        written
    })?;
    db.close()
}

/// How many blocks and entries a walk over a range meets.
fn walked(db: &Db, from: &str, to: &str, reverse: bool) -> (u64, u64) {
    let looked = |db: &Db| {
        let stats = db.stats();
        stats.cache_hits + stats.cache_misses
    };
    let before = looked(db);
    let mut iter = db.range(from..to).unwrap();
    let shown = if reverse { iter.by_ref().rev().count() } else { iter.by_ref().count() };
    (looked(db) - before, iter.skipped() + shown as u64)
}

#[test]
fn a_walk_across_a_deleted_million_meets_at_most_twice_what_an_empty_range_has() -> Result<()> {
    let keys = 1_000_000;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder(dir.path().join("db"))
        .memory_budget(64 << 20)
        .wal_segment_bytes(4 << 20)
        .default_durability(Durability::None)
        // No compaction changes the tree between two walks that are compared.
        .deterministic(1)
        .open()?;
    // The keys are spread over all levels, and the last of them are in memory.
    let step = 611_953;
    let name = |i: u32| format!("key{:08}", u64::from(i) * step % u64::from(keys));
    for first in (0..keys).step_by(1_000) {
        let mut batch = WriteBatch::new();
        for i in first..first + 1_000 {
            batch.put(&db, name(i), [7; 20]);
        }
        // Neighbours on both sides, wherever the keys stand.
        batch.put(&db, format!("a{first}"), "front").put(&db, format!("z{first}"), "end");
        db.write(batch, Durability::None)?;
    }
    db.delete_prefix("key")?;
    for _ in 0..1_000 {
        // Each gives the background a turn, until it finds nothing to do.
        assert!(!db.contains_key("nothing")?);
    }
    for (way, reverse) in [("forward", false), ("backward", true)] {
        // With the range inside the walk, and as its bounds.
        for (from, to) in [("b", "y"), ("key", "kez")] {
            let (blocks, entries) = walked(&db, from, to, reverse);
            let (empty_blocks, empty_entries) = walked(&db, "m", "n", reverse);
            esker_tests::figure!(
                "a walk {way} across 1,000,000 deleted keys, from {from} to {to}: {blocks} blocks and \
                 {entries} entries not shown; across nothing: {empty_blocks} and {empty_entries}"
            );
            assert!(blocks <= 2 * empty_blocks, "{blocks} against {empty_blocks} {:?}", db.stats());
            // The first entry of the range is met before anything is known of it.
            assert!(entries <= 2 * (empty_entries + 1), "{entries} against {empty_entries}");
        }
    }
    assert_eq!(db.range("key".."kez")?.count(), 0);
    db.compact()?;
    let stats = db.stats();
    assert_eq!((entries(&db), stats.families[0].ranges.deleted), (2_000, 0), "{stats:?}");
    db.close()
}
