//! Removing what has expired, in the background.
//!
//! The index holds each key that expires under a time not later than its end. The sweeper walks it from the
//! front: a key that has ended is removed with all that belongs to it; one whose end was moved on is filed
//! under its new time; a record that its key does not know is removed. What cannot be read is left as it is
//! and counted: the walk goes on behind it.
//!
//! It also drops what a write that removed very many large keys could not drop itself.

use super::handle::Inner;
use super::headers::Key;
use super::unit::{Access, Table, Unit};
use crate::base::error::{Error, Result};
use crate::encoding::header::{Meta, NEVER};
use crate::encoding::key;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// What the sweeper waits for.
#[derive(Debug)]
pub(super) struct Sweep {
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
        Sweep { earliest, unreadable, stopped: Mutex::new(false), wake: Condvar::new() }
    }

    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// A record of the index was added.
    pub(super) fn expects(&self, at_ms: u64) {
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
    for database in 0..count {
        if !reclaim(inner, database, limit, &mut swept)? {
            swept.next_at_ms = Some(0);
            return Ok(swept);
        }
        // The last record that could not be followed.
        let mut behind = Vec::new();
        loop {
            if swept.removed + swept.refiled >= limit {
                swept.next_at_ms = Some(0);
                return Ok(swept);
            }
            let mut unit = Unit::new(inner, false);
            let keyspace = unit.keyspace(database)?;
            let now = unit.now_ms();
            let Some(record) = first(&unit, keyspace, &behind)? else { break };
            let found = match split_expiry(&record) {
                Ok((at_ms, _)) if at_ms > now => {
                    swept.next_at_ms = Some(swept.next_at_ms.map_or(at_ms, |next| next.min(at_ms)));
                    break;
                }
                Ok((at_ms, name)) => one(&mut unit, Key { keyspace, name }, at_ms),
                Err(error) => Err(error),
            };
            match found {
                Ok(true) => swept.removed += 1,
                Ok(false) => swept.refiled += 1,
                Err(Error::Corrupt(_) | Error::Engine(esker::Error::Corruption(_))) => {
                    swept.unreadable += 1;
                    behind = record;
                    continue;
                }
                Err(error) => return Err(error),
            }
            unit.commit()?;
        }
    }
    inner.sweep.unreadable.store(swept.unreadable as u64, Ordering::Relaxed);
    Ok(swept)
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
