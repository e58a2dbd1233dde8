//! Hooks that panic.

use crate::store::{Joined, START_MS, Signs, Told, all, get, small};
use esker::base::clock::ManualClock;
use esker::fs::SimFs;
use esker::{Db, Durability, Error, Result, WriteBatch};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Gives background work its turns.
fn turns(db: &Db) {
    for _ in 0..200 {
        // With nothing to write it cannot fail.
        db.write(WriteBatch::new(), Durability::Os).unwrap();
    }
}

fn check_rest(db: &Db, hook: &str, failures: u32, clock: &Arc<ManualClock>, told: &Told) {
    let health = db.health();
    assert!(!health.is_well() && health.poisoned.is_none() && health.background.is_empty(), "{health:?}");
    let [rest] = &health.resting[..] else { panic!("{health:?}") };
    assert_eq!((rest.failure.family.as_str(), rest.failures), ("default", failures));
    assert!(rest.failure.hook.contains(hook) && rest.failure.words.contains("told to panic"), "{rest:?}");
    assert_eq!(rest.next_try_in, Duration::from_secs((1 << (failures - 1)).min(600)));
    // Until then nobody calls it.
    clock.advance(rest.next_try_in - Duration::from_millis(1));
    let calls = told.calls.load(Ordering::Relaxed);
    turns(db);
    assert_eq!(told.calls.load(Ordering::Relaxed), calls);
}

#[test]
fn an_operator_that_panics_rests_its_family_with_backoff_and_loses_nothing() -> Result<()> {
    let (sim, clock, told) = (SimFs::new(), ManualClock::new(START_MS), Told::default());
    let db = small(&sim, &clock).merge_operator("default", Joined(told.clone())).open()?;
    let other = db.column_family("other")?;
    for round in 0..4 {
        db.put(format!("plain {round}"), "1")?;
        db.merge("k", round.to_string())?;
        if round == 1 {
            told.panic.store(true, Ordering::Relaxed);
        }
        db.flush()?;
    }
    assert!(matches!(db.get("k"), Err(Error::MergeFailed { .. })));
    assert_eq!(get(&db, "plain 3").unwrap(), "1");
    turns(&db);
    // A second, then two, up to ten minutes.
    for failures in 1..13 {
        check_rest(&db, "merge operator \"joined\"", failures, &clock, &told);
        clock.advance(Duration::from_millis(1));
        turns(&db);
    }
    // Others go on, and so do flushes; whoever asks for a compaction hears why it cannot be.
    other.put("k", "v")?;
    other.delete("k")?;
    other.compact_range::<&[u8], _>(..)?;
    assert_eq!(db.stats().families[1].table_bytes(), 0);
    db.merge("k", "4")?;
    db.flush()?;
    let said = db.compact().unwrap_err();
    assert!(matches!(&said, Error::HookFailed(failure) if failure.family == "default"), "{said}");
    assert!(db.stats().hooks.panics > 0);
    told.panic.store(false, Ordering::Relaxed);
    assert_eq!(get(&db, "k").unwrap(), "0,1,2,3,4");
    clock.advance(Duration::from_secs(600));
    turns(&db);
    assert!(db.health().is_well(), "{:?}", db.health());
    db.compact()?;
    assert_eq!(get(&db, "k").unwrap(), "0,1,2,3,4");
    assert!(db.verify()?.problems.is_empty());
    Ok(())
}

#[test]
fn a_filter_that_panics_rests_its_family_with_backoff_and_loses_nothing() -> Result<()> {
    let (sim, clock, signs) = (SimFs::new(), ManualClock::new(START_MS), Signs::default());
    let db = small(&sim, &clock).compaction_filter("default", signs.clone()).open()?;
    signs.told.panic.store(true, Ordering::Relaxed);
    for round in 0..4 {
        db.put("k", format!("-{round}"))?;
        db.put(format!("k{round}"), "+")?;
        db.flush()?;
    }
    turns(&db);
    check_rest(&db, "compaction filter", 1, &clock, &signs.told);
    assert_eq!(all(&db).len(), 5);
    assert!(matches!(db.compact(), Err(Error::HookFailed(_))));
    signs.told.panic.store(false, Ordering::Relaxed);
    db.compact()?;
    assert!(db.health().is_well(), "{:?}", db.health());
    assert_eq!(all(&db).len(), 4);
    Ok(())
}

#[test]
fn a_flush_does_without_an_operator_that_panics() -> Result<()> {
    let (sim, clock, told) = (SimFs::new(), ManualClock::new(START_MS), Told::default());
    let db = small(&sim, &clock).merge_operator("default", Joined(told.clone())).open()?;
    told.panic.store(true, Ordering::Relaxed);
    db.put("k", "1")?;
    db.merge("k", "2")?;
    db.flush()?;
    assert!(db.health().is_well(), "{:?}", db.health());
    told.panic.store(false, Ordering::Relaxed);
    assert_eq!(get(&db, "k").unwrap(), "1,2");
    Ok(())
}
