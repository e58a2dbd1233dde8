//! Erasure beside those who never stop writing, and beside ranges that are deleted again and again.

use crate::store::{STEP, files_with, live, now, of_family, open, raw, settle, small};
use esker::base::clock::ManualClock;
use esker::fs::SimFs;
use esker::{ColumnFamily, Db, FamilyOptions, Result};
use std::time::Duration;

const SECRET: &str = "secret-of-one-test";
const HOUR: Duration = Duration::from_secs(3600);

fn plain(erase_within: Duration) -> FamilyOptions {
    FamilyOptions { merge_operator: None, ..raw(erase_within) }
}

/// One table in the last level in which the secrets stand between other things.
fn fill(db: &Db, family: &ColumnFamily) -> Result<()> {
    for n in 0..20 {
        family.put(format!("a-{n:02}"), "stays")?;
        family.put(format!("tmp-{n:02}"), format!("{SECRET}-{n}"))?;
        family.put(format!("u-{n:02}"), "stays")?;
    }
    db.compact()
}

/// Each range took the place of the one before, with a time of its own: none ever became old enough for the
/// table to be written again.
#[test]
fn what_is_deleted_by_the_same_range_again_and_again_is_gone_within_its_time() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&sim, &clock, 23)?;
    let family = db.create_column_family("f", plain(24 * HOUR))?;
    fill(&db, &family)?;
    let (begun_ms, mut since) = (now(&clock), Vec::new());
    for hour in 0..24 {
        family.delete_prefix("tmp-")?;
        family.put(format!("z-{hour:02}"), "v")?;
        db.flush()?;
        live(&db, &clock, 1)?;
        since.push(of_family(&db, "f").hidden_since_ms);
    }
    assert_eq!(files_with(&sim, SECRET), [""; 0]);
    assert_eq!(since[..11], [Some(begun_ms); 11], "it stands there since the first of them");
    assert_eq!(family.iter()?.count(), 40 + 24);
    Ok(())
}

/// Each of the ranges had a table written again of which a snapshot held all that they hide.
#[test]
fn what_a_snapshot_holds_is_not_tried_again_with_each_range_that_is_deleted_again() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&sim, &clock, 37)?;
    let family = db.create_column_family("f", plain(24 * HOUR))?;
    fill(&db, &family)?;
    let snapshot = db.snapshot();
    // The table holds something newer, too, so that only a merge can tell.
    family.put("b", "v")?;
    db.compact()?;
    let mut tables = std::collections::BTreeSet::new();
    for hour in 0..96 {
        family.delete_prefix("tmp-")?;
        family.put(format!("z-{hour:02}"), "v")?;
        db.flush()?;
        live(&db, &clock, 1)?;
        tables.extend(files_with(&sim, SECRET));
    }
    assert!(tables.len() <= 2 + 96 / 12, "{tables:?}");
    assert_eq!(snapshot.prefix(&family, "tmp-")?.count(), 20);
    drop(snapshot);
    live(&db, &clock, 24)?;
    assert_eq!(files_with(&sim, SECRET), [""; 0]);
    Ok(())
}

/// Writes without end, so that there is always a level that is too large.
fn write_on(clock: &ManualClock, busy: &ColumnFamily, steps: u32) -> Result<()> {
    for step in 0..steps {
        for n in 0..10 {
            busy.put(format!("z-{:05}", (step * 10 + n) * 7919 % 10_007), [n as u8; 30_000])?;
        }
        clock.advance(STEP);
    }
    Ok(())
}

/// What was to be erased came after whatever the sizes of levels asked for, of the same family and of others.
#[test]
fn what_is_to_be_erased_does_not_wait_for_writers_to_pause() -> Result<()> {
    let mut found = Vec::new();
    for busy in ["f", "other"] {
        let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
        let db = open(&sim, &clock, 29)?;
        let family = db.create_column_family("f", plain(24 * HOUR))?;
        let other = db.create_column_family("other", plain(24 * HOUR))?;
        fill(&db, &family)?;
        family.delete_prefix("tmp-")?;
        write_on(&clock, if busy == "f" { &family } else { &other }, 24 * 6)?;
        if !files_with(&sim, SECRET).is_empty() {
            found.push(busy);
        }
    }
    assert_eq!(found, [""; 0]);
    Ok(())
}

