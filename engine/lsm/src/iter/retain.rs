//! Which entries survive a flush or a compaction.
//!
//! Readers see the tree through *horizons*: each registered snapshot, and the present. A horizon is
//! a sequence number with the time that it froze. Entries of one key come newest first; an entry is
//! seen by those horizons that are at least as new as it and older than the entry before it. So:
//!
//! - An entry that the same horizons see as the newer one before it - none in between - is shadowed,
//!   and goes.
//! - An entry that has expired by the time of the oldest horizon that sees it reads as absent to all
//!   of them (later horizons have later times): it becomes a deletion.
//! - An entry in a range that was deleted or dropped behind it, before any horizon that sees the entry, goes:
//!   the first range behind it is as good as a newer entry. The range itself stays until every table has
//!   been cleaned of what is older, so what the entry hid stays hidden.
//! - A deletion that every horizon sees, of a key of which nothing older lies below, goes as well:
//!   what it hides in the same merge is shadowed.
//! - Where what was deleted has to be gone from every file within a time, a deletion that is shadowed stays
//!   all the same, the newest of its key, as long as anything older may lie below: it is what brings the
//!   work about that finds the deleted value. (A value that was only overwritten nobody has promised to
//!   erase.)
//! - An operand shadows nothing. What stands below one is for `fold` to decide, which follows the same
//!   rules.

use crate::base::key::{Kind, SeqNum};

/// A view that must not change: everything up to `seq`, as of `now_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The last sequence number that it sees.
    pub seq: SeqNum,
    /// The time against which entries expire for it.
    pub now_ms: u64,
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// It is replaced by a deletion with its sequence number.
    Delete,
    /// It goes.
    Drop,
}

/// Decides over the entries of a merge, in internal-key order.
#[derive(Debug)]
pub struct Retain {
    /// Ascending; the last is the present.
    horizons: Vec<Horizon>,
    key: Vec<u8>,
    /// The horizon that saw the last kept entry of `key` first; `None` before the first entry.
    seen: Option<usize>,
    started: bool,
    /// Whether deletions that are shadowed stay as reminders.
    reminds: bool,
    /// Whether a deletion of `key` was kept.
    deleted: bool,
    /// Whether a deletion of `key` was met, or an entry that has expired.
    ended: bool,
    /// Whether the last entry went for no other reason than that a newer one was put.
    overwritten: bool,
}

impl Retain {
    /// `horizons` in ascending order of sequence numbers; the last is the present.
    #[must_use]
    pub fn new(horizons: Vec<Horizon>) -> Retain {
        debug_assert!(horizons.is_sorted_by(|a, b| a.seq < b.seq));
        Retain {
            horizons,
            key: Vec::new(),
            seen: None,
            started: false,
            reminds: false,
            deleted: false,
            ended: false,
            overwritten: false,
        }
    }

    /// Has deletions that are shadowed stay as reminders, or not.
    #[must_use]
    pub fn with_reminders(mut self, reminds: bool) -> Retain {
        self.reminds = reminds;
        self
    }

    /// Whether deletions that are shadowed stay as reminders.
    #[must_use]
    pub fn reminds(&self) -> bool {
        self.reminds
    }

    /// Whether the last entry that was decided over went for no other reason than that a newer one was put:
    /// nobody has promised that its bytes go.
    #[must_use]
    pub fn overwritten(&self) -> bool {
        self.overwritten
    }

    /// The horizons.
    #[must_use]
    pub fn horizons(&self) -> &[Horizon] {
        &self.horizons
    }

    /// The horizons that see an entry begin with the one of this number; their count if none does.
    #[must_use]
    pub fn oldest_that_sees(&self, seq: SeqNum) -> usize {
        self.horizons.partition_point(|h| h.seq < seq)
    }

