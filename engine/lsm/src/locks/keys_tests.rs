use super::keys::{KeyLocks, LockFailure, LockedKey};
use crate::base::clock::Clock;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use std::ops::Bound;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn key(name: &str) -> LockedKey {
    LockedKey { family: 0, key: name.into() }
}

fn locks() -> KeyLocks {
    KeyLocks::new(Clock::System)
}

/// Waits until so many owners wait for a lock.
fn until_waiting(locks: &KeyLocks, count: usize) {
    while locks.waiting() != count {
        std::thread::yield_now();
    }
}

#[test]
fn a_lock_is_held_by_one_owner_until_it_is_given_back() {
    let locks = locks();
    let (a, b) = (locks.new_owner(), locks.new_owner());
    assert_eq!(locks.lock(a, &key("k"), LONG), Ok(true));
    assert_eq!(locks.lock(a, &key("k"), LONG), Ok(false), "an owner holds a key once");
    assert_eq!(locks.lock(b, &key("k"), Duration::ZERO), Err(LockFailure::Timeout { holder: a }));
    let short = Duration::from_millis(1);
    assert_eq!(locks.lock(b, &key("k"), short), Err(LockFailure::Timeout { holder: a }));
    assert_eq!((locks.held(), locks.waiting()), (1, 0), "whoever gave up is forgotten");
    locks.unlock(b, &key("k"));
    assert_eq!(locks.holder(&key("k")), Some(a), "only its holder gives a lock back");
    let other = LockedKey { family: 1, ..key("k") };
    assert_eq!(locks.lock(b, &other, Duration::ZERO), Ok(true), "families have keys of their own");
    locks.unlock(a, &key("k"));
    assert_eq!(locks.lock(b, &key("k"), Duration::ZERO), Ok(true));
    assert_eq!(locks.list(), [(key("k"), b, 0), (other, b, 0)]);
}

#[test]
fn locks_are_handed_on_in_the_order_of_asking() {
    let locks = locks();
    let first = locks.new_owner();
    locks.lock(first, &key("k"), LONG).unwrap();
    let turn = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for place in 0..4 {
            let (locks, turn) = (&locks, &turn);
            scope.spawn(move || {
                let owner = locks.new_owner();
                locks.lock(owner, &key("k"), LONG).unwrap();
                assert_eq!(turn.fetch_add(1, Ordering::SeqCst), place);
                locks.unlock(owner, &key("k"));
            });
            until_waiting(locks, place as usize + 1);
        }
        locks.unlock(first, &key("k"));
    });
    assert_eq!((locks.held(), locks.waiting(), turn.into_inner()), (0, 0, 4));
}

#[test]
fn a_deadlock_names_the_cycle_and_the_others_go_on() {
    let locks = locks();
    let [a, b, c] = [(); 3].map(|()| locks.new_owner());
    for (owner, name) in [(a, "a"), (b, "b"), (c, "c")] {
        locks.lock(owner, &key(name), LONG).unwrap();
    }
    std::thread::scope(|scope| {
        let waits = |owner, name| {
            let locks = &locks;
            scope.spawn(move || locks.lock(owner, &key(name), LONG))
        };
        let a_waits = waits(a, "b");
        until_waiting(&locks, 1);
        let b_waits = waits(b, "c");
        until_waiting(&locks, 2);
        let cycle = vec![(c, key("a")), (a, key("b")), (b, key("c"))];
        assert_eq!(locks.lock(c, &key("a"), LONG), Err(LockFailure::Deadlock { cycle }));
        locks.unlock(c, &key("c"));
        assert_eq!(b_waits.join().unwrap(), Ok(true));
        locks.unlock(b, &key("b"));
        assert_eq!(a_waits.join().unwrap(), Ok(true));
    });
}

/// The edges of those who still wait must turn to the new holder, or this cycle is not seen.
#[test]
fn a_deadlock_behind_a_lock_that_was_handed_on_is_found() {
    let locks = locks();
    let [a, b, c] = [(); 3].map(|()| locks.new_owner());
    locks.lock(a, &key("k"), LONG).unwrap();
    locks.lock(c, &key("c"), LONG).unwrap();
    std::thread::scope(|scope| {
        let waits = |owner, name| {
            let locks = &locks;
            scope.spawn(move || locks.lock(owner, &key(name), LONG))
        };
        let b_waits = waits(b, "k");
        until_waiting(&locks, 1);
        let c_waits = waits(c, "k");
        until_waiting(&locks, 2);
        locks.unlock(a, &key("k"));
        assert_eq!(b_waits.join().unwrap(), Ok(true));
        let cycle = vec![(b, key("c")), (c, key("k"))];
        assert_eq!(locks.lock(b, &key("c"), LONG), Err(LockFailure::Deadlock { cycle }));
        locks.unlock(b, &key("k"));
        assert_eq!(c_waits.join().unwrap(), Ok(true));
    });
}

