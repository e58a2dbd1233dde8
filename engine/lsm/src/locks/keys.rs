//! Exclusive locks on keys, striped.
//!
//! # Protocol
//! - A key's lock and the queue of those who wait for it stand in the key's stripe, under the
//!   stripe's mutex.
//! - Whoever gives a lock back hands it to the first in the queue: nobody who comes later overtakes.
//! - Before an owner waits, it enters "I wait for H" into the graph of waiting owners, and follows
//!   the graph from H. If that leads back to itself, it does not wait: the cycle is the error. Since
//!   every edge is entered under the graph's mutex, the owner whose edge would close a cycle finds it.
//! - When a lock is handed on, the new holder's edge is removed and the edges of those still queued
//!   are turned to it, all under the stripe's mutex. An owner that has just become a holder waits for
//!   nothing, so that turning edges to it closes no cycle.
//!
//! An owner is used by one thread at a time, so it waits for at most one key.
//!
//! The stripe's mutex is taken before the graph's, and never two stripes at once.

use super::bounds::holds_nothing;
use super::guards::{Guards, Span};
use super::waiting::{Edge, Waiting};
use crate::base::clock::Clock;
use crate::base::hash::key_hash;
use crate::base::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::base::sync::{Arc, Condvar, Mutex};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

/// A number for whoever holds locks; never used twice.
pub type OwnerId = u64;

/// A key that can be locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockedKey {
    /// The column family's number.
    pub family: u32,
    /// The user key.
    pub key: Vec<u8>,
}

/// Why a lock was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockFailure {
    /// Another owner holds it, and did not give it back in time.
    Timeout {
        /// Who holds it.
        holder: OwnerId,
    },
    /// Waiting would never end: each of these waits for its key, which the next one holds, and the
    /// last one's key is held by the first.
    Deadlock {
        /// The owners in the cycle with the keys that they wait for; the first is the one that asked.
        cycle: Vec<(OwnerId, LockedKey)>,
    },
}

/// The locks of a store.
#[derive(Debug)]
pub struct KeyLocks {
    stripes: Box<[Mutex<Stripe>]>,
    waiting: Waiting,
    /// How many keys are locked; writers that hold none ask this first.
    held: AtomicUsize,
    next_owner: AtomicU64,
    guards: Guards,
    clock: Clock,
}

/// How many stripes there are: enough that two threads rarely meet in one.
const STRIPES: usize = 64;

/// In order, so that a range of keys is found without looking at the others.
type Stripe = BTreeMap<LockedKey, Lock>;

#[derive(Debug)]
struct Lock {
    holder: OwnerId,
    queue: VecDeque<Arc<Seat>>,
}

/// Where an owner waits for a key.
#[derive(Debug)]
struct Seat {
    owner: OwnerId,
    granted: Mutex<bool>,
    changed: Condvar,
}

impl KeyLocks {
    /// No locks; `clock` measures how long one waits.
    #[must_use]
    pub fn new(clock: Clock) -> KeyLocks {
        KeyLocks {
            stripes: (0..STRIPES).map(|_| Mutex::new(Stripe::new())).collect(),
            waiting: Waiting::default(),
            held: AtomicUsize::new(0),
            next_owner: AtomicU64::new(1),
            guards: Guards::default(),
            clock,
        }
    }

    /// A number for a new owner.
    pub fn new_owner(&self) -> OwnerId {
        self.next_owner.fetch_add(1, Ordering::Relaxed)
    }

