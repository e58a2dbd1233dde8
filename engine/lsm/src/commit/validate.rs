//! Writes that depend on what others write: those of transactions, those with conditions, and plain
//! ones that meet a lock.
//!
//! # Protocol
//! - Whoever will ask what others have written *watches* first ([`Store::watch`]): from then on the
//!   ordering section records every write in the table of recent writes. Whether somebody watches is
//!   all that a plain write asks.
//! - A request carries [`Checks`]. In the ordering section, where it gets its sequence numbers, each is
//!   asked of the table, in which the earlier requests of the same group stand already. So between
//!   judging and numbering nobody else writes.
//! - If the table does not reach back far enough, the request comes back. Outside, the tree is asked
//!   at what is visible now; if nothing was written up to there, the request goes in again and asks
//!   only for what came later. After [`MOST_ROUNDS`] times it is called a conflict: a false conflict
//!   costs a new attempt, a missed one an update.
//! - A key is locked in [`KeyLocks`](crate::locks::KeyLocks) and then the lock passes through the
//!   ordering section once, empty-handed. A write that was there before has been published when the
//!   call returns; one that comes later finds the lock, comes back, and waits outside, where it holds
//!   up nobody.
//! - A plain write that waited holds the lock while it is submitted again, so that it gets its turn; it
//!   gives back what it holds before it waits for another key, so that it is in no deadlock.
//!
//! # What is relied on
//! A check about the time behind `since` is only asked of the tree while a snapshot with that number or
//! an earlier one is registered (see [`crate::tree::written_between`]). Raising `since` keeps that true.

use super::checks::{Again, Checks, KeyCheck, RangeCheck, Refused, Why};
use super::hold::Hold;
use super::ranges::put_together;
use super::request::{Durability, Request, Ticket};
use super::store::Store;
use crate::base::bounds::first_from;
use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::base::refusal::LockWait;
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::locks::{LockFailure, LockedKey, OwnerId, Recent, RecentWrites};
use crate::tree::{Bounds, View, written_between};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

/// How often a request is judged anew before it is called a conflict.
pub(super) const MOST_ROUNDS: u32 = 16;

/// What is visible of some families.
#[derive(Debug)]
pub(super) struct Looked {
    /// Up to here the views lack nothing. What came later may stand in a memtable that came later, too.
    pub since: SeqNum,
    /// By the family's number.
    pub views: BTreeMap<u32, Arc<View>>,
    /// Where they are read at.
    pub seq: SeqNum,
}

/// Keeps the table of recent writes filled while it lives.
#[derive(Debug)]
pub struct Watch(Arc<Store>);

impl Watch {
    /// Starts watching.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Watch {
        store.watch();
        Watch(store)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.unwatch();
    }
}

impl Store {
    /// From now on every write is recorded, until [`Store::unwatch`]. A snapshot that is taken behind
    /// this call can be validated.
    pub(super) fn watch(&self) {
        // In the ordering section everything that was written is visible.
        self.with_writer(|writer| writer.recent.watch(self.visible_seq()));
    }

    /// Ends what one [`Store::watch`] began.
    pub(super) fn unwatch(&self) {
        self.with_writer(|writer| writer.recent.unwatch());
    }

    /// The memory of the table of recent writes, in bytes, roughly.
    #[must_use]
    pub fn recent_writes_bytes(&self) -> u64 {
        self.with_writer(|writer| writer.recent.bytes() as u64)
    }

    /// In the ordering section: whether a request may be written with the numbers from `first_seq` on.
    /// What may is recorded.
    #[cold]
    pub(super) fn validate(
        &self,
        recent: &mut RecentWrites,
        request: &mut Request,
        first_seq: SeqNum,
        now_ms: u64,
    ) -> Result<(), Refused> {
        let judged = request.checks.as_ref().map_or(Ok(()), |checks| checks.judge(recent, now_ms));
        let judged = judged.and_then(|()| request.pass_locks(&self.locks));
        if let Err(why) = judged {
            return Err(Refused::Again(Box::new(Again { request: std::mem::take(request), why })));
        }
        for (op, seq) in request.batch.iter().flatten().zip(first_seq..) {
            if op.kind.is_range() {
                recent.record_range(seq, op.family, op.key, op.range_end());
            } else {
                recent.record(seq, op.family, op.key);
            }
        }
        Ok(())
    }

