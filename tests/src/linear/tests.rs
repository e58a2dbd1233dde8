use super::{Call, Cell, EMPTY, What, check, explain};
use std::time::Duration;

fn call(thread: usize, began: u64, ended: u64, what: What) -> Call {
    Call { thread, began: Duration::from_millis(began), ended: Duration::from_millis(ended), what }
}

fn write(began: u64, ended: u64, cells: &[(usize, Cell)]) -> Call {
    call(0, began, ended, What::Write { cells: cells.to_vec(), seq: 0 })
}

fn numbered(began: u64, ended: u64, cells: &[(usize, Cell)], seq: u64) -> Call {
    call(1, began, ended, What::Write { cells: cells.to_vec(), seq })
}

fn read(began: u64, ended: u64, cells: &[(usize, Cell)]) -> Call {
    call(2, began, ended, What::Read { cells: cells.to_vec() })
}

fn fits(calls: &[Call]) -> bool {
    check(calls).unwrap().is_none()
}

#[test]
fn calls_one_after_the_other_have_one_order() {
    assert!(fits(&[]));
    assert!(fits(&[write(0, 1, &[(0, 7)]), read(2, 3, &[(0, 7)])]));
    assert!(!fits(&[write(0, 1, &[(0, 7)]), read(2, 3, &[(0, 0)])]), "a lost write");
    assert!(!fits(&[read(0, 1, &[(0, 7)]), write(2, 3, &[(0, 7)])]), "a read from the future");
    assert!(fits(&[write(0, 1, &[(0, 7)]), write(2, 3, &[(0, 0)]), read(4, 5, &[(0, 0)])]));
    assert!(!fits(&[write(0, 1, &[(0, 7)]), write(2, 3, &[(0, 0)]), read(4, 5, &[(0, 7)])]), "deleted");
}

#[test]
fn a_read_beside_a_write_may_see_either_but_not_both_ways() {
    assert!(fits(&[write(0, 9, &[(0, 7)]), read(1, 2, &[(0, 0)]), read(3, 4, &[(0, 7)])]));
    assert!(!fits(&[write(0, 9, &[(0, 7)]), read(1, 2, &[(0, 7)]), read(3, 4, &[(0, 0)])]), "back again");
    assert!(fits(&[write(0, 9, &[(0, 7)]), read(1, 4, &[(0, 7)]), read(3, 5, &[(0, 0)])]));
}

#[test]
fn two_readers_agree_on_the_order_of_two_writes() {
    let writes = [write(0, 9, &[(0, 1)]), write(0, 9, &[(0, 2)])];
    let reads = |first: [Cell; 2], second: [Cell; 2]| {
        let mut calls = writes.to_vec();
        for (thread, values) in [first, second].into_iter().enumerate() {
            for (i, value) in values.into_iter().enumerate() {
                let at = 1 + i as u64 * 3 + thread as u64;
                calls.push(read(at, at, &[(0, value)]));
            }
        }
        fits(&calls)
    };
    assert!(reads([1, 2], [1, 2]) && reads([2, 2], [2, 2]) && reads([2, 1], [2, 1]));
    assert!(!reads([1, 2], [2, 1]));
}

#[test]
fn batches_are_whole_and_seen_at_once() {
    let batch = write(0, 9, &[(0, 5), (3, 5)]);
    assert!(fits(&[batch.clone(), read(1, 2, &[(0, 0), (3, 0)])]));
    assert!(fits(&[batch.clone(), read(1, 2, &[(0, 5), (3, 5)])]));
    assert!(!fits(&[batch.clone(), read(1, 2, &[(0, 5), (3, 0)])]), "half a batch");
    // Each cell for itself would be in order; only together they are not.
    assert!(!fits(&[batch, read(1, 2, &[(0, 5)]), read(3, 4, &[(3, 0)])]));
}

