use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Key(u8),
    Range(u8, u8),
}

/// A range up to the greatest key has no end.
fn end(to: u8) -> Option<[u8; 1]> {
    (to < 19).then_some([to])
}

fn step() -> impl Strategy<Value = Step> {
    let range = (0u8..20, 0u8..20).prop_map(|(a, b)| Step::Range(a, b));
    prop_oneof![3 => (0u8..20).prop_map(Step::Key), 1 => range]
}

proptest! {
    /// What it knows is true, and what it does not know it says.
    #[test]
    fn a_bounded_table_misses_no_write(
        steps in prop::collection::vec(step(), 0..60),
        room in 1usize..40,
        asked in prop::collection::vec((0u8..20, 0u8..20, 0u64..70), 1..20),
    ) {
        let mut table = RecentWrites::new(room * (WRITE_BYTES + KEY_OVERHEAD_BYTES + 2));
        table.watch(4);
        for (seq, step) in (5..).zip(&steps) {
            match step {
                Step::Key(key) => table.record(seq, 1, &[*key]),
                Step::Range(from, to) => {
                    table.record_range(seq, 1, &[*from], end(*to).as_ref().map(|to| &to[..]));
                }
            }
        }
        prop_assert!(table.bytes() <= room * (WRITE_BYTES + KEY_OVERHEAD_BYTES + 2));
        let last_of = |from: u8, to: u8| (5..).zip(&steps).filter(|(_, step)| match step {
            Step::Key(key) => from <= *key && *key <= to,
            Step::Range(a, b) => (a < b || *b == 19) && *a <= to && (from < *b || *b == 19),
        }).map(|(seq, _)| seq).last();
        for (from, to, since) in asked {
            let known = |last: Option<u64>| match last {
                _ if since < table.floor => Recent::Unknown,
                Some(seq) if seq > since => Recent::Written(seq),
                _ => Recent::Unwritten,
            };
            prop_assert_eq!(table.key(1, &[from], since), known(last_of(from, from)));
            prop_assert_eq!(table.key(2, &[from], since), known(None));
            let bounds = (Bound::Included(&[from][..]), Bound::Included(&[to][..]));
            if from <= to {
                // An empty range that was deleted may be taken for a write: that only repeats work.
                let written = |seq: u64| (5..).zip(&steps).any(|(at, step)| at == seq && match step {
                    Step::Key(key) => from <= *key && *key <= to,
                    Step::Range(a, b) => *a <= to && (from < *b || *b == 19),
                });
                match (table.range(1, bounds, since), known(last_of(from, to))) {
                    (Recent::Written(seq), Recent::Written(_) | Recent::Unwritten) => {
                        prop_assert!(seq > since && written(seq), "{}", seq);
                    }
                    (found, expected) => prop_assert_eq!(found, expected),
                }
            } else {
                let nothing = if since < table.floor { Recent::Unknown } else { Recent::Unwritten };
                prop_assert_eq!(table.range(1, bounds, since), nothing);
            }
            // Another family's removals are none of this one's.
            prop_assert_eq!(table.range(2, (Bound::Unbounded, Bound::Unbounded), since), known(None));
            for bounds in [
                (Bound::Excluded(&[from][..]), Bound::Excluded(&[to][..])),
                (Bound::Excluded(&[from][..]), Bound::Unbounded),
                (Bound::Unbounded, Bound::Excluded(&[to][..])),
            ] {
                // Whatever was written within the bounds is known; what only touches them may be.
                let inside = |key: u8| within(bounds, &[key]);
                let [above, below] = [bounds.0 == Bound::Unbounded, bounds.1 == Bound::Unbounded];
                let touches = |key: u8| (above || from <= key) && (below || key <= to);
                let holds = |step: &Step, of: &dyn Fn(u8) -> bool| match step {
                    Step::Key(key) => of(*key),
                    Step::Range(a, b) => (*a..if *b == 19 { 20 } else { *b }).any(of),
                };
                let since_then = (5..).zip(&steps).filter(|(seq, _)| *seq > since);
                let written =
                    |of: &dyn Fn(u8) -> bool| since_then.clone().any(|(_, step)| holds(step, of));
                match table.range(1, bounds, since) {
                    Recent::Unknown => prop_assert!(since < table.floor),
                    Recent::Unwritten => prop_assert!(!written(&inside) || holds_nothing(bounds)),
                    Recent::Written(_) => prop_assert!(written(&touches)),
                }
                // With its name conflicts are told.
                let since = since.max(table.floor);
                match (table.range(1, bounds, since), table.written_key(1, bounds, since)) {
                    (Recent::Written(_), Some(key)) => {
                        // The first key behind an excluded one is that with a zero byte.
                        let fits = [above || from < key[0] || key.len() == 2, below || key[0] < to];
                        prop_assert!(fits == [true; 2], "{:?} {:?}", key, bounds);
                        let behind = (5..).zip(&steps).filter(|(seq, _)| *seq > since);
                        let written = behind.map(|(_, step)| step).any(|step| match step {
                            Step::Key(at) => *at == key[0],
                            Step::Range(a, b) => *a <= key[0] && (key[0] < *b || *b == 19),
                        });
                        prop_assert!(written, "{:?}", key);
                    }
                    (written, key) => {
                        prop_assert_eq!((written, key), (Recent::Unwritten, None));
                    }
                }
            }
        }
        // The memory is told truly: with the last write it is all given back.
        while !table.writes.is_empty() {
            table.forget_oldest();
        }
        prop_assert_eq!((table.bytes(), table.last.len(), table.ranges.len()), (0, 0, 0));
        prop_assert!(table.removed.within(1, (Bound::Unbounded, Bound::Unbounded)).next().is_none());
        prop_assert!(table.removed.is_empty());
    }
}

