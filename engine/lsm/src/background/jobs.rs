//! What all background jobs share.

use super::erase::Watched;
use super::resting::Rest;
use crate::base::error::{Error, Result};
use crate::base::key::NEVER;
use crate::base::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::base::sync::{Arc, Condvar, Mutex, RwLock};
use crate::commit::{Store, Task};
use crate::compaction::Claims;
use crate::iter::Horizon;
use crate::tree::{Family, View};
use crate::version::TableFile;
use std::collections::BTreeMap;
use std::time::Duration;

/// While entries can expire, the expiry clock is made durable at least this often, in ms.
const CLOCK_EVERY_MS: u64 = 60_000;

/// A table that could not be read is left alone for so long.
const RETRY_DAMAGED_AFTER: Duration = Duration::from_secs(60);

/// The jobs of a store. Each does one piece of work on the thread that calls it.
#[derive(Debug)]
pub struct Jobs {
    pub(super) store: Arc<Store>,
    /// Whether each kind of job has a thread of its own.
    pub(super) has_threads: AtomicBool,
    /// One flush at a time: memtables are installed oldest first.
    pub(super) flushing: Mutex<()>,
    pub(crate) claims: Mutex<BTreeMap<u32, Claims>>,
    pub(crate) released: Condvar,
    /// Whether the last compaction was one that could not wait for the sizes of levels any longer.
    pub(super) erased_last: AtomicBool,
    /// Families that are left alone because a hook failed.
    pub(super) resting: Mutex<BTreeMap<u32, Rest>>,
    pub(super) counters: Counters,
    pub(super) watched: Mutex<Watched>,
    /// Held for reading by jobs on users' threads; whoever ends the store waits for them with it.
    pub(super) users: RwLock<()>,
}

/// What the jobs have done since the store was opened.
#[derive(Debug, Default)]
pub struct Counters {
    flushes: AtomicU64,
    flushed_bytes: AtomicU64,
    compactions: AtomicU64,
    moves: AtomicU64,
    compacted_bytes_in: AtomicU64,
    compacted_bytes_out: AtomicU64,
    ingested_files: AtomicU64,
    ingested_bytes: AtomicU64,
    outlived_tables: AtomicU64,
    outlived_bytes: AtomicU64,
    separated_bytes: AtomicU64,
}

/// A reading of [`Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Flushes.
    pub flushes: u64,
    /// Bytes that flushes wrote.
    pub flushed_bytes: u64,
    /// Compactions that rewrote tables.
    pub compactions: u64,
    /// Tables that changed their level, or went, without being rewritten.
    pub moves: u64,
    /// Bytes that compactions read.
    pub compacted_bytes_in: u64,
    /// Bytes that compactions wrote.
    pub compacted_bytes_out: u64,
    /// Tables that were ingested.
    pub ingested_files: u64,
    /// Their bytes.
    pub ingested_bytes: u64,
    /// Tables that went because they were the oldest.
    pub outlived_tables: u64,
    /// Their bytes.
    pub outlived_bytes: u64,
    /// Bytes of blob files that flushes and compactions wrote; part of what they wrote in all.
    pub separated_bytes: u64,
}

