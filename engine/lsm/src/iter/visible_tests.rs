use super::runs::{Fuse, Owned, RunCursor, key, put, sorted};
use super::{Hidden, Merge, Visible};
use crate::base::key::{Kind, MAX_SEQ, NEVER};
use crate::base::sync::Arc;
use crate::ranges::{Range, RangeKind, RangeSet};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

const NOW_MS: u64 = 500;

fn entries() -> impl Strategy<Value = Vec<Owned>> {
    let what = prop_oneof![
        3 => Just((Kind::Put, NEVER, 0)),
        1 => Just((Kind::Put, NEVER, 5000)),
        1 => Just((Kind::Put, NOW_MS, 0)),
        1 => Just((Kind::Put, NOW_MS + 1, 0)),
        2 => Just((Kind::Delete, NEVER, 0)),
    ];
    // A key repeated, so that the seeks over many versions are met.
    let some = (key(), prop_oneof![4 => Just(1usize), 1 => 1usize..25], what);
    prop::collection::vec(some, 0..40).prop_map(|some| {
        let mut entries: Vec<Owned> = Vec::new();
        for (key, times, (kind, expires_at, padding)) in some {
            for _ in 0..times {
                let mut entry = Owned { kind, expires_at, ..put(&key, 2 * entries.len() as u64) };
                entry.value.resize(entry.value.len() + padding, 7);
                if kind == Kind::Delete {
                    entry.value.clear();
                }
                entries.push(entry);
            }
        }
        sorted(entries)
    })
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        2 => Just(Bound::Unbounded),
        1 => key().prop_map(Bound::Included),
        1 => key().prop_map(Bound::Excluded),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    First,
    Last,
    Seek(Vec<u8>),
    SeekForPrev(Vec<u8>),
    Next,
    Prev,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => Just(Step::First),
        1 => Just(Step::Last),
        2 => key().prop_map(Step::Seek),
        2 => key().prop_map(Step::SeekForPrev),
        8 => Just(Step::Next),
        8 => Just(Step::Prev),
    ];
    prop::collection::vec(step, 0..80)
}

