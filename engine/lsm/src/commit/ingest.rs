//! Taking tables in that were made outside: what happens in the ordering section.
//!
//! # Steps
//! Whoever comes here has the tables ready under their names in the store's directory, checked and synced.
//! 1. The turn to sync the log is taken, and then the ordering section: from here on nobody writes.
//! 2. If a memtable holds a key or a removed range in that of a table, or a transaction has locked one, the
//!    caller is sent back, to have it flushed or to wait for the lock, and comes again.
//! 3. The tables get sequence numbers, one each, and their levels. The log is synced up to these: like a
//!    flush, an ingest must not outrun it.
//! 4. One edit of the manifest names all of them; it is synced, and then readers see them.
//!
//! So a table is always newer than everything that could stand beside it, and everything that comes later
//! is newer than it. The sequence numbers come before the edit and nobody can write in between: a range that
//! is removed behind them, or a snapshot that is taken, meets tables that are there.
//!
//! # Progress
//! Writers may fill a memtable in the range again and again. After some rounds the caller holds them back at
//! the gate ([`Store::hold_writers`]); those that have passed it are few, and then there is none left.

use super::durable::Synced;
use super::request::Request;
use super::stall::Stall;
use super::store::{Store, Writer};
use super::validate::Waiter;
use super::work::Task;
use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::base::sync::atomic::Ordering;
use crate::base::sync::{Arc, MutexGuard};
use crate::hooks::SealReason;
use crate::locks::{LockedKey, OwnerId};
use crate::memtable::Memtable;
use crate::tree::Family;
use crate::version::Manifest;
use std::ops::Bound;

/// A table that is to be taken in.
#[derive(Debug)]
pub struct Intake {
    /// Its family.
    pub family: Arc<Family>,
    /// Its first key.
    pub first: Vec<u8>,
    /// Its last key.
    pub last: Vec<u8>,
}

/// How an attempt went that met no error.
#[derive(Debug)]
pub enum Turned<R> {
    /// The tables are in.
    In(R),
    /// Memtables must be flushed first.
    Unflushed,
    /// Somebody has locked this key.
    Locked(LockedKey),
    /// Somebody guards a key: wait for that.
    Guarded {
        /// The key.
        key: LockedKey,
        /// Who holds the guard.
        holder: OwnerId,
    },
}

impl Intake {
    /// The key just behind the last one.
    fn behind(&self) -> Vec<u8> {
        [&self.last[..], &[0]].concat()
    }

    /// Whether a memtable holds a key in the range of the table, or a removed range that overlaps it. Such a
    /// range would be older than the table and yet not on record: a compaction, which only looks there, would
    /// take the entries' numbers from them, and the range would hide them.
    fn meets(&self, memtable: &Memtable) -> bool {
        memtable.holds_at_least(1, &self.first, &self.behind())
            || memtable.ranges().ranges().iter().any(|range| range.overlaps(&self.first, &self.last))
    }
}

/// Writers wait at the gate while this lives.
pub struct HeldWriters<'s> {
    store: &'s Store,
    _only_one: MutexGuard<'s, ()>,
}

impl Drop for HeldWriters<'_> {
    fn drop(&mut self) {
        self.store.ingest_gate.set(Stall::None);
    }
}

/// The locks that an ingest waited for and holds until it is done.
pub struct HeldLocks<'s>(Waiter<'s>);

impl HeldLocks<'_> {
    /// Waits for a key.
    ///
    /// # Errors
    /// [`Error::LockTimeout`], [`Error::Deadlock`].
    pub fn acquire(&mut self, key: &LockedKey) -> Result<()> {
        self.0.acquire(key)
    }

    /// Waits until nobody guards a key any more.
    ///
    /// # Errors
    /// [`Error::HeldByPrepared`].
    pub fn outwait(&mut self, key: &LockedKey, holder: OwnerId) -> Result<()> {
        self.0.outwait(key, holder)
    }

    /// Who holds them.
    #[must_use]
    pub fn owner(&self) -> OwnerId {
        self.0.owner()
    }
}

