//! The transactions that are prepared.
//!
//! # How one lives
//! 1. Its name is taken, so that nobody else gets it, and counted against the limits.
//! 2. In the ordering section what it depends on is judged, and in the same step all that it holds is locked
//!    and guarded; its stored form is written to the family of prepared transactions, as any value is. From
//!    there flushes, compactions, copies and recovery know what to do with it: no log is kept for it.
//! 3. Whoever opens the store finds it there and holds the same again, before anybody can write.
//! 4. Its commit is one batch: its name removed from that family, and its writes. So there is no moment, and
//!    no crash, between the two. Nothing is judged: what it relied on has stood still.
//!
//! Who resolves one holds `resolved`, so that one of several wins and the others are told that it is gone,
//! unless the first fails and leaves it as it was.

use super::checks::Checks;
use super::hold::Hold;
use super::request::{Durability, Ticket};
use super::store::Store;
use crate::base::coding::Malformed;
use crate::base::error::{Error, Result};
use crate::base::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::batch::WriteBatch;
use crate::hooks::FamilyHooks;
use crate::locks::OwnerId;
use crate::tree::FamilyRules;
use crate::version::EditOp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The name of the family in which prepared transactions stand, with a mark behind it for each family of the
/// user's that has it already.
const FAMILY: &str = "esker:prepared";

/// A transaction that is prepared, or about to be.
#[derive(Debug)]
pub struct PreparedEntry {
    name: Box<str>,
    owner: OwnerId,
    hold: Arc<Hold>,
    /// Whether it is prepared, not only about to be.
    is_ready: AtomicBool,
    /// Whether it was committed or rolled back; held while that is tried.
    resolved: Mutex<bool>,
}

impl PreparedEntry {
    fn new(name: &str, owner: OwnerId, hold: Arc<Hold>, is_ready: bool) -> PreparedEntry {
        let is_ready = AtomicBool::new(is_ready);
        PreparedEntry { name: name.into(), owner, hold, is_ready, resolved: Mutex::new(false) }
    }

    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// The name under which it was prepared.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was prepared, by the expiry clock, in milliseconds since the epoch.
    #[must_use]
    pub fn prepared_ms(&self) -> u64 {
        self.hold.prepared_ms
    }

    /// How many operations it writes.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.hold.writes
    }

    /// How many keys it has locked.
    #[must_use]
    pub fn locks(&self) -> usize {
        self.hold.keys.len()
    }

    /// The bytes of its stored form.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.hold.bytes
    }
}

/// A reading of the prepared transactions; counters since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreparedStats {
    /// Transactions that are prepared.
    pub count: usize,
    /// What they are stored in, in bytes.
    pub bytes: u64,
    /// Keys that they have locked.
    pub locks: usize,
    /// How long ago the oldest was prepared, by the store's expiry clock.
    pub oldest: Option<Duration>,
    /// Prepared transactions that were committed.
    pub committed: u64,
    /// Prepared transactions that were rolled back.
    pub rolled_back: u64,
}

/// The prepared transactions of a store.
#[derive(Debug, Default)]
pub struct PreparedTable {
    /// The number of the family in which they stand; 0, which is the default family's, if there is none yet.
    family: AtomicU32,
    entries: Mutex<BTreeMap<Box<str>, Arc<PreparedEntry>>>,
    committed: AtomicU64,
    rolled_back: AtomicU64,
}

impl PreparedTable {
    /// Those of a store in which such stand in `family`, if in any; none of them is known yet.
    pub(super) fn new(family: Option<u32>) -> PreparedTable {
        PreparedTable { family: AtomicU32::new(family.unwrap_or(0)), ..PreparedTable::default() }
    }

    /// The family in which they stand, once there is one.
    #[must_use]
    pub fn family(&self) -> Option<u32> {
        Some(self.family.load(Ordering::Acquire)).filter(|id| *id != 0)
    }