impl Counters {
    pub(super) fn flushed(&self, bytes: u64) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.flushed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn compacted(&self, bytes_in: u64, bytes_out: u64) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
        self.compacted_bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.compacted_bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
    }

    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ingested(&self, files: u64, bytes: u64) {
        self.ingested_files.fetch_add(files, Ordering::Relaxed);
        self.ingested_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn outlived(&self, tables: u64, bytes: u64) {
        self.outlived_tables.fetch_add(tables, Ordering::Relaxed);
        self.outlived_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn separated(&self, bytes: u64) {
        self.separated_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn read(&self) -> JobCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        JobCounts {
            flushes: read(&self.flushes),
            flushed_bytes: read(&self.flushed_bytes),
            compactions: read(&self.compactions),
            moves: read(&self.moves),
            compacted_bytes_in: read(&self.compacted_bytes_in),
            compacted_bytes_out: read(&self.compacted_bytes_out),
            ingested_files: read(&self.ingested_files),
            ingested_bytes: read(&self.ingested_bytes),
            outlived_tables: read(&self.outlived_tables),
            outlived_bytes: read(&self.outlived_bytes),
            separated_bytes: read(&self.separated_bytes),
        }
    }
}

/// When the oldest operand in the memtables of a view, and in those tables that `above` chooses by their
/// level, was written.
pub(super) fn oldest_operand(view: &View, above: impl Fn(usize, &TableFile) -> bool) -> u64 {
    let memtables = view.memtables().map(|memtable| memtable.oldest_operand_ms());
    let tables = view.version.tables().filter(|(level, table)| above(*level, table));
    let tables = tables.map(|(_, table)| table.reader.properties().oldest_operand_ms);
    memtables.chain(tables).min().unwrap_or(NEVER)
}

impl Jobs {
    /// Jobs for `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Jobs {
        Jobs {
            store,
            has_threads: AtomicBool::new(false),
            flushing: Mutex::new(()),
            claims: Mutex::new(BTreeMap::new()),
            released: Condvar::new(),
            erased_last: AtomicBool::new(false),
            resting: Mutex::new(BTreeMap::new()),
            counters: Counters::default(),
            watched: Mutex::default(),
            users: RwLock::new(()),
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What was done since the store was opened.
    #[must_use]
    pub fn counts(&self) -> JobCounts {
        self.counters.read()
    }

    /// How many compactions run.
    #[must_use]
    pub fn running_compactions(&self) -> usize {
        self.claims.lock().values().map(Claims::running).sum()
    }

    /// What readers see, as of now.
    pub(super) fn horizons(&self) -> Vec<Horizon> {
        let store = &self.store;
        store.snapshots.horizons(|| store.visible_seq(), || store.clock.now_ms(), true)
    }

    /// The horizons that a merge of the family starting now must respect.
    ///
    /// Where operands may come, an expired value must not go while one may be above it that was written
    /// before it expired: it would start from nothing instead of expiring along. So times are no later
    /// than any operand outside the merge that may be above it: those that `oldest_operand` finds in a
    /// view, and those to come. Operands get their time in the ordering section, some while before they
    /// are visible; so the present's time is taken in the gap between two groups, and what came before
    /// stands in a view that is pinned after it. A snapshot's time was not taken so: for it nothing
    /// counts as expired.
    pub(super) fn merge_horizons(
        &self,
        family: &Family,
        oldest_operand: impl FnOnce(&View) -> u64,
    ) -> Vec<Horizon> {
        self.horizons_of(family, oldest_operand, true)
    }

    /// As [`Jobs::merge_horizons`], to `respect` them or only to ask.
    fn horizons_of(
        &self,
        family: &Family,
        oldest_operand: impl FnOnce(&View) -> u64,
        respect: bool,
    ) -> Vec<Horizon> {
        let store = &self.store;
        if !family.hooks().merges() {
            return store.snapshots.horizons(|| store.visible_seq(), || store.clock.now_ms(), respect);
        }
        let now_ms = store.with_writer(|_| store.clock.now_ms());
        let mut horizons = store.snapshots.horizons(|| store.visible_seq(), || now_ms, respect);
        let latest_ms = now_ms.min(oldest_operand(&family.view()));
        for horizon in &mut horizons {
            horizon.now_ms = if horizon.now_ms < now_ms { 0 } else { latest_ms };
        }
        horizons
    }

    /// Of [`Jobs::merge_horizons`] what holds for every merge of the family, and a view to pick from: what
    /// the tables above another hold is the picker's to see. The view is taken behind the horizons: an
    /// operand that a flush takes from a memtable into a table meanwhile must not be overlooked in both.
    pub(super) fn picking(&self, family: &Family) -> (Vec<Horizon>, Arc<View>) {
        let horizons = self.merge_horizons(family, |view| oldest_operand(view, |_, _| false));
        (horizons, family.view())
    }

    /// The same, only to be shown.
    #[must_use]
    pub fn shown_horizons(&self, family: &Family) -> Vec<Horizon> {
        self.horizons_of(family, |view| oldest_operand(view, |_, _| false), false)
    }

    /// An error that ends a long job: the store is closing, or became read-only.
    pub(super) fn check(&self) -> Result<()> {
        if self.store.work.is_stopping() { Err(Error::Closed) } else { self.store.poison.check() }
    }

    /// Latches the store if a sync failed: what the file system dropped, no second try brings back.
    pub(super) fn judge(&self, task: Task, result: &Result<()>) {
        if let Err(error) = result {
            if error.is_failed_sync() {
                self.store.latch(error.to_string(), error.clone());
            }
            if matches!(error, Error::Closed) {
                return;
            }
        }
        self.store.report(task, result.clone());
        if result.is_err() {
            self.store.gate.wake();
        }
    }

    /// What a job has freed makes the reserve whole again, if it is enough.
    pub(super) fn refill(&self, freed: &Result<()>) -> Result<()> {
        if freed.is_ok() && self.store.reserve.is_short() { self.store.refill().map(drop) } else { Ok(()) }
    }

    /// Makes the log durable if anything in it is not.
    pub fn sync(&self) -> Result<()> {
        if self.store.poison.is_set() {
            return Ok(());
        }
        let newest = self.store.visible_seq();
        let result = self.store.wait_durable(newest);
        self.judge(Task::Sync, &result);
        result
    }

    /// What compactions could not read of the tables there are, each with its file and place.
    #[must_use]
    pub fn damaged(&self) -> Vec<Error> {
        let claims = self.claims.lock();
        let mut damaged = Vec::new();
        for family in self.store.families() {
            let Some(claims) = claims.get(&family.id()) else { continue };
            let view = family.pin();
            let there = |number| {
                let version = &view.version;
                let table = version.tables().any(|(_, table)| table.meta.number == number);
                table || version.blobs().find(number).is_some()
            };
            damaged.extend(claims.damaged().filter(|(n, _)| there(*n)).map(|(_, error)| error.clone()));
        }
        damaged
    }

    /// Has tables that could not be read compacted again after a while: what a disk refuses once
    /// it may give later.
    fn retry_damaged(&self) {
        let now = self.store.clock.source().monotonic();
        let Some(then) = now.checked_sub(RETRY_DAMAGED_AFTER) else { return };
        let mut claims = self.claims.lock();
        let forgiven = claims.values_mut().filter_map(|claims| claims.forgive(then).then_some(())).count();
        drop(claims);
        if forgiven > 0 {
            self.store.work.announce(Task::Compact);
        }
    }

    /// What is done about once in a sync interval, besides syncing.
    pub fn upkeep(&self) -> Result<()> {
        // What nobody holds any more may be the room that is missing.
        let purged = self.store.purge();
        self.store.retention.remove_due();
        self.store.spare.tidy(self.store.clock.source().monotonic());
        let trimmed = self.store.trim_feed();
        if !self.store.poison.is_set() {
            self.store.refill()?;
        }
        self.store.rotate_aged();
        let erased = trimmed.and_then(|()| self.erase());
        self.judge(Task::Upkeep, &erased);
        if self.store.durable.has_spent() {
            self.store.work.announce(Task::Callbacks);
        }
        self.store.persist_clock(CLOCK_EVERY_MS)?;
        self.store.balance_memory();
        self.store.update_pressure();
        self.retry_damaged();
        self.wake_rested();
        purged
    }
}
