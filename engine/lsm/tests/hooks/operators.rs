//! Which operator a family has, and operators that cannot merge.

use crate::store::{Joined, START_MS, Told, all, get, small};
use esker::base::clock::ManualClock;
use esker::fs::SimFs;
use esker::hooks::{Append, Counter};
use esker::{Db, Error, FamilyOptions, Result, WriteBatch};
use std::sync::atomic::Ordering;
use std::time::Duration;

fn named(operator: &str) -> FamilyOptions {
    FamilyOptions { merge_operator: Some(operator.into()), ..Default::default() }
}

#[test]
fn a_family_without_an_operator_refuses_operands() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).open()?;
    let refused = db.merge("k", "v").unwrap_err();
    assert!(matches!(&refused, Error::InvalidArgument { what: "merge", .. }), "{refused}");
    let mut batch = WriteBatch::new();
    batch.put(&db, "a", "1").merge(&db, "k", "v");
    assert!(db.write(batch, esker::Durability::Os).is_err());
    assert_eq!(all(&db), []);
    let unknown = db.create_column_family("f", named("nobody's")).unwrap_err();
    assert!(unknown.to_string().contains("nobody's"), "{unknown}");
    assert!(db.open_column_family("f").is_err());
    Ok(())
}

#[test]
fn an_operator_of_another_name_is_refused_and_both_are_named() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).merge_operator("default", Joined::default()).open()?;
    db.create_column_family("counts", named("esker.counter"))?.merge("k", 1i64.to_le_bytes())?;
    db.merge("k", "1")?;
    let both = db.create_column_family("default", named("esker.counter"));
    assert!(both.is_err());
    db.close()?;
    let refused = small(&sim, &clock).merge_operator("default", Append::new()).open().unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("\"joined\"") && text.contains("\"esker.append\""), "{text}");
    let db = small(&sim, &clock).merge_operator("default", Joined::default()).open()?;
    assert_eq!(get(&db, "k").unwrap(), "1");
    assert_eq!(db.column_family("counts")?.get("k")?.unwrap(), 1i64.to_le_bytes());
    let dashes = Append::with_separator("-");
    let lines = small(&SimFs::new(), &clock).merge_operator("default", dashes).open()?;
    lines.merge("k", "a")?;
    lines.merge("k", "b")?;
    assert_eq!(get(&lines, "k").unwrap(), "a-b");
    Ok(())
}

#[test]
fn a_family_takes_an_operator_that_had_none_and_keeps_it() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).open()?;
    db.put("k", 40i64.to_le_bytes())?;
    db.close()?;
    let db = small(&sim, &clock).merge_operator("default", Counter).open()?;
    db.merge("k", 2i64.to_le_bytes())?;
    db.close()?;
    let db = small(&sim, &clock).open()?;
    assert_eq!(db.get("k")?.unwrap(), 42i64.to_le_bytes());
    db.merge("k", 1i64.to_le_bytes())?;
    assert_eq!(db.get("k")?.unwrap(), 43i64.to_le_bytes());
    Ok(())
}

#[test]
fn without_its_operator_a_store_does_all_but_read_what_needs_it() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).merge_operator("default", Joined::default()).open()?;
    db.put("a", "1")?;
    db.put_with_ttl("b", "1", Duration::from_millis(50))?;
    db.merge("b", "2")?;
    db.merge("c", "1")?;
    db.close()?;
    let db = small(&sim, &clock).open()?;
    assert_eq!(get(&db, "a").unwrap(), "1");
    let check = |db: &Db| {
        let error = db.get("c").unwrap_err();
        assert!(matches!(&error, Error::MergeFailed { key, .. } if **key == *b"c"), "{error}");
        assert!(error.to_string().contains("\"joined\""), "{error}");
        assert!(db.contains_key("c").is_err() && db.multi_get(&["a", "c"]).is_err());
    };
    // Operands are taken, flushed and compacted; what has expired goes without asking anybody.
    db.merge("c", "2")?;
    check(&db);
    db.compact()?;
    check(&db);
    clock.advance(Duration::from_millis(50));
    assert_eq!(get(&db, "b"), None);
    db.put("d", "1")?;
    db.compact()?;
    assert!(db.verify()?.problems.is_empty());
    let entries: u64 = db.stats().families[0].levels.iter().map(|level| level.entries).sum();
    assert_eq!(entries, 4, "a, two of c, d");
    let mut iter = db.iter()?;
    assert_eq!(iter.next().unwrap()?.0, "a");
    assert!(matches!(iter.next(), Some(Err(Error::MergeFailed { .. }))));
    assert!(iter.next().is_none(), "an error ends an iterator");
    assert_eq!(db.range("d"..)?.next().unwrap()?.0, "d", "what is beyond can be read on its own");
    db.close()?;
    let db = small(&sim, &clock).merge_operator("default", Joined::default()).open()?;
    assert_eq!(get(&db, "c").unwrap(), "1,2");
    Ok(())
}