    /// The name of whoever holds locks, if it is one of these.
    pub(super) fn name_of(&self, owner: OwnerId) -> Option<Box<str>> {
        let entries = self.entries.lock();
        entries.values().find(|entry| entry.owner == owner).map(|entry| entry.name.clone())
    }

    /// One that concerns a family.
    pub(super) fn concerning(&self, family: u32) -> Option<Box<str>> {
        let entries = self.entries.lock();
        let mut concerned = entries.values().filter(|entry| entry.hold.families().any(|id| id == family));
        concerned.next().map(|entry| entry.name.clone())
    }

    /// The prepared one of this name.
    ///
    /// # Errors
    /// [`Error::NotPrepared`].
    pub fn get(&self, name: &str) -> Result<Arc<PreparedEntry>> {
        let entry = self.entries.lock().get(name).cloned();
        entry.filter(|entry| entry.is_ready()).ok_or_else(|| Error::NotPrepared { name: name.into() })
    }

    /// All that are prepared, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<PreparedEntry>> {
        self.entries.lock().values().filter(|entry| entry.is_ready()).cloned().collect()
    }

    fn enter(&self, entry: Arc<PreparedEntry>, most: usize, most_bytes: u64) -> Result<()> {
        let mut entries = self.entries.lock();
        if entries.contains_key(&entry.name) {
            return Err(Error::AlreadyPrepared { name: entry.name.clone() });
        }
        if entries.len() >= most {
            return Err(Error::TooManyPrepared { limit: most });
        }
        let bytes = entries.values().map(|entry| entry.hold.bytes).sum::<u64>() + entry.hold.bytes;
        if bytes > most_bytes {
            return Err(Error::PreparedTooLarge { bytes, limit: most_bytes });
        }
        entries.insert(entry.name.clone(), entry);
        Ok(())
    }

    fn remove(&self, name: &str) {
        self.entries.lock().remove(name);
    }

    /// The memory that they take, in bytes, roughly.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let entries = self.entries.lock();
        let of_keys = |hold: &Hold| hold.keys.iter().map(|key| key.key.len() + 48).sum::<usize>() as u64;
        entries.values().map(|entry| entry.hold.bytes + of_keys(&entry.hold)).sum()
    }
}

impl Store {
    /// Whether a family is that of the prepared transactions.
    #[must_use]
    pub fn is_of_prepared(&self, family: u32) -> bool {
        self.prepared.family() == Some(family)
    }

    /// The family of the prepared transactions, which is made with these options if there is none.
    ///
    /// # Errors
    /// As [`Store::create_family`].
    pub fn prepared_family(&self, options: Vec<u8>, rules: FamilyRules) -> Result<u32> {
        if let Some(id) = self.prepared.family() {
            return Ok(id);
        }
        self.check_writable()?;
        let mut writer = self.writer.lock();
        self.check_writable()?;
        if let Some(id) = self.prepared.family() {
            return Ok(id);
        }
        let mut name = String::from(FAMILY);
        while self.families().iter().any(|family| family.name() == name) {
            name.push('\'');
        }
        let mark = |id| Some(EditOp::PreparedFamily(id));
        let family = self.add_family(&mut writer, &name, options, rules, FamilyHooks::default(), mark)?;
        self.prepared.family.store(family.id(), Ordering::Release);
        Ok(family.id())
    }

