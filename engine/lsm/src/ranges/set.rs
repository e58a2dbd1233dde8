//! Ranges made searchable: which of them cover a key is one binary search and a walk up a tree.
//!
//! The bounds of all ranges cut the keys into *stretches*, in each of which the same ranges cover every
//! key. Over the stretches stands a segment tree (J. L. Bentley: Solutions to Klee's rectangle problems,
//! 1977): each range is noted at the few nodes whose stretches it covers whole, so that however much
//! ranges overlap, `n` of them take memory in proportion to `n log n`. A stretch meets its ranges on the way
//! from its leaf to the root.

use super::range::{Range, RangeKind};
use crate::base::key::SeqNum;
use crate::base::sync::Arc;

/// Ranges of one family, unchanging.
#[derive(Debug, Default)]
pub struct RangeSet {
    /// In the order of sequence numbers.
    ranges: Vec<Arc<Range>>,
    /// Where stretches begin, ascending; each ends where the next begins.
    cuts: Vec<Box<[u8]>>,
    /// The nodes of the tree, by number: the root is 1, the children of `i` are `2i` and `2i + 1`, and the
    /// leaf of the stretch behind cut `i` is `cuts.len() + i`.
    nodes: Vec<Node>,
    deleted: usize,
    bytes: usize,
}

/// The sequence numbers of the ranges noted at a node, ascending.
#[derive(Debug, Default)]
struct Node {
    deleted: Vec<SeqNum>,
    dropped: Vec<SeqNum>,
}

/// Keys that lie in the same ranges.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// The first of them.
    pub from: &'a [u8],
    /// The first key behind them; `None` without end.
    pub to: Option<&'a [u8]>,
    nodes: &'a [Node],
    /// Its leaf; 0 if it lies before all cuts.
    leaf: usize,
}

impl<'a> Stretch<'a> {
    /// The nodes that it lies under.
    fn path(&self) -> impl Iterator<Item = &'a Node> {
        let (nodes, mut at) = (self.nodes, self.leaf);
        std::iter::from_fn(move || {
            let node = nodes.get(at).filter(|_| at > 0);
            at /= 2;
            node
        })
    }

    /// The newest deleted range that a reader at `seq` sees here; 0 if there is none. It hides every entry
    /// with a lower sequence number.
    #[must_use]
    pub fn newest_deleted(&self, seq: SeqNum) -> SeqNum {
        self.path().map(|node| newest(&node.deleted, seq)).max().unwrap_or(0)
    }

    /// The newest dropped range up to `seq`; 0 if there is none.
    #[must_use]
    pub fn newest_dropped(&self, seq: SeqNum) -> SeqNum {
        self.path().map(|node| newest(&node.dropped, seq)).max().unwrap_or(0)
    }

    /// The first deleted range behind `seq`: of an entry at `seq`, the one that hides it first.
    #[must_use]
    pub fn deleted_behind(&self, seq: SeqNum) -> Option<SeqNum> {
        self.path().filter_map(|node| behind(&node.deleted, seq)).min()
    }

    /// The first range of either kind behind `seq`.
    #[must_use]
    pub fn behind(&self, seq: SeqNum) -> Option<SeqNum> {
        let dropped = self.path().filter_map(|node| behind(&node.dropped, seq)).min();
        self.deleted_behind(seq).into_iter().chain(dropped).min()
    }

    /// Whether no range covers it.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.path().all(|node| node.deleted.is_empty() && node.dropped.is_empty())
    }
}

fn newest(seqs: &[SeqNum], seq: SeqNum) -> SeqNum {
    let behind = seqs.partition_point(|s| *s <= seq);
    behind.checked_sub(1).map_or(0, |last| seqs[last])
}

fn behind(seqs: &[SeqNum], seq: SeqNum) -> Option<SeqNum> {
    seqs.get(seqs.partition_point(|s| *s <= seq)).copied()
}

