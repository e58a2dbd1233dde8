//! How many keys there are, by keyspace and slot: the counters of the store, mirrored in memory.
//!
//! The mirror follows each batch when it is published, while the keys' locks are held; so it is never ahead
//! of what a reader can see by more than the batch that is being published.

use super::overlay::{Overlay, Write};
use crate::base::hash::SLOTS;
use crate::encoding::key;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The counters of one keyspace.
#[derive(Debug)]
pub(super) struct Counts {
    total: AtomicI64,
    slots: Box<[AtomicI64]>,
}

impl Counts {
    fn new() -> Counts {
        Counts { total: AtomicI64::new(0), slots: (0..SLOTS).map(|_| AtomicI64::new(0)).collect() }
    }

    pub(super) fn add(&self, slot: u16, delta: i64) {
        self.total.fetch_add(delta, Ordering::Relaxed);
        if let Some(count) = self.slots.get(usize::from(slot)) {
            count.fetch_add(delta, Ordering::Relaxed);
        }
    }

    /// The keys of one slot.
    pub(super) fn of_slot(&self, slot: u16) -> i64 {
        self.slots.get(usize::from(slot)).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// The counters of all keyspaces that hold something.
#[derive(Debug, Default)]
pub(super) struct AllCounts(RwLock<HashMap<u64, Arc<Counts>>>);

impl AllCounts {
    pub(super) fn of(&self, keyspace: u64) -> Option<Arc<Counts>> {
        self.0.read().get(&keyspace).cloned()
    }

    /// Those of a keyspace that is about to hold something.
    pub(super) fn of_or_new(&self, keyspace: u64) -> Arc<Counts> {
        self.of(keyspace).unwrap_or_else(|| {
            self.0.write().entry(keyspace).or_insert_with(|| Arc::new(Counts::new())).clone()
        })
    }

    /// Adds what a batch has added to the counters of the index.
    pub(super) fn follow(&self, index: &Overlay) {
        // Most often all of them are of one keyspace: it is looked up once.
        let mut of: Option<(u64, Arc<Counts>)> = None;
        for (key, write) in &index.writes {
            if let (Write::Add(delta), Ok((key::table::COUNT, keyspace, slot))) =
                (write, key::split_index(key))
                && let (Ok(slot), true) = (slot.try_into(), *delta != 0)
            {
                let known = of.take().filter(|(known, _)| *known == keyspace);
                let (_, counts) = of.insert(known.unwrap_or_else(|| (keyspace, self.of_or_new(keyspace))));
                counts.add(u16::from_be_bytes(slot), *delta);
            }
        }
    }

    pub(super) fn total(&self, keyspace: u64) -> i64 {
        self.of(keyspace).map_or(0, |counts| counts.total.load(Ordering::Relaxed))
    }

    /// Takes over others in the place of all of these.
    pub(super) fn replace(&self, others: AllCounts) {
        *self.0.write() = others.0.into_inner();
    }

    /// Forgets a keyspace that is gone.
    pub(super) fn forget(&self, keyspace: u64) {
        self.0.write().remove(&keyspace);
    }
}
