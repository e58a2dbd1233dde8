use super::*;
use crate::base::refusal::FoundInstead;
use crate::commit::tests::{Named, Rig, START_MS, Setup};
use crate::fs::sim::OperationKind;

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
