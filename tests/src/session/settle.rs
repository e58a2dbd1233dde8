//! What must hold when a history is over: nothing is left behind.

use super::audit::audit;
use super::place::Place;
use super::runner::Session;
use crate::history::Operation;
use crate::oracle::Oracle;
use esker::{Db, Durability, WriteBatch};

/// Empty turns of the store within which each kind of background work certainly had its chance.
pub(super) const SETTLING_TURNS: u32 = 400;

/// Log segments, manifest and what is just being written: descriptors beside those of the tables.
const OTHER_FILES: usize = 12;

impl Session {
    /// Ends a history: compares everything, lets background work settle, looks at what is on the disk, closes
    /// the store and opens and closes it once more.
    ///
    /// # Errors
    /// What is wrong.
    pub fn finish(&mut self) -> Result<(), String> {
        if self.db.is_none() {
            return Ok(());
        }
        self.check_everything()?;
        self.step(&Operation::Verify)?;
        self.settle()?;
        self.step(&Operation::Reopen).map_err(|why| format!("reopening: {why}"))?;
        self.check_everything()?;
        // What the iterators of that check held last is removed only by later work.
        self.settle()?;
        let Some(db) = self.let_go() else { return Ok(()) };
        self.close(db)?;
        self.audit()
    }

    /// Gives background work its turns; writes that have waited for a sync for too long get it.
    pub(super) fn tick(&self, turns: u32) -> Result<(), String> {
        let turn = || self.db().write(WriteBatch::new(), Durability::Os);
        for _ in 0..turns * 2 {
            self.after(turn(), |_| ())?;
        }
        if self.place.seed.is_none() || self.faulty {
            return Ok(());
        }
        for _ in 0..SETTLING_TURNS {
            let durable = self.db().durable_seq();
            let mut oracle = self.oracle.lock();
            oracle.durable_up_to(durable);
            if !oracle.sync_is_overdue() {
                oracle.settled();
                return Ok(());
            }
            drop(oracle);
            self.after(turn(), |_| ())?;
        }
        Err("a logged write is not synced although its interval has passed".into())
    }

    /// With everything flushed and no handle held, nothing but tables, log and manifest may be left, on the
    /// disk as in memory.
    fn settle(&mut self) -> Result<(), String> {
        self.let_go_of_what_holds();
        let flushed = self.db().flush();
        self.after(flushed, Oracle::flushed)?;
        // Threads of the store's own need not be done yet.
        if self.place.seed.is_none() || self.faulty {
            return Ok(());
        }
        for _ in 0..SETTLING_TURNS {
            self.db().write(WriteBatch::new(), Durability::Os).map_err(|e| format!("settling: {e}"))?;
        }
        self.hear()?;
        if let Some(number) = self.asked.first() {
            return Err(format!("the callback asked for behind commit {number} was never called"));
        }
        let stats = self.db().stats();
        let most = self.place.option_set().open_files();
        let open = self.place.disk.as_ref().map_or(0, esker::fs::SimFs::open_files);
        if stats.open_files > most || open > stats.open_files + OTHER_FILES {
            return Err(format!("{} tables, {open} files in all are open", stats.open_files));
        }
        let held = stats.alive_block_bytes.saturating_sub(stats.cache_bytes + stats.pinned_table_bytes);
        let sealed: usize = stats.families.iter().map(|family| family.sealed_memtables).sum();
        if stats.snapshots > 0 || sealed > 0 || held > 0 {
            let snapshots = stats.snapshots;
            return Err(format!(
                "{snapshots} snapshots, {sealed} memtables, {held} bytes of blocks are held"
            ));
        }
        self.audit()
    }

    /// Reads what is on the disk, past the engine. Only for a store at rest.
    pub(super) fn audit(&self) -> Result<(), String> {
        match &self.place {
            Place { disk: Some(_), seed: Some(_), .. } if !self.faulty => {
                audit(&self.place.fs(), &self.place.path)
            }
            _ => Ok(()),
        }
    }

    /// Closes the store: everything is durable, every callback was called, no file is open any more.
    pub(super) fn close(&mut self, db: Db) -> Result<(), String> {
        let result = db.close();
        self.after(result, Oracle::closed).map_err(|why| format!("cannot close: {why}"))?;
        self.hear()?;
        if let Some(number) = self.asked.first() {
            return Err(format!("closed, but the callback asked for behind commit {number} was not called"));
        }
        self.check_descriptors()
    }

    /// Without a handle to the store, no file of its disk is open and no lock is held.
    pub(super) fn check_descriptors(&self) -> Result<(), String> {
        match &self.place.disk {
            Some(disk) if disk.open_files() > 0 => Err(format!("{} files are still open", disk.open_files())),
            Some(disk) if disk.is_locked() => Err("the lock is still held".into()),
            _ => Ok(()),
        }
    }
}
