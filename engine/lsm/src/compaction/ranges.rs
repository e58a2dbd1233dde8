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

/// The ranges that one of `added`, all of which `ranges` has, makes superfluous: a newer one covers them
/// whole, and nobody reads at a moment in between.
#[must_use]
pub fn replaced(ranges: &RangeSet, added: &[Arc<Range>], horizons: &[Horizon]) -> Vec<SeqNum> {
    let by = |older: &Range, newer: &Range| newer.replaces(older) && !is_seen(horizons, older.seq, newer.seq);
    let gone = |older: &&Arc<Range>| added.iter().any(|newer| by(older, newer));
    ranges.ranges().iter().filter(gone).map(|range| range.seq).collect()
}

/// When the oldest range was written of which a table may still hold something, in milliseconds since the
/// epoch.
#[must_use]
pub fn oldest_range_ms(ranges: &RangeSet) -> Option<u64> {
    ranges.ranges().iter().map(|range| range.written_ms).min()
}
