//! The snapshots that are held, and the horizons that a merge must respect.

use super::family::Family;
use super::view::View;
use crate::base::key::SeqNum;
use crate::base::sync::{Arc, Mutex};
use crate::iter::Horizon;
use std::collections::BTreeMap;

/// The registered snapshots of a store.
///
/// A snapshot takes its sequence number under the same lock under which a merge reads the list. A
/// merge counts the then-visible sequence number as a snapshot; one that registers later can only
/// get the same or a greater number, so none is ever missed.
///
/// A compaction with a filter changes what its present sees, and so what a snapshot would see that
/// registers while it runs. Such a snapshot pins the family's view as well, and reads that for good.
#[derive(Debug, Default)]
pub struct Snapshots {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By sequence number.
    by_seq: BTreeMap<SeqNum, Holders>,
    /// The families that are being compacted with a filter, once for each such compaction.
    filtered: Vec<Arc<Family>>,
}

/// Those who hold a sequence number.
#[derive(Clone, Copy, Debug)]
struct Holders {
    count: usize,
    /// The earliest time that any of them froze.
    now_ms: u64,
    /// Whether a merge has respected them, so that there may be something to do when they are gone. Most
    /// snapshots, such as those of transactions, come and go between two merges.
    respected: bool,
}

/// What a snapshot has got.
#[derive(Debug)]
pub struct Registered {
    /// The last sequence number that it sees.
    pub seq: SeqNum,
    /// The time against which entries expire for it.
    pub now_ms: u64,
    /// Families of which it must read this view.
    pub views: Vec<(Arc<Family>, Arc<View>)>,
}

/// A compaction with a filter, while it runs.
#[derive(Debug)]
pub struct Filtering<'s> {
    snapshots: &'s Snapshots,
    family: Arc<Family>,
}

impl Filtering<'_> {
    /// Shows readers what has become of the family, by `install`. No snapshot registers meanwhile.
    pub fn end(self, install: impl FnOnce()) {
        let held = self.snapshots.held.lock();
        install();
        drop(held);
    }
}

impl Drop for Filtering<'_> {
    fn drop(&mut self) {
        let mut held = self.snapshots.held.lock();
        let at = held.filtered.iter().position(|family| family.id() == self.family.id());
        at.map(|at| held.filtered.swap_remove(at));
    }
}

impl Snapshots {
    /// Registers a snapshot of what `visible` and `now_ms` return now. Both are asked under the
    /// lock, so that later snapshots have later times: merges rely on it.
    pub fn register(&self, visible: impl FnOnce() -> SeqNum, now_ms: impl FnOnce() -> u64) -> Registered {
        let mut held = self.held.lock();
        let (seq, now_ms) = (visible(), now_ms());
        // Pinned behind it, unlike those of plain reads: a view that was pinned before may lack what is
        // visible, in a memtable that came behind it. What is visible goes from no view before this lock is
        // given back: a merge without a filter respects it, and one with a filter cannot end.
        let views = held.filtered.iter().map(|family| (family.clone(), family.view())).collect();
        let holders = held.by_seq.entry(seq).or_insert(Holders { count: 0, now_ms, respected: false });
        holders.count += 1;
        holders.now_ms = holders.now_ms.min(now_ms);
        Registered { seq, now_ms, views }
    }

    /// A compaction of the family with a filter begins, or one that drops its oldest tables. Returns what it
    /// holds while it runs, and the newest sequence number that a held snapshot sees: only newer values may
    /// be filtered or dropped.
    pub fn begin_filtering(&self, family: &Arc<Family>) -> (Filtering<'_>, Option<SeqNum>) {
        let mut held = self.held.lock();
        held.filtered.push(family.clone());
        let newest = held.by_seq.keys().next_back().copied();
        (Filtering { snapshots: self, family: family.clone() }, newest)
    }

    /// Ends one registration of `seq`. Returns whether merges may remove more than the last ones did: no
    /// snapshot as old is left, and there was a merge that had to respect it.
    pub fn release(&self, seq: SeqNum) -> bool {
        let mut held = self.held.lock();
        let oldest = held.by_seq.keys().next() == Some(&seq);
        let Some(holders) = held.by_seq.get_mut(&seq) else { return false };
        holders.count -= 1;
        let Holders { count, respected, .. } = *holders;
        if count == 0 {
            held.by_seq.remove(&seq);
        }
        count == 0 && oldest && respected
    }

