//! Where a table goes that was not made by a flush or a compaction.

use super::picker::{ShapeOptions, targets};
use super::plan::Claims;
use crate::base::limits::LEVELS;
use crate::version::Version;

/// The deepest level that has room for a table from `first` to `last`, which is newer than everything: none
/// at or above it may overlap the table. Levels above the base level are not used, but for level 0, which
/// always has room.
#[must_use]
pub fn deepest_free(
    version: &Version,
    claims: Option<&Claims>,
    shape: &ShapeOptions,
    first: &[u8],
    last: &[u8],
) -> usize {
    let base = targets(version, shape).base_level;
    let free = |level: &usize| version.overlapping(*level, Some(first), Some(last)).is_empty();
    // What a running compaction writes may come to lie around the table, though it shares no key with it.
    let written = |level: usize| claims.is_some_and(|claims| claims.writes(level, first, last));
    let free = (0..LEVELS).take_while(free).filter(|level| *level >= base && !written(*level));
    free.last().unwrap_or(0)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::picker_tests::{SHAPE, tree};
    use super::super::plan::{Plan, Reason};
    use super::*;

    const LARGE: &str = "L5: 5[a-c]90 6[p-r]90\n L6: 1[a-b]1000 2[k-l]1000 4[x-z]600";

    fn level(text: &str, keys: [&str; 2]) -> usize {
        deepest_free(&tree(text), None, &SHAPE, keys[0].as_bytes(), keys[1].as_bytes())
    }

    #[test]
    fn a_table_goes_below_what_does_not_overlap_it_and_above_what_does() {
        assert_eq!(level("", ["a", "z"]), 6);
        assert_eq!(level(LARGE, ["m", "n"]), 6);
        assert_eq!(level(LARGE, ["l", "n"]), 5);
        assert_eq!(level(LARGE, ["c", "n"]), 4, "the base level, though it is empty");
        assert_eq!(level(LARGE, ["b", "q"]), 4);
        assert_eq!(level("L0: 8[a-f]9\n L6: 1[x-z]9", ["c", "d"]), 0, "level 0 overlaps it");
        assert_eq!(level("L6: 1[a-f]9", ["c", "d"]), 0, "there is no level between");
        assert_eq!(level("L0: 8[a-b]9\n L6: 1[x-z]9", ["c", "d"]), 6);
    }

    #[test]
    fn no_table_goes_where_a_running_compaction_may_put_one_around_it() {
        let version = tree(LARGE);
        let inputs = version.level(5).iter().map(|table| (5, table.clone())).collect();
        let plan = Plan::merging(Reason::LevelSize, inputs, 6);
        let mut claims = Claims::default();
        let claim = claims.claim(&plan);
        let level = |claims: &Claims, keys: [&str; 2]| {
            deepest_free(&version, Some(claims), &SHAPE, keys[0].as_bytes(), keys[1].as_bytes())
        };
        assert_eq!(level(&claims, ["m", "n"]), 5);
        assert_eq!(level(&claims, ["s", "t"]), 6, "behind all that it writes");
        claims.release(&claim);
        assert_eq!(level(&claims, ["m", "n"]), 6);
    }
}
