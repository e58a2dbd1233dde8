//! What was written of late: the table against which transactions and conditions are validated.
//!
//! The table covers the writes behind its *floor*, a sequence number. It is filled in the ordering
//! section, before a batch is published, and only while somebody watches: plain writes of a store
//! without transactions pay for one look at a counter. It is bounded: the oldest writes leave it, and
//! the floor rises to the last one that left. A question about the time before the floor cannot be
//! answered here ([`Recent::Unknown`]); whoever asks must look into the tree.
//!
//! The writes stand in their order, which says what to forget, and beside it the keys, and the removed
//! ranges, in theirs. Whoever asks for a range walks both ways at once, what is known of the range and the
//! writes from the newest one back, until either is at its end or has met a write: neither a wide range
//! that was hardly written of late nor a narrow one among many writes takes long.

use super::bounds::{holds_nothing, within};
use super::removed::RemovedRanges;
use crate::base::bounds::first_from;
use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// What the table knows of a key or a range since some sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recent {
    /// Nobody has written it.
    Unwritten,
    /// Somebody has, at this sequence number: of a key its last write, of a range any that is new enough.
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
    /// By family, the keys of `writes`, each with its last write.
    last: BTreeMap<u32, Keys>,
    /// The ranges among `writes`, in their order.
    ranges: VecDeque<Range>,
    /// The same, by their keys.
    removed: RemovedRanges,
    /// What all but `removed` takes.
    bytes: usize,
    most_bytes: usize,
    watchers: usize,
}

#[derive(Debug)]
struct Write {
    seq: SeqNum,
    family: u32,
    /// The key, or `None` for the first of `ranges`.
    key: Option<Arc<[u8]>>,
}

/// The keys of a family, each with its last write. They are those of the writes, not copies.
type Keys = BTreeMap<Arc<[u8]>, SeqNum>;

/// A removed range: sequence number, family, first key, and the key behind the last, if it has an end.
type Range = (SeqNum, u32, Box<[u8]>, Option<Box<[u8]>>);

/// What a write takes in bytes, roughly: its place in the queue, some of which is always empty.
const WRITE_BYTES: usize = 48;

/// What a key takes beside its bytes, roughly: its place in a tree of which a third is empty, two counters,
/// and what the allocator adds. A key that is written again takes that once.
const KEY_OVERHEAD_BYTES: usize = 72;

impl RecentWrites {
    /// An empty table of at most about `most_bytes`.
    #[must_use]
    pub fn new(most_bytes: usize) -> RecentWrites {
        RecentWrites {
            floor: 0,
            writes: VecDeque::new(),
            last: BTreeMap::new(),
            ranges: VecDeque::new(),
            removed: RemovedRanges::default(),
            bytes: 0,
            most_bytes,
            watchers: 0,
        }
    }

    /// Lets it take so much from now on.
    pub fn set_most_bytes(&mut self, most_bytes: usize) {
        self.most_bytes = most_bytes;
        while self.bytes() > self.most_bytes && !self.writes.is_empty() {
            self.forget_oldest();
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

    /// Forgets what it knows and goes on watching: everything behind `last_seq` is kept from now on.
    pub fn start_anew(&mut self, last_seq: SeqNum) {
        let watchers = self.watchers;
        *self = RecentWrites { floor: last_seq, watchers, ..RecentWrites::new(self.most_bytes) };
    }

    /// Whether writes must be recorded.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.watchers > 0
    }

    /// The memory that the table takes, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.removed.bytes()
    }

    /// Records the write of a key. Sequence numbers never go back.
    pub fn record(&mut self, seq: SeqNum, family: u32, key: &[u8]) {
        let keys = self.last.entry(family).or_default();
        let here = (Bound::Included(key), Bound::Included(key));
        let shared = match keys.range_mut::<[u8], _>(here).next() {
            Some((known, last)) => {
                *last = seq;
                known.clone()
            }
            None => {
                let new: Arc<[u8]> = key.into();
                keys.insert(new.clone(), seq);
                self.bytes += key.len() + KEY_OVERHEAD_BYTES;
                new
            }
        };
        self.push(Write { seq, family, key: Some(shared) });
    }

    /// Records the removal of the keys from `from` up to, and without, `to`; without `to` there is no end.
    pub fn record_range(&mut self, seq: SeqNum, family: u32, from: &[u8], to: Option<&[u8]>) {
        if to.is_some_and(|to| to <= from) {
            return;
        }
        let range: Range = (seq, family, from.into(), to.map(Into::into));
        self.bytes += bytes_of_range(&range);
        self.removed.insert(seq, family, from, to);
        self.ranges.push_back(range);
        self.push(Write { seq, family, key: None });
    }

