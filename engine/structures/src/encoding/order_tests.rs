//! Every key that stands in docs/format/structures.md orders as its parts do, and comes apart as it was made:
//! with long names, runs of the smallest and the largest byte, and every kind of score.

use super::key::{self, POSITIONS, kind, table};
use super::{positions, scored};
use proptest::prelude::*;
use std::cmp::Ordering;

/// A name: runs of bytes, mostly of those at the ends of the order.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![3 => Just(0x00), 3 => Just(0xff), 1 => Just(0x01), 1 => Just(0xfe), 2 => any::<u8>()];
    let run = (byte, 1_usize..90).prop_map(|(byte, times)| vec![byte; times]);
    proptest::collection::vec(run, 0..6).prop_map(|runs| runs.concat())
}

/// Two names, which often begin alike, and one of which may be all that the other begins with.
fn names() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let begins = prop_oneof![Just(Vec::new()), name()];
    (begins, name(), name()).prop_map(|(front, a, b)| ([&front[..], &a].concat(), [&front[..], &b].concat()))
}

/// Numbers that are often the same, and often at the ends.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..3_u64, Just(u64::MAX), Just(u64::MAX - 1), Just(0xff), Just(0x100), any::<u64>()]
}

fn position() -> impl Strategy<Value = u64> {
    prop_oneof![0..3_u64, POSITIONS - 3..POSITIONS, Just(0xff), Just(0x100), 0..POSITIONS]
}

/// Scores of every kind, but for what is no number.
fn score() -> impl Strategy<Value = f64> {
    let special = vec![
        f64::NEG_INFINITY,
        f64::INFINITY,
        f64::MIN,
        f64::MAX,
        -0.0,
        0.0,
        -5e-324,
        5e-324,
        f64::MIN_POSITIVE,
        -f64::MIN_POSITIVE,
        1.0,
        -1.0,
    ];
    let any = any::<f64>().prop_filter("a number", |score| !score.is_nan());
    prop_oneof![proptest::sample::select(special), any]
}

/// The keys order as what they stand for.
fn same_order<T: Ord>(encode: impl Fn(&T) -> Vec<u8>, a: &T, b: &T) -> Result<(), TestCaseError> {
    prop_assert_eq!(encode(a).cmp(&encode(b)), a.cmp(b));
    Ok(())
}

/// -0.0 and 0.0 are one score.
fn order_of_scores(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    a.0.partial_cmp(&b.0).expect("numbers").then(a.1.cmp(b.1))
}

