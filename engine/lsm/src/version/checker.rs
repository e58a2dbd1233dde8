//! What must hold of a version, whatever led to it.

use super::levels::Version;
use crate::base::key::{SeqNum, compare};
use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::ranges::Range;

/// Every violation of a version's invariants, in words.
#[must_use]
pub fn check_levels(version: &Version) -> Vec<String> {
    let mut problems = Vec::new();
    for (level, table) in version.tables() {
        let (small, large) = (&table.meta.smallest, &table.meta.largest);
        if compare((&small.0, small.1), (&large.0, large.1)).is_gt() {
            problems.push(format!("table {} of level {level} ends before it starts", table.meta.number));
        }
    }
    for pair in version.level(0).windows(2) {
        let (newer, older) = (&pair[0].meta, &pair[1].meta);
        if older.max_seq >= newer.min_seq {
            problems.push(format!(
                "tables {} and {} of level 0 share sequence numbers ({}..={} and {}..={})",
                newer.number, older.number, newer.min_seq, newer.max_seq, older.min_seq, older.max_seq
            ));
        }
    }
    for level in 1..LEVELS {
        for pair in version.level(level).windows(2) {
            let (left, right) = (&pair[0].meta, &pair[1].meta);
            if left.largest.0 >= right.smallest.0 {
                problems.push(format!(
                    "tables {} and {} of level {level} overlap at \"{}\"",
                    left.number,
                    right.number,
                    right.smallest.0.escape_ascii()
                ));
            }
        }
    }
    problems
}

/// Every violation of what must hold of a family's deleted and dropped ranges, in words: they come with the
/// flush of their memtable, each with a number of its own, and no table claims to be clean of a later one.
#[must_use]
pub fn check_ranges<'r>(
    version: &Version,
    ranges: impl IntoIterator<Item = &'r Arc<Range>>,
    flushed: SeqNum,
) -> Vec<String> {
    let mut problems = Vec::new();
    let mut before = None;
    for range in ranges {
        if before.is_some_and(|before| before >= range.seq) {
            problems.push(format!("the range at {} is out of order", range.seq));
        }
        if range.seq > flushed {
            problems.push(format!("the range at {} is beyond {flushed}, what is flushed", range.seq));
        }
        before = Some(range.seq);
    }
    for (level, table) in version.tables() {
        let meta = &table.meta;
        if meta.cleaned_seq > flushed {
            problems.push(format!(
                "table {} of level {level} is clean up to {}, beyond {flushed}, what is flushed",
                meta.number, meta.cleaned_seq
            ));
        }
    }
    problems
}