    /// Decides over the next entry. `range` is the first range over its key that was deleted or dropped
    /// behind it, if there is one; `nothing_below(key)` says whether no entry of the key that is
    /// older than the whole merge can exist.
    pub fn decide(
        &mut self,
        key: &[u8],
        seq: SeqNum,
        kind: Kind,
        expires_at: u64,
        range: Option<SeqNum>,
        nothing_below: impl FnOnce(&[u8]) -> bool,
    ) -> Fate {
        if !self.started || self.key != key {
            self.started = true;
            self.key.clear();
            self.key.extend_from_slice(key);
            (self.seen, self.deleted, self.ended) = (None, false, false);
        }
        self.overwritten = false;
        // The oldest horizon that sees this entry. What is newer than the present (a merge that
        // runs beside writes never meets it) is seen by nobody yet, and stays.
        let oldest = self.oldest_that_sees(seq);
        let Some(horizon) = self.horizons.get(oldest) else { return Fate::Keep };
        if range.is_some_and(|range| range <= horizon.seq) {
            return Fate::Drop;
        }
        if self.seen == Some(oldest) {
            self.overwritten = !self.ended;
            self.ended |= kind == Kind::Delete || expires_at <= horizon.now_ms;
            let wanted = kind == Kind::Delete && self.reminds && !self.deleted;
            // What a snapshot keeps of the key in this very merge stands below it, too.
            let reminder = wanted && (oldest > 0 || !nothing_below(key));
            self.deleted |= reminder;
            return if reminder { Fate::Keep } else { Fate::Drop };
        }
        if kind == Kind::Merge {
            return Fate::Keep;
        }
        self.seen = Some(oldest);
        let expired = expires_at <= horizon.now_ms;
        self.ended |= kind == Kind::Delete || expired;
        if kind != Kind::Delete && !expired {
            return Fate::Keep;
        }
        if oldest == 0 && nothing_below(key) {
            return Fate::Drop;
        }
        self.deleted = true;
        if kind == Kind::Delete { Fate::Keep } else { Fate::Delete }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::NEVER;
    use proptest::prelude::*;

    fn horizons(seqs: &[(u64, u64)]) -> Vec<Horizon> {
        seqs.iter().map(|&(seq, now_ms)| Horizon { seq, now_ms }).collect()
    }

    fn fates(horizons: Vec<Horizon>, entries: &[(u64, Kind, u64)], below: bool) -> Vec<Fate> {
        let mut retain = Retain::new(horizons);
        entries.iter().map(|&(seq, kind, at)| retain.decide(b"k", seq, kind, at, None, |_| !below)).collect()
    }

    #[test]
    fn a_range_takes_what_is_older_unless_a_snapshot_from_before_it_reads_it() {
        let decide = |horizons: &[(u64, u64)], seq, range| {
            let mut retain = Retain::new(self::horizons(horizons));
            retain.decide(b"k", seq, Kind::Put, NEVER, range, |_| false)
        };
        assert_eq!(decide(&[(10, 0)], 5, Some(7)), Fate::Drop);
        assert_eq!(decide(&[(6, 0), (10, 0)], 5, Some(7)), Fate::Keep);
        assert_eq!(decide(&[(4, 0), (7, 0), (10, 0)], 5, Some(7)), Fate::Drop);
        assert_eq!(decide(&[(6, 0)], 5, Some(7)), Fate::Keep, "the range is newer than the present");
    }

    #[test]
    fn a_version_stays_for_the_snapshot_that_sees_it() {
        let entries =
            [(9, Kind::Put, NEVER), (7, Kind::Put, NEVER), (5, Kind::Put, NEVER), (3, Kind::Put, NEVER)];
        let with = fates(horizons(&[(6, 0), (10, 0)]), &entries, true);
        assert_eq!(with, [Fate::Keep, Fate::Drop, Fate::Keep, Fate::Drop]);
        let without = fates(horizons(&[(10, 0)]), &entries, true);
        assert_eq!(without, [Fate::Keep, Fate::Drop, Fate::Drop, Fate::Drop]);
    }

    #[test]
    fn a_deletion_goes_only_when_nothing_older_can_come_back() {
        let entries = [(9, Kind::Delete, NEVER), (5, Kind::Put, NEVER)];
        assert_eq!(fates(horizons(&[(10, 0)]), &entries, true), [Fate::Keep, Fate::Drop]);
        assert_eq!(fates(horizons(&[(10, 0)]), &entries, false), [Fate::Drop, Fate::Drop]);
        // The snapshot at 6 still reads the put, so the deletion must hide it from the present.
        assert_eq!(fates(horizons(&[(6, 0), (10, 0)]), &entries, false), [Fate::Keep, Fate::Keep]);
    }

    #[test]
    fn a_deletion_under_a_new_value_reminds_of_what_lies_below() {
        let entries = [
            (9, Kind::Put, NEVER),
            (8, Kind::Delete, NEVER),
            (7, Kind::Put, NEVER),
            (6, Kind::Delete, NEVER),
            (5, Kind::Put, NEVER),
        ];
        let fates = |horizons: &[(u64, u64)], below: bool| {
            let mut retain = Retain::new(self::horizons(horizons)).with_reminders(true);
            entries.map(|(seq, kind, at)| retain.decide(b"k", seq, kind, at, None, |_| !below))
        };
        let [keep, drop] = [Fate::Keep, Fate::Drop];
        assert_eq!(fates(&[(10, 0)], true), [keep, keep, drop, drop, drop]);
        assert_eq!(fates(&[(10, 0)], false), [keep, drop, drop, drop, drop]);
        assert_eq!(fates(&[(7, 0), (10, 0)], true), [keep, keep, keep, drop, drop]);
        // Nothing is below, but the snapshot keeps the value for now.
        assert_eq!(fates(&[(7, 0), (10, 0)], false), [keep, keep, keep, drop, drop]);
        // The next key has a reminder of its own, and one under a deletion needs none.
        let mut retain = Retain::new(horizons(&[(10, 0)])).with_reminders(true);
        let mut decide = |key: &[u8], seq, kind| retain.decide(key, seq, kind, NEVER, None, |_| false);
        assert_eq!((decide(b"a", 9, Kind::Put), decide(b"a", 8, Kind::Delete)), (keep, keep));
        assert_eq!((decide(b"b", 7, Kind::Put), decide(b"b", 6, Kind::Delete)), (keep, keep));
        assert_eq!((decide(b"c", 5, Kind::Delete), decide(b"c", 4, Kind::Delete)), (keep, drop));
    }

    #[test]
    fn an_expired_entry_hides_what_is_below_until_no_snapshot_reads_it() {
        let entries = [(9, Kind::Put, 100), (5, Kind::Put, NEVER)];
        assert_eq!(fates(horizons(&[(10, 99)]), &entries, true), [Fate::Keep, Fate::Drop]);
        assert_eq!(fates(horizons(&[(10, 100)]), &entries, true), [Fate::Delete, Fate::Drop]);
        assert_eq!(fates(horizons(&[(10, 100)]), &entries, false), [Fate::Drop, Fate::Drop]);
        // A snapshot from before the expiry still reads it.
        assert_eq!(fates(horizons(&[(9, 50), (12, 200)]), &entries, false), [Fate::Keep, Fate::Drop]);
    }

    /// What a reader at a horizon sees of one key.
    fn seen(horizon: Horizon, entries: &[(u64, Kind, u64)], ranges: &[u64], below: bool) -> Option<u64> {
        let newest = entries.iter().find(|(seq, ..)| *seq <= horizon.seq);
        let hidden = |seq: u64| ranges.iter().any(|range| seq < *range && *range <= horizon.seq);
        match newest {
            newest if hidden(newest.map_or(0, |(seq, ..)| *seq)) => None,
            Some((_, Kind::Delete, _)) => None,
            Some((seq, _, at)) => (*at > horizon.now_ms).then_some(*seq),
            None => below.then_some(0),
        }
    }

    proptest! {
        #[test]
        fn no_horizon_ever_sees_a_difference(
            seqs in prop::collection::btree_set(1u64..30, 0..12),
            kinds in prop::collection::vec((any::<bool>(), prop::option::of(0u64..40)), 12),
            cuts in prop::collection::btree_set(1u64..30, 0..4),
            ranges in prop::collection::btree_set(1u64..30, 0..4),
            below: bool,
            reminds: bool,
        ) {
            let ranges: Vec<u64> = ranges.difference(&seqs).copied().collect();
            let entries: Vec<_> = seqs.iter().rev().zip(&kinds).map(|(&seq, &(delete, at))| {
                let kind = if delete { Kind::Delete } else { Kind::Put };
                (seq, kind, if delete { NEVER } else { at.unwrap_or(NEVER) })
            }).collect();
            let mut all: Vec<_> = cuts.iter().map(|&seq| Horizon { seq, now_ms: seq }).collect();
            all.push(Horizon { seq: 30, now_ms: 30 });
            let mut retain = Retain::new(all.clone()).with_reminders(reminds);
            let mut decide = |&(seq, kind, at): &(u64, Kind, u64)| {
                let range = ranges.iter().copied().find(|range| *range > seq);
                retain.decide(b"k", seq, kind, at, range, |_| !below)
            };
            let fates: Vec<_> = entries.iter().map(&mut decide).collect();
            let after: Vec<_> = entries.iter().zip(&fates).filter_map(|(&(seq, kind, at), fate)| match fate {
                Fate::Keep => Some((seq, kind, at)),
                Fate::Delete => Some((seq, Kind::Delete, NEVER)),
                Fate::Drop => None,
            }).collect();
            for horizon in all {
                let before = seen(horizon, &entries, &ranges, below);
                prop_assert_eq!(before, seen(horizon, &after, &ranges, below));
            }
        }
    }
}
