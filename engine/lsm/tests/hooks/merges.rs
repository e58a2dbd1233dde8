//! What operands come to.

use crate::store::{Joined, Partial, START_MS, all, get, joined, small};
use esker::base::clock::ManualClock;
use esker::fs::{Fs, SimFs};
use esker::{Db, Durability, Result, WriteBatch};
use std::sync::Arc;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn operands_change_what_is_there_wherever_it_stands() -> Result<()> {
    let (db, _, _) = joined()?;
    db.put("a", "1")?;
    db.merge("a", "2")?;
    db.merge("b", "x")?;
    db.merge("c", "gone")?;
    db.delete("c")?;
    let check = |db: &Db, a: &str, b: &str| {
        assert_eq!(
            (get(db, "a").as_deref(), get(db, "b").as_deref(), get(db, "c")),
            (Some(a), Some(b), None)
        );
        assert_eq!(all(db), [("a".into(), a.into()), ("b".into(), b.into())]);
        let many = db.multi_get(&["a", "b", "c"]).unwrap();
        assert_eq!(many[0].as_deref(), Some(a.as_bytes()));
        assert!(many[2].is_none());
        assert_eq!(db.size_of("a").unwrap(), Some(a.len()));
        assert_eq!(db.get_with("b", <[u8]>::to_vec).unwrap().unwrap(), b.as_bytes());
        assert!(db.contains_key("a").unwrap() && !db.contains_key("c").unwrap());
    };
    check(&db, "1,2", "x");
    db.flush()?;
    check(&db, "1,2", "x");
    db.merge("a", "3")?;
    db.merge("b", "y")?;
    check(&db, "1,2,3", "x,y");
    db.flush()?;
    db.merge("a", "4")?;
    check(&db, "1,2,3,4", "x,y");
    db.compact()?;
    check(&db, "1,2,3,4", "x,y");
    assert!(db.verify()?.problems.is_empty());
    let counts = db.stats().hooks;
    assert!(counts.folded >= 5 && counts.failed == 0, "{counts:?}");
    assert_eq!(db.stats().families[0].levels.iter().map(|level| level.entries).sum::<u64>(), 2);
    Ok(())
}

#[test]
fn a_batch_merges_in_its_order() -> Result<()> {
    let (db, _, _) = joined()?;
    let mut batch = WriteBatch::new();
    batch
        .merge(&db, "k", "1")
        .merge(&db, "k", "2")
        .delete(&db, "k")
        .merge(&db, "k", "3")
        .merge(&db, "k", "4");
    db.write(batch, Durability::Sync)?;
    assert_eq!(get(&db, "k").unwrap(), "3,4");
    Ok(())
}

#[test]
fn snapshots_see_the_operands_that_they_saw() -> Result<()> {
    let (db, _, _) = joined()?;
    db.put("k", "0")?;
    let mut snapshots = Vec::new();
    for round in 1..5 {
        snapshots.push((db.snapshot(), get(&db, "k").unwrap()));
        db.merge("k", round.to_string())?;
        db.merge("k", "-")?;
        if round % 2 == 0 {
            db.flush()?;
        }
    }
    let check = |snapshots: &[(esker::Snapshot, String)]| {
        for (snapshot, expected) in snapshots {
            assert_eq!(snapshot.get(&db, "k").unwrap().unwrap(), expected.as_bytes());
            for entry in [snapshot.iter(&db).unwrap().next(), snapshot.iter(&db).unwrap().next_back()] {
                assert_eq!(entry.unwrap().unwrap().1, expected.as_bytes());
            }
        }
        assert_eq!(get(&db, "k").unwrap(), "0,1,-,2,-,3,-,4,-");
    };
    check(&snapshots);
    db.compact()?;
    check(&snapshots);
    snapshots.remove(1);
    db.compact()?;
    check(&snapshots);
    snapshots.clear();
    db.merge("other", "1")?;
    db.compact()?;
    check(&snapshots);
    Ok(())
}

