//! The thread of a follower that catches up all the time.

use super::handle::Shared;
use crate::base::error::{Error, Result};
use crate::base::sync::{Arc, Condvar, Mutex, thread};
use std::time::Duration;

/// A thread that catches up until it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    pace: Arc<Pace>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Pace {
    ended: Mutex<bool>,
    told: Condvar,
}

impl Pace {
    /// Waits; returns whether it is to go on.
    fn wait(&self, interval: Duration) -> bool {
        let mut ended = self.ended.lock();
        if !*ended {
            self.told.wait_for(&mut ended, interval);
        }
        !*ended
    }
}

impl Worker {
    pub(super) fn start(shared: Arc<Shared>, interval: Duration) -> Result<Worker> {
        let pace = Arc::new(Pace::default());
        let (path, own) = (shared.path().to_owned(), pace.clone());
        let run = move || {
            while own.wait(interval) {
                // It counts itself, and is tried again.
                let _ = shared.catch_up(false);
            }
        };
        let thread = thread::Builder::new().name("esker-follow".into()).spawn(run);
        let thread = thread.map_err(|error| Error::io("start a thread for", &path, error))?;
        Ok(Worker { pace, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        *self.pace.ended.lock() = true;
        self.pace.told.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in it was told where it happened.
            let _ = thread.join();
        }
    }
}
