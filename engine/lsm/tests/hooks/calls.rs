//! Hooks that call a store.

use crate::store::{START_MS, small};
use esker::base::clock::ManualClock;
use esker::fs::SimFs;
use esker::hooks::{
    CompactionFilter, CompactionFilterFactory, FilterContext, MergeError, MergeOperator, Verdict,
};
use esker::{Db, Durability, Error, Result, ScanOptions, TransactionOptions, WriteBatch};
use std::sync::{Arc, Mutex};

type Answers = Vec<(&'static str, Result<()>)>;

/// Does something with stores whenever it is asked, until it is told to end, and keeps what it was answered.
#[derive(Clone, Default)]
struct Calling(Arc<Mutex<(Option<Act>, Answers)>>);

type Act = Box<dyn FnMut() -> Answers + Send>;

impl std::fmt::Debug for Calling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calling")
    }
}

impl Calling {
    fn act(&self) {
        let mut told = self.0.lock().unwrap();
        let (act, answers) = &mut *told;
        answers.extend(act.iter_mut().flat_map(|act| act()));
    }

    /// Has it do this while `run` runs, and gives what it was answered.
    fn within<T>(
        &self,
        act: impl FnMut() -> Answers + Send + 'static,
        run: impl FnOnce() -> Result<T>,
    ) -> Result<Answers> {
        self.0.lock().unwrap().0 = Some(Box::new(act));
        run()?;
        let (act, answers) = std::mem::take(&mut *self.0.lock().unwrap());
        drop(act);
        Ok(answers)
    }
}

impl CompactionFilterFactory for Calling {
    fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
        self.act();
        let calling = self.clone();
        Box::new(move |_: &[u8], _: &[u8], _: u64| {
            calling.act();
            Verdict::Keep
        })
    }
}

impl MergeOperator for Calling {
    fn name(&self) -> &str {
        "calling"
    }

    fn full(&self, _: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        self.act();
        Ok(base.into_iter().chain(operands.iter().copied()).collect::<Vec<_>>().concat())
    }

    fn partial(&self, _: &[u8], _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        self.act();
        None
    }
}

/// Everything that reads, writes or waits.
fn everything(db: &Db) -> Result<impl FnMut() -> Answers + Send + 'static> {
    let (db, snapshot) = (db.clone(), db.snapshot());
    let (mut iter, mut cursor) = (db.iter()?, db.cursor(ScanOptions::default())?);
    let mut transaction = db.begin(TransactionOptions::default())?;
    Ok(move || {
        let mut batch = WriteBatch::new();
        batch.put(&db, "k", "written by a hook");
        vec![
            ("get", db.get("k").map(drop)),
            ("multi_get", db.multi_get(&["k"]).map(drop)),
            ("get of a snapshot", snapshot.get(&db, "k").map(drop)),
            ("iter", db.iter().map(drop)),
            ("iter of a snapshot", snapshot.iter(&db).map(drop)),
            ("next", iter.next().transpose().map(drop)),
            ("seek", cursor.seek_to_first().map(drop)),
            ("refresh", cursor.refresh().map(drop)),
            ("put", db.put("k", "written by a hook")),
            ("write", db.write(batch.clone(), Durability::Os)),
            ("commit", db.commit(batch, Durability::None).map(drop)),
            ("put_if_absent", db.put_if_absent("absent", "written by a hook").map(drop)),
            ("begin", db.begin(TransactionOptions::default()).map(drop)),
            ("get of a transaction", transaction.get(&db, "k").map(drop)),
            ("put of a transaction", transaction.put(&db, "k", "written by a hook")),
            ("flush", db.flush()),
            ("compact", db.compact()),
            ("sync", db.sync()),
            ("verify", db.verify().map(drop)),
            ("column_family", db.column_family("made by a hook").map(drop)),
            ("drop_column_family", db.drop_column_family("other")),
            ("close", db.clone().close()),
        ]
    })
}

/// A filter could read the store that was just being compacted; one that asked for a compaction waited for
/// itself for ever.
#[test]
fn a_hook_that_calls_its_own_store_is_answered_with_an_error() -> Result<()> {
    for filter in [true, false] {
        let (sim, clock, calling) = (SimFs::new(), ManualClock::new(START_MS), Calling::default());
        let builder = small(&sim, &clock);
        let db = if filter {
            builder.compaction_filter("default", calling.clone()).open()?
        } else {
            builder.merge_operator("default", calling.clone()).open()?
        };
        db.column_family("other")?;
        let write = || if filter { db.put("k", "v") } else { db.merge("k", "v") };
        write()?;
        write()?;
        let runs: [&dyn Fn() -> Result<()>; 2] = [&|| db.get("k").map(drop), &|| db.compact()];
        for run in runs.into_iter().skip(usize::from(filter)) {
            let answers = calling.within(everything(&db)?, run)?;
            assert!(answers.len() >= 22, "it was asked");
            for (call, answer) in answers {
                assert!(matches!(answer, Err(Error::CalledFromHook)), "{call}: {answer:?}");
            }
            write()?;
        }
        assert_eq!(db.column_families(), ["default", "other"]);
        assert_eq!(db.get("absent")?, None);
        assert!(db.health().is_well(), "{:?}", db.health());
    }
    Ok(())
}

/// Another store is none of its own, unless its own hook is asked there in turn.
#[test]
fn a_hook_may_use_another_store() -> Result<()> {
    let (sim, clock, calling) = (SimFs::new(), ManualClock::new(START_MS), Calling::default());
    let db = small(&sim, &clock).compaction_filter("default", calling.clone()).open()?;
    let inner = Calling::default();
    let other = small(&SimFs::new(), &clock).merge_operator("default", inner.clone()).open()?;
    db.put("k", "v")?;
    other.merge("k", "theirs")?;
    let (outer, own) = (other.clone(), db.clone());
    let act = move || {
        let (own, outer) = (own.clone(), outer.clone());
        let again = move || vec![("outermost", own.get("k").map(drop)), ("own", outer.get("k").map(drop))];
        *inner.0.lock().unwrap() = (Some(Box::new(again)), Vec::new());
        let mut answers = vec![("get", other.get("k").map(drop)), ("put", other.put("seen", "v"))];
        answers.append(&mut inner.0.lock().unwrap().1);
        answers
    };
    let answers = calling.within(act, || db.compact())?;
    assert!(answers.len() >= 4);
    for (call, answer) in answers {
        let allowed = ["get", "put"].contains(&call);
        assert_eq!(matches!(answer, Err(Error::CalledFromHook)), !allowed, "{call}: {answer:?}");
        assert_eq!(answer.is_ok(), allowed, "{call}: {answer:?}");
    }
    Ok(())
}
