use super::*;
use crate::base::hash::key_hash;
use crate::base::refusal::FoundInstead;
use crate::commit::Answer;
use crate::commit::tests::{Named, Rig, START_MS, Setup};
use crate::fs::sim::{Fault, OperationKind};
use crate::tree::lookup;

fn key(text: &str) -> LockedKey {
    LockedKey { family: 0, key: text.into() }
}

/// It holds one lock at a time and is thus in no deadlock; a transaction keeps what it has.
#[test]
fn a_plain_write_gives_back_one_lock_before_it_waits_for_the_next() {
    let Rig { store, .. } = Rig::new();
    let holders = || ["a", "b", "c"].map(|name| store.locks.holder(&key(name)));
    let mut waiter = Waiter::new(&store, &mut Request::default());
    let owner = Some(waiter.owner);
    waiter.acquire(&key("a")).unwrap();
    assert_eq!(holders(), [owner, None, None]);
    waiter.acquire(&key("b")).unwrap();
    assert_eq!(holders(), [None, owner, None]);
    drop(waiter);
    assert_eq!(holders(), [None; 3]);

    let owner = store.locks.new_owner();
    store.locks.lock(owner, &key("c"), Duration::ZERO).unwrap();
    let checks = Checks { owner: Some(owner), ..Checks::default() };
    let mut request = Request { checks: Some(Box::new(checks)), ..Request::default() };
    let mut waiter = Waiter::new(&store, &mut request);
    for name in ["a", "b", "c"] {
        waiter.acquire(&key(name)).unwrap();
    }
    assert_eq!(holders(), [Some(owner); 3]);
    drop(waiter);
    assert_eq!(holders(), [None, None, Some(owner)], "what it had locked before is its own");
}

/// A compare-and-set was lost: a view was pinned, its memtable sealed, the key written into the next one, and
/// only then the number loaded up to which the key was taken for unwritten.
#[test]
fn what_a_view_lacks_counts_as_written_behind_it() {
    let rig = Rig::new();
    rig.put("k", "1").unwrap();
    let mut written = 0;
    let meanwhile = std::iter::from_fn(|| {
        rig.store.rotate_all();
        written = rig.put("k", "2").unwrap().seq();
        None
    });
    let looked = rig.store.look_at(std::iter::once(0).chain(meanwhile)).unwrap();
    let found = lookup(&looked.views[&0], b"k", looked.seq, || 0, |found| found.seq()).unwrap();
    assert_eq!((found, looked.seq), (Some(1), written), "the view lacks what the number promises");
    assert!(looked.since < written);
}

/// A value that a condition relies on expires between judging and numbering: the condition is judged anew,
/// and says what it found then.
#[test]
fn a_condition_is_judged_anew_when_what_it_relies_on_expires_meanwhile() {
    // With the second number the ceiling is reached, and an edit comes before the time of the commit.
    let rig = Rig::with(Setup { seq_ceiling: 3, ..Setup::default() });
    let mut batch = WriteBatch::new();
    batch.put_until(&Named(0), "token", "v", START_MS + 1_000);
    rig.store.commit(batch, Durability::Os).unwrap();
    let clock = rig.clock.clone();
    rig.sim.set_fault(Box::new(move |op| {
        if op.kind == OperationKind::Sync {
            clock.advance(Duration::from_secs(2));
        }
        None
    }));
    let mut batch = WriteBatch::new();
    batch.require_value(&Named(0), "token", "v").put(&Named(0), "used", "v");
    let result = rig.store.commit(batch, Durability::Os);
    let absent = matches!(&result, Err(Error::ConditionFailed { found: FoundInstead::Absent, .. }));
    assert!(absent, "{result:?}");
    assert_eq!(rig.active(0).entries(), 1, "nothing was written");
}

/// Commits a batch on the condition that `k` is `v` while another writer, which is ahead of it in the queue,
/// sets `k` to `value`.
fn overtaken(rig: &Rig, value: &str) -> Result<Ticket> {
    let mut batch = WriteBatch::new();
    batch.put(&Named(0), "k", value);
    let ahead = Request { batch, ..Request::default() };
    std::thread::scope(|scope| {
        let mut conditional = None;
        let lead = |requests: &mut [Request], answers: &mut [Option<Answer>]| {
            // If that one has gone to sleep, its turn comes here, too.
            if conditional.is_none() {
                conditional = Some(scope.spawn(|| {
                    let mut batch = WriteBatch::new();
                    batch.require_value(&Named(0), "k", "v").put(&Named(0), "k", "behind");
                    rig.store.commit(batch, Durability::Os)
                }));
                // Once it waits, its condition has been judged.
                while rig.store.queue.waiting() == 0 {
                    std::thread::yield_now();
                }
            }
            rig.store.write_group(requests, answers);
        };
        rig.store.queue.submit(ahead, |_| 1, 1, || unreachable!("nobody panics"), lead).unwrap();
        conditional.unwrap().join().unwrap()
    })
}

#[test]
fn a_condition_that_still_holds_is_no_conflict_whoever_wrote_meanwhile() {
    let rig = Rig::new();
    rig.put("k", "v").unwrap();
    let written = overtaken(&rig, "v").unwrap();
    assert_eq!(
        (written.first_seq(), rig.active(0).get(b"k", key_hash(b"k"), 9).unwrap().value),
        (3, &b"behind"[..])
    );
    rig.put("k", "v").unwrap();
    let refused = overtaken(&rig, "another");
    let other = matches!(&refused, Err(Error::ConditionFailed { found: FoundInstead::OtherValue, .. }));
    assert!(other, "{refused:?}");
}

/// A write that the log refused was never visible: nobody is in conflict with it.
#[test]
fn what_the_log_refused_is_no_conflict() {
    let rig = Rig::new();
    rig.store.watch();
    rig.put("k", "v").unwrap();
    let mut once = true;
    rig.sim.set_fault(Box::new(move |op| {
        let due = op.kind == OperationKind::Write && std::mem::take(&mut once);
        due.then_some(Fault::ENOSPC)
    }));
    assert!(matches!(rig.put("k", "2"), Err(Error::DiskFull(_))));
    let mut batch = WriteBatch::new();
    batch.require_value(&Named(0), "k", "v").put(&Named(0), "k", "3");
    rig.store.commit(batch, Durability::Os).unwrap();
    assert_eq!(rig.active(0).get(b"k", key_hash(b"k"), 9).unwrap().value, b"3");
    // Of what was written before it the table knows nothing any more, and says so.
    let check = KeyCheck { family: 0, key: b"k".to_vec(), since: 0 };
    let unknown = rig.store.with_writer(|writer| writer.recent.key(0, b"k", check.since));
    assert!(matches!(unknown, Recent::Unknown));
}
