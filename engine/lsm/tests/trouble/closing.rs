//! Closing from several places at once.

use crate::store::{eventually, fill, small};
use esker::fs::sim::OperationKind;
use esker::fs::{Fs, SimFs};
use esker::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn whoever_closes_second_returns_when_all_is_closed() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 100)?;
    let (other, probe) = (db.clone(), db.clone());
    let (reached, has_reached) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let (reached, may_go_on) = (Mutex::new(Some(reached)), Mutex::new(may_go_on));
    // The first is held up where it syncs the log for the last time.
    sim.set_fault(Box::new(move |op| {
        let last = op.kind == OperationKind::Truncate && op.path.extension().is_some_and(|e| e == "log");
        if let Some(reached) = last.then(|| reached.lock().unwrap().take()).flatten() {
            reached.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
        None
    }));
    let ended = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| db.close());
        has_reached.recv().unwrap();
        let seen = ended.clone();
        let second = scope.spawn(move || {
            let result = other.close();
            seen.store(true, Ordering::SeqCst);
            result
        });
        assert!(matches!(probe.get("k"), Err(Error::Closed)));
        for _ in 0..1_000 {
            assert!(!ended.load(Ordering::SeqCst), "the first has not ended");
            std::thread::yield_now();
        }
        go_on.send(()).unwrap();
        assert!(first.join().unwrap().is_ok() && second.join().unwrap().is_ok());
    });
    // Whoever has closed it may open it.
    small(&sim).open()?.close()
}

/// Syncs in the background came from the thread that ran the callbacks: one of them could hold up all that
/// bounds what a loss of power takes.
#[test]
fn a_callback_that_takes_its_time_holds_up_no_sync() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).sync_interval(Duration::from_millis(1)).open()?;
    let (go_on, told) = channel::<()>();
    let (begin, begun) = channel();
    db.on_durable(db.visible_seq() + 1, move |_| {
        let _ = begin.send(());
        let _ = told.recv();
    });
    fill(&db, 0, 1)?;
    begun.recv().expect("it is called");
    fill(&db, 1, 2)?;
    let seq = db.visible_seq();
    eventually("a sync of the log", || db.durable_seq() >= seq);
    drop(go_on);
    db.close()
}

#[test]
fn a_callback_may_close_the_store_while_it_is_being_closed() -> Result<()> {
    let sim = SimFs::new();
    for turn in 0..50 {
        let db = small(&sim).open()?;
        fill(&db, 0, 10)?;
        for _ in 0..4 {
            let own = db.clone();
            db.on_durable(db.visible_seq(), move |_| drop(own.close()));
        }
        if turn % 2 == 0 {
            // It may have been closed by now.
            let _ = db.sync();
        }
        db.close()?;
    }
    let db = small(&sim).fs(Fs::Sim(sim.clone())).open()?;
    assert_eq!(db.iter()?.count(), 10);
    db.close()
}
