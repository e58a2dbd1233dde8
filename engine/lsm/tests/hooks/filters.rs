//! What compaction filters are shown, and what comes of it.

use crate::store::{Joined, START_MS, Signs, all, get, small};
use esker::base::clock::ManualClock;
use esker::fs::SimFs;
use esker::hooks::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
use esker::{Db, Error, FamilyOptions, Result, Transaction, TransactionOptions};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn signed() -> Result<(Db, Signs, Arc<ManualClock>)> {
    let (sim, clock, signs) = (SimFs::new(), ManualClock::new(START_MS), Signs::default());
    let builder = small(&sim, &clock).merge_operator("default", Joined::default());
    let db = builder.compaction_filter("default", signs.clone()).open()?;
    Ok((db, signs, clock))
}

fn fill(db: &Db) -> Result<()> {
    [("a", "-1"), ("b", "+2"), ("c", "3")].iter().try_for_each(|(key, value)| db.put(key, value))
}

#[test]
fn values_are_kept_removed_and_replaced_by_compactions_only() -> Result<()> {
    let (db, signs, _) = signed()?;
    fill(&db)?;
    db.flush()?;
    assert_eq!(get(&db, "a").unwrap(), "-1", "a flush does not filter");
    db.compact()?;
    assert_eq!(all(&db), [("b".into(), "=2".into()), ("c".into(), "3".into())]);
    let counts = db.stats().hooks;
    assert_eq!((counts.removed, counts.replaced), (1, 1));
    assert!(signs.contexts.lock().unwrap().iter().all(|c| c.family == "default" && c.output_level > 0));
    assert!(signs.contexts.lock().unwrap().last().unwrap().is_bottom);
    Ok(())
}

#[test]
fn what_a_snapshot_sees_is_never_shown_and_never_changed() -> Result<()> {
    let (db, signs, _) = signed()?;
    fill(&db)?;
    let held = db.snapshot();
    db.put("c", "-later")?;
    db.compact()?;
    let shown = |signs: &Signs| signs.shown.lock().unwrap().clone();
    assert_eq!(shown(&signs), [("c".into(), "-later".into())]);
    assert_eq!(held.get(&db, "a")?.unwrap(), "-1");
    assert_eq!(held.get(&db, "c")?.unwrap(), "3");
    assert_eq!(all(&db), [("a".into(), "-1".into()), ("b".into(), "+2".into())], "older than the snapshot");
    drop(held);
    for key in ["a", "b", "c"] {
        db.merge(key, "x")?;
    }
    db.compact()?;
    assert_eq!(all(&db), [("b".into(), "=2,x".into()), ("c".into(), "x".into())]);
    Ok(())
}

#[test]
fn deletions_expired_values_and_operands_are_not_shown_but_results_are() -> Result<()> {
    let (db, signs, clock) = signed()?;
    db.put("deleted", "-")?;
    db.delete("deleted")?;
    db.put_with_ttl("expired", "-", Duration::from_millis(10))?;
    db.put("merged", "+1")?;
    db.merge("merged", "2")?;
    db.merge("bad", "!")?;
    clock.advance(Duration::from_millis(10));
    db.compact()?;
    assert_eq!(*signs.shown.lock().unwrap(), [("merged".to_string(), "+1,2".to_string())]);
    assert_eq!(get(&db, "merged").unwrap(), "=1,2");
    Ok(())
}

#[test]
fn a_removal_hides_what_is_older_and_below() -> Result<()> {
    let (db, _, _) = signed()?;
    db.put("k", "old")?;
    db.put("z", "")?;
    db.compact()?;
    let held = db.snapshot();
    db.put("k", "-new")?;
    db.compact()?;
    assert_eq!(get(&db, "k"), None);
    assert_eq!(held.get(&db, "k")?.unwrap(), "old");
    drop(held);
    db.put("z", "")?;
    db.compact()?;
    assert_eq!(get(&db, "k"), None);
    Ok(())
}

/// A filter that has another thread begin a transaction of the very store while it runs. It removes all.
#[derive(Debug, Clone, Default)]
struct Taking(Arc<Mutex<(Option<Db>, Option<Transaction>)>>);

