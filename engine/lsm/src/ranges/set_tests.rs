//! The set against a plain list.

use super::*;
use crate::base::sync::Arc;
use proptest::prelude::*;

fn ranges() -> impl Strategy<Value = Vec<Arc<Range>>> {
    let key = || prop::collection::vec(0u8..3, 0..3);
    let one = (any::<bool>(), key(), prop::option::of(key()));
    prop::collection::vec(one, 0..24).prop_map(|ranges| {
        let made = ranges.into_iter().enumerate().filter_map(|(at, (dropped, from, to))| {
            let kind = if dropped { RangeKind::Dropped } else { RangeKind::Deleted };
            let to = to.unwrap_or_default();
            let holds_keys = to.is_empty() || from < to;
            holds_keys.then(|| Arc::new(Range::new(kind, 10 * at as u64 + 10, &from, &to, 0)))
        });
        made.collect()
    })
}

proptest! {
    #[test]
    fn every_key_finds_the_ranges_that_cover_it(
        ranges in ranges(),
        mut keys in prop::collection::vec(prop::collection::vec(0u8..4, 0..4), 1..20),
        seq in 0u64..300,
    ) {
        let set = RangeSet::new(ranges.clone());
        prop_assert_eq!(set.len(), ranges.len());
        keys.sort();
        let mut walk = set.walk();
        for key in &keys {
            let stretch = set.at(key);
            let walked = walk.at(key);
            prop_assert_eq!((walked.from, walked.to), (stretch.from, stretch.to));
            prop_assert_eq!(walked.newest_deleted(seq), stretch.newest_deleted(seq));
            prop_assert!(stretch.from <= key.as_slice());
            prop_assert!(stretch.to.is_none_or(|to| key.as_slice() < to));
            let covering = |kind: Option<RangeKind>| {
                let of_kind = move |range: &&Arc<Range>| kind.is_none_or(|kind| range.kind == kind);
                ranges.iter().filter(of_kind).filter(|range| range.contains(key)).map(|range| range.seq)
            };
            let newest = |kind| covering(Some(kind)).filter(|s| *s <= seq).max().unwrap_or(0);
            prop_assert_eq!(stretch.newest_deleted(seq), newest(RangeKind::Deleted));
            prop_assert_eq!(stretch.newest_dropped(seq), newest(RangeKind::Dropped));
            prop_assert_eq!(stretch.behind(seq), covering(None).filter(|s| *s > seq).min());
            let deleted = covering(Some(RangeKind::Deleted)).filter(|s| *s > seq).min();
            prop_assert_eq!(stretch.deleted_behind(seq), deleted);
            prop_assert_eq!(stretch.is_free(), covering(None).next().is_none());
        }
    }

    #[test]
    fn a_stretch_reaches_as_far_as_nothing_changes(
        ranges in ranges(),
        key in prop::collection::vec(0u8..3, 0..3),
    ) {
        let set = RangeSet::new(ranges.clone());
        let stretch = set.at(&key);
        for range in &ranges {
            let cuts = |bound: &[u8]| stretch.from < bound && stretch.to.is_none_or(|to| bound < to);
            prop_assert!(!cuts(&range.from) && !range.to.as_deref().is_some_and(cuts), "{:?}", range);
        }
    }

    #[test]
    fn a_changed_set_is_as_if_made_anew(ranges in ranges(), removed in 0usize..24) {
        let removed: Vec<u64> = ranges.iter().skip(removed).step_by(2).map(|range| range.seq).collect();
        let (kept, gone): (Vec<_>, Vec<_>) = ranges.iter().cloned().partition(|r| !removed.contains(&r.seq));
        let changed = RangeSet::new(ranges).changed(&removed, None);
        let anew = RangeSet::new(kept);
        prop_assert_eq!((changed.ranges(), changed.bytes()), (anew.ranges(), anew.bytes()));
        prop_assert_eq!(anew.changed(&[], gone.clone()).len(), anew.len() + gone.len());
    }
}

/// Ranges that lie in one another would fill a table of all stretches with squares.
#[test]
fn ranges_that_lie_in_one_another_take_little_more_memory_than_others() {
    let range = |at: usize, from: usize, to: usize| {
        let key = |n: usize| format!("{n:08}").into_bytes();
        Arc::new(Range::new(RangeKind::Deleted, at as u64 + 1, &key(from), &key(to), 0))
    };
    let nested = RangeSet::new((0..4096).map(|at| range(at, at, 10_000 - at)).collect());
    assert!(nested.bytes() < 4096 * 600, "{} bytes", nested.bytes());
    assert_eq!(nested.at(b"00000002").newest_deleted(u64::MAX), 3);
    assert_eq!(nested.at(b"00005000").newest_deleted(u64::MAX), 4096);
    assert_eq!(nested.at(b"00005000").deleted_behind(17), Some(18));
}