proptest! {
    #[test]
    fn headers_and_records_of_the_index_order_as_their_parts(
        spaces in (number(), number()), (a, b) in names(),
        times in (number(), number()), at in (position(), position()), slots: (u16, u16),
    ) {
        let ((s, t), same) = (spaces, spaces.0);
        for (s, t) in [(s, t), (same, same)] {
            same_order(|(s, n)| key::header(*s, n), &(s, a.clone()), &(t, b.clone()))?;
            for (x, y) in [times, (times.0, times.0)] {
                let of = |(s, at, n): &(u64, u64, Vec<u8>)| key::expiry(*s, *at, n);
                same_order(of, &(s, x, a.clone()), &(t, y, b.clone()))?;
                same_order(|(s, i)| key::given_up(*s, *i), &(s, x), &(t, y))?;
            }
            for (x, y) in [at, (at.0, at.0)] {
                let of = |(s, at, n): &(u64, u64, Vec<u8>)| key::positioned(*s, *at, n);
                same_order(of, &(s, x, a.clone()), &(t, y, b.clone()))?;
            }
            same_order(|(s, slot)| key::count(*s, *slot), &(s, slots.0), &(t, slots.1))?;
        }
    }

    /// Kinds whose records have a hash of 53 bits in front of a name, or nothing.
    #[test]
    fn records_of_elements_order_as_their_parts(
        spaces in (number(), number()), lives in (number(), number()), kinds in (0_u8..9, 0_u8..9),
        at in (position(), position()), (a, b) in names(),
    ) {
        type Parts = (u64, u64, u8, u64, Vec<u8>);
        let of = |(space, life, kind, hash, name): &Parts| {
            key::element(*space, *life, *kind, &key::position_bytes(*hash), name)
        };
        // All differ, or only what stands behind.
        for same in 0..5 {
            let of_a = (spaces.0, lives.0, kinds.0, at.0, a.clone());
            let of_b = (
                if same > 0 { spaces.0 } else { spaces.1 },
                if same > 1 { lives.0 } else { lives.1 },
                if same > 2 { kinds.0 } else { kinds.1 },
                if same > 3 { at.0 } else { at.1 },
                b.clone(),
            );
            same_order(of, &of_a, &of_b)?;
            // What is dropped with an incarnation is all of it, and nothing else.
            let dropped = of(&of_b).starts_with(&key::incarnation(of_a.0, of_a.1));
            prop_assert_eq!(dropped, (of_a.0, of_a.1) == (of_b.0, of_b.1));
            let of_kind = of(&of_b).starts_with(&key::kind_prefix(of_a.0, of_a.1, of_a.2));
            prop_assert_eq!(of_kind, (of_a.0, of_a.1, of_a.2) == (of_b.0, of_b.1, of_b.2));
        }
    }

    #[test]
    fn chunks_and_places_in_lists_order_as_numbers(
        chunks: (u32, u32), levels in (0..positions::LEVELS, 0..positions::LEVELS),
        numbers in (number(), number()),
    ) {
        let chunk = |number: &u32| key::element(1, 2, kind::CHUNK, &number.to_be_bytes(), b"");
        same_order(chunk, &chunks.0, &chunks.1)?;
        same_order(|at| positions::element_key(1, 2, *at), &numbers.0, &numbers.1)?;
        let of = |(level, group): &(usize, u64)| positions::count_key(1, 2, *level, *group);
        same_order(of, &(levels.0, numbers.0), &(levels.1, numbers.1))?;
        same_order(of, &(levels.0, numbers.0), &(levels.0, numbers.1))?;
    }

    #[test]
    fn places_of_a_sorted_set_order_as_scores_and_members(
        scores in (score(), score()), (a, b) in names(), levels in (1_u8..9, 1_u8..9),
    ) {
        for (x, y) in [scores, (scores.0, scores.0)] {
            let expected = order_of_scores((x, &a), (y, &b));
            let (ours, theirs) = (scored::place(x, &a), scored::place(y, &b));
            prop_assert_eq!(ours.cmp(&theirs), expected);
            let record = |place: &[u8]| key::element(1, 2, kind::SCORE, place, b"");
            prop_assert_eq!(record(&ours).cmp(&record(&theirs)), expected);
            let count = |level: u8, place: &[u8]| key::element(1, 2, kind::SCORE_COUNT, &[level], place);
            let order = levels.0.cmp(&levels.1).then(expected);
            prop_assert_eq!(count(levels.0, &ours).cmp(&count(levels.1, &theirs)), order);
            // The empty place of a level stands before all others of it.
            prop_assert!(count(levels.0, b"") < count(levels.0, &ours));
            // What a header keeps of a place never turns the order round.
            let front = scored::front(&ours).cmp(scored::front(&theirs));
            prop_assert!(front == expected || front == Ordering::Equal);
            prop_assert!(scored::front(&ours) <= &ours[..]);
        }
    }

    #[test]
    fn all_members_of_a_score_stand_between_its_edges(scores in (score(), score()), member in name()) {
        let (score, other) = scores;
        let place = scored::place(score, &member);
        let (from, to) = (scored::score_edge(score, false), scored::score_edge(score, true));
        prop_assert!(from <= place && place < to);
        let beside = scored::place(other, &member);
        prop_assert_eq!(from <= beside && beside < to, score == other);
        let (back, rest) = scored::split_place(&place).unwrap();
        prop_assert_eq!((back, rest), (score, &member[..]));
        prop_assert!(back != 0.0 || back.is_sign_positive());
    }

    #[test]
    fn keys_with_long_names_come_apart_as_they_were_made(
        space in number(), life in number(), at in position(), time in number(),
        name in name(), kind in 0_u8..9,
    ) {
        let record = key::element(space, life, kind, &key::position_bytes(at), &name);
        let (a, b, c, rest) = key::split_element(&record).unwrap();
        prop_assert_eq!((a, b, c), (space, life, kind));
        prop_assert_eq!(key::split_position(rest).unwrap(), (at, &name[..]));
        let header = key::header(space, &name);
        prop_assert_eq!(key::split_header(&header).unwrap(), (space, &name[..]));
        let positioned = key::positioned(space, at, &name);
        let (which, of, rest) = key::split_index(&positioned).unwrap();
        prop_assert_eq!((which, of), (table::POSITION, space));
        prop_assert_eq!(key::split_position(rest).unwrap(), (at, &name[..]));
        let expiry = key::expiry(space, time, &name);
        let (which, of, rest) = key::split_index(&expiry).unwrap();
        prop_assert_eq!((which, of), (table::EXPIRY, space));
        prop_assert_eq!(rest, &[&time.to_be_bytes()[..], &name].concat()[..]);
    }
}

#[test]
fn names_of_the_largest_size_keep_the_order() {
    let most = super::limits::MAX_NAME_BYTES;
    for byte in [0x00, 0xff] {
        let (long, shorter) = (vec![byte; most], vec![byte; most - 1]);
        assert!(key::header(1, &shorter) < key::header(1, &long));
        assert!(key::header(1, &long) < key::header(2, b""));
        assert!(key::positioned(1, 5, &long) < key::positioned(1, 6, b""));
        assert!(key::expiry(1, 5, &long) < key::expiry(1, 6, b""));
        assert!(
            key::element(1, 2, kind::FIELD, &key::position_bytes(7), &long)
                < key::kind_prefix(1, 2, 2).to_vec()
        );
        for (low, high) in [(f64::NEG_INFINITY, f64::MIN), (-0.0, 5e-324), (f64::MAX, f64::INFINITY)] {
            assert!(scored::place(low, &long) < scored::place(high, b""));
            assert!(scored::place(high, &long) < scored::score_edge(high, true));
        }
        assert_eq!(scored::place(-0.0, &long), scored::place(0.0, &long));
    }
}
