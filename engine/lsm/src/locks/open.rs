//! The transactions that are open.

use super::keys::OwnerId;
use crate::base::key::SeqNum;
use crate::base::sync::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// An open transaction, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// When it began, by monotonic time.
    pub began: Duration,
    /// The sequence number that it reads at.
    pub seq: SeqNum,
    /// How many keys it has locked.
    pub locks: usize,
    /// Whether it locks what it writes.
    pub pessimistic: bool,
}

/// The open transactions of a store, by number: the oldest first.
#[derive(Debug, Default)]
pub struct OpenTransactions(Mutex<BTreeMap<OwnerId, OpenTransaction>>);

impl OpenTransactions {
    /// Enters a transaction, or what has become of it.
    pub fn enter(&self, id: OwnerId, transaction: OpenTransaction) {
        self.0.lock().insert(id, transaction);
    }

    /// Notes how many locks a transaction holds.
    pub fn set_locks(&self, id: OwnerId, locks: usize) {
        if let Some(open) = self.0.lock().get_mut(&id) {
            open.locks = locks;
        }
    }

    /// Notes where a transaction reads now.
    pub fn set_seq(&self, id: OwnerId, seq: SeqNum) {
        if let Some(open) = self.0.lock().get_mut(&id) {
            open.seq = seq;
        }
    }

    /// Ends one.
    pub fn leave(&self, id: OwnerId) {
        self.0.lock().remove(&id);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `most` oldest, by number.
    #[must_use]
    pub fn oldest(&self, most: usize) -> Vec<(OwnerId, OpenTransaction)> {
        self.0.lock().iter().take(most).map(|(id, open)| (*id, *open)).collect()
    }
}
