//! What was deleted or has expired stays away; what a snapshot has seen stays.

use super::store::{entries, put, small, value};
use esker::base::clock::{Clock, ManualClock};
use esker::fs::SimFs;
use esker::fs::sim::Image;
use esker::{Builder, ColumnFamily, Db, Durability, FamilyOptions, Result};
use std::sync::Arc;
use std::time::Duration;

/// Gives background work many turns.
fn settle(db: &Db) -> Result<()> {
    (0..400).try_for_each(|_| db.get("nothing").map(drop))
}

/// 20. A tombstone was dropped while an older version of its key lay further down.
#[test]
fn a_deleted_key_does_not_come_back() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    // An old version in level 0 and nothing below.
    put(&db, "new", b"v", Durability::Os)?;
    db.flush()?;
    db.delete("new")?;
    db.flush()?;
    assert!(!db.contains_key("new")? && entries(&db)?.is_empty());
    // Old versions in the last level, newer ones above, and tombstones in tables of their own.
    for round in 0..6 {
        for i in 0..40 {
            put(&db, &format!("k{i:02}"), &value(i + round, 200), Durability::Os)?;
        }
        if round == 2 {
            db.compact()?;
        }
    }
    let gone = |i: u32| i.is_multiple_of(3);
    for i in (0..40).filter(|i| gone(*i)) {
        db.delete(format!("k{i:02}"))?;
        db.flush()?;
    }
    let check = |db: &Db, when: &str| -> Result<()> {
        for i in 0..40 {
            assert_eq!(db.contains_key(format!("k{i:02}"))?, !gone(i), "k{i:02} {when}");
        }
        assert_eq!(entries(db)?.len(), (0..40).filter(|i| !gone(*i)).count(), "{when}");
        Ok(())
    };
    check(&db, "after the flushes")?;
    settle(&db)?;
    check(&db, "after compactions")?;
    db.compact()?;
    check(&db, "after compacting everything")?;
    let again = small(&sim.image(Image::All, 0)).open()?;
    check(&again, "after recovery")
}

/// 20. A tombstone went because no newer snapshot needed it, and an older one's version was seen again.
#[test]
fn a_tombstone_stays_as_long_as_a_snapshot_keeps_what_it_hides() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    put(&db, "k", b"old", Durability::Os)?;
    let snapshot = db.snapshot();
    db.delete("k")?;
    for _ in 0..2 {
        db.compact()?;
        assert_eq!(snapshot.get(&db, "k")?.as_deref(), Some(b"old".as_slice()));
        assert!(!db.contains_key("k")? && entries(&db)?.is_empty());
    }
    drop(snapshot);
    db.compact()?;
    assert!(!db.contains_key("k")?);
    Ok(())
}

/// 20. A compaction took away what a snapshot still read.
#[test]
fn a_snapshot_reads_the_same_for_as_long_as_it_is_held() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    (0..40).try_for_each(|i| put(&db, &format!("k{i:02}"), &value(i, 200), Durability::Os).map(drop))?;
    let (snapshot, seen) = (db.snapshot(), entries(&db)?);
    for round in 1..4 {
        (0..40).try_for_each(|i| db.put(format!("k{i:02}"), value(i + round, 200)))?;
        (0..40).step_by(2).try_for_each(|i| db.delete(format!("k{i:02}")))?;
        db.flush()?;
        settle(&db)?;
        db.compact()?;
        let reads: Result<Vec<_>> = snapshot.iter(&db)?.collect();
        let reads: Vec<_> = reads?.into_iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
        assert!(reads.into_iter().eq(seen.clone()), "round {round}");
    }
    Ok(())
}

fn with_clock(sim: &SimFs, clock: &Arc<ManualClock>) -> Builder {
    small(sim).clock(Clock::Manual(clock.clone()))
}

