//! Panics, each planted in the disk under one of the threads.

use crate::store::{eventually, fill, key, small};
use esker::fs::SimFs;
use esker::fs::sim::OperationKind;
use esker::{Db, Durability, Error, Result, WriteBatch};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// Every operation of this kind on a file with this extension panics on the thread of that name.
fn plant(sim: &SimFs, thread: &'static str, kind: OperationKind, extension: &'static str) {
    sim.set_fault(Box::new(move |op| {
        let here = std::thread::current().name() == Some(thread);
        let hit = here && op.kind == kind && op.path.extension().is_some_and(|e| e == extension);
        assert!(!hit, "planted under {thread}");
        None
    }));
}

/// How long anything may take before it is taken for hanging.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `job` on a thread of its own, and fails if it has not come to an end in time.
fn within_deadline<T: Send + 'static>(doing: &str, job: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || drop(sender.send(job())));
    match receiver.recv_timeout(DEADLINE) {
        Ok(result) => {
            thread.join().unwrap();
            result
        }
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a job that ended has sent its result"),
        },
        Err(RecvTimeoutError::Timeout) => panic!("{doing} hangs"),
    }
}

/// Writes until a write is refused; what was planted must come about by then.
fn fill_until_refused(db: &Db) -> Error {
    let until = Instant::now() + DEADLINE;
    let in_time = (0u32..).take_while(|_| Instant::now() < until);
    let refused = in_time.map(|i| i % 5_000).find_map(|i| fill(db, i, i + 1).err());
    refused.expect("a write is refused in time")
}

/// What must hold after a panic of background work.
fn check_poisoned(sim: &SimFs, db: Db, thread: &str, kept: u32) -> Result<()> {
    let words = format!("planted under {thread}");
    eventually("the latch", || db.health().poisoned.is_some());
    let why = db.health().poisoned.unwrap();
    assert!(why.contains(&words), "{why}");
    for answer in
        [db.put("k", "v"), db.delete("k"), db.flush(), db.compact(), db.sync().and(db.put("k", "v"))]
    {
        let said = answer.unwrap_err();
        assert!(matches!(said, Error::Poisoned { .. }) && said.to_string().contains(&words), "{said}");
    }
    assert!(db.contains_key(key(0))? && db.iter()?.count() as u32 >= kept);
    sim.clear_fault();
    assert!(within_deadline("closing", move || db.close()).is_err());
    let db = small(&sim.kill_image()).open()?;
    assert!(db.iter()?.count() as u32 >= kept && db.verify()?.problems.is_empty());
    db.close()
}

#[test]
fn a_panic_of_a_flush_is_said_and_wakes_everybody() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 100)?;
    db.sync()?;
    plant(&sim, "esker-flush", OperationKind::Write, "sst");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| db.flush());
        let writing = scope.spawn(|| fill_until_refused(&db));
        for said in [waiting.join().unwrap().unwrap_err(), writing.join().unwrap()] {
            assert!(said.to_string().contains("planted under esker-flush"), "{said}");
        }
    });
    check_poisoned(&sim, db, "esker-flush", 100)
}

#[test]
fn a_panic_of_a_compaction_is_said_and_wakes_everybody() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 100)?;
    db.sync()?;
    plant(&sim, "esker-compact", OperationKind::Write, "sst");
    let said = fill_until_refused(&db);
    assert!(said.to_string().contains("planted under esker-compact"), "{said}");
    check_poisoned(&sim, db, "esker-compact", 100)
}

#[test]
fn a_panic_of_the_syncing_thread_is_said_and_wakes_everybody() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).sync_interval(Duration::from_millis(1)).open()?;
    fill(&db, 0, 100)?;
    db.sync()?;
    plant(&sim, "esker-sync", OperationKind::Sync, "log");
    let mut batch = WriteBatch::new();
    batch.put(&db, "k", "v");
    let ticket = db.commit(batch, Durability::Os)?;
    let (sender, receiver) = std::sync::mpsc::channel();
    db.on_durable(ticket.seq(), move |result| drop(sender.send(result)));
    let heard = receiver.recv_timeout(DEADLINE).unwrap().unwrap_err();
    assert!(heard.to_string().contains("panic"), "{heard}");
    check_poisoned(&sim, db, "esker-sync", 100)
}

#[test]
fn a_panic_on_a_thread_of_the_user_is_passed_on_and_latches() -> Result<()> {
    for (kind, extension) in
        [(OperationKind::Write, "log"), (OperationKind::Sync, "log"), (OperationKind::Write, "sst")]
    {
        let sim = SimFs::new();
        let db = small(&sim).sync_interval(Duration::from_secs(3600)).open()?;
        fill(&db, 0, 100)?;
        db.flush()?;
        plant(&sim, "user", kind, extension);
        let user = db.clone();
        let body = move || match extension {
            "sst" => user.compact(),
            _ => user.put("k", "v").and(user.sync()),
        };
        let thread = std::thread::Builder::new().name("user".into()).spawn(body).unwrap();
        let panic = thread.join().expect_err("a bug panics and is not an error");
        assert!(panic.downcast_ref::<&str>().is_none_or(|text| text.contains("planted")));
        check_poisoned(&sim, db, "user", 100)?;
    }
    Ok(())
}

#[test]
fn a_panic_in_a_callback_is_counted_and_nothing_else() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 10)?;
    db.on_durable(db.visible_seq(), |_| panic!("planted in a callback"));
    eventually("the callback", || db.health().panicked_callbacks == 1);
    fill(&db, 10, 20)?;
    assert!(db.health().is_well());
    db.close()
}
