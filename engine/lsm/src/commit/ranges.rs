//! Putting the ranges of a request together before they are judged, so that what is asked in the
//! ordering section, where everybody waits, meets no key twice.

use super::checks::RangeCheck;
use std::cmp::Ordering;
use std::ops::Bound;

/// The same checks with as few ranges as can be: without those that hold no key, and with those of one
/// family and sequence number put together that overlap or touch. In the order of families and keys.
pub(super) fn put_together(mut checks: Vec<RangeCheck>) -> Vec<RangeCheck> {
    checks.retain(|check| !holds_nothing(check));
    checks.sort_unstable_by(|a, b| {
        (a.family, a.since).cmp(&(b.family, b.since)).then_with(|| lower_order(&a.lower, &b.lower))
    });
    let mut out: Vec<RangeCheck> = Vec::new();
    for check in checks {
        match out.last_mut() {
            Some(last) if goes_on(last, &check) => {
                if upper_order(&last.upper, &check.upper) == Ordering::Less {
                    last.upper = check.upper;
                }
            }
            _ => out.push(check),
        }
    }
    out
}

fn holds_nothing(check: &RangeCheck) -> bool {
    match (&check.lower, &check.upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower >= upper,
    }
}

/// Whether no key lies between the end of one range and the start of the next, which starts no earlier.
fn goes_on(last: &RangeCheck, next: &RangeCheck) -> bool {
    let touches = match (&last.upper, &next.lower) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Excluded(upper), Bound::Excluded(lower)) => lower < upper,
        (
            Bound::Included(upper) | Bound::Excluded(upper),
            Bound::Included(lower) | Bound::Excluded(lower),
        ) => lower <= upper,
    };
    touches && (last.family, last.since) == (next.family, next.since)
}

/// Which range starts first.
fn lower_order(a: &Bound<Vec<u8>>, b: &Bound<Vec<u8>>) -> Ordering {
    let place = |bound| match bound {
        Bound::Unbounded => None,
        Bound::Included(key) => Some((key, false)),
        Bound::Excluded(key) => Some((key, true)),
    };
    place(a.as_ref()).cmp(&place(b.as_ref()))
}

/// Which range ends first.
fn upper_order(a: &Bound<Vec<u8>>, b: &Bound<Vec<u8>>) -> Ordering {
    let place = |bound| match bound {
        Bound::Excluded(key) => (false, Some((key, false))),
        Bound::Included(key) => (false, Some((key, true))),
        Bound::Unbounded => (true, None),
    };
    place(a.as_ref()).cmp(&place(b.as_ref()))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        let key = || (0u8..16).prop_map(|key| vec![key]);
        prop_oneof![
            1 => Just(Bound::Unbounded),
            6 => key().prop_map(Bound::Included),
            6 => key().prop_map(Bound::Excluded),
        ]
    }

    fn check() -> impl Strategy<Value = RangeCheck> {
        let check = |(family, since, lower, upper)| RangeCheck { family, lower, upper, since };
        (0u32..2, 5u64..7, bound(), bound()).prop_map(check)
    }

    fn covers(check: &RangeCheck, family: u32, since: u64, key: &[u8]) -> bool {
        let above = match &check.lower {
            Bound::Unbounded => true,
            Bound::Included(lower) => key >= lower,
            Bound::Excluded(lower) => key > lower,
        };
        let below = match &check.upper {
            Bound::Unbounded => true,
            Bound::Included(upper) => key <= upper,
            Bound::Excluded(upper) => key < upper,
        };
        (check.family, check.since) == (family, since) && above && below
    }

    proptest! {
        /// The same keys are asked about, none of them twice.
        #[test]
        fn what_is_put_together_covers_the_same_keys_once(checks in prop::collection::vec(check(), 0..12)) {
            let together = put_together(checks.clone());
            for (family, since) in [(0, 5), (0, 6), (1, 5), (1, 6)] {
                // Every key and what lies between two.
                for key in (0u8..17).flat_map(|key| [vec![key], vec![key, 0]]) {
                    let asked = checks.iter().any(|check| covers(check, family, since, &key));
                    let times = together.iter().filter(|check| covers(check, family, since, &key)).count();
                    prop_assert_eq!(times, usize::from(asked), "{} {} {:?}", family, since, &key);
                }
            }
        }
    }

    #[test]
    fn many_overlapping_and_touching_ranges_become_one() {
        let range = |from: u16, to: u16| RangeCheck {
            family: 0,
            lower: Bound::Included(from.to_be_bytes().to_vec()),
            upper: Bound::Excluded(to.to_be_bytes().to_vec()),
            since: 7,
        };
        let overlapping = (0..4_000).rev().map(|n| range(n, n + 5)).collect();
        assert_eq!(put_together(overlapping), [range(0, 4_004)]);
        let touching = (0..4_000).map(|n| range(n, n + 1)).collect();
        assert_eq!(put_together(touching), [range(0, 4_000)]);
        let apart: Vec<_> = (0..4_000).map(|n| range(2 * n, 2 * n + 1)).collect();
        assert_eq!(put_together(apart.clone()), apart);
    }
}