#[test]
fn nothing_is_kept_when_nobody_watches() {
    let mut table = RecentWrites::new(1 << 20);
    assert!(!table.watched());
    table.watch(7);
    table.watch(7);
    table.record(8, 0, b"k");
    table.unwatch();
    assert_eq!(table.key(0, b"k", 7), Recent::Written(8));
    assert_eq!(table.key(0, b"k", 6), Recent::Unknown);
    table.unwatch();
    assert_eq!(table.bytes(), 0);
    table.watch(20);
    assert_eq!(table.key(0, b"k", 20), Recent::Unwritten);
    assert_eq!(table.key(0, b"k", 19), Recent::Unknown);
}

/// Keys of eight bytes, big-endian.
fn bounds_of<'k>(from: &'k [u8; 8], to: &'k [u8; 8]) -> (Bound<&'k [u8]>, Bound<&'k [u8]>) {
    (Bound::Included(from), Bound::Excluded(to))
}

/// What others write in the meantime must not be walked once for each range.
#[test]
fn ranges_in_which_nothing_was_written_cost_nothing_however_much_was_written_elsewhere() {
    let mut table = RecentWrites::new(64 << 20);
    table.watch(0);
    let writes = 70_000_u64;
    for seq in 1..=writes {
        table.record(seq, 1, &(1_000_000 + seq).to_be_bytes());
    }
    let ranges = 4_000_u64;
    let looked_at = |table: &RecentWrites, since: u64, first: u64, width: u64| {
        let looked = (0..ranges).map(|n| {
            let (from, to) = (first + n * width, first + (n + 1) * width);
            let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
            let bounds = bounds_of(&from, &to);
            let (found, looked_at) = table.point(1, bounds, since);
            assert_eq!(found.is_some(), table.range(1, bounds, since) != Recent::Unwritten);
            (found.is_some(), looked_at)
        });
        looked.fold((0, 0), |(found, all), (f, looked_at)| (found + usize::from(f), all + looked_at))
    };
    assert_eq!(looked_at(&table, 0, 0, 100), (0, 0));
    // Ranges that are full of writes end at the first one.
    assert_eq!(looked_at(&table, 0, 1_000_001, 10), (4_000, 8_000));
    // Writes that are too old to count are not walked through when few are new, ..
    assert_eq!(looked_at(&table, writes, 1_000_001, 10), (0, 0));
    let (_, few) = looked_at(&table, writes - 3, 1_000_001, 10);
    assert_eq!(few, 4_000 * 3 * 2);
    // .. nor are new ones when few old ones lie in the range.
    for seq in writes + 1..=2 * writes {
        table.record(seq, 1, &seq.to_be_bytes());
    }
    assert_eq!(looked_at(&table, writes, 1_000_001, 10), (0, 4_000 * 10 * 2));
}

#[test]
fn a_key_that_is_written_again_and_again_takes_its_memory_once() {
    let mut table = RecentWrites::new(1 << 20);
    table.watch(0);
    let key = [7; 1_000];
    table.record(1, 1, &key);
    let once = table.bytes();
    table.record(2, 1, &key);
    table.record(3, 2, &key);
    assert_eq!(table.bytes(), 2 * once + WRITE_BYTES);
    table.forget_oldest();
    assert_eq!((table.bytes(), table.key(1, &key, 1)), (2 * once, Recent::Written(2)));
    table.forget_oldest();
    assert_eq!((table.bytes(), table.key(2, &key, 2)), (once, Recent::Written(3)));
}

/// Ranges that others remove must not be walked once for each key or range that is asked for.
#[test]
fn removed_ranges_elsewhere_or_from_before_are_left_alone() {
    let mut table = RecentWrites::new(64 << 20);
    table.watch(0);
    let key = |n: u64| n.to_be_bytes();
    for n in 1..=10_000_u64 {
        table.record_range(n, 1, &key(2 * n), Some(&key(2 * n + 1)));
    }
    assert_eq!(table.key(1, &key(20), 0), Recent::Written(10));
    assert_eq!(
        (table.key(1, &key(20), 10), table.key(1, &key(21), 0)),
        (Recent::Unwritten, Recent::Unwritten)
    );
    let removal = |from: u64, to: u64, since| table.removal(1, bounds_of(&key(from), &key(to)), since);
    assert_eq!(removal(100, 104, 0), (Some((&key(100)[..], 50)), 2));
    assert_eq!(removal(30_000, 40_000, 0), (None, 0));
    // All of them are too old, or all but three.
    assert_eq!(removal(2, 10_000, 10_000), (None, 0));
    assert_eq!(removal(2, 10_000, 9_997), (None, 6));
    // One that covers them all takes their place.
    table.record_range(10_001, 1, &key(0), None);
    assert_eq!(table.key(1, &key(20), 10), Recent::Written(10_001));
    assert_eq!(table.removed.within(1, (Bound::Unbounded, Bound::Unbounded)).count(), 1);
}
