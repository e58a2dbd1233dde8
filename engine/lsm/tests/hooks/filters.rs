//! What compaction filters are shown, and what comes of it.

use crate::store::{Joined, START_MS, Signs, all, get, small};
use esker::base::clock::ManualClock;
use esker::fs::SimFs;
use esker::{Db, Result};
use std::sync::Arc;
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

/// A filter that takes a snapshot of the very store while it runs stands for a thread that does.
#[test]
fn a_snapshot_taken_while_a_filter_runs_sees_what_it_saw() -> Result<()> {
    use esker::hooks::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
    use std::sync::Mutex;

    type Taken = Arc<Mutex<(Option<Db>, Option<esker::Snapshot>)>>;
    #[derive(Debug, Clone)]
    struct Taking(Taken);
    impl CompactionFilterFactory for Taking {
        fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
            let taken = self.0.clone();
            Box::new(move |_: &[u8], _: &[u8], _: u64| {
                let mut taken = taken.lock().unwrap();
                let snapshot = taken.0.as_ref().map(Db::snapshot);
                taken.1 = snapshot;
                Verdict::Remove
            })
        }
    }
    let (sim, clock, taken) = (SimFs::new(), ManualClock::new(START_MS), Taken::default());
    let db = small(&sim, &clock).compaction_filter("default", Taking(taken.clone())).open()?;
    db.put("k", "v")?;
    taken.lock().unwrap().0 = Some(db.clone());
    db.compact()?;
    let (_, snapshot) = std::mem::take(&mut *taken.lock().unwrap());
    let snapshot = snapshot.unwrap();
    assert_eq!(get(&db, "k"), None);
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