/// It was judged by another time than the one that compactions go by.
#[test]
fn what_a_snapshot_holds_of_a_family_with_operands_is_said() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&sim, &clock, 31)?;
    let family = db.create_column_family("f", raw(HOUR))?;
    family.put_with_ttl("key", SECRET, Duration::from_secs(60))?;
    db.flush()?;
    clock.advance(STEP);
    // It has ended for the snapshot, too; but there may be operands on it.
    let snapshot = db.snapshot();
    live(&db, &clock, 3)?;
    let stats = of_family(&db, "f");
    assert!(!files_with(&sim, SECRET).is_empty() && stats.erase_due_bytes > 0);
    assert_eq!(stats.erase_held_bytes, stats.erase_due_bytes);
    drop(snapshot);
    live(&db, &clock, 1)?;
    settle(&db)?;
    assert_eq!(files_with(&sim, SECRET), [""; 0]);
    Ok(())
}

/// What lay below a table less than half of which were deletions was read in vain until it was to be erased.
#[test]
fn a_run_of_deletions_among_many_other_things_goes_as_soon_as_nothing_else_is_due() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let builder = small(&sim, &clock, 41).memory_budget(16 << 20).memtable_bytes(1 << 20);
    let db =
        builder.target_file_bytes(1 << 20).level_base_bytes(4 << 20).wal_segment_bytes(1 << 20).open()?;
    let family = db.create_column_family("f", plain(24 * HOUR))?;
    for n in 0..2_000 {
        family.put(format!("cold-{n:04}"), "v")?;
    }
    db.compact()?;
    for n in 0..3_000 {
        family.put(format!("new-{n:04}"), "v")?;
    }
    for n in 500..1_500 {
        family.delete(format!("cold-{n:04}"))?;
    }
    db.flush()?;
    settle(&db)?;
    let levels = of_family(&db, "f").levels;
    let (entries, deletions) = levels.iter().fold((0, 0), |(e, d), l| (e + l.entries, d + l.deletions));
    assert_eq!((entries, deletions), (4_000, 0));
    assert_eq!(family.iter()?.count(), 4_000);
    Ok(())
}

/// Neighbours stayed beside each other, each for itself, until all of them were cleaned away.
#[test]
fn neighbours_that_are_deleted_one_after_another_are_one_range_on_record() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
    let db = open(&sim, &clock, 43)?;
    let family = db.create_column_family("f", plain(24 * HOUR))?;
    for n in 0..100 {
        family.put(format!("k-{n:02}"), "v")?;
    }
    db.compact()?;
    let ranges = || of_family(&db, "f").ranges.deleted;
    for n in 10..50 {
        family.delete_range(format!("k-{n:02}")..format!("k-{:02}", n + 1))?;
        if n % 7 == 0 {
            db.flush()?;
            assert_eq!(ranges(), 1);
        }
    }
    db.flush()?;
    // What is written between two of them is hidden by neither.
    family.put("k-20", "new")?;
    family.delete_range("k-50".."k-60")?;
    db.flush()?;
    assert_eq!(ranges(), 2);
    let there = |db: &Db| -> Result<usize> {
        let family = db.open_column_family("f")?;
        assert_eq!(family.get("k-20")?.unwrap(), "new");
        Ok(family.iter()?.count())
    };
    assert_eq!(there(&db)?, 51);
    drop(family);
    db.close()?;
    let db = open(&sim, &clock, 44)?;
    assert_eq!((there(&db)?, of_family(&db, "f").ranges.deleted), (51, 2));
    db.compact()?;
    assert_eq!((there(&db)?, of_family(&db, "f").ranges.deleted), (51, 0));
    Ok(())
}

/// A few ranges with long bounds are as much as many with short ones.
#[test]
fn ranges_that_take_much_memory_are_compacted_away_as_many_are() -> Result<()> {
    for (bytes, left) in [(10, 1), (4_000, 0)] {
        let (sim, clock) = (SimFs::new(), ManualClock::new(1_700_000_000_000));
        // A sixty-fourth of its memory is 16 KiB, and from an eighth of that on ...
        let db = open(&sim, &clock, 47)?;
        let family = db.create_column_family("f", plain(24 * HOUR))?;
        fill(&db, &family)?;
        family.delete_range("tmp-".to_owned()..format!("tmp-{}", "~".repeat(bytes)))?;
        db.flush()?;
        settle(&db)?;
        assert_eq!(of_family(&db, "f").ranges.deleted, left, "{bytes}");
        assert_eq!(family.iter()?.count(), 40);
    }
    Ok(())
}
