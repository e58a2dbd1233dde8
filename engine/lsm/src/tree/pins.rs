//! Who holds old states: snapshots and iterators, with what keeps their bytes from going.

use super::family::Family;
use super::view::View;
use crate::base::key::SeqNum;
use crate::base::sync::{Arc, Mutex, Weak};
use crate::version::TableFile;
use std::time::Duration;

/// What holds a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinKind {
    /// A snapshot: of all families. It keeps compactions from removing what it sees, and holds no files but
    /// those of families that were being compacted with a filter when it was taken.
    Snapshot,
    /// An iterator or a cursor: of one family. It holds the tables and memtables that it reads.
    Iterator,
}

/// The states that are held of a store.
#[derive(Debug, Default)]
pub struct Pins {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    pins: Vec<Option<Held>>,
    free: Vec<usize>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Held {
    /// What holds it.
    pub kind: PinKind,
    /// The last sequence number that it sees.
    pub seq: SeqNum,
    /// When it was taken, by monotonic time.
    pub since: Duration,
    /// What an iterator reads, and of which family.
    pub view: Option<(Arc<Family>, Weak<View>)>,
    /// What a snapshot reads of families that were being filtered when it was taken.
    pub pinned: Vec<(Arc<Family>, Weak<View>)>,
}

/// Ends its entry in the list when it is dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    slot: usize,
}

impl Pins {
    /// Notes that a state is held until the returned value is dropped.
    #[must_use]
    pub fn hold(self: &Arc<Self>, held: Held) -> Pin {
        let mut slots = self.slots.lock();
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.pins.push(None);
            slots.pins.len() - 1
        });
        slots.pins[slot] = Some(held);
        drop(slots);
        Pin { pins: self.clone(), slot }
    }

    /// All that are held, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Held> {
        let mut all: Vec<Held> = self.slots.lock().pins.iter().flatten().cloned().collect();
        all.sort_by_key(|held| (held.since, held.seq));
        all
    }
}

impl Pin {
    /// Notes that it holds another state now; it keeps its age.
    pub fn moved(&self, seq: SeqNum, view: Option<(Arc<Family>, Weak<View>)>) {
        if let Some(held) = &mut self.pins.slots.lock().pins[self.slot] {
            held.seq = seq;
            held.view = view;
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut slots = self.pins.slots.lock();
        let held = slots.pins[self.slot].take();
        slots.free.push(self.slot);
        drop(slots);
        // The last reference to a family may go with it: not under the lock.
        drop(held);
    }
}

impl Held {
    /// The bytes that it keeps: memtables and tables that families have replaced.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let held =
            |(family, view): &(Arc<Family>, Weak<View>)| Some(replaced(&*view.upgrade()?, &family.view()));
        self.view.iter().chain(&self.pinned).filter_map(held).sum()
    }
}

/// The bytes of what a view of a family has and the present one has not.
fn replaced(view: &View, present: &View) -> u64 {
    let memtables = view.memtables().filter(|old| !present.memtables().any(|new| Arc::ptr_eq(old, new)));
    let there = |old: &TableFile| present.version.tables().any(|(_, new)| new.meta.number == old.meta.number);
    let tables = view.version.tables().filter(|(_, old)| !there(old));
    memtables.map(|memtable| memtable.allocated_bytes() as u64).sum::<u64>()
        + tables.map(|(_, table)| table.meta.size).sum::<u64>()
        + view.version.blobs().gone(present.version.blobs()).iter().map(|file| file.meta.size).sum::<u64>()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_leaves_the_list_and_its_place_is_used_again() {
        let pins = Arc::new(Pins::default());
        let held = |seq| Held {
            kind: PinKind::Snapshot,
            seq,
            since: Duration::from_secs(seq),
            view: None,
            pinned: vec![],
        };
        let seqs = |pins: &Pins| pins.list().iter().map(|held| held.seq).collect::<Vec<_>>();
        let (second, first) = (pins.hold(held(2)), pins.hold(held(1)));
        assert_eq!(seqs(&pins), [1, 2], "oldest first");
        drop(second);
        let third = pins.hold(held(3));
        assert_eq!(pins.slots.lock().pins.len(), 2);
        third.moved(4, None);
        assert_eq!(seqs(&pins), [1, 4]);
        drop((first, third));
        assert!(pins.list().is_empty());
    }
}
