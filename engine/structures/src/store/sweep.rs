//! Removing what has expired, in the background.
//!
//! The index holds each key that expires under a time not later than its end. The sweeper walks it from the
//! front: a key that has ended is removed with all that belongs to it; one whose end was moved on is filed
//! under its new time; a record that its key does not know is removed. What cannot be read is left as it is
//! and counted: the walk goes on behind it.
//!
//! A walk begins where the last one came to, not at the front of the index: there stand the tombstones of all
//! that was removed before, and whoever crosses them for each key that ends does so for ever. A record that
//! is added in front of that place takes it back ([`Sweep::expects`]).
//!
//! It also drops what a write that removed very many large keys could not drop itself.

use super::handle::Inner;
use super::headers::Key;
use super::unit::{Access, Table, Unit};
use crate::base::error::{Error, Result};
use crate::encoding::header::{Meta, NEVER};
use crate::encoding::key;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How many keys the sweeper removes before it looks whether it should stop.
const STEP: usize = 256;
/// How long it waits at most, so that a wall clock that jumps is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys that had expired and were removed.
    pub removed: usize,
    /// Records of the index that were filed anew, or were of no key any more.
    pub refiled: usize,
    /// Collections of removed keys whose records were dropped now, because the write that removed them
    /// removed too many others.
    pub reclaimed: usize,
    /// Records of the index that are due and cannot be followed, since they or the headers of their keys are
    /// damaged. They stay, and are met again by the next sweep; [`crate::Store::verify`] names them.
    pub unreadable: usize,
    /// When the next record of the index is due, in ms since the epoch; `None` if there is none.
    pub next_at_ms: Option<u64>,
}

/// Where walks have come to: in front of these records of the index, by the number of their database and with
/// their keyspace, there is nothing that is due.
#[derive(Debug, Default)]
struct Reached {
    of: HashMap<u32, (u64, Vec<u8>)>,
    /// How often a place was taken back. A walk that began before knows nothing of it, and sets none.
    taken_back: u64,
}

