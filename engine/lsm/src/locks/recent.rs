//! What was written of late: the table against which transactions and conditions are validated.
//!
//! The table covers the writes behind its *floor*, a sequence number. It is filled in the ordering
//! section, before a batch is published, and only while somebody watches: plain writes of a store
//! without transactions pay for one look at a counter. It is bounded: the oldest writes leave it, and
//! the floor rises to the last one that left. A question about the time before the floor cannot be
//! answered here ([`Recent::Unknown`]); whoever asks must look into the tree.

use super::bounds::within;
use crate::base::hash::key_hash;
use crate::base::key::SeqNum;
use std::collections::{HashMap, VecDeque};
use std::ops::Bound;

/// What the table knows of a key or a range since some sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recent {
    /// Nobody has written it.
    Unwritten,
    /// Somebody has, last at this sequence number.
    Written(SeqNum),
    /// The table does not reach back so far.
    Unknown,
}

/// The recent writes of a store.
#[derive(Debug)]
pub struct RecentWrites {
    /// Everything written behind this sequence number is in the table.
    floor: SeqNum,
    /// The writes in their order.
    writes: VecDeque<Write>,
    /// By family and hash of the key, the last write of it. Two keys of one hash are one here, which
    /// may call a key written that was not, and never the other way round.
    last: HashMap<(u32, u64), SeqNum>,
    /// The ranges among `writes`, in their order.
    ranges: VecDeque<Range>,
    bytes: usize,
    most_bytes: usize,
    watchers: usize,
}

#[derive(Debug)]
struct Write {
    seq: SeqNum,
    family: u32,
    /// The key, or `None` for the first of `ranges`.
    key: Option<Box<[u8]>>,
}

/// A removed range: sequence number, family, first key, and the key behind the last, if it has an end.
type Range = (SeqNum, u32, Box<[u8]>, Option<Box<[u8]>>);

/// What a write takes beside its key, in bytes, roughly.
const WRITE_OVERHEAD_BYTES: usize = 96;

impl RecentWrites {
    /// An empty table of at most about `most_bytes`.
    #[must_use]
    pub fn new(most_bytes: usize) -> RecentWrites {
        RecentWrites {
            floor: 0,
            writes: VecDeque::new(),
            last: HashMap::new(),
            ranges: VecDeque::new(),
            bytes: 0,
            most_bytes,
            watchers: 0,
        }
    }

    /// Starts watching: everything behind `last_seq`, the last sequence number handed out, is kept.
    pub fn watch(&mut self, last_seq: SeqNum) {
        if self.watchers == 0 {
            self.floor = last_seq;
        }
        self.watchers += 1;
    }

    /// Ends what one [`RecentWrites::watch`] began; when the last has ended, the table is emptied.
    pub fn unwatch(&mut self) {
        self.watchers -= 1;
        if self.watchers == 0 {
            *self = RecentWrites::new(self.most_bytes);
        }
    }