/// 20. An expired entry was dropped, and what it had replaced was seen again.
#[test]
fn what_an_expired_entry_replaced_does_not_come_back() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
    let db = with_clock(&sim, &clock).open()?;
    put(&db, "k", b"old", Durability::Os)?;
    put(&db, "z", b"other", Durability::Os)?;
    db.compact()?;
    db.put_with_ttl("k", "short", Duration::from_millis(500))?;
    put(&db, "y", b"other", Durability::Os)?;
    assert_eq!(db.get("k")?.as_deref(), Some(b"short".as_slice()));
    clock.advance(Duration::from_millis(500));
    assert!(!db.contains_key("k")?);
    db.flush()?;
    assert!(!db.contains_key("k")?, "after the flush");
    settle(&db)?;
    db.compact()?;
    assert!(!db.contains_key("k")? && entries(&db)?.len() == 2);
    Ok(())
}

/// 20. The wall clock was set back, the store opened again, and expired entries were there once more.
#[test]
fn a_clock_that_is_set_back_brings_nothing_back() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
    let db = with_clock(&sim, &clock).open()?;
    db.put_with_ttl("k", "short", Duration::from_millis(500))?;
    db.flush()?;
    clock.advance(Duration::from_secs(1));
    assert!(!db.contains_key("k")?);
    put(&db, "later", b"v", Durability::Sync)?;
    clock.set_wall_ms(1_000_000);
    assert!(!db.contains_key("k")?, "while it is open");
    for image in [Image::Nothing, Image::All] {
        let again = with_clock(&sim.image(image, 0), &ManualClock::new(900_000)).open()?;
        assert!(!again.contains_key("k")? && again.contains_key("later")?, "{image}");
    }
    db.close()?;
    let again = with_clock(&sim, &ManualClock::new(900_000)).open()?;
    assert!(!again.contains_key("k")?);
    Ok(())
}

/// 20. A read found an entry expired, nothing was written after it, and a crash with a wrong clock forgot it.
#[test]
fn what_was_found_expired_stays_so_without_another_write() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
    let db = with_clock(&sim, &clock).open()?;
    db.put_with_ttl("k", "short", Duration::from_millis(500))?;
    db.sync()?;
    clock.advance(Duration::from_secs(61));
    settle(&db)?;
    assert!(!db.contains_key("k")?);
    let again = with_clock(&sim.image(Image::Nothing, 0), &ManualClock::new(1_000_000)).open()?;
    assert!(!again.contains_key("k")?);
    Ok(())
}

/// 7. A log that was flushed already was replayed over what came after it without a log.
#[test]
fn what_is_flushed_is_not_replayed() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    put(&db, "k", b"logged", Durability::Sync)?;
    put(&db, "k", b"unlogged", Durability::None)?;
    db.compact()?;
    let again = small(&sim.image(Image::Nothing, 0)).open()?;
    assert_eq!(again.get("k")?.as_deref(), Some(b"unlogged".as_slice()));
    assert_eq!(again.recovery().replayed_groups, 1);
    assert_eq!(again.stats().families[0].levels[0].entries, 0, "nothing had to be written again");
    Ok(())
}

/// 21. A table that was only moved to another level went with its old place.
#[test]
fn a_table_that_is_moved_stays() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    let plain = FamilyOptions { uncompressed_levels: 7, ..FamilyOptions::default() };
    let family: ColumnFamily = db.create_column_family("plain", plain)?;
    let check = |family: &ColumnFamily, upto: u32| -> Result<()> {
        let found: Result<Vec<_>> = family.iter()?.collect();
        assert_eq!(found?.len() as u32, upto);
        Ok(())
    };
    for i in 0..200 {
        // Ascending keys: tables never overlap.
        family.put(format!("k{i:03}"), value(i, 200))?;
        if i % 10 == 9 {
            db.flush()?;
            settle(&db)?;
            check(&family, i + 1)?;
            let left = small(&sim.image(Image::Nothing, 0)).open()?;
            check(&left.open_column_family("plain")?, i + 1)?;
            assert!(left.verify()?.problems.is_empty());
        }
    }
    assert!(db.stats().table_moves > 5, "only {} moves", db.stats().table_moves);
    Ok(())
}