    /// The horizons that a merge starting now must respect, ascending; the last is the present. If it does
    /// not `respect` them but only asks, nobody need look for work when they are released.
    pub fn horizons(
        &self,
        visible: impl FnOnce() -> SeqNum,
        now_ms: impl FnOnce() -> u64,
        respect: bool,
    ) -> Vec<Horizon> {
        let mut held = self.held.lock();
        let now_ms = now_ms();
        let present = Horizon { seq: visible(), now_ms };
        let all = held.by_seq.iter_mut().map(|(&seq, holders)| {
            holders.respected |= respect;
            Horizon { seq, now_ms: holders.now_ms }
        });
        let mut horizons: Vec<_> = all.collect();
        match horizons.last_mut() {
            // Snapshots of the present freeze no later than it: the earlier time counts.
            Some(last) if last.seq == present.seq => last.now_ms = last.now_ms.min(now_ms),
            _ => horizons.push(present),
        }
        horizons
    }

    /// The newest sequence number that a held snapshot sees.
    #[must_use]
    pub fn newest(&self) -> Option<SeqNum> {
        self.held.lock().by_seq.keys().next_back().copied()
    }

    /// How many snapshots are held, and the oldest.
    #[must_use]
    pub fn held(&self) -> (usize, Option<SeqNum>) {
        let held = self.held.lock();
        (held.by_seq.values().map(|holders| holders.count).sum(), held.by_seq.keys().next().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizons_are_the_held_snapshots_and_the_present() {
        let snapshots = Snapshots::default();
        let register = |seq, now_ms| {
            let registered = snapshots.register(|| seq, || now_ms);
            assert_eq!((registered.seq, registered.now_ms), (seq, now_ms));
        };
        register(5, 50);
        register(5, 40);
        register(9, 90);
        let h = |seq, now_ms| Horizon { seq, now_ms };
        assert_eq!(snapshots.horizons(|| 12, || 100, true), [h(5, 40), h(9, 90), h(12, 100)]);
        assert_eq!(snapshots.horizons(|| 9, || 100, true), [h(5, 40), h(9, 90)]);
        assert!(!snapshots.release(5));
        assert!(!snapshots.release(9), "an older one is still held");
        assert_eq!(snapshots.horizons(|| 12, || 100, true), [h(5, 40), h(12, 100)]);
        assert!(snapshots.release(5));
        assert_eq!(snapshots.held(), (0, None));
    }

    /// Each transaction has a snapshot: were each worth a look for work, every commit would wake a thread.
    #[test]
    fn a_snapshot_that_no_merge_has_met_holds_nothing_up() {
        let snapshots = Snapshots::default();
        snapshots.register(|| 5, || 50);
        assert!(!snapshots.release(5));
        snapshots.register(|| 6, || 60);
        snapshots.horizons(|| 12, || 100, true);
        snapshots.register(|| 13, || 110);
        assert!(snapshots.release(6), "a merge has kept something for it");
        assert!(!snapshots.release(13), "it came behind the merge");
        snapshots.register(|| 14, || 120);
        snapshots.horizons(|| 15, || 130, false);
        assert!(!snapshots.release(14), "figures were shown, and nothing was kept");
    }
}

/// Run with `cargo xtask loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::base::sync::atomic::{AtomicU64, Ordering};
    use crate::base::sync::{Arc, thread};

    /// A merge that starts while a snapshot registers and a write is published respects what the
    /// snapshot sees: it counts the snapshot, or its present is no later than the snapshot.
    #[test]
    fn loom_no_snapshot_is_missed() {
        loom::model(|| {
            let (snapshots, visible) = (Arc::new(Snapshots::default()), Arc::new(AtomicU64::new(1)));
            let publisher = {
                let visible = visible.clone();
                thread::spawn(move || visible.store(2, Ordering::Release))
            };
            let reader = {
                let (snapshots, visible) = (snapshots.clone(), visible.clone());
                thread::spawn(move || snapshots.register(|| visible.load(Ordering::Acquire), || 9).seq)
            };
            let horizons = snapshots.horizons(|| visible.load(Ordering::Acquire), || 9, true);
            let seq = reader.join().unwrap();
            publisher.join().unwrap();
            let present = horizons.last().expect("the present").seq;
            let counted = horizons.iter().any(|horizon| horizon.seq == seq);
            assert!(counted || present <= seq, "{horizons:?} misses {seq}");
            assert!(!snapshots.release(seq + 1));
        });
    }
}