/// What a user sees: key to entry.
fn model(
    entries: &[Owned],
    seq: u64,
    bounds: (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
    ranges: &[Arc<Range>],
) -> BTreeMap<Vec<u8>, Owned> {
    let mut seen = BTreeMap::new();
    // Newest first: the first in view decides.
    for entry in entries.iter().filter(|entry| entry.seq <= seq) {
        seen.entry(entry.key.clone()).or_insert_with(|| entry.clone());
    }
    seen.retain(|_, entry| entry.kind == Kind::Put && entry.expires_at > NOW_MS);
    let hides = |range: &Range, entry: &Owned| {
        entry.seq < range.seq && range.seq <= seq && range.contains(&entry.key)
    };
    seen.retain(|_, entry| !ranges.iter().any(|range| hides(range, entry)));
    use std::ops::RangeBounds;
    seen.retain(|key, _| (bounds.0.as_ref(), bounds.1.as_ref()).contains(key));
    seen
}

type View = Visible<Merge<RunCursor>>;

fn assert_shows(view: &View, expected: Option<&Owned>) {
    assert_eq!(view.valid(), expected.is_some());
    let Some(expected) = expected else { return };
    assert_eq!(view.key(), &expected.key[..]);
    assert_eq!(view.value(), &expected.value[..]);
    assert_eq!(view.value_slice(), expected.value);
    assert_eq!((view.seq(), view.expires_at()), (expected.seq, expected.expires_at));
}

fn step(view: &mut View, step: &Step) -> crate::base::error::Result<()> {
    match step {
        Step::First => view.seek_to_first(),
        Step::Last => view.seek_to_last(),
        Step::Seek(key) => view.seek(key),
        Step::SeekForPrev(key) => view.seek_for_prev(key),
        Step::Next => view.next(),
        Step::Prev => view.prev(),
    }
}

fn view(
    entries: &[Owned],
    runs: usize,
    seq: u64,
    bounds: (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
    fuse: &Fuse,
) -> View {
    hiding(entries, runs, seq, bounds, fuse, &[])
}

/// As [`view`], with deleted ranges in two sets.
fn hiding(
    entries: &[Owned],
    runs: usize,
    seq: u64,
    bounds: (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
    fuse: &Fuse,
    ranges: &[Arc<Range>],
) -> View {
    let run = |run: usize| {
        let mine = entries.iter().filter(|entry| entry.seq as usize / 2 % runs == run);
        RunCursor::new(mine.cloned().collect(), fuse)
    };
    let (some, others) = ranges.split_at(ranges.len() / 2);
    let sets = [some, others].map(|ranges| Arc::new(RangeSet::new(ranges.to_vec())));
    let runs = Merge::new((0..runs).map(run).collect());
    let hidden = Hidden::new(sets.into(), seq);
    Visible::new(runs, seq, NOW_MS, hidden, bounds.0.clone(), bounds.1.clone())
}

/// Deleted ranges whose sequence numbers stand between those of the entries, which are even.
fn ranges() -> impl Strategy<Value = Vec<Arc<Range>>> {
    let one = (key(), prop::option::of(key()), 0u64..60);
    prop::collection::vec(one, 0..5).prop_map(|ranges| {
        let mut made: Vec<Arc<Range>> = Vec::new();
        for (from, to, seq) in ranges {
            let (seq, to) = (2 * seq + 1, to.unwrap_or_default());
            if (to.is_empty() || from < to) && made.iter().all(|range| range.seq != seq) {
                made.push(Arc::new(Range::new(RangeKind::Deleted, seq, &from, &to, 0)));
            }
        }
        made
    })
}

proptest! {
    #[test]
    fn a_view_shows_what_a_map_would(
        entries in entries(),
        runs in 1usize..4,
        seq in prop_oneof![Just(MAX_SEQ), 0u64..200],
        (lower, upper) in (bound(), bound()),
        ranges in prop_oneof![Just(Vec::new()), ranges()],
        steps in steps(),
        fuse in prop::option::weighted(0.2, 0u32..300),
    ) {
        let seen = model(&entries, seq, (&lower, &upper), &ranges);
        let fuse = Fuse::new(Cell::new(fuse));
        let mut view = hiding(&entries, runs, seq, (&lower, &upper), &fuse, &ranges);
        let mut at: Option<Vec<u8>> = None;
        let mut failed = false;
        for movement in steps {
            if failed {
                step(&mut view, &movement).expect_err("errors are sticky");
                prop_assert!(!view.valid());
                continue;
            }
            let found = match (&movement, &at) {
                (Step::First, _) => seen.iter().next(),
                (Step::Last, _) => seen.iter().next_back(),
                (Step::Seek(key), _) => seen.range(key.clone()..).next(),
                (Step::SeekForPrev(key), _) => seen.range(..=key.clone()).next_back(),
                (Step::Next | Step::Prev, None) => continue,
                (Step::Next, Some(at)) => {
                    seen.range((Bound::Excluded(at.clone()), Bound::Unbounded)).next()
                }
                (Step::Prev, Some(at)) => seen.range(..at.clone()).next_back(),
            };
            if step(&mut view, &movement).is_err() {
                failed = true;
                continue;
            }
            assert_shows(&view, found.map(|(_, entry)| entry));
            at = found.map(|(key, _)| key.clone());
        }
    }
}

#[test]
fn a_walk_ends_at_its_bounds_and_not_behind_the_tombstones_beyond_them() {
    let mut entries: Vec<_> = (10..15).map(|i| put(&[i], 1)).collect();
    for i in (0..10).chain(15..200) {
        entries.push(Owned { kind: Kind::Delete, value: Vec::new(), ..put(&[i], 1) });
    }
    let entries = sorted(entries);
    let bounds = (Bound::Included(vec![10]), Bound::Excluded(vec![15]));
    let fuse = Fuse::new(Cell::new(Some(20)));
    let mut view = view(&entries, 1, MAX_SEQ, (&bounds.0, &bounds.1), &fuse);
    view.seek_to_first().unwrap();
    for i in 10..15 {
        assert_eq!(view.key(), [i]);
        view.next().unwrap();
    }
    assert!(!view.valid());
    view.seek_for_prev(&[100]).unwrap();
    for i in (10..15).rev() {
        assert_eq!(view.key(), [i]);
        view.prev().unwrap();
    }
    assert!(!view.valid());
    assert_eq!(view.skipped(), 0);
}

#[test]
fn many_versions_are_sought_over() {
    let mut entries: Vec<_> = (0..10_000).map(|seq| put(b"k", seq)).collect();
    entries.push(put(b"a", 0));
    entries.push(put(b"z", 0));
    let entries = sorted(entries);
    let fuse = Fuse::new(Cell::new(Some(200)));
    let unbounded = (Bound::Unbounded, Bound::Unbounded);
    let mut view = view(&entries, 1, 5000, (&unbounded.0, &unbounded.1), &fuse);
    view.seek_to_first().unwrap();
    for key in [b"k", b"z"] {
        view.next().unwrap();
        assert_eq!(view.key(), key);
    }
    for key in [b"k", b"a"] {
        view.prev().unwrap();
        assert_eq!(view.key(), key);
        assert!(key == b"a" || view.seq() == 5000);
    }
    view.next().unwrap();
    assert_eq!((view.key(), view.seq()), (&b"k"[..], 5000));
    view.prev().unwrap();
    assert_eq!(view.key(), b"a");
}

#[test]
fn what_is_not_shown_is_counted() {
    let mut entries = vec![put(b"a", 1), put(b"b", 2), put(b"b", 3), put(b"b", 4), put(b"c", 9)];
    entries.push(Owned { kind: Kind::Delete, value: Vec::new(), ..put(b"c", 5) });
    entries.push(Owned { expires_at: NOW_MS, ..put(b"d", 6) });
    let entries = sorted(entries);
    let unbounded = (Bound::Unbounded, Bound::Unbounded);
    let mut view = view(&entries, 1, 8, (&unbounded.0, &unbounded.1), &Fuse::default());
    view.seek_to_first().unwrap();
    while view.valid() {
        view.next().unwrap();
    }
    // Two older versions of b, one of c that is too new, its deletion, and d.
    assert_eq!(view.skipped(), 5);
    view.seek_to_last().unwrap();
    while view.valid() {
        view.prev().unwrap();
    }
    assert!(view.skipped() >= 9);
}