    /// Prepares a transaction: writes its stored form, `stored`, of which `hold` is what it says, to the
    /// family `among`, if `checks` allow it. On an error the caller lets go of what may be held.
    ///
    /// # Errors
    /// [`Error::AlreadyPrepared`], [`Error::TooManyPrepared`], [`Error::PreparedTooLarge`]; as
    /// [`Store::commit_checked`].
    pub fn prepare(
        &self,
        (among, name): (u32, &str),
        stored: &[u8],
        hold: &Arc<Hold>,
        durability: Durability,
        (owner, checks): (OwnerId, Checks),
    ) -> Result<(Arc<PreparedEntry>, Ticket)> {
        let options = self.options();
        let entry = Arc::new(PreparedEntry::new(name, owner, hold.clone(), false));
        self.prepared.enter(entry.clone(), options.max_prepared, options.max_prepared_bytes)?;
        // What it holds is asked for only while somebody watches.
        self.watch();
        let mut batch = WriteBatch::with_capacity(stored.len() + name.len() + 32);
        batch.push_put(self.handle, among, name.as_bytes(), stored);
        let checks = Checks { owner: Some(owner), hold: Some(hold.clone()), ..checks };
        match self.commit_checked(batch, durability, checks) {
            Ok(ticket) => {
                entry.is_ready.store(true, Ordering::Release);
                Ok((entry, ticket))
            }
            Err(error) => {
                self.prepared.remove(name);
                self.unwatch();
                Err(error)
            }
        }
    }

    /// Holds again what a transaction holds that was found when the store was opened. In a repaired store
    /// that has lost the end of one it may hold what another does: then both are there to be resolved, and
    /// the keys are that of the first.
    ///
    /// # Errors
    /// A stored form that is none.
    pub fn hold_again(&self, among: u32, name: &str, stored: &[u8]) -> Result<(), Malformed> {
        let hold = Arc::new(Hold::decode(self.handle, among, name, stored)?);
        let owner = self.locks.new_owner();
        self.watch();
        hold.hold_what_is_free(&self.locks, owner);
        let entry = PreparedEntry::new(name, owner, hold, true);
        // What was prepared stays, whatever the options say now.
        self.prepared.entries.lock().insert(name.into(), Arc::new(entry));
        Ok(())
    }

    /// Ends a prepared transaction: with its writes if it is to `commit`, without them otherwise.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for [`Durability::None`]: what stands in the log must end there, or a crash
    /// would bring it back beside what was prepared on the same keys since. [`Error::NotPrepared`] if
    /// somebody else was faster; as [`Store::commit`], and then it is as it was.
    pub fn resolve(&self, entry: &PreparedEntry, commit: bool, durability: Durability) -> Result<Ticket> {
        if durability == Durability::None {
            return Err(Error::invalid("durability", "what is prepared must end in the log"));
        }
        let mut resolved = entry.resolved.lock();
        let (false, Some(among)) = (*resolved, self.prepared.family()) else {
            return Err(Error::NotPrepared { name: entry.name.clone() });
        };
        let batch = if commit {
            entry.hold.commit.clone()
        } else {
            let mut batch = WriteBatch::new();
            batch.push_delete(self.handle, among, entry.name.as_bytes());
            batch
        };
        let checks = Checks { owner: Some(entry.owner), resolves: true, ..Checks::default() };
        let ticket = self.commit_checked(batch, durability, checks)?;
        *resolved = true;
        drop(resolved);
        // Who waits in vain until the very end is told the name.
        entry.hold.let_go(&self.locks, entry.owner, |_| false);
        self.prepared.remove(&entry.name);
        self.unwatch();
        let count = if commit { &self.prepared.committed } else { &self.prepared.rolled_back };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(ticket)
    }

    /// What there is of prepared transactions.
    #[must_use]
    pub fn prepared_stats(&self) -> PreparedStats {
        let (entries, now_ms) = (self.prepared.list(), self.clock.now_ms());
        let oldest = entries.iter().map(|entry| entry.prepared_ms()).min();
        PreparedStats {
            count: entries.len(),
            bytes: entries.iter().map(|entry| entry.bytes()).sum(),
            locks: entries.iter().map(|entry| entry.locks()).sum(),
            oldest: oldest.map(|ms| Duration::from_millis(now_ms.saturating_sub(ms))),
            committed: self.prepared.committed.load(Ordering::Relaxed),
            rolled_back: self.prepared.rolled_back.load(Ordering::Relaxed),
        }
    }
}