/// What the sweeper waits for.
#[derive(Debug)]
pub(super) struct Sweep {
    reached: Mutex<Reached>,
    /// No walk has come to a record that is due later.
    walked_ms: AtomicU64,
    /// No record of the index is earlier.
    earliest: AtomicU64,
    /// What the last walk to the end could not read.
    unreadable: AtomicU64,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Sweep {
    pub(super) fn new() -> Sweep {
        let (earliest, unreadable) = (AtomicU64::new(0), AtomicU64::new(0));
        Sweep {
            reached: Mutex::default(),
            walked_ms: AtomicU64::new(0),
            earliest,
            unreadable,
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// A walk begins that goes to `until_ms` at most. What is added from now on and not later than that takes
    /// back where it came to.
    fn begin(&self, until_ms: u64) -> u64 {
        self.walked_ms.fetch_max(until_ms, Ordering::SeqCst);
        // Either this walk sees a record of the index, or who adds it sees how far the walk goes.
        fence(Ordering::SeqCst);
        self.reached.lock().taken_back
    }

    /// Where the walks of a database came to.
    fn reached(&self, database: u32, keyspace: u64) -> Vec<u8> {
        let reached = self.reached.lock();
        let here = reached.of.get(&database).filter(|(of, _)| *of == keyspace);
        here.map(|(_, record)| record.clone()).unwrap_or_default()
    }

    /// A walk has come to a record, unless a place was taken back since it began.
    fn reach(&self, began: u64, database: u32, keyspace: u64, record: Vec<u8>) {
        let mut reached = self.reached.lock();
        if reached.taken_back == began && !record.is_empty() {
            reached.of.insert(database, (keyspace, record));
        }
    }

    /// Takes back every place that is not earlier than `at_ms`.
    pub(super) fn take_back(&self, at_ms: u64) {
        let mut reached = self.reached.lock();
        reached.taken_back += 1;
        reached.of.retain(|_, (_, record)| split_expiry(record).is_ok_and(|(reached, _)| reached < at_ms));
    }

    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// A record of the index was added.
    pub(super) fn expects(&self, at_ms: u64) {
        if at_ms == NEVER {
            return;
        }
        fence(Ordering::SeqCst);
        if at_ms <= self.walked_ms.load(Ordering::SeqCst) {
            self.take_back(at_ms);
        }
        if at_ms < self.earliest.load(Ordering::Relaxed) {
            self.earliest.fetch_min(at_ms, Ordering::AcqRel);
            let _stopped = self.stopped.lock();
            self.wake.notify_all();
        }
    }

    pub(super) fn stop(&self) {
        *self.stopped.lock() = true;
        self.wake.notify_all();
    }
}

/// Starts the sweeper. Without a thread nothing is swept, which costs space and nothing else.
pub(super) fn spawn(inner: &Arc<Inner>) -> Option<JoinHandle<()>> {
    let (sweep, weak) = (inner.sweep.clone(), Arc::downgrade(inner));
    let run = move || {
        loop {
            let wait = {
                let Some(inner) = weak.upgrade() else { return };
                let (earliest, now) = (sweep.earliest.load(Ordering::Acquire), now_ms(&inner));
                if earliest <= now {
                    // Before the walk: what is added meanwhile lowers it again.
                    sweep.earliest.store(NEVER, Ordering::Release);
                    match self::sweep(&inner, STEP) {
                        Ok(swept) => {
                            sweep.earliest.fetch_min(swept.next_at_ms.unwrap_or(NEVER), Ordering::AcqRel);
                            Duration::ZERO
                        }
                        Err(Error::Engine(esker::Error::Closed | esker::Error::Poisoned { .. })) => return,
                        Err(_) => {
                            sweep.earliest.store(now, Ordering::Release);
                            LONGEST_WAIT
                        }
                    }
                } else {
                    Duration::from_millis(earliest - now)
                }
            };
            let mut stopped = sweep.stopped.lock();
            if !*stopped && !wait.is_zero() {
                sweep.wake.wait_for(&mut stopped, wait.min(LONGEST_WAIT));
            }
            if *stopped {
                return;
            }
        }
    };
    thread::Builder::new().name("esker-sweep".into()).spawn(run).ok()
}

fn now_ms(inner: &Inner) -> u64 {
    esker::batch::FamilyRef::now_ms(&inner.db)
}

/// As the method of the store says.
pub(super) fn sweep(inner: &Inner, limit: usize) -> Result<Swept> {
    let mut swept = Swept::default();
    let count = inner.databases.len() as u32;
    let until_ms = now_ms(inner);
    let began = inner.sweep.begin(until_ms);
    for database in 0..count {
        if !reclaim(inner, database, limit, &mut swept)? {
            swept.next_at_ms = Some(0);
            return Ok(swept);
        }
        let keyspace = Unit::new(inner, false).keyspace(database)?;
        let mut walk = Walk::new(inner.sweep.reached(database, keyspace));
        let done = walk.go(inner, (database, keyspace), until_ms, limit, &mut swept);
        inner.sweep.reach(began, database, keyspace, walk.reached);
        if !done? {
            swept.next_at_ms = Some(0);
            return Ok(swept);
        }
    }
    inner.sweep.unreadable.store(swept.unreadable as u64, Ordering::Relaxed);
    if inner.db.is_read_only() && swept.removed + swept.refiled > 0 {
        // A sync has failed since, and what was removed is there again.
        inner.db.sync()?;
    }
    Ok(swept)
}

/// A walk through the index of a database.
struct Walk {
    /// The last record that it met.
    behind: Vec<u8>,
    /// The last in front of which there is none that could not be followed: those are to be met again.
    reached: Vec<u8>,
    unreadable: bool,
}

impl Walk {
    fn new(reached: Vec<u8>) -> Walk {
        Walk { behind: reached.clone(), reached, unreadable: false }
    }

    /// Follows what is due until `until_ms`. Says whether that is all of it.
    fn go(
        &mut self,
        inner: &Inner,
        (database, keyspace): (u32, u64),
        until_ms: u64,
        limit: usize,
        swept: &mut Swept,
    ) -> Result<bool> {
        loop {
            if swept.removed + swept.refiled >= limit {
                return Ok(false);
            }
            let mut unit = Unit::new(inner, false);
            if unit.keyspace(database)? != keyspace {
                // Emptied or exchanged meanwhile: what the other one holds is looked at next time.
                return Ok(false);
            }
            let Some(record) = first(&unit, keyspace, &self.behind)? else { return Ok(true) };
            let found = match split_expiry(&record) {
                Ok((at_ms, _)) if at_ms > until_ms => {
                    swept.next_at_ms = Some(swept.next_at_ms.map_or(at_ms, |next| next.min(at_ms)));
                    return Ok(true);
                }
                Ok((at_ms, name)) => one(&mut unit, Key { keyspace, name }, at_ms),
                Err(error) => Err(error),
            };
            match found {
                Ok(removed) => {
                    unit.commit()?;
                    swept.removed += usize::from(removed);
                    swept.refiled += usize::from(!removed);
                }
                Err(Error::Corrupt(_) | Error::Engine(esker::Error::Corruption(_))) => {
                    swept.unreadable += 1;
                    self.unreadable = true;
                }
                Err(error) => return Err(error),
            }
            if !self.unreadable {
                self.reached.clone_from(&record);
            }
            self.behind = record;
        }
    }
}

/// How many ranges one batch drops.
const RANGES: usize = 64;

/// Drops what removed keys have left behind. Says whether that is all of it.
fn reclaim(inner: &Inner, database: u32, limit: usize, swept: &mut Swept) -> Result<bool> {
    loop {
        let mut unit = Unit::new(inner, false);
        let keyspace = unit.keyspace(database)?;
        let prefix = key::index_prefix(key::table::GIVEN_UP, keyspace);
        let mut records = Vec::new();
        let mut cursor = unit.cursor(Table::Index, &prefix)?;
        let mut found = cursor.seek_to_first()?;
        while found && records.len() < RANGES {
            records.push(cursor.key().to_vec());
            found = cursor.next()?;
        }
        drop(cursor);
        if records.is_empty() {
            return Ok(true);
        }
        if swept.reclaimed >= limit {
            return Ok(false);
        }
        swept.reclaimed += records.len();
        unit.is_upkeep = true;
        unit.frees();
        for record in records {
            // One that names no incarnation is of no use to anybody, and would be met for ever.
            if let Some(Ok(number)) = record.get(prefix.len()..).map(<[u8; 8]>::try_from) {
                unit.drop_prefix(Table::Elements, &key::incarnation(keyspace, u64::from_be_bytes(number)));
            }
            unit.delete(Table::Index, record);
        }
        unit.commit()?;
    }
}

/// The first record of a keyspace in the index that stands behind another, if that is of this keyspace.
fn first(unit: &Unit<'_>, keyspace: u64, behind: &[u8]) -> Result<Option<Vec<u8>>> {
    let prefix = key::index_prefix(key::table::EXPIRY, keyspace);
    let mut cursor = unit.cursor(Table::Index, &prefix)?;
    let found = if behind.starts_with(&prefix) {
        cursor.seek(&[behind, &[0]].concat())?
    } else {
        cursor.seek_to_first()?
    };
    Ok(found.then(|| cursor.key().to_vec()))
}

/// Time and key of a record of the index.
fn split_expiry(record: &[u8]) -> Result<(u64, &[u8])> {
    let rest = record.get(key::KEYSPACE_BYTES + 1..).unwrap_or_default();
    let (at, name) = rest.split_first_chunk().ok_or_else(|| Error::malformed("a record of an expiry"))?;
    Ok((u64::from_be_bytes(*at), name))
}

/// Does what a due record asks for; says whether its key was removed.
fn one(unit: &mut Unit<'_>, key: Key<'_>, at_ms: u64) -> Result<bool> {
    unit.begin(Access::Write);
    unit.frees();
    unit.lock([key])?;
    let name = key::header(key.keyspace, key.name);
    let found = unit.get(Table::Headers, &name)?;
    let header = found.as_deref().map(Meta::decode).transpose()?;
    match header {
        Some((meta, _)) if meta.indexed_at == at_ms && meta.is_expired(unit.now_ms()) => {
            unit.delete_key(key, &meta);
            unit.expired.push(name);
            Ok(true)
        }
        Some((meta, payload)) if meta.indexed_at == at_ms => {
            unit.refile(key, &meta, payload)?;
            Ok(false)
        }
        _ => {
            unit.delete(Table::Index, key::expiry(key.keyspace, at_ms, key.name));
            Ok(false)
        }
    }
}

impl Unit<'_> {
    /// Files a key under the time at which it really expires.
    fn refile(&mut self, key: Key<'_>, meta: &Meta, payload: &[u8]) -> Result<()> {
        self.is_upkeep = true;
        self.delete(Table::Index, key::expiry(key.keyspace, meta.indexed_at, key.name));
        let before = Meta { expires_at: NEVER, indexed_at: NEVER, ..*meta };
        let mut after = *meta;
        self.put_header(key, Some(&before), &mut after, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::header::Type;
    use crate::store::Store;
    use esker::ScanOptions;
    use esker::base::clock::{Clock, ManualClock};
    use esker::fs::{Fs, SimFs};

    fn store() -> (Store, Arc<ManualClock>) {
        let clock = ManualClock::new(1_000_000);
        let (sim, time) = (SimFs::new(), Clock::Manual(clock.clone()));
        let builder = Store::builder("/data").deterministic(7);
        let builder = builder.engine(|engine| engine.fs(Fs::Sim(sim)).clock(time).memory_budget(8 << 20));
        (builder.open().unwrap(), clock)
    }

    fn keyspace(store: &Store) -> u64 {
        store.unit().keyspace(0).unwrap()
    }

    /// Sets a string that ends, in the first database.
    fn set(store: &Store, name: &str, expires_at: u64) {
        let set = |unit: &mut Unit<'_>| {
            unit.begin(Access::Write);
            let key = Key { keyspace: unit.keyspace(0)?, name: name.as_bytes() };
            unit.lock([key])?;
            let mut meta = Meta { expires_at, length: 1, ..Meta::new(Type::String) };
            unit.put_header(key, None, &mut meta, b"v")
        };
        store.transaction(set).unwrap();
    }

    /// Does something that needs the store alone.
    fn alone(store: &Store, run: impl FnOnce(&mut Unit<'_>) -> Result<()>) {
        let mut unit = store.unit_alone();
        unit.begin(Access::Write);
        run(&mut unit).unwrap();
        unit.commit().unwrap();
    }

    /// How many entries that do not show the next look at the index crosses.
    fn crossed(store: &Store) -> u64 {
        let keyspace = keyspace(store);
        let prefix = key::index_prefix(key::table::EXPIRY, keyspace);
        let from = [store.0.sweep.reached(0, keyspace), vec![0]].concat();
        let mut cursor = store.0.index.cursor(ScanOptions::prefix(prefix).with_context()).unwrap();
        cursor.seek(from).unwrap();
        cursor.context().unwrap().entries_hidden
    }

    /// Each removal once crossed the tombstones of all that were removed before it.
    #[test]
    fn a_walk_goes_on_where_the_last_one_ended() {
        let (store, clock) = store();
        for number in 0..1000 {
            set(&store, &format!("k{number}"), 1_000_500);
        }
        set(&store, "stays", 1_001_500);
        clock.advance(Duration::from_millis(600));
        for removed in (100..=900).step_by(100) {
            assert_eq!(store.sweep(100).unwrap().removed, 100);
            // Each removal leaves the tombstone of the record and the record.
            assert!(crossed(&store) <= 4, "{} after {removed}", crossed(&store));
        }
        let last = store.sweep(usize::MAX).unwrap();
        assert_eq!((last.removed, last.next_at_ms), (100, Some(1_001_500)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(store.sweep(usize::MAX).unwrap().removed, 1);
        assert!(store.verify().unwrap().is_clean());
    }

    #[test]
    fn what_is_added_in_front_is_met_and_so_are_the_keys_of_others() {
        let (store, clock) = store();
        let soon = || now_ms(&store.0) + 1000;
        set(&store, "a", soon());
        clock.advance(Duration::from_secs(2));
        assert_eq!(store.sweep(usize::MAX).unwrap().removed, 1);
        assert!(!store.0.sweep.reached(0, keyspace(&store)).is_empty());
        // Nothing the commands offer files a key so early: a record of which the walk knows nothing.
        let mut unit = store.unit();
        let keyspace = keyspace(&store);
        unit.put(Table::Index, key::expiry(keyspace, 1_000_500, b"z"), Vec::new());
        unit.earliest_expiry = 1_000_500;
        unit.commit().unwrap();
        drop(unit);
        assert_eq!(store.sweep(usize::MAX).unwrap().refiled, 1, "it is of no key, and goes");
        // Another database in the place of this one, and an empty one.
        set(&store, "b", soon());
        alone(&store, |unit| unit.swap_databases(0, 1));
        set(&store, "c", soon());
        clock.advance(Duration::from_secs(2));
        assert_eq!(store.sweep(usize::MAX).unwrap().removed, 2);
        set(&store, "d", soon());
        alone(&store, |unit| unit.flush_database(0));
        set(&store, "e", soon());
        clock.advance(Duration::from_secs(2));
        assert_eq!(store.sweep(usize::MAX).unwrap().removed, 1);
        assert!(store.verify().unwrap().is_clean());
    }

    /// A walk that began before a record was added does not say that it has seen it.
    #[test]
    fn a_walk_that_is_overtaken_keeps_nothing() {
        let (store, clock) = store();
        let (sweep, keyspace) = (&store.0.sweep, keyspace(&store));
        clock.advance(Duration::from_secs(1));
        let began = sweep.begin(now_ms(&store.0));
        sweep.expects(1_000_500);
        sweep.reach(began, 0, keyspace, key::expiry(keyspace, 1_000_900, b"k"));
        assert!(sweep.reached(0, keyspace).is_empty());
        let began = sweep.begin(now_ms(&store.0));
        sweep.expects(now_ms(&store.0) + 1);
        sweep.reach(began, 0, keyspace, key::expiry(keyspace, 1_000_900, b"k"));
        assert!(!sweep.reached(0, keyspace).is_empty(), "what comes later is met there");
    }
}
