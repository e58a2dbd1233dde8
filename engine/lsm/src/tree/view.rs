//! What a reader pins: memtables and tables, at one moment.

use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::hooks::{FamilyHooks, SealReason};
use crate::iter::Hidden;
use crate::memtable::Memtable;
use crate::ranges::RangeSet;
use crate::version::Version;

/// How a memtable was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Seals of a store are numbered in the order in which they must be flushed. Memtables that
    /// were sealed together share a number and are flushed in one edit, so that a crash does not
    /// tear apart unlogged batches across families.
    pub order: u64,
    /// Everything of the family up to here stands in this memtable or an older one.
    pub last_seq: SeqNum,
    /// Why.
    pub reason: SealReason,
}

/// A memtable that is waiting to be flushed.
#[derive(Debug)]
pub struct Sealed {
    /// The memtable; nothing is inserted any more.
    pub memtable: Arc<Memtable>,
    /// How it was closed.
    pub seal: Seal,
}

/// The state of a column family at one moment. A reader that holds a view keeps all of it alive.
///
/// A reader pins the view first and *then* loads the sequence number that it reads at. In the other
/// order a compaction in between could drop the very version that the reader wants: a merge keeps
/// what is seen at the sequence number visible when it starts, or later.
///
/// What was written behind the pin into a memtable that came behind it too is not in the view, and may be
/// older than that number: the view shows what was visible when it was pinned, or later, up to some point.
/// So nobody may conclude that nothing was written up to the number; up to one that was loaded before
/// the pin, one may.
#[derive(Debug)]
pub struct View {
    /// Takes the writes.
    pub active: Arc<Memtable>,
    /// Waiting to be flushed, newest first.
    pub sealed: Vec<Arc<Sealed>>,
    /// The tables.
    pub version: Arc<Version>,
    /// What the family has hooked in: its merge operator.
    pub hooks: Arc<FamilyHooks>,
    /// The deleted and dropped ranges that were flushed and that tables may still hold something of. What
    /// has not been flushed stands beside the memtables.
    pub ranges: Arc<RangeSet>,
    /// Every write up to here stands in the tables and `ranges`.
    pub flushed: SeqNum,
}

impl View {
    /// The memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.sealed.iter().map(|s| &s.memtable))
    }

    /// Whether any range hides anything from a reader of this view. What a sequence number was published
    /// for was counted before.
    #[inline]
    #[must_use]
    pub fn has_deleted_ranges(&self) -> bool {
        self.active.has_deleted_ranges()
            || self.ranges.has_deleted()
            || self.sealed.iter().any(|sealed| sealed.memtable.has_deleted_ranges())
    }

    /// The newest deleted range over `key` that a reader at `seq` sees; 0 for none.
    #[cold]
    #[must_use]
    pub fn newest_deleted(&self, key: &[u8], seq: SeqNum) -> SeqNum {
        let beside = self.memtables().map(|memtable| memtable.ranges().at(key).newest_deleted(seq));
        beside.max().unwrap_or(0).max(self.ranges.at(key).newest_deleted(seq))
    }

    /// As [`View::newest_deleted`], of dropped ranges.
    #[cold]
    #[must_use]
    pub fn newest_dropped(&self, key: &[u8], seq: SeqNum) -> SeqNum {
        let beside = self.memtables().map(|memtable| memtable.ranges().at(key).newest_dropped(seq));
        beside.max().unwrap_or(0).max(self.ranges.at(key).newest_dropped(seq))
    }

    /// All ranges of the view, for a reader at `seq`. To be asked for behind that number.
    #[must_use]
    pub fn hidden(&self, seq: SeqNum) -> Hidden {
        if !self.has_deleted_ranges() && !cfg!(feature = "invariants") {
            return Hidden::default();
        }
        let beside = self.memtables().map(|memtable| Arc::clone(&memtable.ranges()));
        let sets = beside.chain([self.ranges.clone()]).filter(|set| !set.is_empty());
        Hidden::new(sets.collect(), seq)
    }
}
