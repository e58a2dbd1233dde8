//! What a transaction has read and nobody else may write before it commits.

use crate::base::key::NEVER;
use crate::base::sync::{Arc, Mutex};
use crate::commit::RangeCheck;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Where a range starts or ends.
type Edge = Bound<Vec<u8>>;

/// Keys and ranges that were read at the transaction's snapshot.
#[derive(Debug)]
pub(super) struct Tracked {
    keys: BTreeSet<(u32, Vec<u8>)>,
    ranges: Vec<Scanned>,
    /// What iterators that may still be alive have walked over.
    scans: Vec<Arc<Mutex<Scanned>>>,
    /// What `keys` and `ranges` take, in bytes, roughly.
    bytes: usize,
    most: usize,
    most_bytes: usize,
    /// With how many scans it is looked which have ended: what those take is known only then.
    settle_at: usize,
    /// Of the values that were read the one that expires first.
    expiring: Option<Expiring>,
}

/// What a key or a range takes beside its bytes, roughly.
const OVERHEAD_BYTES: usize = 100;

/// So many scans may have ended before it is looked what they take.
const SETTLE_AT: usize = 64;

/// When a value expires, and where it stands.
pub(super) type Expiring = (u64, u32, Vec<u8>);

/// Keeps what expires first.
fn first(held: &mut Option<Expiring>, expires_at: u64, family: u32, key: &[u8]) {
    if expires_at < held.as_ref().map_or(NEVER, |(first, ..)| *first) {
        *held = Some((expires_at, family, key.to_vec()));
    }
}

/// How far an iterator has come from either end.
#[derive(Clone, Debug)]
pub(super) struct Scanned {
    family: u32,
    lower: Edge,
    upper: Edge,
    front: Option<Vec<u8>>,
    back: Option<Vec<u8>>,
    all: bool,
    /// Of the entries that were seen the one that expires first.
    expiring: Option<Expiring>,
}

impl Scanned {
    pub(super) fn new(family: u32, lower: Edge, upper: Edge) -> Scanned {
        Scanned { family, lower, upper, front: None, back: None, all: false, expiring: None }
    }

    /// Everything from the front up to `key` has been seen.
    pub(super) fn came_to(&mut self, key: &[u8]) {
        self.front.get_or_insert_default().clear();
        self.front.get_or_insert_default().extend_from_slice(key);
    }

    /// Everything from the back down to `key` has been seen.
    pub(super) fn came_back_to(&mut self, key: &[u8]) {
        self.back.get_or_insert_default().clear();
        self.back.get_or_insert_default().extend_from_slice(key);
    }

    /// Everything has been seen.
    pub(super) fn came_to_the_end(&mut self) {
        self.all = true;
    }

    /// An entry that was seen expires at this time.
    pub(super) fn expires(&mut self, key: &[u8], expires_at: u64) {
        first(&mut self.expiring, expires_at, self.family, key);
    }

    /// What it takes, in bytes, roughly.
    fn bytes(&self) -> usize {
        let edges = [&self.lower, &self.upper].into_iter().filter_map(|edge| match edge {
            Bound::Unbounded => None,
            Bound::Included(key) | Bound::Excluded(key) => Some(key),
        });
        let seen = self.expiring.as_ref().map(|(.., key)| key);
        let keys = edges.chain(&self.front).chain(&self.back).chain(seen);
        keys.map(Vec::len).sum::<usize>() + 2 * OVERHEAD_BYTES
    }

    fn checks(&self, since: u64) -> impl Iterator<Item = RangeCheck> {
        let Scanned { family, lower, upper, front, back, all, .. } = self;
        let check = |lower: &Edge, upper: &Edge| RangeCheck {
            family: *family,
            lower: lower.clone(),
            upper: upper.clone(),
            since,
        };
        let inclusive = |key: &Vec<u8>| Bound::Included(key.clone());
        let whole = all.then(|| check(lower, upper));
        let from_front = front.as_ref().filter(|_| !all).map(|key| check(lower, &inclusive(key)));
        let from_back = back.as_ref().filter(|_| !all).map(|key| check(&inclusive(key), upper));
        [whole, from_front, from_back].into_iter().flatten()
    }
}

impl Tracked {
    /// Remembers so many keys and ranges one by one, as long as they take no more than so many bytes.
    pub(super) fn new(most: usize, most_bytes: usize) -> Tracked {
        Tracked {
            keys: BTreeSet::new(),
            ranges: Vec::new(),
            scans: Vec::new(),
            bytes: 0,
            most: most.max(1),
            most_bytes,
            settle_at: SETTLE_AT,
            expiring: None,
        }
    }

    /// Notes that a key was read.
    pub(super) fn key(&mut self, family: u32, key: &[u8]) {
        if self.keys.insert((family, key.to_vec())) {
            self.bytes += key.len() + OVERHEAD_BYTES;
        }
        self.keep_small();
    }

    /// Notes that a value that was read expires at this time.
    pub(super) fn expires(&mut self, family: u32, key: &[u8], expires_at: u64) {
        first(&mut self.expiring, expires_at, family, key);
    }

    /// What expires first of all that was read.
    pub(super) fn expiring(&self) -> Option<Expiring> {
        let scans = self.scans.iter().filter_map(|scan| scan.lock().expiring.clone());
        let ranges = self.ranges.iter().filter_map(|range| range.expiring.clone());
        scans.chain(ranges).chain(self.expiring.clone()).min()
    }

    /// Notes that an iterator is about to walk.
    pub(super) fn scan(&mut self, scanned: Scanned) -> Arc<Mutex<Scanned>> {
        let scan = Arc::new(Mutex::new(scanned));
        self.scans.push(scan.clone());
        if self.scans.len() >= self.settle_at {
            self.settle();
        }
        self.keep_small();
        scan
    }