#[test]
fn a_result_keeps_the_expiry_of_its_base() -> Result<()> {
    for compacted in [false, true] {
        let (db, clock, _) = joined()?;
        let settle = || if compacted { db.compact() } else { Ok(()) };
        db.put_with_ttl("k", "1", ms(100))?;
        settle()?;
        clock.advance(ms(60));
        db.merge_with_ttl("k", "2", ms(5))?;
        settle()?;
        assert_eq!(get(&db, "k").unwrap(), "1,2", "the time to live is for what starts from nothing");
        clock.advance(ms(39));
        assert_eq!(get(&db, "k").unwrap(), "1,2");
        let early = db.snapshot();
        clock.advance(ms(1));
        assert_eq!((get(&db, "k"), all(&db).len()), (None, 0));
        settle()?;
        assert_eq!(early.get(&db, "k")?.unwrap(), "1,2");
        // The base is gone: it starts from nothing, and lives for ever.
        db.merge("k", "3")?;
        settle()?;
        clock.advance(ms(10_000));
        assert_eq!(get(&db, "k").unwrap(), "3");
        assert_eq!(early.get(&db, "k")?.unwrap(), "1,2");
    }
    Ok(())
}

#[test]
fn what_starts_from_nothing_lives_as_long_as_its_first_operand_says() -> Result<()> {
    for compacted in [false, true] {
        let (db, clock, _) = joined()?;
        let settle = || if compacted { db.compact() } else { Ok(()) };
        db.merge_with_ttl("k", "1", ms(50))?;
        settle()?;
        clock.advance(ms(49));
        db.merge_with_ttl("k", "2", ms(50))?;
        settle()?;
        assert_eq!(get(&db, "k").unwrap(), "1,2");
        clock.advance(ms(1));
        assert_eq!(get(&db, "k"), None);
        db.merge_with_ttl("k", "3", ms(50))?;
        settle()?;
        clock.advance(ms(49));
        assert_eq!(get(&db, "k").unwrap(), "3");
        clock.advance(ms(1));
        assert_eq!(all(&db), []);
        db.compact()?;
        assert_eq!(db.stats().families[0].table_bytes(), 0, "nothing stays of what has expired");
    }
    Ok(())
}

#[test]
fn an_operand_written_before_its_base_expired_does_not_outlive_it_in_any_order() -> Result<()> {
    // The base is made a deletion by a flush that comes after its end, the operand above it by another.
    let (db, clock, _) = joined()?;
    db.put_with_ttl("k", "1", ms(10))?;
    let held = db.snapshot();
    db.merge("k", "2")?;
    clock.advance(ms(20));
    db.flush()?;
    assert_eq!(get(&db, "k"), None);
    drop(held);
    db.compact()?;
    assert_eq!(get(&db, "k"), None);
    Ok(())
}

#[test]
fn unmerged_operands_survive_a_reopen_and_a_loss_of_power() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let open = |sim: &SimFs| small(sim, &clock).merge_operator("default", Joined::default()).open();
    let db = open(&sim)?;
    db.put_with_ttl("t", "1", ms(10))?;
    db.merge("t", "2")?;
    db.put("k", "1")?;
    db.merge("k", "2")?;
    db.sync()?;
    clock.advance(ms(5));
    // Nothing but the log holds them.
    let db2 = open(&sim.image(esker::fs::sim::Image::Nothing, 1))?;
    assert_eq!(all(&db2), [("k".into(), "1,2".into()), ("t".into(), "1,2".into())]);
    db2.merge("t", "3")?;
    clock.advance(ms(5));
    assert_eq!(all(&db2), [("k".into(), "1,2".into())]);
    db2.close()?;
    drop(db);
    Ok(())
}

#[test]
fn operands_of_one_moment_become_one_where_the_base_is_not_known() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).merge_operator("default", Partial::default()).open()?;
    db.put_with_ttl("k", "base", ms(50))?;
    db.put("z", "")?;
    db.compact()?;
    for round in 0..3 {
        for n in 0..4 {
            db.merge("k", format!("{round}.{n}"))?;
        }
        clock.advance(ms(10));
    }
    db.flush()?;
    let operands = || db.stats().families[0].levels[0].entries;
    assert_eq!(operands(), 3, "the base may expire between two moments, but not within one");
    assert_eq!(get(&db, "k").unwrap(), "base,0.0,0.1,0.2,0.3,1.0,1.1,1.2,1.3,2.0,2.1,2.2,2.3");
    let other = db.create_column_family(
        "for ever",
        esker::FamilyOptions { merge_operator: Some("joined".into()), ..Default::default() },
    )?;
    other.put("k", "base")?;
    db.flush()?;
    for n in 0..9 {
        other.merge("k", n.to_string())?;
        clock.advance(ms(10));
    }
    db.flush()?;
    let entries = db.stats().families[1].levels.iter().map(|level| level.entries).sum::<u64>();
    assert_eq!(entries, 2, "nothing can expire: one operand above the base");
    assert_eq!(other.get("k")?.unwrap(), "base,0,1,2,3,4,5,6,7,8");
    Ok(())
}