    /// How many keys are locked.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Whether nothing is locked, and nothing guarded.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.held() == 0 && self.guards.is_empty()
    }

    /// What stands still beside the keys that are locked.
    #[must_use]
    pub fn guards(&self) -> &Guards {
        &self.guards
    }

    /// The memory that locks take, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        if self.is_free() {
            return 0;
        }
        let of_lock = |(key, lock): (&LockedKey, &Lock)| {
            size_of::<(LockedKey, Lock)>() + key.key.len() + lock.queue.len() * size_of::<Seat>()
        };
        let of_stripe = |stripe: &Mutex<Stripe>| stripe.lock().iter().map(of_lock).sum::<usize>() as u64;
        self.stripes.iter().map(of_stripe).sum::<u64>() + self.guards.bytes()
    }

    /// How many owners wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn stripe(&self, key: &LockedKey) -> &Mutex<Stripe> {
        // The low bits of the hash choose the map's bucket, too: take the high ones.
        let hash = key_hash(&key.key) ^ u64::from(key.family).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.stripes[(hash >> 58) as usize % STRIPES]
    }

    /// Who holds a key.
    #[must_use]
    pub fn holder(&self, key: &LockedKey) -> Option<OwnerId> {
        self.stripe(key).lock().get(key).map(|lock| lock.holder)
    }

    /// A locked key between the bounds that somebody else than `owner` holds, if there is one. Looks into
    /// every stripe, and there at what `owner` holds between the bounds.
    #[must_use]
    pub fn held_between(
        &self,
        owner: Option<OwnerId>,
        family: u32,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Option<LockedKey> {
        self.look_between(owner, family, bounds).0
    }

    /// As [`KeyLocks::held_between`], with how many locks were looked at.
    pub(super) fn look_between(
        &self,
        owner: Option<OwnerId>,
        family: u32,
        (lower, upper): (Bound<&[u8]>, Bound<&[u8]>),
    ) -> (Option<LockedKey>, usize) {
        if holds_nothing((lower, upper)) {
            return (None, 0);
        }
        let of = |family: u32, key: &[u8]| LockedKey { family, key: key.to_vec() };
        let lower = match lower {
            Bound::Unbounded => Bound::Included(of(family, &[])),
            lower => lower.map(|key| of(family, key)),
        };
        let upper = match (upper, family.checked_add(1)) {
            (Bound::Unbounded, Some(next)) => Bound::Excluded(of(next, &[])),
            (upper, _) => upper.map(|key| of(family, key)),
        };
        let mut looked_at = 0;
        let found = self.stripes.iter().find_map(|stripe| {
            let stripe = stripe.lock();
            let mut inside = stripe.range((lower.as_ref(), upper.as_ref())).inspect(|_| looked_at += 1);
            inside.find(|(_, lock)| Some(lock.holder) != owner).map(|(key, _)| key.clone())
        });
        (found, looked_at)
    }

    /// Locks `key` for `owner`, waiting for up to `timeout`. Returns whether the owner did not hold it
    /// before.
    ///
    /// # Errors
    /// [`LockFailure`]; nothing is locked then.
    pub fn lock(&self, owner: OwnerId, key: &LockedKey, timeout: Duration) -> Result<bool, LockFailure> {
        let mut stripe = self.stripe(key).lock();
        let Some(lock) = stripe.get_mut(key) else {
            stripe.insert(key.clone(), Lock { holder: owner, queue: VecDeque::new() });
            self.held.fetch_add(1, Ordering::AcqRel);
            return Ok(true);
        };
        if lock.holder == owner {
            return Ok(false);
        }
        if timeout.is_zero() {
            return Err(LockFailure::Timeout { holder: lock.holder });
        }
        let edge = Edge { key: key.clone(), holder: lock.holder };
        self.waiting.enter(owner, edge).map_err(|cycle| LockFailure::Deadlock { cycle })?;
        let seat = Arc::new(Seat { owner, granted: Mutex::new(false), changed: Condvar::new() });
        lock.queue.push_back(seat.clone());
        drop(stripe);
        self.wait(&seat, key, timeout)
    }

    /// Locks keys for `owner`, all or none, without waiting.
    ///
    /// # Errors
    /// One that somebody else has locked.
    pub fn lock_all(&self, owner: OwnerId, keys: &[LockedKey]) -> Result<(), LockedKey> {
        let mut taken = Vec::new();
        for key in keys {
            match self.lock(owner, key, Duration::ZERO) {
                Ok(true) => taken.push(key),
                Ok(false) => {}
                Err(_) => {
                    taken.into_iter().for_each(|key| self.unlock(owner, key));
                    return Err(key.clone());
                }
            }
        }
        Ok(())
    }

    /// Who else than `owner` will remove a key with a range.
    #[must_use]
    pub fn removed_by(&self, owner: OwnerId, key: &LockedKey) -> Option<OwnerId> {
        if self.guards.is_empty() {
            return None;
        }
        let to = Some([&key.key[..], &[0]].concat());
        let span = Span { family: key.family, from: key.key.clone(), to };
        self.guards.against_read(owner, &span).map(|(holder, _)| holder)
    }

    /// Waits until `holder` guards nothing, for up to `timeout`. Returns whether that is so.
    #[must_use]
    pub fn wait_unguarded(&self, holder: OwnerId, timeout: Duration) -> bool {
        self.guards.wait(holder, timeout, &self.clock)
    }

    /// Waits on a seat until the lock was handed over or time is up.
    fn wait(&self, seat: &Seat, key: &LockedKey, timeout: Duration) -> Result<bool, LockFailure> {
        let until = self.clock.monotonic().saturating_add(timeout);
        let mut granted = seat.granted.lock();
        while !*granted {
            let left = until.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                break;
            }
            // A clock that a test moves may stand still while real time passes.
            if seat.changed.wait_for(&mut granted, left).timed_out() {
                break;
            }
        }
        drop(granted);
        let mut stripe = self.stripe(key).lock();
        // Under the stripe's mutex nobody hands over any more.
        if *seat.granted.lock() {
            return Ok(true);
        }
        self.waiting.leave(seat.owner);
        let Some(lock) = stripe.get_mut(key) else {
            // A lock that somebody waits for is handed over, never removed.
            return Err(LockFailure::Timeout { holder: seat.owner });
        };
        lock.queue.retain(|other| other.owner != seat.owner);
        Err(LockFailure::Timeout { holder: lock.holder })
    }

    /// Gives `key` back, to the first who waits for it. Does nothing if `owner` does not hold it.
    pub fn unlock(&self, owner: OwnerId, key: &LockedKey) {
        let mut stripe = self.stripe(key).lock();
        let Some(lock) = stripe.get_mut(key).filter(|lock| lock.holder == owner) else { return };
        let Some(next) = lock.queue.pop_front() else {
            stripe.remove(key);
            self.held.fetch_sub(1, Ordering::AcqRel);
            return;
        };
        lock.holder = next.owner;
        self.waiting.hand_over(next.owner, lock.queue.iter().map(|seat| seat.owner));
        *next.granted.lock() = true;
        next.changed.notify_one();
    }

    /// The keys that are locked, each with its holder and how many wait for it, in order. For people:
    /// stripes are looked at one after the other.
    #[must_use]
    pub fn list(&self) -> Vec<(LockedKey, OwnerId, usize)> {
        let mut all = Vec::new();
        for stripe in &self.stripes {
            all.extend(stripe.lock().iter().map(|(key, l)| (key.clone(), l.holder, l.queue.len())));
        }
        all.sort();
        all
    }
}
