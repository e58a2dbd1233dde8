//! What units of work read and write: the measure in which docs/commands.md gives costs.
//!
//! Counted in tests and with the feature `invariants`; otherwise nothing is, and it costs nothing.

use std::cell::Cell;
use std::ops::Sub;

/// Whether anything is counted.
const COUNTS: bool = cfg!(any(test, feature = "invariants"));

/// Records and bytes, read from the store and written to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Look-ups of records and movements of cursors, whether they met a record or not.
    pub reads: u64,
    /// Bytes of the keys and values that they met.
    pub read_bytes: u64,
    /// Records of the batch: values, deletions, operands, ranges.
    pub writes: u64,
    /// Bytes of their keys and values.
    pub written_bytes: u64,
}

impl Sub for Cost {
    type Output = Cost;

    fn sub(self, before: Cost) -> Cost {
        Cost {
            reads: self.reads - before.reads,
            read_bytes: self.read_bytes - before.read_bytes,
            writes: self.writes - before.writes,
            written_bytes: self.written_bytes - before.written_bytes,
        }
    }
}

/// The cost of a unit under way.
#[derive(Debug, Default)]
pub(super) struct Tally(Cell<Cost>);

impl Tally {
    /// So many records were looked at, of so many bytes.
    pub(super) fn read(&self, records: usize, bytes: usize) {
        if COUNTS {
            let mut cost = self.0.get();
            cost.reads += records as u64;
            cost.read_bytes += bytes as u64;
            self.0.set(cost);
        }
    }

    /// A batch of so many records and bytes is written.
    pub(super) fn write(&self, records: usize, bytes: usize) {
        if COUNTS {
            let mut cost = self.0.get();
            cost.writes += records as u64;
            cost.written_bytes += bytes as u64;
            self.0.set(cost);
        }
    }

    pub(super) fn take(&self) -> Cost {
        self.0.take()
    }
}

/// What all units of a store have cost.
#[derive(Debug, Default)]
pub(super) struct Spent(parking_lot::Mutex<Cost>);

impl Spent {
    pub(super) fn add(&self, cost: Cost) {
        if COUNTS {
            let mut spent = self.0.lock();
            spent.reads += cost.reads;
            spent.read_bytes += cost.read_bytes;
            spent.writes += cost.writes;
            spent.written_bytes += cost.written_bytes;
        }
    }

    pub(super) fn get(&self) -> Cost {
        *self.0.lock()
    }
}
