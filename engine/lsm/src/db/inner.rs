//! What all handles of an open store share.

use super::hooks::Hooks;
use super::open::Recovery;
use super::options::Options;
use super::stored::Stored;
use crate::background::Scheduler;
use crate::base::error::{Error, Result};
use crate::base::sync::quiet::{AtomicU8, Ordering};
use crate::base::sync::{Arc, Condvar, Mutex, RwLock, thread};
use crate::commit::{Durability, Store};
use crate::fs::LockGuard;
use crate::hooks::{Closed, Event};

/// An open store. Dropping the last handle closes it as [`super::Db::close`] does, without a word.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Arc<Store>,
    pub(super) scheduler: Scheduler,
    /// Those in force; [`Inner::default_durability`] is the same as in here.
    pub(super) options: RwLock<Options>,
    pub(super) default_durability: LiveDurability,
    pub(super) stored: Mutex<Stored>,
    pub(super) hooks: Hooks,
    pub(super) recovery: Recovery,
    pub(super) lock: Mutex<Option<LockGuard>>,
    pub(super) closing: Closing,
}

/// A durability that changes while others write.
#[derive(Debug)]
pub(super) struct LiveDurability(AtomicU8);

impl LiveDurability {
    pub(super) fn new(mode: Durability) -> LiveDurability {
        LiveDurability(AtomicU8::new(mode as u8))
    }

    pub(super) fn set(&self, mode: Durability) {
        self.0.store(mode as u8, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn get(&self) -> Durability {
        match self.0.load(Ordering::Relaxed) {
            0 => Durability::Sync,
            1 => Durability::Os,
            _ => Durability::None,
        }
    }
}

/// How far closing has come.
#[derive(Debug, Default)]
pub(super) struct Closing {
    state: Mutex<ClosingState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct ClosingState {
    by: Option<thread::ThreadId>,
    outcome: Option<Result<()>>,
}

/// Tells the outcome of closing to those who wait for it, even if it panics.
struct Turn<'c>(&'c Closing, Result<()>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().outcome = Some(self.1.clone());
        self.0.ended.notify_all();
    }
}

impl Inner {
    /// Ends everything. The first call does the work; others wait until it is done.
    pub(super) fn close(&self) -> Result<()> {
        let mut state = self.closing.state.lock();
        if let Some(by) = state.by {
            // Whom the first call waits for, or runs, must not wait for it in turn.
            let waited_for = by == thread::current().id() || self.scheduler.runs_here();
            while state.outcome.is_none() && !waited_for {
                self.closing.ended.wait(&mut state);
            }
            return state.outcome.clone().unwrap_or(Ok(()));
        }
        state.by = Some(thread::current().id());
        drop(state);
        let mut turn = Turn(&self.closing, Err(Error::Closed));
        turn.1 = self.end();
        turn.1.clone()
    }

    fn end(&self) -> Result<()> {
        self.store.set_closed();
        // Flushed, the log holds nothing that the next open would have to write again: it needs
        // neither time nor space for it. What is in the log is safe whether this succeeds or not.
        let unlogged = self.store.holds_unlogged();
        let flushed = self.scheduler.wait_flushed(self.store.rotate_all());
        let flushed = if unlogged { flushed } else { Ok(()) };
        self.scheduler.stop();
        let ended = self.end_log();
        let purged = self.store.purge();
        self.store.retention.remove_due();
        self.store.spare.set_most_bytes(0);
        // The next to open it may need what is free now.
        let made = self.store.reserve.make();
        // What has not become durable by now never will.
        self.store.durable.fail(Error::Closed);
        self.store.durable.run_callbacks();
        // Only now may somebody else have it.
        drop(self.lock.lock().take());
        let result = flushed.and(ended).and(purged).and(made.map(drop));
        self.store.emit(|at_ms| Event::Closed(Closed { at_ms, error: result.clone().err() }));
        self.store.events.tell();
        result
    }

    /// Syncs the log and writes the mark of a close in good order.
    fn end_log(&self) -> Result<()> {
        let store = &self.store;
        store.poison.check()?;
        store.wait_durable(store.visible_seq())?;
        store.write_close_mark()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever wants to know how it went calls `close`.
        let _ = self.close();
    }
}