#[test]
fn many_threads_never_hold_one_key_together_and_no_deadlock_hangs() {
    let locks = locks();
    let inside = [const { AtomicU64::new(0) }; 4];
    let deadlocks = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (locks, inside, deadlocks) = (&locks, &inside, &deadlocks);
            scope.spawn(move || {
                let mut random = thread + 1;
                // On one core threads meet seldom: they go on until they have.
                let met = || deadlocks.load(Ordering::Relaxed) > 0;
                for _ in (0..1_000_000).take_while(|round| *round < 2_000 || !met()) {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (x, y) = ((random >> 33) as usize % 4, (random >> 40) as usize % 4);
                    let owner = locks.new_owner();
                    let mut mine = Vec::new();
                    for at in [x, y] {
                        match locks.lock(owner, &key(&at.to_string()), LONG) {
                            Ok(true) => {
                                std::thread::yield_now();
                                assert_eq!(inside[at].swap(owner, Ordering::SeqCst), 0);
                                mine.push(at);
                            }
                            Ok(false) => assert_eq!(x, y),
                            Err(LockFailure::Deadlock { cycle }) => {
                                assert_eq!(cycle[0].0, owner);
                                deadlocks.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    for at in mine {
                        assert_eq!(inside[at].swap(0, Ordering::SeqCst), owner);
                        locks.unlock(owner, &key(&at.to_string()));
                    }
                }
            });
        }
    });
    assert_eq!((locks.held(), locks.waiting()), (0, 0));
    assert!(deadlocks.into_inner() > 0, "threads that lock two of four keys in any order do deadlock");
}

/// A range finds what is locked in it without looking at the locks elsewhere.
#[test]
fn a_range_looks_only_at_the_locks_in_it() {
    let locks = locks();
    let (mine, theirs) = (locks.new_owner(), locks.new_owner());
    let number = |n: u32| LockedKey { family: 1, key: n.to_be_bytes().to_vec() };
    for n in 0..5_000 {
        locks.lock(theirs, &number(n), LONG).unwrap();
    }
    for n in 5_000..5_100 {
        locks.lock(mine, &number(n), LONG).unwrap();
    }
    locks.lock(theirs, &LockedKey { family: 2, key: Vec::new() }, LONG).unwrap();
    let look = |owner, family, from: Bound<u32>, to: Bound<u32>| {
        let (from, to) = (from.map(u32::to_be_bytes), to.map(u32::to_be_bytes));
        let slices = (from.as_ref().map(|key| &key[..]), to.as_ref().map(|key| &key[..]));
        let (found, looked_at) = locks.look_between(owner, family, slices);
        assert_eq!(found, locks.held_between(owner, family, slices));
        (found, looked_at)
    };
    let me = Some(mine);
    assert_eq!(look(me, 1, Bound::Included(6_000), Bound::Excluded(9_000)), (None, 0));
    assert_eq!(look(me, 1, Bound::Included(5_000), Bound::Unbounded), (None, 100), "only its own");
    assert_eq!(look(me, 1, Bound::Excluded(4_999), Bound::Included(5_009)), (None, 10));
    assert_eq!(look(me, 1, Bound::Excluded(4_998), Bound::Excluded(5_000)), (Some(number(4_999)), 1));
    assert_eq!(look(me, 1, Bound::Included(9), Bound::Included(9)), (Some(number(9)), 1));
    assert_eq!(look(me, 1, Bound::Included(9), Bound::Excluded(9)), (None, 0));
    assert_eq!(look(me, 1, Bound::Excluded(9), Bound::Excluded(3)), (None, 0));
    assert_eq!(look(None, 1, Bound::Unbounded, Bound::Unbounded).1, 1, "the first one is enough");
    assert_eq!(look(me, 0, Bound::Unbounded, Bound::Unbounded), (None, 0));
    assert_eq!(look(me, 2, Bound::Unbounded, Bound::Unbounded).1, 1, "the empty key, too");
    let last = LockedKey { family: u32::MAX, key: vec![1] };
    locks.lock(theirs, &last, LONG).unwrap();
    assert_eq!(look(me, u32::MAX, Bound::Unbounded, Bound::Unbounded), (Some(last), 1));
}