    /// Goes on with a plain write that met a lock.
    #[cold]
    pub(super) fn wait_and_submit(&self, refused: Refused) -> Result<Ticket> {
        self.go_on(refused, |_, why| match why {
            Why::Written(key) => Err(self.conflict(key)),
            // Nothing else can be asked of a write without checks.
            Why::Stale | Why::Expired | Why::Locked(_) | Why::Guarded { .. } => Err(Error::Closed),
        })
    }

    /// Writes the batch of a transaction if its checks hold.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`Error::Conflict`], [`Error::LockTimeout`], [`Error::Deadlock`].
    pub fn commit_checked(
        &self,
        batch: WriteBatch,
        durability: Durability,
        mut checks: Checks,
    ) -> Result<Ticket> {
        if let Some(ticket) = self.admit(&batch)? {
            return Ok(ticket);
        }
        checks.ranges = put_together(checks.ranges);
        let mut rounds = 0;
        self.submit_until(Request { batch, durability, checks: Some(Box::new(checks)) }, |request, why| {
            rounds += 1;
            let key = match (why, &mut request.checks) {
                (Why::Written(key), _) => Some(key),
                (Why::Stale, Some(checks)) if rounds <= MOST_ROUNDS => self.look_again(checks)?,
                (_, Some(checks)) => Some(checks.first_key()),
                (_, None) => None,
            };
            key.map_or(Ok(()), |key| Err(self.conflict(key)))
        })
    }

    /// Submits a request until it is written, or `revise` gives up on it.
    pub(super) fn submit_until(
        &self,
        request: Request,
        revise: impl FnMut(&mut Request, Why) -> Result<()>,
    ) -> Result<Ticket> {
        match self.submit(request) {
            Ok(ticket) => Ok(ticket),
            Err(refused) => self.go_on(refused, revise),
        }
    }

    fn go_on(&self, refused: Refused, revise: impl FnMut(&mut Request, Why) -> Result<()>) -> Result<Ticket> {
        let result = self.go_on_until(refused, revise);
        if let Err(error) = &result {
            self.transaction_counts.count_error(error);
        }
        result
    }

    fn go_on_until(
        &self,
        mut refused: Refused,
        mut revise: impl FnMut(&mut Request, Why) -> Result<()>,
    ) -> Result<Ticket> {
        let mut waiter: Option<Waiter<'_>> = None;
        let mut hold = None;
        loop {
            let Again { mut request, why } = match refused {
                Refused::Failed(error) => return Err(error),
                Refused::Again(again) => *again,
            };
            if let Some(checks) = &request.checks {
                hold.clone_from(&checks.hold);
            }
            match why {
                Why::Locked(key) => {
                    waiter.get_or_insert_with(|| Waiter::new(self, &mut request)).acquire(&key)?;
                }
                Why::Guarded { key, holder } => {
                    let waiter = waiter.get_or_insert_with(|| Waiter::new(self, &mut request));
                    waiter.outwait(&key, holder)?;
                }
                why => revise(&mut request, why)?,
            }
            self.check_writable()?;
            match self.submit(request) {
                Ok(ticket) => {
                    if let (Some(waiter), Some(hold)) = (&mut waiter, &hold) {
                        waiter.leave_to(hold);
                    }
                    return Ok(ticket);
                }
                Err(again) => refused = again,
            }
        }
    }