    /// Whether an iterator may still walk.
    pub(super) fn is_being_scanned(&self) -> bool {
        self.scans.iter().any(|scan| Arc::strong_count(scan) > 1)
    }

    /// The keys that were read.
    pub(super) fn keys(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.keys.iter().map(|(family, key)| (*family, key.as_slice()))
    }

    /// The ranges that were read, to be unwritten behind `since`.
    pub(super) fn ranges(&self, since: u64) -> Vec<RangeCheck> {
        let mut checks: Vec<_> = self.ranges.iter().flat_map(|range| range.checks(since)).collect();
        checks
            .extend(self.scans.iter().flat_map(|scan| scan.lock().clone().checks(since).collect::<Vec<_>>()));
        checks
    }

    /// How many keys and ranges are remembered.
    pub(super) fn len(&self) -> usize {
        self.keys.len() + self.ranges.len() + self.scans.len()
    }

    /// Takes what has been walked over to its end for a range.
    fn settle(&mut self) {
        let (alive, ended): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.scans).into_iter().partition(|scan| Arc::strong_count(scan) > 1);
        self.settle_at = SETTLE_AT.max(2 * alive.len());
        self.scans = alive;
        for scan in ended {
            let range = scan.lock().clone();
            self.bytes += range.bytes();
            self.ranges.push(range);
        }
    }

    /// Puts together what is too much, at some precision's cost.
    fn keep_small(&mut self) {
        let small =
            |tracked: &Tracked, count: usize| count <= tracked.most && tracked.bytes <= tracked.most_bytes;
        if small(self, self.len()) {
            return;
        }
        self.settle();
        if small(self, self.keys.len() + self.ranges.len()) {
            return;
        }
        self.expiring = self.expiring();
        let mut whole: BTreeMap<u32, (Edge, Edge)> = BTreeMap::new();
        let mut cover = |family, lower: Edge, upper: Edge| {
            let (from, to) = whole.entry(family).or_insert_with(|| (lower.clone(), upper.clone()));
            *from = wider(from, &lower, |a, b| a < b);
            *to = wider(to, &upper, |a, b| a > b);
        };
        for (family, key) in std::mem::take(&mut self.keys) {
            cover(family, Bound::Included(key.clone()), Bound::Included(key));
        }
        for check in std::mem::take(&mut self.ranges).iter().flat_map(|range| range.checks(0)) {
            cover(check.family, check.lower, check.upper);
        }
        for (family, (lower, upper)) in whole {
            let mut range = Scanned::new(family, lower, upper);
            range.came_to_the_end();
            self.ranges.push(range);
        }
        self.bytes = self.ranges.iter().map(Scanned::bytes).sum();
        // Long keys of many families: what cannot be made smaller is not put together at each read.
        self.most_bytes = self.most_bytes.max(2 * self.bytes);
    }
}

/// The bound that leaves more in; `beyond` says whether a key lies further out than another.
fn wider(a: &Edge, b: &Edge, beyond: impl Fn(&[u8], &[u8]) -> bool) -> Edge {
    match (a, b) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => Bound::Unbounded,
        (Bound::Included(x) | Bound::Excluded(x), Bound::Included(y) | Bound::Excluded(y)) => {
            // Inclusive is wide enough for both.
            Bound::Included(if beyond(x, y) { x.clone() } else { y.clone() })
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn covered(tracked: &Tracked, family: u32, key: &[u8]) -> bool {
        let inside = |check: RangeCheck| {
            let above = match &check.lower {
                Bound::Unbounded => true,
                Bound::Included(lower) => key >= &lower[..],
                Bound::Excluded(lower) => key > &lower[..],
            };
            let below = match &check.upper {
                Bound::Unbounded => true,
                Bound::Included(upper) => key <= &upper[..],
                Bound::Excluded(upper) => key < &upper[..],
            };
            check.family == family && above && below
        };
        tracked.keys().any(|tracked| tracked == (family, key)) || tracked.ranges(0).into_iter().any(inside)
    }

    #[test]
    fn what_is_put_together_covers_what_was_read() {
        let mut tracked = Tracked::new(8, 1 << 20);
        for n in 0..100u8 {
            tracked.key(u32::from(n % 2), &[n]);
            if n % 5 == 0 {
                let scan = tracked.scan(Scanned::new(0, Bound::Excluded(vec![n]), Bound::Unbounded));
                scan.lock().came_to(&[n, 7]);
            }
            // The scan of this very turn cannot be put together with others yet.
            assert!(tracked.len() <= 9);
        }
        for n in 0..100u8 {
            assert!(covered(&tracked, u32::from(n % 2), &[n]), "{n}");
            assert!(n % 5 > 0 || covered(&tracked, 0, &[n, 7]));
        }
        assert!(!covered(&tracked, 0, &[101]) && !covered(&tracked, 2, &[5]));
    }

    #[test]
    fn only_what_was_walked_over_counts() {
        let mut tracked = Tracked::new(8, 1 << 20);
        let scan = tracked.scan(Scanned::new(0, Bound::Included(vec![10]), Bound::Excluded(vec![20])));
        assert!(!covered(&tracked, 0, &[10]) && tracked.is_being_scanned());
        scan.lock().came_to(&[12]);
        scan.lock().came_back_to(&[17]);
        let seen = |tracked: &Tracked| (8..22u8).filter(|n| covered(tracked, 0, &[*n])).collect::<Vec<_>>();
        assert_eq!(seen(&tracked), [10, 11, 12, 17, 18, 19]);
        scan.lock().came_to_the_end();
        assert_eq!(seen(&tracked), (10..20).collect::<Vec<_>>());
        drop(scan);
        assert!(!tracked.is_being_scanned());
    }
}
