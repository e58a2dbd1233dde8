//! The second and the third stage: batches are committed here, and a thread waits until they are durable.

use crate::commands::import::args::Mode;
use crate::commands::import::parser::Event;
use crate::commands::import::report::Reporter;
use crate::failure::{Failure, Outcome};
use esker::{Db, Durability};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Commits that may wait for the disk.
const COMMITS_IN_FLIGHT: usize = 64;

/// How an import ended; in every case all that was committed is durable.
pub enum End {
    /// Everything was read.
    Whole {
        /// How many bad records were left out.
        skipped: u64,
    },
    /// The input could not be read to its end.
    Stopped(Failure),
    /// Ctrl-C.
    Interrupted,
}

/// Where the import stands behind one commit.
#[derive(Clone, Copy)]
struct Committed {
    seq: u64,
    records: u64,
}

/// Commits what comes through `events` and waits until all of it is durable.
///
/// # Errors
/// A commit or a sync failed.
pub fn run(
    db: &Db,
    mode: Mode,
    events: &Receiver<Event>,
    interrupted: &AtomicBool,
    reporter: &Arc<Reporter>,
) -> Outcome<End> {
    let durability = match mode {
        Mode::Sync => Durability::Sync,
        Mode::Os => Durability::Os,
    };
    let waiter = (mode == Mode::Sync).then(|| Waiter::start(db, reporter));
    let mut records = 0;
    let end = loop {
        let event = events.recv();
        if interrupted.load(Ordering::SeqCst) {
            break End::Interrupted;
        }
        match event {
            Ok(Event::Batch { batch, records: more }) => {
                let seq = match db.commit(batch, durability) {
                    Ok(ticket) => ticket.seq(),
                    Err(e) => break End::Stopped(e.into()),
                };
                records += more;
                if waiter.as_ref().is_some_and(|waiter| waiter.send(Committed { seq, records }).is_err()) {
                    // The waiter has failed, and says below why.
                    break End::Interrupted;
                }
            }
            Ok(Event::End { skipped }) => break End::Whole { skipped },
            Ok(Event::Failed(failure)) => break End::Stopped(failure),
            Ok(Event::Interrupted) => break End::Interrupted,
            Err(_) => break End::Stopped(Failure::error("reading the input ended unexpectedly")),
        }
    };
    match waiter {
        Some(waiter) => waiter.join()?,
        None if records > 0 => {
            db.sync()?;
            reporter.reached(records);
        }
        None => {}
    }
    Ok(end)
}

struct Waiter {
    commits: SyncSender<Committed>,
    thread: JoinHandle<Result<(), esker::Error>>,
}

impl Waiter {
    fn start(db: &Db, reporter: &Arc<Reporter>) -> Waiter {
        let (commits, committed) = sync_channel(COMMITS_IN_FLIGHT);
        let (db, reporter) = (db.clone(), reporter.clone());
        let thread = std::thread::spawn(move || wait(&db, &committed, &reporter));
        Waiter { commits, thread }
    }

    fn send(&self, committed: Committed) -> Result<(), ()> {
        self.commits.send(committed).map_err(|_| ())
    }

    /// Waits for the last commit.
    fn join(self) -> Outcome {
        drop(self.commits);
        match self.thread.join() {
            Ok(result) => Ok(result?),
            Err(_) => Err(Failure::error("waiting for the disk ended unexpectedly")),
        }
    }
}

fn wait(db: &Db, committed: &Receiver<Committed>, reporter: &Reporter) -> Result<(), esker::Error> {
    while let Ok(first) = committed.recv() {
        // One wait covers all that was committed meanwhile.
        let last = committed.try_iter().last().unwrap_or(first);
        db.wait_durable(last.seq)?;
        reporter.reached(last.records);
    }
    Ok(())
}