    /// Asks the tree what the table of recent writes could not tell. Returns a key that was written;
    /// if there is none, the checks are raised to what was visible at the start.
    ///
    /// # Errors
    /// Those of reading.
    pub fn look_again(&self, checks: &mut Checks) -> Result<Option<LockedKey>> {
        self.transaction_counts.count_look();
        let families = checks.keys.iter().map(|check| check.family);
        let families = families.chain(checks.ranges.iter().map(|check| check.family));
        let Looked { since: looked, views, seq } = self.look_at(families)?;
        let written = |family: u32, bounds: &Bounds, since: SeqNum| match views.get(&family) {
            Some(view) if since < seq => written_between(view, bounds, since, seq),
            _ => Ok(None),
        };
        for check in &mut checks.keys {
            let bound = || Bound::Included(check.key.clone());
            let bounds = Bounds { lower: bound(), upper: bound() };
            if let Some(key) = written(check.family, &bounds, check.since)? {
                return Ok(Some(LockedKey { family: check.family, key }));
            }
        }
        for check in &checks.ranges {
            let bounds = Bounds { lower: check.lower.clone(), upper: check.upper.clone() };
            if let Some(key) = written(check.family, &bounds, check.since)? {
                return Ok(Some(LockedKey { family: check.family, key }));
            }
        }
        checks.raise(looked);
        Ok(None)
    }

    /// Pins the present views of these families.
    ///
    /// # Errors
    /// [`Error::FamilyDropped`].
    pub(super) fn look_at(&self, families: impl Iterator<Item = u32>) -> Result<Looked> {
        let since = self.read_seq();
        // Views are pinned before the sequence number is loaded that they are read at: see `tree::View`.
        let mut views = BTreeMap::new();
        for id in families {
            if let std::collections::btree_map::Entry::Vacant(entry) = views.entry(id) {
                let gone = || Error::FamilyDropped { name: format!("#{id}") };
                entry.insert(self.family_by_id(id).ok_or_else(gone)?.view());
            }
        }
        Ok(Looked { since, views, seq: self.read_seq() })
    }

    /// Locks a key for a transaction and waits until no write is under way that did not see the lock.
    /// Returns what is visible then and, unless the table cannot tell, whether the key was written
    /// behind `since`.
    ///
    /// # Errors
    /// [`Error::LockTimeout`], [`Error::Deadlock`].
    pub fn lock_key(
        &self,
        owner: OwnerId,
        key: &LockedKey,
        since: SeqNum,
        timeout: Duration,
    ) -> Result<(SeqNum, bool)> {
        let until = self.clock.source().monotonic().saturating_add(timeout);
        let mut left = timeout;
        loop {
            let locked = self.locks.lock(owner, key, left);
            locked.map_err(|failure| self.counted_lock_error(key, failure))?;
            // The barrier: a write that did not see the lock has left the ordering section, and so has a
            // transaction that was prepared without seeing it.
            let (holder, visible) = self.with_writer(|writer| {
                let holder = self.locks.removed_by(owner, key);
                let written = matches!(writer.recent.key(key.family, &key.key, since), Recent::Written(_));
                (holder, (self.visible_seq(), written))
            });
            let Some(holder) = holder else { return Ok(visible) };
            // It will go without being asked: no lock keeps it.
            self.locks.unlock(owner, key);
            left = until.saturating_sub(self.clock.source().monotonic());
            if !self.locks.wait_unguarded(holder, left) {
                return Err(self.counted_lock_error(key, LockFailure::Timeout { holder }));
            }
        }
    }

    fn counted_lock_error(&self, key: &LockedKey, failure: LockFailure) -> Error {
        let error = self.lock_error(key, failure);
        self.transaction_counts.count_error(&error);
        error
    }

    pub(super) fn family_name(&self, id: u32) -> Box<str> {
        self.family_by_id(id).map_or_else(|| format!("#{id}").into(), |family| family.name().into())
    }

    /// The error for a key that was written by somebody else.
    #[must_use]
    pub fn conflict(&self, key: LockedKey) -> Error {
        Error::Conflict { family: self.family_name(key.family), key: key.key.into() }
    }

