//! Who holds old states of a store.

use super::handle::Db;
use crate::base::key::SeqNum;
use crate::tree::PinKind;
use std::time::Duration;

/// A state that a snapshot, an iterator or a cursor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinInfo {
    /// What holds it.
    pub kind: PinKind,
    /// The column family that an iterator reads; `None` for a snapshot, which is of all.
    pub family: Option<String>,
    /// The last sequence number that it sees. What was overwritten, deleted or has expired since cannot
    /// be removed while a snapshot holds it.
    pub seq: SeqNum,
    /// How long ago it was taken.
    pub age: Duration,
    /// Memtables and tables that have been replaced and that it keeps in memory and on disk, in bytes: those
    /// that an iterator reads; of a snapshot only those of families that were being compacted with a filter
    /// when it was taken. What compactions keep for a snapshot comes beside that; its share is not known.
    pub held_bytes: u64,
}

impl Db {
    /// The states that snapshots, iterators and cursors hold, oldest first. An old one is a likely
    /// reason for space that is not given back, and for [`crate::FamilyStats::erase_held_bytes`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put("k", "v")?;
    /// let snapshot = db.snapshot();
    /// let pins = db.pins();
    /// assert_eq!((pins.len(), pins[0].kind, pins[0].seq), (1, esker::PinKind::Snapshot, 1));
    /// drop(snapshot);
    /// assert!(db.pins().is_empty());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn pins(&self) -> Vec<PinInfo> {
        let store = &self.inner().store;
        let now = store.clock.source().monotonic();
        let info = |held: crate::tree::Held| PinInfo {
            kind: held.kind,
            family: held.view.as_ref().map(|(family, _)| family.name().to_owned()),
            seq: held.seq,
            age: now.saturating_sub(held.since),
            held_bytes: held.bytes(),
        };
        store.pins.list().into_iter().map(info).collect()
    }
}