impl RangeSet {
    /// Makes ranges searchable. Sequence numbers are distinct. Costs the sorting of all bounds.
    #[must_use]
    pub fn new(mut ranges: Vec<Arc<Range>>) -> RangeSet {
        ranges.sort_by_key(|range| range.seq);
        debug_assert!(ranges.is_sorted_by(|a, b| a.seq < b.seq));
        let bounds = ranges.iter().flat_map(|range| std::iter::once(&range.from).chain(&range.to));
        let mut bounds: Vec<&[u8]> = bounds.map(|bound| &**bound).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let count = bounds.len();
        let mut nodes: Vec<Node> = std::iter::repeat_with(Node::default).take(2 * count).collect();
        for range in &ranges {
            let place = |bound: &[u8]| bounds.partition_point(|cut| *cut < bound);
            let (mut left, mut right) =
                (count + place(&range.from), count + range.to.as_deref().map_or(count, place));
            // The nodes that together cover just these leaves, from both ends up.
            while left < right {
                if left % 2 == 1 {
                    nodes[left].note(range);
                    left += 1;
                }
                if right % 2 == 1 {
                    right -= 1;
                    nodes[right].note(range);
                }
                (left, right) = (left / 2, right / 2);
            }
        }
        let cuts: Vec<Box<[u8]>> = bounds.into_iter().map(Into::into).collect();
        let bytes = ranges.iter().map(|range| range.bytes()).sum::<usize>()
            + cuts.iter().map(|cut| size_of::<Box<[u8]>>() + cut.len()).sum::<usize>()
            + nodes.iter().map(Node::bytes).sum::<usize>();
        let deleted = ranges.iter().filter(|range| range.kind == RangeKind::Deleted).count();
        RangeSet { ranges, cuts, nodes, deleted, bytes }
    }

    /// This set without the ranges that have the sequence numbers `removed`, and with `added`.
    #[must_use]
    pub fn changed(&self, removed: &[SeqNum], added: impl IntoIterator<Item = Arc<Range>>) -> RangeSet {
        let kept = self.ranges.iter().filter(|range| !removed.contains(&range.seq)).cloned();
        RangeSet::new(kept.chain(added).collect())
    }

    /// The ranges, in the order of sequence numbers.
    #[must_use]
    pub fn ranges(&self) -> &[Arc<Range>] {
        &self.ranges
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether any of them hides anything from readers.
    #[inline]
    #[must_use]
    pub fn has_deleted(&self) -> bool {
        self.deleted > 0
    }

    /// The memory that it takes, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The stretch that `key` lies in.
    #[must_use]
    pub fn at(&self, key: &[u8]) -> Stretch<'_> {
        self.stretch(self.cuts.partition_point(|cut| **cut <= *key))
    }

    /// The stretch before the cut `behind`.
    fn stretch(&self, behind: usize) -> Stretch<'_> {
        let to = self.cuts.get(behind).map(|cut| &**cut);
        match behind.checked_sub(1) {
            None => Stretch { from: b"", to, nodes: &[], leaf: 0 },
            Some(at) => Stretch { from: &self.cuts[at], to, nodes: &self.nodes, leaf: self.cuts.len() + at },
        }
    }

    /// Walks along with ascending keys.
    #[must_use]
    pub fn walk(&self) -> RangeWalk<'_> {
        RangeWalk { set: self, behind: 0 }
    }
}

impl Node {
    /// Notes a range that is newer than those noted before.
    fn note(&mut self, range: &Range) {
        match range.kind {
            RangeKind::Deleted => self.deleted.push(range.seq),
            RangeKind::Dropped => self.dropped.push(range.seq),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Node>() + (self.deleted.capacity() + self.dropped.capacity()) * size_of::<SeqNum>()
    }
}

/// Finds the stretches of keys that ascend, in amortised constant time.
#[derive(Clone, Debug)]
pub struct RangeWalk<'a> {
    set: &'a RangeSet,
    behind: usize,
}

impl<'a> RangeWalk<'a> {
    /// The stretch that `key` lies in. Keys must be asked for in ascending order.
    pub fn at(&mut self, key: &[u8]) -> Stretch<'a> {
        while self.set.cuts.get(self.behind).is_some_and(|cut| **cut <= *key) {
            self.behind += 1;
        }
        self.set.stretch(self.behind)
    }
}
