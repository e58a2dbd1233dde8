//! Which deleted and dropped ranges a family still needs, and which tables they touch: pure functions.
//!
//! A range is registered when its memtable is flushed. From then on each merge applies it to what it
//! reads and notes so in what it writes ([`crate::version::TableMeta::cleaned_seq`]). The range *retires*
//! when no table is left that may hold anything it concerns: what is in memory is newer, for memtables are
//! flushed in their order.

use crate::base::key::SeqNum;
use crate::base::sync::Arc;
use crate::iter::Horizon;
use crate::ranges::{Range, RangeSet};
use crate::version::Version;

/// Whether a reader stands between an entry and a range behind it, and so still sees the entry.
#[must_use]
pub fn is_seen(horizons: &[Horizon], entry: SeqNum, range: SeqNum) -> bool {
    let first = horizons.partition_point(|horizon| horizon.seq < entry);
    horizons.get(first).is_some_and(|horizon| horizon.seq < range)
}

/// The ranges of which no table holds anything any more, by sequence number.
#[must_use]
pub fn retired(version: &Version, ranges: &RangeSet) -> Vec<SeqNum> {
    let needed = |range: &&Arc<Range>| version.touched_by(range).next().is_none();
    ranges.ranges().iter().filter(needed).map(|range| range.seq).collect()
}

/// `ranges` with `added`, which are newer, in as few as can be: what one of these covers whole is
/// superfluous, and of neighbours that `version` holds nothing between in the order of commits one range is
/// made - unless somebody reads at a moment in between. A range takes over the time of the oldest of what it
/// stands for: what had to be gone by then still has.
#[must_use]
pub fn joined(ranges: &RangeSet, added: &[Arc<Range>], version: &Version, horizons: &[Horizon]) -> RangeSet {
    let mut all = ranges.ranges().to_vec();
    for newer in added {
        let mut newer = Range::clone(newer);
        let joins = |newer: &Range, older: &Range| {
            let apart = || version.holds_between(older, newer);
            (newer.replaces(older) || newer.adjoins(older) && !apart())
                && !is_seen(horizons, older.seq, newer.seq)
        };
        // What it has grown by one, it may meet another.
        while let Some(at) = all.iter().position(|older| joins(&newer, older)) {
            newer.take_in(&all.remove(at));
        }
        all.push(Arc::new(newer));
    }
    RangeSet::new(all)
}

/// Since when the oldest range hides something that a table may still hold, in milliseconds since the epoch.
#[must_use]
pub fn oldest_range_ms(ranges: &RangeSet) -> Option<u64> {
    ranges.ranges().iter().map(|range| range.written_ms).min()
}
