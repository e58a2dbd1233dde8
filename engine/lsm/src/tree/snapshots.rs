//! The snapshots that are held, and the horizons that a merge must respect.

use crate::base::key::SeqNum;
use crate::base::sync::Mutex;
use crate::iter::Horizon;
use std::collections::BTreeMap;

/// The registered snapshots of a store.
///
/// A snapshot takes its sequence number under the same lock under which a merge reads the list. A
/// merge counts the then-visible sequence number as a snapshot; one that registers later can only
/// get the same or a greater number, so none is ever missed.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// By sequence number: how many hold it, and the earliest time that any of them froze.
    held: Mutex<BTreeMap<SeqNum, (usize, u64)>>,
}

impl Snapshots {
    /// Registers a snapshot of what `visible` and `now_ms` return now. Both are asked under the
    /// lock, so that later snapshots have later times: merges rely on it.
    pub fn register(&self, visible: impl FnOnce() -> SeqNum, now_ms: impl FnOnce() -> u64) -> (SeqNum, u64) {
        let mut held = self.held.lock();
        let (seq, now_ms) = (visible(), now_ms());
        let (count, earliest) = held.entry(seq).or_insert((0, now_ms));
        *count += 1;
        *earliest = (*earliest).min(now_ms);
        (seq, now_ms)
    }

    /// Ends one registration of `seq`. Returns whether merges may remove more than before: no
    /// snapshot as old is left.
    pub fn release(&self, seq: SeqNum) -> bool {
        let mut held = self.held.lock();
        let oldest = held.keys().next() == Some(&seq);
        if let Some((count, _)) = held.get_mut(&seq) {
            *count -= 1;
            if *count == 0 {
                held.remove(&seq);
                return oldest;
            }
        }
        false
    }

    /// The horizons that a merge starting now must respect, ascending; the last is the present.
    pub fn horizons(&self, visible: impl FnOnce() -> SeqNum, now_ms: impl FnOnce() -> u64) -> Vec<Horizon> {
        let held = self.held.lock();
        let now_ms = now_ms();
        let present = Horizon { seq: visible(), now_ms };
        let mut horizons: Vec<_> = held.iter().map(|(&seq, &(_, now_ms))| Horizon { seq, now_ms }).collect();
        match horizons.last_mut() {
            // Snapshots of the present freeze no later than it: the earlier time counts.
            Some(last) if last.seq == present.seq => last.now_ms = last.now_ms.min(now_ms),
            _ => horizons.push(present),
        }
        horizons
    }

    /// How many snapshots are held, and the oldest.
    #[must_use]
    pub fn held(&self) -> (usize, Option<SeqNum>) {
        let held = self.held.lock();
        (held.values().map(|(count, _)| count).sum(), held.keys().next().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizons_are_the_held_snapshots_and_the_present() {
        let snapshots = Snapshots::default();
        assert_eq!(snapshots.register(|| 5, || 50), (5, 50));
        assert_eq!(snapshots.register(|| 5, || 40), (5, 40));
        assert_eq!(snapshots.register(|| 9, || 90), (9, 90));
        let h = |seq, now_ms| Horizon { seq, now_ms };
        assert_eq!(snapshots.horizons(|| 12, || 100), [h(5, 40), h(9, 90), h(12, 100)]);
        assert_eq!(snapshots.horizons(|| 9, || 100), [h(5, 40), h(9, 90)]);
        assert!(!snapshots.release(5));
        assert!(!snapshots.release(9), "an older one is still held");
        assert_eq!(snapshots.horizons(|| 12, || 100), [h(5, 40), h(12, 100)]);
        assert!(snapshots.release(5));
        assert_eq!(snapshots.held(), (0, None));
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
                thread::spawn(move || snapshots.register(|| visible.load(Ordering::Acquire), || 9).0)
            };
            let horizons = snapshots.horizons(|| visible.load(Ordering::Acquire), || 9);
            let seq = reader.join().unwrap();
            publisher.join().unwrap();
            let present = horizons.last().expect("the present").seq;
            let counted = horizons.iter().any(|horizon| horizon.seq == seq);
            assert!(counted || present <= seq, "{horizons:?} misses {seq}");
            assert!(!snapshots.release(seq + 1));
        });
    }
}
