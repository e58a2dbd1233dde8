//! What a reader pins: memtables and tables, at one moment.

use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::hooks::FamilyHooks;
use crate::memtable::Memtable;
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
}

impl View {
    /// The memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.sealed.iter().map(|s| &s.memtable))
    }
}
