//! Where the keys of a family cannot be read.

use super::report::KeyRange;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Ranges of keys, joined where they touch or overlap: looking one key up takes as long as a search, however
/// many blocks are damaged.
#[derive(Clone, Debug, Default)]
pub(super) struct Holes(
    /// The first key of each (`None` for all keys before), and its last (`None` for all behind).
    BTreeMap<End, End>,
);

type End = Option<Vec<u8>>;

impl Holes {
    pub(super) fn of<'r>(ranges: impl IntoIterator<Item = &'r KeyRange>) -> Holes {
        let mut holes = Holes::default();
        ranges.into_iter().for_each(|range| holes.add(range));
        holes
    }

    pub(super) fn add(&mut self, range: &KeyRange) {
        let KeyRange { mut from, mut to } = range.clone();
        while let Some((start, end)) = self.last_up_to(to.as_deref()) {
            if let (Some(end), Some(from)) = (end, &from)
                && end < from
            {
                break;
            }
            let start = start.clone();
            let end = self.0.remove(&start).flatten();
            from = from.min(start);
            to = to.zip(end).map(|(a, b)| a.max(b));
        }
        self.0.insert(from, to);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key lies in one.
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.meets(key, key)
    }

    /// Whether any key from `first` to `last` lies in one.
    pub(super) fn meets(&self, first: &[u8], last: &[u8]) -> bool {
        let found = self.last_up_to(Some(last));
        found.is_some_and(|(_, end)| end.as_deref().is_none_or(|end| end >= first))
    }

    /// The last one that begins at or before a key.
    fn last_up_to(&self, key: Option<&[u8]>) -> Option<(&End, &End)> {
        let up_to = key.map_or(Bound::Unbounded, |key| Bound::Included(Some(key.to_vec())));
        self.0.range((Bound::Unbounded, up_to)).next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(from: Option<u8>, to: Option<u8>) -> KeyRange {
        KeyRange { from: from.map(|from| vec![from]), to: to.map(|to| vec![to]) }
    }

    fn ranges() -> impl Strategy<Value = Vec<KeyRange>> {
        let end = prop::option::weighted(0.9, 0u8..40);
        let more = prop::option::weighted(0.9, 0u8..6);
        let range =
            (end, more).prop_map(|(from, more)| range(from, more.map(|more| from.unwrap_or(0) + more)));
        prop::collection::vec(range, 0..12)
    }

    proptest! {
        #[test]
        fn they_are_as_many_ranges_beside_each_other(ranges in ranges()) {
            let holes = Holes::of(&ranges);
            prop_assert_eq!(holes.is_empty(), ranges.is_empty());
            let inside = |key: u8| ranges.iter().any(|range| range.contains(&[key]));
            for first in 0..50 {
                prop_assert_eq!(holes.contains(&[first]), inside(first), "{}", first);
                for last in first..50 {
                    let any = (first..=last).any(inside);
                    prop_assert_eq!(holes.meets(&[first], &[last]), any, "{} {}", first, last);
                }
            }
            let ends: Vec<_> = holes.0.iter().collect();
            for pair in ends.windows(2) {
                prop_assert!(pair[0].1.is_some() && pair[0].1 < pair[1].0, "they are apart");
            }
        }
    }
}