    fn lock_error(&self, key: &LockedKey, failure: LockFailure) -> Error {
        match failure {
            LockFailure::Timeout { holder } => {
                let (family, key) = (self.family_name(key.family), key.key.as_slice().into());
                match self.prepared.name_of(holder) {
                    Some(name) => Error::HeldByPrepared { family, key, name },
                    None => Error::LockTimeout { family, key, holder },
                }
            }
            LockFailure::Deadlock { cycle } => {
                let wait = |(transaction, key): (OwnerId, LockedKey)| LockWait {
                    transaction,
                    family: self.family_name(key.family),
                    key: key.key.into(),
                };
                Error::Deadlock { cycle: cycle.into_iter().map(wait).collect() }
            }
        }
    }
}

impl Checks {
    /// Asks only for what is written behind `seq` from now on.
    fn raise(&mut self, seq: SeqNum) {
        self.keys.iter_mut().for_each(|check| check.since = check.since.max(seq));
        self.ranges.iter_mut().for_each(|check| check.since = check.since.max(seq));
    }

    /// A key to name in a conflict of which no more is known.
    pub(crate) fn first_key(&self) -> LockedKey {
        let of_range = |check: &RangeCheck| {
            let lower = check.lower.as_ref().map(Vec::as_slice);
            LockedKey { family: check.family, key: first_from(lower, &[]) }
        };
        let key = self.keys.first().map(KeyCheck::locked_key);
        let key = key.or_else(|| self.ranges.first().map(of_range));
        key.unwrap_or_else(|| LockedKey { family: 0, key: Vec::new() })
    }
}

/// A write that waits for locks, and holds what it got until it is written.
pub(super) struct Waiter<'s> {
    store: &'s Store,
    owner: OwnerId,
    /// Whether the owner is a transaction, which has locks of its own that it keeps.
    is_transaction: bool,
    until: Duration,
    held: Vec<LockedKey>,
}

impl<'s> Waiter<'s> {
    pub(super) fn new(store: &'s Store, request: &mut Request) -> Waiter<'s> {
        let checks = request.checks.get_or_insert_default();
        let is_transaction = checks.owner.is_some();
        let owner = *checks.owner.get_or_insert_with(|| store.locks.new_owner());
        let timeout = checks.lock_timeout.unwrap_or(store.options().lock_timeout);
        let until = store.clock.source().monotonic().saturating_add(timeout);
        Waiter { store, owner, is_transaction, until, held: Vec::new() }
    }

    /// Who holds what it got.
    pub(super) fn owner(&self) -> OwnerId {
        self.owner
    }

    pub(super) fn acquire(&mut self, key: &LockedKey) -> Result<()> {
        let left = self.time_left();
        let locked = self.store.locks.lock(self.owner, key, left);
        if locked.map_err(|failure| self.store.lock_error(key, failure))? {
            self.held.push(key.clone());
        }
        Ok(())
    }

    /// Waits until `holder` guards nothing any more.
    pub(super) fn outwait(&mut self, key: &LockedKey, holder: OwnerId) -> Result<()> {
        let left = self.time_left();
        if self.store.locks.wait_unguarded(holder, left) {
            return Ok(());
        }
        Err(self.store.lock_error(key, LockFailure::Timeout { holder }))
    }

    /// How long it may yet wait; first it lets go of what it can.
    fn time_left(&mut self) -> Duration {
        if !self.is_transaction {
            self.let_go();
        }
        self.until.saturating_sub(self.store.clock.source().monotonic())
    }

    /// Leaves the locks to what was prepared.
    fn leave_to(&mut self, hold: &Hold) {
        self.held.retain(|key| hold.keys.binary_search(key).is_err());
    }

    fn let_go(&mut self) {
        for key in self.held.drain(..) {
            self.store.locks.unlock(self.owner, &key);
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "validate_tests.rs"]
mod tests;