    fn push(&mut self, write: Write) {
        debug_assert!(self.writes.back().is_none_or(|last| last.seq < write.seq));
        self.writes.push_back(write);
        self.bytes += WRITE_BYTES;
        while self.bytes() > self.most_bytes {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(write) = self.writes.pop_front() else { return };
        self.floor = write.seq;
        self.bytes -= WRITE_BYTES;
        let Some(key) = write.key else {
            if let Some(range) = self.ranges.pop_front() {
                self.bytes -= bytes_of_range(&range);
                let (seq, family, from, to) = range;
                self.removed.forget(seq, family, &from, to.as_deref());
            }
            return;
        };
        // A key that was written again stays for that write.
        if let Some(keys) = self.last.get_mut(&write.family)
            && keys.get(&key) == Some(&write.seq)
        {
            keys.remove(&key);
            self.bytes -= key.len() + KEY_OVERHEAD_BYTES;
            if keys.is_empty() {
                self.last.remove(&write.family);
            }
        }
    }

    /// Whether `key` was written behind `since`. Takes hardly more time the more is known.
    #[must_use]
    pub fn key(&self, family: u32, key: &[u8], since: SeqNum) -> Recent {
        if since < self.floor {
            return Recent::Unknown;
        }
        let point = self.last.get(&family).and_then(|keys| keys.get(key)).copied();
        match point.max(self.removed.last(family, key)) {
            Some(seq) if seq > since => Recent::Written(seq),
            _ => Recent::Unwritten,
        }
    }

    /// A key within the bounds that was written behind `since`, or the first of those that were removed with
    /// a range, for messages. Takes as long as [`RecentWrites::range`].
    #[must_use]
    pub fn written_key(
        &self,
        family: u32,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        since: SeqNum,
    ) -> Option<Vec<u8>> {
        let written = self.point(family, bounds, since).0.map(|(key, _)| key.to_vec());
        written.or_else(|| self.removal(family, bounds, since).0.map(|(from, _)| first_from(bounds.0, from)))
    }

    /// Whether any key within the bounds was written behind `since`. Takes time in proportion to the
    /// lesser of: the keys and removed ranges within the bounds that the table knows, the writes since then.
    #[must_use]
    pub fn range(&self, family: u32, bounds: (Bound<&[u8]>, Bound<&[u8]>), since: SeqNum) -> Recent {
        if since < self.floor {
            return Recent::Unknown;
        }
        let point = || self.point(family, bounds, since).0.map(|(_, seq)| seq);
        let removed = || self.removal(family, bounds, since).0.map(|(_, seq)| seq);
        match (!holds_nothing(bounds)).then(|| point().or_else(removed)).flatten() {
            Some(seq) => Recent::Written(seq),
            None => Recent::Unwritten,
        }
    }

    /// A key within the bounds that was written behind `since`, with that write, and how many keys and
    /// writes were looked at.
    fn point(
        &self,
        family: u32,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        since: SeqNum,
    ) -> (Option<(&[u8], SeqNum)>, usize) {
        let keys = self.last.get(&family).filter(|_| !holds_nothing(bounds));
        let Some(keys) = keys else { return (None, 0) };
        let mut by_key = keys.range::<[u8], _>(bounds);
        let mut by_age = self.writes.iter().rev().take_while(|write| write.seq > since);
        let mut looked_at = 0;
        loop {
            let Some((key, seq)) = by_key.next() else { return (None, looked_at) };
            let Some(write) = by_age.next() else { return (None, looked_at) };
            looked_at += 2;
            if *seq > since {
                return (Some((key, *seq)), looked_at);
            }
            if let Some(key) = write.key.as_deref()
                && write.family == family
                && within(bounds, key)
            {
                return (Some((key, write.seq)), looked_at);
            }
        }
    }

    /// A removal behind `since` of keys within the bounds, with where it begins, and how many pieces and
    /// ranges were looked at.
    fn removal(
        &self,
        family: u32,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        since: SeqNum,
    ) -> (Option<(&[u8], SeqNum)>, usize) {
        let by_age = self.ranges.iter().rev().take_while(|(seq, ..)| *seq > since);
        let mut looked_at = 0;
        for ((from, last), range) in self.removed.within(family, bounds).zip(by_age) {
            looked_at += 2;
            if last > since {
                return (Some((from, last)), looked_at);
            }
            if range.1 == family && meets(range, bounds) {
                return (Some((&range.2, range.0)), looked_at);
            }
        }
        (None, looked_at)
    }
}

/// The memory of a range, in bytes, roughly.
fn bytes_of_range((_, _, from, to): &Range) -> usize {
    KEY_OVERHEAD_BYTES + from.len() + to.as_deref().map_or(0, <[u8]>::len)
}

/// Whether a removed range has anything in common with the bounds.
fn meets((_, _, from, to): &Range, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    let ends_before = match bounds.0 {
        Bound::Unbounded => false,
        Bound::Included(lower) | Bound::Excluded(lower) => to.as_deref().is_some_and(|to| to <= lower),
    };
    let starts_behind = match bounds.1 {
        Bound::Unbounded => false,
        Bound::Included(upper) => **from > *upper,
        Bound::Excluded(upper) => **from >= *upper,
    };
    !ends_before && !starts_behind
}

#[cfg(all(test, not(loom)))]
#[path = "recent_tests.rs"]
mod tests;