impl CompactionFilterFactory for Taking {
    fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
        let taken = self.0.clone();
        Box::new(move |_: &[u8], _: &[u8], _: u64| {
            let mut taken = taken.lock().unwrap();
            let options = TransactionOptions::default().serialisable();
            let begin = |db: &Db| std::thread::scope(|scope| scope.spawn(|| db.begin(options)).join());
            taken.1 = taken.0.as_ref().map(|db| begin(db).unwrap().unwrap());
            Verdict::Remove
        })
    }
}

/// A store whose key `k` has been removed by a filter, and a transaction that was begun while it ran.
fn begun_while_a_filter_ran() -> Result<(Db, Transaction)> {
    let (sim, clock, taking) = (SimFs::new(), ManualClock::new(START_MS), Taking::default());
    let db = small(&sim, &clock).compaction_filter("default", taking.clone()).open()?;
    db.put("k", "v")?;
    taking.0.lock().unwrap().0 = Some(db.clone());
    db.compact()?;
    assert_eq!(get(&db, "k"), None);
    let (_, transaction) = std::mem::take(&mut *taking.0.lock().unwrap());
    Ok((db, transaction.unwrap()))
}

#[test]
fn a_snapshot_taken_while_a_filter_runs_sees_what_it_saw() -> Result<()> {
    let (db, transaction) = begun_while_a_filter_ran()?;
    let snapshot = transaction.snapshot();
    let check = || -> Result<()> {
        assert_eq!(snapshot.get(&db, "k")?.unwrap(), "v");
        assert_eq!(snapshot.iter(&db)?.count(), 1);
        assert_eq!(snapshot.multi_get(&db, &["k"])?[0].as_deref(), Some(&b"v"[..]));
        Ok(())
    };
    check()?;
    db.put("k", "w")?;
    db.compact()?;
    check()
}

/// The same version is the same write, and so the same value: what a filter would put in its place had the
/// same version.
#[test]
fn a_family_that_keeps_versions_can_have_no_filter() -> Result<()> {
    let (sim, clock) = (SimFs::new(), ManualClock::new(START_MS));
    let refused = |result: Result<()>| match result {
        Err(Error::InvalidArgument { what, why }) => {
            assert_eq!(what, "compaction_filter");
            assert!(why.contains("\"pages\"") && why.contains("keep_versions"), "{why}");
        }
        other => panic!("{other:?}"),
    };
    let versioned = FamilyOptions { keep_versions: true, ..FamilyOptions::default() };
    let filtered = || small(&sim, &clock).compaction_filter("pages", Signs::default());
    let db = filtered().open()?;
    refused(db.create_column_family("pages", versioned.clone()).map(drop));
    db.create_column_family("others", versioned.clone())?;
    db.close()?;
    // Nor later, when it is opened again.
    let db = small(&sim, &clock).open()?;
    let pages = db.create_column_family("pages", versioned)?;
    pages.put("k", "+v")?;
    let read = pages.get_versioned("k")?.unwrap();
    drop(pages);
    db.close()?;
    refused(filtered().open().map(drop));
    let db = small(&sim, &clock).open()?;
    let pages = db.column_family("pages")?;
    db.compact()?;
    assert_eq!(pages.get_versioned("k")?, Some(read));
    Ok(())
}

/// What a filter does is nobody's conflict.
#[test]
fn a_transaction_that_read_what_a_filter_then_removed_commits() -> Result<()> {
    let (db, mut transaction) = begun_while_a_filter_ran()?;
    assert_eq!(transaction.get_for_update(&db, "k")?.unwrap(), "v");
    transaction.put(&db, "copy", "v")?;
    transaction.commit()?;
    assert_eq!((get(&db, "k"), get(&db, "copy").unwrap()), (None, "v".into()));
    // What is judged by the present finds what the filter has left.
    assert!(!db.compare_and_set("k", "v", "w")?);
    assert!(db.put_if_absent("k", "w")?);
    Ok(())
}
