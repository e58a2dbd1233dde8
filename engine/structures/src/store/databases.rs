//! Which keyspace each database is, and the gate that every unit of work passes.
//!
//! A keyspace's number is never used again. Emptying a database gives it a new number, swapping two swaps
//! their numbers; both happen while nobody else works on the store. Every unit holds one shard of the gate
//! shared, chosen by its thread so that threads do not share a cache line; who needs the store alone takes
//! all shards.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many shards the gate has.
const SHARDS: usize = 8;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(RwLock<()>);

/// The databases of a store.
#[derive(Debug)]
pub(super) struct Databases {
    shards: [Shard; SHARDS],
    keyspaces: Box<[AtomicU64]>,
    /// Of so many; the others hold nothing, and wait for who opens the store with more.
    count: usize,
    next: AtomicU64,
}

/// The right to work on a store.
#[derive(Debug)]
pub(super) enum Gate<'s> {
    /// Beside others.
    #[expect(dead_code, reason = "held for what dropping it does")]
    Shared(RwLockReadGuard<'s, ()>),
    /// Alone.
    #[expect(dead_code, reason = "held for what dropping it does")]
    Alone(Vec<RwLockWriteGuard<'s, ()>>),
    /// Given back: what is left to do reads from a snapshot.
    Left,
}

impl Databases {
    /// The first `count` of those that have keyspaces, and the next free number.
    pub(super) fn new(keyspaces: &[u64], count: usize, next: u64) -> Databases {
        Databases {
            shards: Default::default(),
            keyspaces: keyspaces.iter().map(|id| AtomicU64::new(*id)).collect(),
            count: count.min(keyspaces.len()),
            next: AtomicU64::new(next),
        }
    }

    pub(super) fn shared(&self) -> Gate<'_> {
        thread_local!(static SHARD: Cell<usize> = const { Cell::new(usize::MAX) });
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        let shard = SHARD.with(|shard| {
            if shard.get() == usize::MAX {
                shard.set(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
            }
            shard.get()
        });
        Gate::Shared(self.shards[shard].0.read())
    }

    pub(super) fn alone(&self) -> Gate<'_> {
        Gate::Alone(self.shards.iter().map(|shard| shard.0.write()).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The keyspace of a database. The gate must be held.
    pub(super) fn keyspace(&self, database: u32) -> Option<u64> {
        let keyspaces = self.keyspaces.get(..self.count)?;
        keyspaces.get(database as usize).map(|id| id.load(Ordering::Acquire))
    }

    /// All of them, those that are not open too, and the next free number.
    pub(super) fn all(&self) -> (Vec<u64>, u64) {
        let all = self.keyspaces.iter().map(|id| id.load(Ordering::Acquire)).collect();
        (all, self.next.load(Ordering::Acquire))
    }

    /// The database of a keyspace, if it is one's.
    pub(super) fn number_of(&self, keyspace: u64) -> Option<u32> {
        self.keyspaces.iter().position(|id| id.load(Ordering::Acquire) == keyspace).map(|at| at as u32)
    }

    /// Takes over what has been written; the gate must be held alone.
    pub(super) fn set(&self, keyspaces: &[u64], next: u64) {
        for (id, new) in self.keyspaces.iter().zip(keyspaces) {
            id.store(*new, Ordering::Release);
        }
        self.next.store(next, Ordering::Release);
    }
}
