//! Flushes and compactions beside writers and readers.

use super::history::Store;
use super::rig::{builder, explore, thread, together};
use crate::base::clock::{Clock, ManualClock};
use crate::base::sync::Arc;
use crate::commit::Durability::{Os, Sync};
use crate::db::{FamilyChanges, FamilyOptions};
use crate::fs::SimFs;
use crate::fs::sim::Image;
use crate::hooks::Append;
use crate::version::{CompactionStyle, Fifo, Tiered};
use std::time::Duration;

/// Keys that are overwritten and deleted while they are flushed and compacted: no snapshot loses what
/// it sees, no reader finds a hole between memtable and table.
#[test]
fn shuttle_compaction_takes_nothing_from_readers() {
    explore("shuttle_compaction_takes_nothing_from_readers", 6, || {
        let sim = SimFs::new();
        let db = builder(&sim).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 40));
        store.put(&[(0, 1, Some(1)), (0, 2, Some(1)), (1, 1, Some(1))], Os);
        store.db.flush().unwrap();
        store.put(&[(0, 1, Some(2)), (0, 2, None)], Os);
        together(vec![
            thread(&store, |s| {
                s.put(&[(0, 1, None), (0, 3, Some(3))], Os);
                s.put(&[(0, 1, Some(4)), (1, 1, None)], Sync);
            }),
            thread(&store, |s| s.db.compact().unwrap()),
            thread(&store, |s| {
                s.snapshot().unwrap();
                s.get(0, 1).unwrap();
                s.get(0, 2).unwrap();
            }),
            thread(&store, |s| {
                s.scan(0, true).unwrap();
                s.multi_get(0, &[1, 2, 3]).unwrap();
            }),
            thread(&store, |s| s.lose_power(Image::Random)),
        ]);
        store.end();
    });
}

/// A key that is overwritten and compacted in turn is found by every read, however long the reader
/// stands still between its steps.
#[test]
fn shuttle_a_slow_reader_finds_its_version() {
    explore("shuttle_a_slow_reader_finds_its_version", 12, || {
        let sim = SimFs::new();
        let db = builder(&sim).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 8));
        store.put(&[(0, 1, Some(1))], Os);
        together(vec![
            thread(&store, |s| {
                for i in 2..=3 {
                    s.put(&[(0, 1, Some(i))], Os);
                    s.db.compact().unwrap();
                }
            }),
            thread(&store, |s| {
                for _ in 0..8 {
                    s.get(0, 1).unwrap();
                    let snapshot = s.db.snapshot();
                    assert!(snapshot.get(&s.families[0], b"key\x01").unwrap().is_some(), "a hole");
                }
                s.multi_get(0, &[1]).unwrap();
                s.scan(0, false).unwrap();
            }),
        ]);
        store.end();
    });
}

/// Two who compact the same family by hand, beside the background: each table is in one plan.
#[test]
fn shuttle_two_compactions_share_a_family() {
    explore("shuttle_two_compactions_share_a_family", 4, || {
        let sim = SimFs::new();
        let db = builder(&sim).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 40));
        for i in 1..=3 {
            store.put(&[(0, 1, Some(i)), (0, i as u8 + 1, Some(i))], Os);
            store.db.flush().unwrap();
        }
        together(vec![
            thread(&store, |s| s.db.compact_range::<&[u8], _>(..).unwrap()),
            thread(&store, |s| {
                s.put(&[(0, 1, None)], Os);
                s.db.compact().unwrap();
            }),
            thread(&store, |s| s.snapshot().unwrap()),
        ]);
        assert!(store.db.verify().unwrap().problems.is_empty());
        store.end();
    });
}

/// What a reader has found expired stays so: while time passes, the wall clock is set back, and
/// compaction turns expired entries into deletions.
#[test]
fn shuttle_what_expired_stays_away() {
    explore("shuttle_what_expired_stays_away", 4, || {
        let sim = SimFs::new();
        let clock = ManualClock::new(1_000_000);
        let db = builder(&sim).clock(Clock::Manual(clock.clone())).open().unwrap();
        db.put("k", "below").unwrap();
        db.put_with_ttl("k", "short", Duration::from_millis(50)).unwrap();
        let shared = Arc::new(db);
        together(vec![
            thread(&shared, move |_| {
                clock.advance(Duration::from_millis(49));
                clock.set_wall_ms(1_000_060);
                clock.set_wall_ms(500_000);
            }),
            thread(&shared, |db| db.compact().unwrap()),
            thread(&shared, |db| {
                let mut gone = false;
                for _ in 0..4 {
                    let found = db.get("k").unwrap();
                    assert!(found.as_ref().is_none_or(|value| *value == b"short"), "what is below shows");
                    assert!(!(gone && found.is_some()), "an expired entry is back");
                    gone = found.is_none();
                }
            }),
            thread(&shared, |db| {
                let snapshot = db.snapshot();
                let first = snapshot.get(db, "k").unwrap();
                assert_eq!(snapshot.get(db, "k").unwrap(), first, "time passed in a snapshot");
            }),
        ]);
        shared.as_ref().clone().close().unwrap();
    });
}

