//! What becomes of ranges that are registered, beside small trees as in the tests of the picker.

use super::picker_tests::tree;
use super::ranges::joined;
use crate::base::sync::Arc;
use crate::iter::Horizon;
use crate::ranges::{Range, RangeKind, RangeSet};

/// A range written `<from>-<to>@<seq>`, at a time that is its number; a dropped one has a `!` behind it.
fn range(text: &str) -> Arc<Range> {
    let (text, kind) = match text.strip_suffix('!') {
        Some(text) => (text, RangeKind::Dropped),
        None => (text, RangeKind::Deleted),
    };
    let (keys, seq) = text.split_once('@').unwrap();
    let (from, to) = keys.split_once('-').unwrap();
    let seq = seq.parse().unwrap();
    Arc::new(Range::new(kind, seq, from.as_bytes(), to.as_bytes(), seq))
}

/// What is registered once `added` have joined `before`, each with the time that it has taken over.
fn registered(text: &str, before: &str, added: &str, horizons: &[u64]) -> String {
    let ranges = |text: &str| text.split_whitespace().map(range).collect::<Vec<_>>();
    let horizons: Vec<_> = horizons.iter().chain([&1000]).map(|&seq| Horizon { seq, now_ms: 0 }).collect();
    let joined = joined(&RangeSet::new(ranges(before)), &ranges(added), &tree(text), &horizons);
    let show = |range: &Arc<Range>| {
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
        let dropped = if range.kind == RangeKind::Dropped { "!" } else { "" };
        let (from, to) = (text(&range.from), text(range.end()));
        format!("{from}-{to}@{}{dropped} since {}", range.seq, range.written_ms)
    };
    joined.ranges().iter().map(show).collect::<Vec<_>>().join(", ")
}

/// Each that took another's place began to count anew: deleted again and again, nothing was ever due.
#[test]
fn a_range_that_takes_the_place_of_others_is_as_old_as_the_oldest() {
    assert_eq!(registered("", "b-d@5", "a-e@9", &[]), "a-e@9 since 5");
    assert_eq!(registered("", "b-d@5! e-f@6", "a-@8 a-@9", &[]), "a-@9 since 5");
    assert_eq!(registered("", "b-d@5", "a-e@9", &[4, 9]), "a-e@9 since 5", "nobody reads in between");
    assert_eq!(registered("", "b-d@5", "a-e@9", &[5]), "b-d@5 since 5, a-e@9 since 9");
    assert_eq!(registered("", "a-e@5", "b-d@9!", &[]), "a-e@5 since 5, b-d@9! since 9");
}

/// They stayed beside each other until all of them were cleaned away.
#[test]
fn ranges_that_touch_become_one() {
    assert_eq!(registered("", "a-b@5", "b-c@9 c-d@12", &[]), "a-d@12 since 5");
    assert_eq!(registered("", "", "c-d@5 a-b@6 b-c@7", &[]), "a-d@7 since 5", "whichever comes last");
    assert_eq!(registered("", "a-c@5 x-z@6", "b-d@9", &[]), "x-z@6 since 6, a-d@9 since 5");
    assert_eq!(registered("", "a-@5", "b-d@9", &[]), "a-@9 since 5", "one inside of it");
    assert_eq!(registered("", "b-d@5!", "a-b@9!", &[]), "a-d@9! since 5");
    assert_eq!(registered("", "a-b@5", "c-d@9", &[]), "a-b@5 since 5, c-d@9 since 9");
    assert_eq!(registered("", "a-b@5", "b-c@9!", &[]), "a-b@5 since 5, b-c@9! since 9");
    assert_eq!(registered("", "a-b@5", "b-c@9", &[7]), "a-b@5 since 5, b-c@9 since 9", "read in between");
}

/// The older one would take away what was written behind it.
#[test]
fn ranges_stay_apart_if_anything_was_written_between_them() {
    // The table of level 0 holds the numbers 14 and 15.
    let level0 = |keys: &str, before, added| registered(&format!("L0: 7[{keys}]9"), before, added, &[]);
    assert_eq!(level0("a-aa", "a-b@13", "b-c@16"), "a-b@13 since 13, b-c@16 since 16");
    assert_eq!(level0("a-aa", "a-b@15", "b-c@20"), "a-c@20 since 15", "it is older than both");
    assert_eq!(level0("a-aa", "a-b@10", "b-c@14"), "a-c@14 since 10", "or newer");
    assert_eq!(level0("b-c", "a-b@13", "b-d@16"), "a-d@16 since 13", "the newer one hides it by itself");
    assert_eq!(level0("a-x", "a-z@13", "b-d@16"), "a-z@13 since 13, b-d@16 since 16");
    assert_eq!(level0("x-y", "b-z@13", "a-d@16"), "b-z@13 since 13, a-d@16 since 16");
    assert_eq!(level0("x-y", "b-@13", "a-d@16"), "b-@13 since 13, a-d@16 since 16");
    assert_eq!(level0("x-y", "b-d@13", "a-c@16"), "a-d@16 since 13", "it lies elsewhere");
}