#[test]
fn a_merge_that_fails_concerns_its_key_only_until_it_is_overwritten() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let told = Told::default();
    let db = small(&sim, &clock).merge_operator("default", Joined(told.clone())).open()?;
    for key in ["a", "bad", "c"] {
        db.put(key, "1")?;
        db.merge(key, if key == "bad" { "!" } else { "2" })?;
    }
    let failed = |db: &Db, why: &str| {
        let error = db.get("bad").unwrap_err();
        assert!(matches!(&error, Error::MergeFailed { key, .. } if **key == *b"bad"), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    for _ in 0..2 {
        failed(&db, "an exclamation mark");
        assert_eq!((get(&db, "a").unwrap(), get(&db, "c").unwrap()), ("1,2".into(), "1,2".into()));
        db.compact()?;
        db.merge("c", "3")?;
        db.delete("c")?;
        db.merge("c", "1,2")?;
    }
    let stats = db.stats();
    assert!(stats.hooks.failed > 0 && stats.hooks.folded > 0, "{stats:?}");
    assert!(db.health().is_well(), "{:?}", db.health());
    // A read that panics is an error of the key, too.
    told.panic.store(true, Ordering::Relaxed);
    failed(&db, "told to panic");
    told.panic.store(false, Ordering::Relaxed);
    db.put("bad", "good")?;
    db.merge("bad", "again")?;
    assert_eq!(get(&db, "bad").unwrap(), "good,again");
    Ok(())
}

#[test]
fn operands_that_fail_do_not_keep_compaction_busy_once_their_times_are_over() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).merge_operator("default", Joined::default()).open()?;
    db.put("k", "1")?;
    for key in ["k", "nothing below"] {
        db.merge_with_ttl(key, "!", Duration::from_millis(10))?;
        db.merge_with_ttl(key, "2", Duration::from_millis(10))?;
    }
    db.compact()?;
    clock.advance(Duration::from_millis(20));
    db.compact()?;
    assert!(db.get("k").is_err(), "a base that lives is changed, whatever the time to live");
    assert_eq!(get(&db, "nothing below"), None);
    db.merge("k", "3")?;
    db.compact()?;
    assert!(db.get("k").is_err());
    Ok(())
}

/// A sum that was too great on the way was an error, until a flush had put the operands together.
#[test]
fn a_counter_reads_the_same_before_and_after_its_operands_are_folded() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let db = small(&sim, &clock).merge_operator("default", Counter).open()?;
    db.put("k", i64::MAX.to_le_bytes())?;
    db.put("over", i64::MAX.to_le_bytes())?;
    db.compact()?;
    for step in [1i64, 1, -2] {
        db.merge("k", step.to_le_bytes())?;
    }
    db.merge("over", 1i64.to_le_bytes())?;
    let check = || -> Result<()> {
        assert_eq!(db.get("k")?.unwrap(), i64::MAX.to_le_bytes());
        assert!(matches!(db.get("over"), Err(Error::MergeFailed { .. })));
        Ok(())
    };
    check()?;
    db.flush()?;
    check()?;
    db.compact()?;
    check()?;
    db.merge("over", (-1i64).to_le_bytes())?;
    assert_eq!(db.get("over")?.unwrap(), i64::MAX.to_le_bytes());
    Ok(())
}
