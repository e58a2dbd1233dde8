use super::Merge;
use super::runs::{Fuse, Owned, RunCursor, key, moves, put, sorted, walk_alike};
use crate::base::cursor::Cursor;
use proptest::prelude::*;

/// Entries, and for each the run it goes to. Some sequence number is everyone's.
fn runs(of: usize) -> impl Strategy<Value = Vec<Vec<Owned>>> {
    prop::collection::vec((key(), 0..of), 0..60).prop_map(move |entries| {
        let mut runs = vec![Vec::new(); of];
        for (seq, (key, run)) in entries.iter().enumerate() {
            runs[*run].push(put(key, seq as u64));
        }
        runs.into_iter().map(sorted).collect()
    })
}

fn merge(runs: &[Vec<Owned>], fuse: &Fuse) -> Merge<RunCursor> {
    Merge::new(runs.iter().map(|run| RunCursor::new(run.clone(), fuse)).collect())
}

proptest! {
    #[test]
    fn a_merge_walks_like_one_sorted_run(
        runs in (0usize..9).prop_flat_map(|of| runs(of.max(1))),
        moves in moves(),
        fuse in prop::option::weighted(0.3, 0u32..200),
    ) {
        let fuse = Fuse::new(std::cell::Cell::new(fuse));
        let mut model = RunCursor::new(sorted(runs.concat()), &Fuse::default());
        walk_alike(&mut merge(&runs, &fuse), &mut model, &moves);
    }

    /// It cannot happen, and it must not confuse the tree.
    #[test]
    fn equal_entries_of_several_runs_all_come_lowest_run_first(
        present in prop::collection::vec(prop::collection::vec(any::<bool>(), 6), 1..6),
        turns in prop::collection::vec(any::<bool>(), 0..80),
    ) {
        let fuse = Fuse::default();
        // Which run an entry came from stands in its value.
        let entry = |run: usize, i: usize| {
            let value = vec![run as u8];
            Owned { value, ..put(&[i as u8 / 2], 9 - i as u64) }
        };
        let run = |(run, present): (usize, &Vec<bool>)| {
            (0..6).filter(|i| present[*i]).map(|i| entry(run, i)).collect::<Vec<_>>()
        };
        let runs: Vec<_> = present.iter().enumerate().map(run).collect();
        let mut expected = runs.concat();
        expected.sort_by(|a, b| a.order(b).then(a.value.cmp(&b.value)));
        let mut merge = merge(&runs, &fuse);
        merge.seek_to_first()?;
        let mut at = 0;
        for forward in turns {
            prop_assert_eq!(merge.valid(), at < expected.len());
            if at == expected.len() {
                break;
            }
            prop_assert_eq!(merge.entry(), expected[at].entry());
            if forward {
                merge.next()?;
                at += 1;
            } else {
                merge.prev()?;
                let Some(before) = at.checked_sub(1) else {
                    prop_assert!(!merge.valid());
                    break;
                };
                at = before;
            }
        }
    }
}

#[test]
fn no_runs_are_an_empty_run() {
    let mut merge = Merge::<RunCursor>::new(Vec::new());
    merge.seek_to_first().unwrap();
    assert!(!merge.valid());
    merge.seek_before(b"x", 5).unwrap();
    assert!(!merge.valid());
}

#[test]
fn walking_on_in_one_run_moves_no_other() {
    let fuse = Fuse::default();
    let low: Vec<_> = (0..50).map(|i| put(&[1, i], 1)).collect();
    let high: Vec<_> = (0..50).map(|i| put(&[2, i], 1)).collect();
    let cursors = vec![RunCursor::new(low, &fuse), RunCursor::new(high, &fuse)];
    let moved = cursors[1].moves();
    let mut merge = Merge::new(cursors);
    merge.seek_to_first().unwrap();
    let before = moved.get();
    for _ in 0..50 {
        assert_eq!(merge.user_key()[0], 1);
        merge.next().unwrap();
    }
    assert_eq!((moved.get(), merge.user_key()), (before, &[2, 0][..]));
}
