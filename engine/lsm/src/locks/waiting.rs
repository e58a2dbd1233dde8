//! Who waits for whom.

use super::keys::{LockedKey, OwnerId};
use crate::base::sync::Mutex;
use std::collections::HashMap;

/// What an owner waits for.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    /// The key.
    pub(super) key: LockedKey,
    /// Who holds it.
    pub(super) holder: OwnerId,
}

/// The graph of waiting owners: each has at most one edge, so a cycle is found by following them.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<OwnerId, Edge>>);

impl Waiting {
    /// Notes that `owner` waits, unless that would close a cycle, which is returned.
    pub(super) fn enter(&self, owner: OwnerId, edge: Edge) -> Result<(), Vec<(OwnerId, LockedKey)>> {
        let mut edges = self.0.lock();
        let mut cycle = vec![(owner, edge.key.clone())];
        let mut at = edge.holder;
        while at != owner {
            let Some(next) = edges.get(&at) else {
                edges.insert(owner, edge);
                return Ok(());
            };
            cycle.push((at, next.key.clone()));
            at = next.holder;
        }
        Err(cycle)
    }

    /// Notes that `owner` waits no longer.
    pub(super) fn leave(&self, owner: OwnerId) {
        self.0.lock().remove(&owner);
    }

    /// Notes that `owner` got what it waited for, and that `others` now wait for it.
    pub(super) fn hand_over(&self, owner: OwnerId, others: impl Iterator<Item = OwnerId>) {
        let mut edges = self.0.lock();
        edges.remove(&owner);
        for other in others {
            if let Some(edge) = edges.get_mut(&other) {
                edge.holder = owner;
            }
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