/// An operand goes from its memtable into a table while a compaction looks for what may go: the base, which
/// has expired behind it, must not go before it. It did, where a view of before the flush met memtables of
/// after it.
#[test]
fn shuttle_a_base_goes_with_its_operand() {
    explore("shuttle_a_base_goes_with_its_operand", 8, || {
        let clock = ManualClock::new(1_000_000);
        let builder = builder(&SimFs::new()).clock(Clock::Manual(clock.clone()));
        let db = builder.merge_operator("default", Append::new()).open().unwrap();
        db.put_with_ttl("k", "base", Duration::from_millis(50)).unwrap();
        db.compact().unwrap();
        db.merge("k", "operand").unwrap();
        clock.advance(Duration::from_millis(100));
        let shared = Arc::new(db);
        together(vec![
            thread(&shared, |db| db.flush().unwrap()),
            thread(&shared, |db| db.compact_range::<&[u8], _>(..).unwrap()),
        ]);
        assert_eq!(shared.get("k").unwrap(), None, "the operand began from nothing");
        shared.as_ref().clone().close().unwrap();
    });
}

/// The oldest table goes while snapshots come: each reads what it has read, whether it has come before or
/// behind.
#[test]
fn shuttle_no_snapshot_loses_the_oldest() {
    explore("shuttle_no_snapshot_loses_the_oldest", 6, || {
        let db = builder(&SimFs::new()).open().unwrap();
        let compaction = CompactionStyle::Fifo(Fifo { bytes: Some(64 << 10), ..Fifo::default() });
        let options = FamilyOptions { compaction, ..FamilyOptions::default() };
        let f = db.create_column_family("f", options).unwrap();
        let large = || vec![7; 30 << 10];
        for key in ["1", "2"] {
            f.put(key, large()).unwrap();
            db.flush().unwrap();
        }
        let shared = Arc::new((db, f));
        together(vec![
            thread(&shared, move |(db, f)| {
                f.put("3", large()).unwrap();
                db.flush().unwrap();
            }),
            thread(&shared, |(db, f)| {
                for _ in 0..3 {
                    let snapshot = db.snapshot();
                    let first = snapshot.get(f, "1").unwrap();
                    assert_eq!(snapshot.get(f, "1").unwrap(), first, "it went under a snapshot");
                }
            }),
        ]);
        shared.0.clone().close().unwrap();
    });
}

/// Runs are merged in tiers while one merges all of them by hand, and another changes the style.
#[test]
fn shuttle_tiers_are_merged_beside_a_compaction_by_hand() {
    explore("shuttle_tiers_are_merged_beside_a_compaction_by_hand", 4, || {
        let sim = SimFs::new();
        let tiers = CompactionStyle::Tiered(Tiered { width: 2, runs: 2, space_percent: 100 });
        let db = builder(&sim).compaction_style("default", tiers).open().unwrap();
        let store = Arc::new(Store::new(sim, db, 40));
        for i in 1..=3 {
            store.put(&[(0, 1, Some(i)), (0, i as u8 + 1, Some(i))], Os);
            store.db.flush().unwrap();
        }
        together(vec![
            thread(&store, |s| {
                s.put(&[(0, 1, None)], Os);
                s.db.flush().unwrap();
            }),
            thread(&store, |s| s.db.compact_range::<&[u8], _>(..).unwrap()),
            thread(&store, |s| {
                let compaction = Some(CompactionStyle::Leveled);
                let changes = FamilyChanges { compaction, ..FamilyChanges::default() };
                s.families[0].change_options(changes).unwrap();
            }),
            thread(&store, |s| {
                s.snapshot().unwrap();
                s.get(0, 1).unwrap();
            }),
        ]);
        assert!(store.db.verify().unwrap().problems.is_empty());
        store.end();
    });
}
