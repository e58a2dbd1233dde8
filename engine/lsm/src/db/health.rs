//! Whether a store is well.

use super::handle::Db;
use crate::background::RestingFamily;
use crate::base::error::Error;
use crate::commit::{Stall, Task};

/// How a store is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Health {
    /// Why the store is read-only, if it is: what failed first.
    pub poisoned: Option<String>,
    /// Failures that background work is stuck in and tries to get over, such as a full disk.
    pub background: Vec<Error>,
    /// Why writes that add anything are refused: the disk was full, and there is not yet room for the whole
    /// reserve again ([`crate::Builder::reserve_bytes`]).
    pub full: Option<Error>,
    /// Tables that a compaction could not read, each with its file and place. They are left where
    /// they are, and what else they hold is served.
    pub damaged: Vec<Error>,
    /// Column families whose compaction rests because a merge operator or a compaction filter failed:
    /// which one, what its panic said, and when it is tried again.
    pub resting: Vec<RestingFamily>,
    /// Background jobs that have failed since the store was opened.
    pub failed_jobs: u64,
    /// Callbacks given to [`Db::on_durable`], and wakers given to [`Db::poll_durable`], that have panicked.
    pub panicked_callbacks: u64,
    /// How often a listener has panicked ([`crate::Builder::listener`]).
    pub panicked_listeners: u64,
    /// Events that listeners were not told of because they were too slow.
    pub dropped_events: u64,
    /// Whether writers are being slowed, in bytes per second; zero when they are stopped.
    pub slowed_to: Option<u64>,
    /// Why the options that are in force could not be stored. The store works all the same.
    pub options_not_stored: Option<Error>,
    /// How far the expiry clock is ahead of the wall clock, in milliseconds: somebody has set that
    /// back.
    pub clock_skew_ms: u64,
}

impl Health {
    /// Whether there is nothing to worry about.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.poisoned.is_none()
            && self.background.is_empty()
            && self.full.is_none()
            && self.damaged.is_empty()
            && self.resting.is_empty()
            && self.slowed_to != Some(0)
    }
}

impl Db {
    /// Whether writes that add anything are refused now, because the disk is full; [`Health::full`] says why.
    /// A look at one number.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.inner().store.reserve.is_short()
    }

    /// Whether the store takes no writes any more, since a sync has failed; [`Health::poisoned`] says why. A
    /// look at one number.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner().store.poison.is_set()
    }

    /// How the store is.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let health = db.health();
    /// assert!(health.is_well(), "{health:?}");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        let store = &self.inner().store;
        Health {
            poisoned: store.poison.why().map(|why| why.to_string()),
            background: [Task::Flush, Task::Compact, Task::Sync, Task::Upkeep]
                .into_iter()
                .filter_map(|task| store.work.failure(task))
                .collect(),
            full: store.reserve.why(),
            damaged: self.inner().scheduler.jobs().damaged(),
            resting: self.inner().scheduler.jobs().resting(),
            failed_jobs: store.work.failed(),
            panicked_callbacks: store.durable.panicked(),
            panicked_listeners: store.events.panicked(),
            dropped_events: store.events.dropped(),
            slowed_to: match store.gate.get() {
                Stall::None => None,
                Stall::Slow(rate) => Some(rate),
                Stall::Stop => Some(0),
            },
            options_not_stored: self.inner().stored.lock().failure.clone(),
            clock_skew_ms: store.clock.skew_ms(),
        }
    }
}