impl Store {
    /// Lets no more writers through to the ordering section for as long as what is returned lives.
    pub fn hold_writers(&self) -> HeldWriters<'_> {
        let only_one = self.holding.lock();
        self.ingest_gate.set(Stall::Stop);
        HeldWriters { store: self, _only_one: only_one }
    }

    /// What an ingest waits for locks with.
    pub fn ingest_locks(&self) -> HeldLocks<'_> {
        HeldLocks(Waiter::new(self, &mut Request::default()))
    }

    /// Refuses what is new while the disk is full.
    ///
    /// # Errors
    /// [`Error::DiskFull`].
    pub fn check_room_to_ingest(&self) -> Result<()> {
        if !self.reserve.is_short() || self.refill()? {
            return Ok(());
        }
        self.reserve.why().map_or(Ok(()), Err)
    }

    /// Takes tables in, all or none: see the steps above. `prepare` is called before the ordering section is
    /// entered, and what it returns, within, for the level of each; then `install`, with the levels and the
    /// first sequence number, makes the edit of the manifest durable and shows it to readers.
    ///
    /// # Errors
    /// What syncing the log and `install` give; [`Error::FamilyDropped`].
    pub fn take_in<L: Fn(&Intake) -> usize, R>(
        &self,
        intakes: &[Intake],
        owner: OwnerId,
        prepare: impl FnOnce() -> L,
        install: impl FnOnce(&mut Manifest, &[usize], SeqNum) -> Result<R>,
    ) -> Result<Turned<R>> {
        // What can be synced without holding anybody up.
        self.wait_durable(self.visible_seq())?;
        let turned = self.durable.turn(|| {
            let level = prepare();
            let mut writer = self.writer.lock();
            self.latching("ingesting", || self.take_in_order(&mut writer, intakes, owner, level, install))
        });
        if self.durable.has_settled() {
            self.work.announce(Task::Callbacks);
        }
        turned
    }

    /// Seals the memtables that may be in the way: of each family those that hold anything. Returns the
    /// number of the last seal.
    pub fn rotate_for(&self, intakes: &[Intake]) -> u64 {
        self.with_writer(|writer| {
            self.rotate(writer, SealReason::Ingest, |target| {
                intakes.iter().any(|intake| intake.family.id() == target.family.id())
            });
            writer.seals
        })
    }

    fn take_in_order<R>(
        &self,
        writer: &mut Writer,
        intakes: &[Intake],
        owner: OwnerId,
        level: impl Fn(&Intake) -> usize,
        install: impl FnOnce(&mut Manifest, &[usize], SeqNum) -> Result<R>,
    ) -> (Result<Turned<R>>, Option<Synced>) {
        // What the level is chosen by is held until the tables are in.
        match self.may_take_in(writer, intakes, owner, &level) {
            Err(error) => (Err(error), None),
            Ok(Turned::Unflushed) => (Ok(Turned::Unflushed), None),
            Ok(Turned::Locked(key)) => (Ok(Turned::Locked(key)), None),
            Ok(Turned::Guarded { key, holder }) => (Ok(Turned::Guarded { key, holder }), None),
            Ok(Turned::In(levels)) => match self.take_in_now(writer, intakes, &levels, install) {
                Ok((result, synced)) => (Ok(Turned::In(result)), Some(synced)),
                Err(error) => (Err(error), None),
            },
        }
    }

    /// Whether nothing stands in the way of the tables, and to which levels they go.
    fn may_take_in(
        &self,
        writer: &mut Writer,
        intakes: &[Intake],
        owner: OwnerId,
        level: &impl Fn(&Intake) -> usize,
    ) -> Result<Turned<Vec<usize>>> {
        self.check_writable()?;
        let mut levels = Vec::with_capacity(intakes.len());
        for intake in intakes {
            let family = &intake.family;
            let Some(target) = writer.targets.get(family.id()).filter(|_| !family.is_dropped()) else {
                return Err(Error::FamilyDropped { name: family.name().into() });
            };
            if self.locks.held() > 0 {
                let range = (Bound::Included(&intake.first[..]), Bound::Included(&intake.last[..]));
                if let Some(key) = self.locks.held_between(Some(owner), family.id(), range) {
                    return Ok(Turned::Locked(key));
                }
            }
            let (guards, behind) = (self.locks.guards(), intake.behind());
            let guarded = guards.against_write(Some(owner), family.id(), &intake.first, Some(&behind));
            if let Some((holder, key)) = guarded {
                return Ok(Turned::Guarded { key, holder });
            }
            let view = family.pin();
            let level = level(intake);
            // The tables of level 0 go by their sequence numbers: what is older must be there already.
            let in_the_way = |memtable: &Memtable| match level {
                0 => !memtable.is_empty(),
                _ => intake.meets(memtable),
            };
            if in_the_way(&target.active) || view.sealed.iter().any(|s| in_the_way(&s.memtable)) {
                return Ok(Turned::Unflushed);
            }
            levels.push(level);
        }
        Ok(Turned::In(levels))
    }

    fn take_in_now<R>(
        &self,
        writer: &mut Writer,
        intakes: &[Intake],
        levels: &[usize],
        install: impl FnOnce(&mut Manifest, &[usize], SeqNum) -> Result<R>,
    ) -> Result<(R, Synced)> {
        self.reserve(writer, intakes.len() as u64)?;
        let unsynced = writer.wal.unsynced();
        if unsynced.lsn > self.durable.lsn() {
            if let Err(error) = unsynced.files.iter().try_for_each(|file| file.sync()) {
                self.latch(error.to_string(), error.clone());
                return Err(error);
            }
            writer.wal.synced(unsynced.lsn);
        }
        let first = writer.next_seq;
        // As those of a write they are used up, whatever comes of it.
        writer.next_seq += intakes.len() as u64;
        let last = writer.next_seq - 1;
        let result = self.with_manifest(|manifest| install(manifest, levels, first))?;
        if writer.recent.watched() {
            for (intake, seq) in intakes.iter().zip(first..) {
                writer.recent.record_range(seq, intake.family.id(), &intake.first, Some(&intake.behind()));
            }
        }
        self.last_ingest.store(last, Ordering::Release);
        self.visible.store(last, Ordering::Release);
        Ok((result, Synced { seq: last, lsn: unsynced.lsn }))
    }
}
