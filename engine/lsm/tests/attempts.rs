//! How often something is tried before it is given up, and how much of many is shown: each number that the
//! documents name is met, and not passed.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::hooks::{MergeError, MergeOperator};
use esker::{Builder, Db, Durability, Error, Result, TransactionOptions, WriteBatch};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn builder() -> Builder {
    Db::builder("/db").fs(Fs::Sim(SimFs::new())).memory_budget(16 << 20).default_durability(Durability::Os)
}

fn quiet() -> Builder {
    builder().clock(Clock::Manual(ManualClock::new(1_000_000))).deterministic(7)
}

fn is_conflict<T>(result: &Result<T>, named: &str) -> bool {
    matches!(result, Err(Error::Conflict { key, .. }) if **key == *named.as_bytes())
}

/// An operator that has another thread write to the store whenever it is asked.
#[derive(Clone, Debug, Default)]
struct Meddling {
    /// Where it writes, and for how many calls.
    store: Arc<Mutex<Option<(Db, u32)>>>,
    /// The key that it writes; if it is the one that is read, by an operand.
    target: &'static str,
    calls: Arc<AtomicU32>,
}

impl Meddling {
    fn meddle(&self, db: &Db, calls: u32) {
        *self.store.lock().unwrap() = Some((db.clone(), calls));
        self.calls.store(0, Ordering::Relaxed);
    }

    /// Ends it, and says how often it was asked.
    fn end(&self) -> u32 {
        *self.store.lock().unwrap() = None;
        self.calls.load(Ordering::Relaxed)
    }
}

impl MergeOperator for Meddling {
    fn name(&self) -> &str {
        "meddling"
    }

    fn full(&self, key: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let store = self.store.lock().unwrap().clone();
        if let Some((db, _)) = store.filter(|(_, calls)| call < *calls) {
            let write =
                || if key == self.target.as_bytes() { db.merge(key, "") } else { db.put(self.target, "v") };
            let written = std::thread::scope(|scope| scope.spawn(write).join());
            let written = written.map_err(|_| MergeError::new("a panic"))?;
            written.map_err(|error| MergeError::new(error.to_string()))?;
        }
        Ok(base.into_iter().chain(operands.iter().copied()).collect::<Vec<_>>().concat())
    }
}

#[test]
fn a_closure_is_tried_sixteen_times() -> Result<()> {
    let db = quiet().open()?;
    let run = |meetings: u32| {
        let mut attempts = 0;
        let result = db.transaction(|transaction| {
            attempts += 1;
            transaction.put(&db, "k", "mine")?;
            if attempts <= meetings { db.put("k", "theirs") } else { Ok(()) }
        });
        (result, attempts)
    };
    let (result, attempts) = run(15);
    assert!(result.is_ok() && attempts == 16, "{attempts} {result:?}");
    let (result, attempts) = run(16);
    assert!(is_conflict(&result, "k") && attempts == 16, "{attempts} {result:?}");
    Ok(())
}

#[test]
fn conditions_are_judged_anew_sixteen_times_and_then_called_a_conflict() -> Result<()> {
    let operator = Meddling { target: "elsewhere", ..Meddling::default() };
    // Whatever is written elsewhere takes the place of all that the table of recent writes knew.
    let db = quiet().merge_operator("default", operator.clone()).recent_writes_bytes(1).open()?;
    let write = |meetings: u32| -> Result<_> {
        db.put("k", "a")?;
        db.merge("k", "b")?;
        let mut batch = WriteBatch::new();
        batch.require_value(&db, "k", "ab").put(&db, "k", "mine");
        operator.meddle(&db, meetings);
        let result = db.write(batch, Durability::Os);
        Ok((result, operator.end()))
    };
    // Once before, and for each of 16 rounds.
    let (result, calls) = write(16)?;
    assert!(result.is_ok() && calls == 17, "{calls} {result:?}");
    let (result, calls) = write(u32::MAX)?;
    // It has been looked at once more by then, which could have said that the condition fails.
    assert!(is_conflict(&result, "k") && calls == 18, "{calls} {result:?}");
    Ok(())
}

#[test]
fn an_expiry_is_set_in_sixty_four_attempts_or_not_at_all() -> Result<()> {
    let operator = Meddling { target: "k", ..Meddling::default() };
    let db = quiet().merge_operator("default", operator.clone()).open()?;
    db.put("k", "a")?;
    db.merge("k", "b")?;
    operator.meddle(&db, u32::MAX);
    let result = db.expire("k", Duration::from_secs(1));
    assert_eq!(operator.end(), 64);
    assert!(is_conflict(&result, "k"), "{result:?}");
    operator.meddle(&db, 63);
    assert!(db.expire("k", Duration::from_secs(1))?);
    assert_eq!((operator.end(), &db.get("k")?.unwrap()[..]), (64, &b"ab"[..]));
    Ok(())
}

/// Tells the other threads to stop, however the test ends.
struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Nobody writes what the transaction depends on: the only conflict there can be is that looking again was
/// given up.
#[test]
fn a_transaction_looks_again_sixteen_times_and_then_there_is_a_conflict() -> Result<()> {
    let db = builder().recent_writes_bytes(1).open()?;
    let mut batch = WriteBatch::new();
    for n in 0..4_000 {
        batch.put(&db, format!("scanned {n}"), "");
    }
    db.write(batch, Durability::Os)?;
    let stop = AtomicBool::new(false);
    let options = TransactionOptions::default().serialisable();
    std::thread::scope(|scope| {
        let _stopped = Stopped(&stop);
        for name in ["x", "y"] {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    db.put(name, "v").unwrap();
                }
            });
        }
        // Between a look and the next attempt somebody has to write, 17 times in a row. It takes thousands of
        // keys to look, so that this is so nearly always; on one core it takes more attempts.
        let attempt = || -> Result<Option<u64>> {
            let mut transaction = db.begin(options)?;
            assert_eq!(transaction.prefix(&db, "scanned")?.count(), 4_000);
            transaction.put(&db, "mine", "v")?;
            let before = db.stats().transactions.looked_into_tree;
            let looks = || db.stats().transactions.looked_into_tree - before;
            match transaction.commit() {
                Ok(_) => {
                    assert!(looks() <= 16, "{}", looks());
                    Ok(None)
                }
                Err(failed) if matches!(failed.error, Error::Conflict { .. }) => Ok(Some(looks())),
                Err(failed) => Err(failed.error),
            }
        };
        let met = (0..2_000).find_map(|_| attempt().transpose());
        assert_eq!(met.transpose()?, Some(16), "who never meets a writer is never given up");
        Ok(())
    })
}

#[test]
fn a_hundred_open_transactions_are_shown_the_oldest_first() -> Result<()> {
    let db = quiet().open()?;
    let begin = || db.begin(TransactionOptions::default());
    let mut open = (0..103).map(|_| begin()).collect::<Result<Vec<_>>>()?;
    let shown = || db.stats().oldest_transactions.iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(db.stats().open_transactions, 103);
    assert_eq!(shown(), open[..100].iter().map(|one| one.id()).collect::<Vec<_>>());
    open.drain(..50);
    assert_eq!(shown(), open.iter().map(|one| one.id()).collect::<Vec<_>>());
    Ok(())
}