    /// Whether writes must be recorded.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.watchers > 0
    }

    /// The memory that the table takes, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records the write of a key. Sequence numbers never go back.
    pub fn record(&mut self, seq: SeqNum, family: u32, key: &[u8]) {
        self.last.insert((family, key_hash(key)), seq);
        self.push(Write { seq, family, key: Some(key.into()) }, key.len());
    }

    /// Records the removal of the keys from `from` up to, and without, `to`; without `to` there is no end.
    pub fn record_range(&mut self, seq: SeqNum, family: u32, from: &[u8], to: Option<&[u8]>) {
        self.ranges.push_back((seq, family, from.into(), to.map(Into::into)));
        self.push(Write { seq, family, key: None }, from.len() + to.map_or(0, <[u8]>::len));
    }

    fn push(&mut self, write: Write, key_bytes: usize) {
        debug_assert!(self.writes.back().is_none_or(|last| last.seq < write.seq));
        self.writes.push_back(write);
        self.bytes += key_bytes + WRITE_OVERHEAD_BYTES;
        while self.bytes > self.most_bytes {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(write) = self.writes.pop_front() else { return };
        self.floor = write.seq;
        let key_bytes = match &write.key {
            Some(key) => {
                let slot = (write.family, key_hash(key));
                if self.last.get(&slot) == Some(&write.seq) {
                    self.last.remove(&slot);
                }
                key.len()
            }
            None => self
                .ranges
                .pop_front()
                .map_or(0, |(_, _, from, to)| from.len() + to.as_deref().map_or(0, <[u8]>::len)),
        };
        self.bytes -= key_bytes + WRITE_OVERHEAD_BYTES;
    }

    /// Whether `key` was written behind `since`.
    #[must_use]
    pub fn key(&self, family: u32, key: &[u8], since: SeqNum) -> Recent {
        if since < self.floor {
            return Recent::Unknown;
        }
        let point = self.last.get(&(family, key_hash(key))).copied();
        let covers = |(_, f, from, to): &&Range| {
            *f == family && **from <= *key && to.as_deref().is_none_or(|to| key < to)
        };
        let range = self.ranges.iter().rev().find(covers).map(|(seq, ..)| *seq);
        match point.max(range) {
            Some(seq) if seq > since => Recent::Written(seq),
            _ => Recent::Unwritten,
        }
    }

    /// The last key within the bounds that is known to have been written, for messages.
    #[must_use]
    pub fn written_key(&self, family: u32, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Option<&[u8]> {
        let of_family = self.writes.iter().rev().filter(|write| write.family == family);
        of_family.filter_map(|write| write.key.as_deref()).find(|key| within(bounds, key))
    }

    /// Whether any key within the bounds was written behind `since`. Takes time in proportion to the
    /// writes since then.
    #[must_use]
    pub fn range(&self, family: u32, bounds: (Bound<&[u8]>, Bound<&[u8]>), since: SeqNum) -> Recent {
        if since < self.floor {
            return Recent::Unknown;
        }
        let newer = |seq: SeqNum| seq > since;
        let point = self.writes.iter().rev().take_while(|write| newer(write.seq)).find(|write| {
            write.family == family && write.key.as_ref().is_some_and(|key| within(bounds, key))
        });
        let range = self.ranges.iter().rev().take_while(|(seq, ..)| newer(*seq));
        let range = range.filter(|(_, f, ..)| *f == family).find(|(_, _, from, to)| {
            let ends_before = match bounds.0 {
                Bound::Unbounded => false,
                Bound::Included(lower) | Bound::Excluded(lower) => {
                    to.as_deref().is_some_and(|to| to <= lower)
                }
            };
            let starts_behind = match bounds.1 {
                Bound::Unbounded => false,
                Bound::Included(upper) => **from > *upper,
                Bound::Excluded(upper) => **from >= *upper,
            };
            !ends_before && !starts_behind
        });
        match point.map(|write| write.seq).max(range.map(|(seq, ..)| *seq)) {
            Some(seq) => Recent::Written(seq),
            None => Recent::Unwritten,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Key(u8),
        Range(u8, u8),
    }

    /// A range up to the greatest key has no end.
    fn end(to: u8) -> Option<[u8; 1]> {
        (to < 19).then_some([to])
    }

    fn step() -> impl Strategy<Value = Step> {
        let range = (0u8..20, 0u8..20).prop_map(|(a, b)| Step::Range(a, b));
        prop_oneof![3 => (0u8..20).prop_map(Step::Key), 1 => range]
    }

    proptest! {
        /// What it knows is true, and what it does not know it says.
        #[test]
        fn a_bounded_table_misses_no_write(
            steps in prop::collection::vec(step(), 0..60),
            room in 1usize..40,
            asked in prop::collection::vec((0u8..20, 0u8..20, 0u64..70), 1..20),
        ) {
            let mut table = RecentWrites::new(room * (WRITE_OVERHEAD_BYTES + 2));
            table.watch(4);
            for (seq, step) in (5..).zip(&steps) {
                match step {
                    Step::Key(key) => table.record(seq, 1, &[*key]),
                    Step::Range(from, to) => {
                        table.record_range(seq, 1, &[*from], end(*to).as_ref().map(|to| &to[..]));
                    }
                }
            }
            prop_assert!(table.bytes() <= room * (WRITE_OVERHEAD_BYTES + 2));
            let last_of = |from: u8, to: u8| (5..).zip(&steps).filter(|(_, step)| match step {
                Step::Key(key) => from <= *key && *key <= to,
                Step::Range(a, b) => (a < b || *b == 19) && *a <= to && (from < *b || *b == 19),
            }).map(|(seq, _)| seq).last();
            for (from, to, since) in asked {
                let known = |last: Option<u64>| match last {
                    _ if since < table.floor => Recent::Unknown,
                    Some(seq) if seq > since => Recent::Written(seq),
                    _ => Recent::Unwritten,
                };
                prop_assert_eq!(table.key(1, &[from], since), known(last_of(from, from)));
                prop_assert_eq!(table.key(2, &[from], since), known(None));
                let bounds = (Bound::Included(&[from][..]), Bound::Included(&[to][..]));
                if from <= to {
                    // An empty range that was deleted may be taken for a write: that only repeats work.
                    match (table.range(1, bounds, since), known(last_of(from, to))) {
                        (Recent::Written(_), Recent::Unwritten) => {}
                        (found, expected) => prop_assert!(
                            found == expected
                                || matches!(
                                    (found, expected), (Recent::Written(f), Recent::Written(e)) if f > e
                                ),
                            "{:?} {:?}", found, expected
                        ),
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_kept_when_nobody_watches() {
        let mut table = RecentWrites::new(1 << 20);
        assert!(!table.watched());
        table.watch(7);
        table.watch(7);
        table.record(8, 0, b"k");
        table.unwatch();
        assert_eq!(table.key(0, b"k", 7), Recent::Written(8));
        assert_eq!(table.key(0, b"k", 6), Recent::Unknown);
        table.unwatch();
        assert_eq!(table.bytes(), 0);
        table.watch(20);
        assert_eq!(table.key(0, b"k", 20), Recent::Unwritten);
        assert_eq!(table.key(0, b"k", 19), Recent::Unknown);
    }
}