#[test]
fn many_operands_of_a_key_are_read_and_folded() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).merge_operator("default", esker::hooks::Counter).open()?;
    for n in 0..20_000i64 {
        db.merge("k", n.to_le_bytes())?;
        if n % 5_000 == 0 {
            clock.advance(ms(1));
        }
    }
    let sum = (0..20_000i64).sum::<i64>().to_le_bytes();
    assert_eq!(db.get("k")?.unwrap(), sum);
    db.compact()?;
    assert_eq!(db.get("k")?.unwrap(), sum);
    assert_eq!(db.stats().families[0].levels.iter().map(|level| level.entries).sum::<u64>(), 1);
    drop(Arc::new(db));
    Ok(())
}

/// A store whose memtable holds everything, so that one flush and one compaction meet it all at once.
fn roomy(operator: impl esker::hooks::MergeOperator) -> Result<Db> {
    let builder = Db::builder("/db").fs(Fs::Sim(SimFs::new())).deterministic(1);
    let builder =
        builder.memory_budget(512 << 20).memtable_bytes(128 << 20).merge_operator("default", operator);
    builder.default_durability(Durability::None).open()
}

/// Operands of a key that stand in tables.
fn entries(db: &Db) -> u64 {
    db.stats().families[0].levels.iter().map(|level| level.entries).sum()
}

/// More versions of a key than are folded at once: the rest waits, and nothing is counted twice or lost.
#[test]
fn more_versions_than_are_folded_at_once_come_to_the_same() -> Result<()> {
    let most = 64 << 10;
    let db = roomy(Joined::default())?;
    let operands = 2 * most + 10;
    for first in (0..operands).step_by(10) {
        let mut batch = WriteBatch::new();
        for n in first..first + 10 {
            batch.merge(&db, "k", format!("{}", n % 10));
        }
        db.write(batch, Durability::None)?;
    }
    let sum = db.get("k")?.unwrap();
    db.flush()?;
    let mut left = Vec::new();
    for _ in 0..4 {
        left.push(entries(&db));
        assert_eq!(db.get("k")?.unwrap(), sum);
        // Something on both sides has the table written anew, and is gone itself.
        db.put("j", "")?;
        db.put("l", "")?;
        db.flush()?;
        db.delete("j")?;
        db.delete("l")?;
        db.compact()?;
    }
    let half = most as u64 / 2;
    // The oldest, for which there is room, become one; the newer ones go on, half of what fits at a time.
    assert_eq!(left, [3 * half + 1, 2 * half + 1, half + 1, 1]);
    assert_eq!(db.get("k")?.unwrap(), sum);
    Ok(())
}

/// The same for their bytes.
#[test]
fn more_bytes_than_are_folded_at_once_come_to_the_same() -> Result<()> {
    let db = roomy(esker::hooks::Append::new())?;
    for n in 0..200u8 {
        db.merge("k", vec![n; 200 << 10])?;
    }
    let whole: Vec<u8> = (0..200u8).flat_map(|n| vec![n; 200 << 10]).collect();
    for _ in 0..3 {
        assert!(db.get("k")?.unwrap() == whole[..]);
        db.compact()?;
    }
    assert!(db.get("k")?.unwrap() == whole[..]);
    Ok(())
}

#[test]
fn an_expired_base_stays_while_an_older_operand_is_above_it() -> Result<()> {
    let (db, clock, _) = joined()?;
    db.put_with_ttl("k", "1", ms(10))?;
    db.compact()?;
    // In a memtable above, written while the base still lived.
    db.merge("k", "2")?;
    clock.advance(ms(20));
    for _ in 0..200 {
        // Turns for background work, which drops tables of which everything has expired.
        db.write(WriteBatch::new(), Durability::Os)?;
    }
    assert_eq!(get(&db, "k"), None);
    db.compact()?;
    assert_eq!(get(&db, "k"), None);
    db.merge("k", "3")?;
    assert_eq!(get(&db, "k").unwrap(), "3");
    Ok(())
}