#[test]
fn what_an_update_saw_is_so_when_it_writes() {
    let update = |began, ended, read: &[(usize, Cell)], cells: &[(usize, Cell)]| {
        let (read, cells) = (read.to_vec(), cells.to_vec());
        call(3, began, ended, What::Update { read, cells, seq: 0 })
    };
    let add = [update(0, 9, &[(0, 0)], &[(0, 1)]), update(0, 9, &[(0, 1)], &[(0, 2)])];
    assert!(fits(&add) && fits(&[add[1].clone(), add[0].clone()]));
    let lost = [update(0, 9, &[(0, 0)], &[(0, 1)]), update(0, 9, &[(0, 0)], &[(0, 2)])];
    assert!(!fits(&lost), "a lost update");
    let skew = [update(0, 9, &[(0, 0)], &[(1, 1)]), update(0, 9, &[(1, 0)], &[(0, 1)])];
    assert!(!fits(&skew), "write skew");
    let differs = |from| call(4, 10, 11, What::Differs { cell: 0, from });
    assert!(fits(&[add[0].clone(), differs(0)]) && !fits(&[add[0].clone(), differs(1)]));
}

#[test]
fn a_range_that_was_walked_over_is_as_it_was_when_it_is_written_into() {
    let scan = |read: [Cell; 3], cells: &[(usize, Cell)]| {
        let read = read.into_iter().enumerate().collect();
        call(3, 0, 9, What::Update { read, cells: cells.to_vec(), seq: 0 })
    };
    let phantom = [scan([0, 0, 0], &[(0, 1)]), scan([0, 0, 0], &[(2, 2)])];
    assert!(!fits(&phantom), "each has overlooked what the other one put into its range");
    assert!(fits(&[phantom[0].clone(), scan([1, 0, 0], &[(2, 2)])]));
    // A range is removed at once: it is seen whole or not at all.
    let removed = [write(0, 1, &[(0, 1), (1, 1), (2, 1)]), write(2, 9, &[(0, 0), (1, 0)])];
    let seen = |cells: [Cell; 3]| {
        let cells: Vec<(usize, Cell)> = cells.into_iter().enumerate().collect();
        fits(&[removed[0].clone(), removed[1].clone(), read(3, 4, &cells)])
    };
    assert!(seen([1, 1, 1]) && seen([0, 0, 1]) && !seen([0, 1, 1]) && !seen([1, 0, 1]));
}

#[test]
fn sequence_numbers_are_the_order() {
    let two = |first: u64, second: u64| {
        [numbered(0, 9, &[(0, 1)], first), numbered(0, 9, &[(0, 2)], second), read(10, 11, &[(0, 2)])]
    };
    assert!(fits(&two(4, 5)));
    assert!(!fits(&two(5, 4)));
    let late = [numbered(0, 1, &[(0, 1)], 5), numbered(2, 3, &[(0, 2)], 4)];
    assert!(!fits(&late), "a later write got an earlier number");
}

#[test]
fn cells_without_connection_are_decided_alone() {
    let mut calls = Vec::new();
    for i in 0..200 {
        calls.push(write(i, i + 3, &[(i as usize % 4, i as Cell + 1)]));
    }
    calls.push(read(300, 301, &[(0, 197)]));
    assert!(fits(&calls));
    calls.push(read(400, 401, &[(1, 0)]));
    let part = check(&calls).unwrap().expect("a violation");
    assert!(part.iter().all(|call| call.cells()[0] == 1), "only the cell's own calls are shown");
}

#[test]
fn what_is_recovered_is_a_beginning_with_all_that_is_durable() {
    let writes =
        [numbered(0, 1, &[(0, 1)], 3), numbered(0, 1, &[(0, 2), (1, 2)], 5), numbered(0, 1, &[(0, 0)], 6)];
    assert_eq!(explain(&writes, 0, &EMPTY), Some(0));
    assert_eq!(explain(&writes, 3, &[1, 0, 0, 0, 0, 0]), Some(1));
    assert_eq!(explain(&writes, 3, &[2, 2, 0, 0, 0, 0]), Some(2));
    assert_eq!(explain(&writes, 6, &[0, 2, 0, 0, 0, 0]), Some(3));
    assert_eq!(explain(&writes, 5, &[1, 0, 0, 0, 0, 0]), None, "a durable write is gone");
    assert_eq!(explain(&writes, 3, &[2, 0, 0, 0, 0, 0]), None, "half a batch");
    assert_eq!(explain(&writes, 0, &[0, 7, 0, 0, 0, 0]), None, "nobody wrote that");
}
