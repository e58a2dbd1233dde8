//! What all handles of an open store share.

use super::open::Recovery;
use super::options::Options;
use crate::background::Scheduler;
use crate::base::error::{Error, Result};
use crate::base::sync::{Arc, Mutex};
use crate::commit::Store;
use crate::fs::LockGuard;

/// An open store. Dropping the last handle closes it as [`super::Db::close`] does, without a word.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Arc<Store>,
    pub(super) scheduler: Scheduler,
    pub(super) options: Options,
    pub(super) recovery: Recovery,
    pub(super) lock: Mutex<Option<LockGuard>>,
}

impl Inner {
    /// Ends everything. The first call does the work; later ones find nothing to do.
    pub(super) fn close(&self) -> Result<()> {
        if !self.store.set_closed() {
            return Ok(());
        }
        // Flushed, the log holds nothing that the next open would have to write again: it needs
        // neither time nor space for it. What is in the log is safe whether this succeeds or not.
        let unlogged = self.store.holds_unlogged();
        let flushed = self.scheduler.wait_flushed(self.store.rotate_all());
        let flushed = if unlogged { flushed } else { Ok(()) };
        self.scheduler.stop();
        let ended = self.end_log();
        let purged = self.store.purge();
        // What has not become durable by now never will.
        self.store.durable.fail(Error::Closed);
        self.store.durable.run_callbacks();
        // Only now may somebody else have it.
        drop(self.lock.lock().take());
        flushed.and(ended).and(purged)
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
