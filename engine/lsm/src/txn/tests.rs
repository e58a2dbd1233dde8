use super::{Locking, Transaction, TransactionOptions};
use crate::base::clock::{Clock, ManualClock};
use crate::base::error::{Error, Result};
use crate::base::refusal::{Expected, FoundInstead};
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::commit::{Checks, Durability, KeyCheck, Refused, Request, Watch, Why};
use crate::db::{Builder, Db, FamilyOptions, Ttl};
use crate::fs::{Fs, SimFs};
use crate::hooks::{Append, Counter};
use crate::locks::LockedKey;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Optimistic, and not waiting for anybody.
pub(super) const NO_WAIT: TransactionOptions = TransactionOptions {
    locking: Locking::Optimistic,
    serialisable: false,
    lock_timeout: Duration::ZERO,
    max_bytes: 1 << 20,
    max_tracked: 1 << 10,
};
/// Pessimistic, and not waiting for anybody.
pub(super) const LOCKING: TransactionOptions =
    TransactionOptions { locking: Locking::Pessimistic, ..NO_WAIT };

pub(super) fn builder(clock: &Arc<ManualClock>) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(SimFs::new()))
        .clock(Clock::Manual(clock.clone()))
        .memory_budget(4 << 20)
        .default_durability(Durability::Os)
        .lock_timeout(Duration::ZERO)
}

/// A store that is one thread's.
pub(super) fn store() -> (Db, Arc<ManualClock>) {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).deterministic(1).open().unwrap();
    (db, clock)
}

fn is_conflict<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Conflict { .. }))
}

fn committed(transaction: Transaction) -> Result<()> {
    Ok(transaction.commit().map(drop)?)
}

#[test]
fn a_batch_is_written_only_if_every_condition_holds() {
    let (db, _) = store();
    let other = db.column_family("other").unwrap();
    db.put("a", "1").unwrap();
    let attempt = |expected: &str| {
        let mut batch = WriteBatch::new();
        batch.require_absent(&other, "b").require_value(&db, "a", expected);
        batch.put(&db, "a", "2").put(&other, "b", "2");
        db.write(batch, Durability::Os)
    };
    match attempt("x") {
        Err(Error::ConditionFailed { index, family, key, expected, found }) => {
            assert_eq!((index, &*family, &*key), (1, "default", &b"a"[..]));
            assert_eq!((expected, found), (Expected::Value, FoundInstead::OtherValue));
        }
        other => panic!("{other:?}"),
    }
    assert!(other.get("b").unwrap().is_none(), "all or nothing");
    attempt("1").unwrap();
    assert_eq!(other.get("b").unwrap().unwrap(), "2");
    match attempt("2") {
        Err(Error::ConditionFailed { index, family, found, .. }) => {
            assert_eq!((index, &*family, found), (0, "other", FoundInstead::Present));
        }
        other => panic!("{other:?}"),
    }
    // Without operations the conditions are judged all the same.
    let mut batch = WriteBatch::new();
    batch.require_value(&db, "nobody", "x");
    let failed = db.write(batch, Durability::Os);
    assert!(matches!(failed, Err(Error::ConditionFailed { found: FoundInstead::Absent, .. })));
    assert_eq!(db.stats().transactions.failed_conditions, 3);
    assert_eq!((db.stats().recent_writes_bytes, db.stats().locked_keys), (0, 0), "nothing is left behind");
}

#[test]
fn versions_tell_writes_apart_where_they_are_kept() {
    let (db, _) = store();
    let options = FamilyOptions { keep_versions: true, ..FamilyOptions::default() };
    let pages = db.create_column_family("pages", options).unwrap();
    pages.put("k", "v").unwrap();
    let read = pages.get_versioned("k").unwrap().unwrap();
    db.compact().unwrap();
    assert_eq!(pages.get_versioned("k").unwrap().unwrap(), read, "compactions keep it");
    let attempt = || {
        let mut batch = WriteBatch::new();
        batch.require_version(&pages, "k", read.version).put(&pages, "k", "v");
        db.write(batch, Durability::Os)
    };
    attempt().unwrap();
    db.compact().unwrap();
    assert!(matches!(attempt(), Err(Error::ConditionFailed { found: FoundInstead::OtherVersion, .. })));
    let unchanged = |read: Option<&crate::batch::Versioned>| {
        let mut batch = WriteBatch::new();
        batch.require_unchanged(&pages, "k", read).delete(&pages, "k");
        db.write(batch, Durability::Os)
    };
    assert!(unchanged(None).is_err());
    unchanged(pages.get_versioned("k").unwrap().as_ref()).unwrap();
    unchanged(None).unwrap();
    // Elsewhere a version says nothing in the end, so that nobody may rely on it.
    db.put("k", "v").unwrap();
    let mut batch = WriteBatch::new();
    batch.require_version(&db, "k", db.visible_seq()).delete(&db, "k");
    assert!(matches!(db.write(batch, Durability::Os), Err(Error::InvalidArgument { .. })));
}

#[test]
fn expiry_is_asked_set_and_taken_away() {
    let (db, clock) = store();
    db.put("k", "v").unwrap();
    assert_eq!(db.ttl("k").unwrap(), Some(Ttl::Never));
    assert!(db.expire("k", Duration::from_secs(5)).unwrap());
    clock.advance(Duration::from_secs(2));
    assert_eq!(db.ttl("k").unwrap(), Some(Ttl::Remaining(Duration::from_secs(3))));
    assert!(db.persist("k").unwrap() && db.persist("k").unwrap());
    clock.advance(Duration::from_secs(10));
    assert_eq!(db.get("k").unwrap().unwrap(), "v");
    assert!(db.expire_at("k", crate::batch::FamilyRef::now_ms(&db) + 1).unwrap());
    clock.advance(Duration::from_millis(1));
    assert_eq!((db.ttl("k").unwrap(), db.get("k").unwrap()), (None, None));
    assert!(!db.persist("k").unwrap() && !db.expire("k", Duration::MAX).unwrap());
    assert!(db.get("k").unwrap().is_none(), "what has expired is not brought back");
    db.put("k", "v").unwrap();
    assert!(db.expire("k", Duration::ZERO).unwrap() && !db.contains_key("k").unwrap());
}

#[test]
fn a_condition_on_a_value_holds_until_it_expires() {
    let (db, clock) = store();
    db.put_with_ttl("lease", "ada", Duration::from_millis(10)).unwrap();
    assert!(!db.put_if_absent("lease", "bob").unwrap());
    assert!(db.compare_and_set("lease", "ada", "ada").unwrap(), "and lives for ever now");
    db.put_with_ttl("lease", "ada", Duration::from_millis(10)).unwrap();
    clock.advance(Duration::from_millis(10));
    assert!(!db.compare_and_delete("lease", "ada").unwrap());
    assert!(db.put_if_absent("lease", "bob").unwrap());
}

#[test]
fn a_transaction_reads_its_own_writes_over_its_snapshot() {
    let (db, clock) = store();
    let other = db.column_family("other").unwrap();
    for key in ["a", "c", "e", "g"] {
        db.put(key, "old").unwrap();
    }
    let mut transaction = db.begin(NO_WAIT).unwrap();
    db.put("b", "later").unwrap();
    transaction.put(&db, "c", "new").unwrap();
    transaction.put(&db, "d", "new").unwrap();
    transaction.delete(&db, "e").unwrap();
    transaction.put(&other, "b", "elsewhere").unwrap();
    transaction.put_with_ttl(&db, "f", "short", Duration::from_millis(5)).unwrap();
    let keys = |iter: super::TransactionIter| -> Vec<u8> { iter.map(|entry| entry.unwrap().0[0]).collect() };
    let forward = keys(transaction.iter(&db).unwrap());
    assert_eq!(forward, b"acdfg");
    let back: Vec<u8> = transaction.iter(&db).unwrap().rev().map(|entry| entry.unwrap().0[0]).collect();
    assert_eq!(back, b"gfdca");
    let mut both = transaction.range(&db, "b".."g").unwrap();
    assert_eq!(both.next().unwrap().unwrap(), ("c"[..].as_bytes().into(), "new"[..].as_bytes().into()));
    assert_eq!(both.next_back().unwrap().unwrap().0, "f");
    transaction.delete(&db, "d").unwrap();
    assert_eq!(both.next().unwrap().unwrap().0, "d", "as when it was made");
    assert!(both.next().is_none() && both.next_back().is_none());
    clock.advance(Duration::from_millis(5));
    let values = transaction.multi_get(&db, &["a", "b", "c", "d", "e", "f"]).unwrap();
    let values: Vec<_> = values.iter().map(|value| value.as_deref().map(|value| value[0])).collect();
    assert_eq!(values, [Some(b'o'), None, Some(b'n'), None, None, None]);
    assert!(transaction.range(&db, "x".."b").unwrap().next().is_none());
    committed(transaction).unwrap();
    assert_eq!(other.get("b").unwrap().unwrap(), "elsewhere");
    assert!(db.get("e").unwrap().is_none() && db.get("f").unwrap().is_none());
}

#[test]
fn a_refused_commit_gives_the_transaction_back() {
    let (db, _) = store();
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.put(&db, "a", "1").unwrap();
    let before = transaction.savepoint();
    transaction.put(&db, "b", "1").unwrap();
    db.put("b", "theirs").unwrap();
    assert!(is_conflict(transaction.refresh()));
    let mut transaction = *transaction.commit().unwrap_err().transaction.unwrap();
    assert_eq!(transaction.get(&db, "b").unwrap().unwrap(), "1", "nothing is lost");
    transaction.rollback_to(before).unwrap();
    assert!(transaction.get(&db, "b").unwrap().is_none());
    transaction.refresh().unwrap();
    assert_eq!(transaction.get(&db, "b").unwrap().unwrap(), "theirs");
    let stranger = db.begin(NO_WAIT).unwrap().savepoint();
    assert!(transaction.rollback_to(stranger).is_err());
    committed(transaction).unwrap();
    assert_eq!(
        (db.get("a").unwrap().unwrap(), db.get("b").unwrap().unwrap()),
        ("1"[..].as_bytes().into(), "theirs"[..].as_bytes().into())
    );
    let stats = db.stats().transactions;
    assert_eq!((stats.committed, stats.conflicts), (1, 2));
}

/// The table of recent writes holds about ten writes here: transactions look into the tree, and find
/// what was written wherever it has gone since.
#[test]
fn a_transaction_older_than_the_table_of_recent_writes_looks_into_the_tree() {
    // With a range that it has scanned and without: keys alone are judged in another way.
    let cases = [None, Some("mine"), Some("read")].map(|written| (written, false));
    let scanning = [None, Some("mine"), Some("read"), Some("range/5")].map(|written| (written, true));
    for (written, scans) in cases.into_iter().chain(scanning) {
        let clock = ManualClock::new(1_000_000);
        let db = builder(&clock).recent_writes_bytes(1 << 10).deterministic(1).open().unwrap();
        for key in ["mine", "read", "range/1"] {
            db.put(key, "old").unwrap();
        }
        db.compact().unwrap();
        let mut transaction = db.begin(NO_WAIT.serialisable()).unwrap();
        transaction.put(&db, "mine", "new").unwrap();
        transaction.get(&db, "read").unwrap();
        assert!(!scans || transaction.prefix(&db, "range/").unwrap().count() == 1);
        if let Some(key) = written {
            db.put(key, "theirs").unwrap();
        }
        for n in 0..100 {
            db.put(format!("other/{n}"), vec![b'x'; 100]).unwrap();
            if n % 30 == 10 {
                db.flush().unwrap();
            }
        }
        db.compact().unwrap();
        assert!(db.stats().recent_writes_bytes <= 1 << 10);
        match (written, committed(transaction)) {
            (None, result) => result.unwrap(),
            (Some(expected), Err(Error::Conflict { key, .. })) => assert_eq!(&*key, expected.as_bytes()),
            other => panic!("{other:?}"),
        }
        assert!(db.stats().transactions.looked_into_tree > 0);
    }
}

/// Two that are written as one group: the second is judged with the first already there, and comes back
/// alone.
#[test]
fn a_request_is_judged_by_the_earlier_ones_of_its_group() {
    let (db, _) = store();
    let _watch = Watch::new(db.store().clone());
    let since = db.visible_seq();
    let request = |key: &str, reads: &str| {
        let mut batch = WriteBatch::new();
        batch.put(&db, key, "v");
        let check = KeyCheck { family: 0, key: reads.into(), since };
        let checks = Some(Box::new(Checks { keys: vec![check], ..Checks::default() }));
        Request { batch, durability: Durability::Os, checks }
    };
    let mut group = [request("a", "a"), request("b", "c"), request("c", "a"), request("d", "c")];
    let mut results = [const { None }; 4];
    db.store().write_group(&mut group, &mut results);
    let seqs = results.each_ref().map(|result| match result {
        Some(Ok(ticket)) => ticket.seq() - since,
        _ => 0,
    });
    assert_eq!(seqs, [1, 2, 0, 3], "what comes back takes no number");
    match &results[2] {
        Some(Err(Refused::Again(again))) => {
            assert_eq!(again.why, Why::Written(LockedKey { family: 0, key: b"a".to_vec() }));
            assert_eq!(again.request.batch.len(), 1, "it may be submitted again");
        }
        other => panic!("{other:?}"),
    }
    assert!(db.get("c").unwrap().is_none() && db.get("d").unwrap().is_some());
}

#[test]
fn a_value_that_expires_before_the_commit_is_looked_at_again() {
    let (db, clock) = store();
    let _watch = Watch::new(db.store().clone());
    let mut batch = WriteBatch::new();
    batch.put(&db, "k", "v");
    let before_ms = crate::batch::FamilyRef::now_ms(&db) + 5;
    let checks = Some(Box::new(Checks { before_ms, ..Checks::default() }));
    let write = || {
        let mut result = [None];
        let checks = checks.clone();
        let request = Request { batch: batch.clone(), durability: Durability::Os, checks };
        db.store().write_group(&mut [request], &mut result);
        result[0].take().unwrap()
    };
    clock.advance(Duration::from_millis(4));
    assert!(write().is_ok());
    clock.advance(Duration::from_millis(1));
    match write() {
        Err(Refused::Again(again)) => assert_eq!(again.why, Why::Expired),
        other => panic!("{other:?}"),
    }
}

#[test]
fn plain_writes_respect_locks() {
    let (db, _) = store();
    db.put("k", "old").unwrap();
    let mut holder = db.begin(LOCKING).unwrap();
    holder.get_for_update(&db, "k").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&db, "other", "1").delete(&db, "k");
    let refused = [db.write(batch, Durability::Os), db.put_if_absent("k", "").map(drop), db.put("k", "mine")];
    assert!(matches!(&refused[0], Err(Error::LockTimeout { key, .. }) if **key == *b"k"));
    assert!(matches!(&refused[1], Ok(())), "a condition that fails asks for no lock");
    assert!(matches!(&refused[2], Err(Error::LockTimeout { .. })));
    assert!(matches!(db.expire("k", Duration::MAX), Err(Error::LockTimeout { .. })));
    assert!(db.get("other").unwrap().is_none());
    db.put("free", "1").unwrap();
    assert_eq!((db.stats().locked_keys, db.stats().transactions.lock_timeouts), (1, 3));
    holder.put(&db, "k", "new").unwrap();
    committed(holder).unwrap();
    db.put("k", "mine").unwrap();
    assert_eq!(db.stats().locked_keys, 0);
}

#[test]
fn a_plain_write_waits_for_a_lock_and_then_goes_on() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).lock_timeout(Duration::from_secs(600)).open().unwrap();
    let mut holder = db.begin(LOCKING).unwrap();
    holder.put(&db, "a", "1").unwrap();
    holder.put(&db, "b", "1").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut batch = WriteBatch::new();
            batch.put(&db, "a", "2").put(&db, "b", "2");
            db.write(batch, Durability::Os).unwrap();
            done.store(true, Ordering::SeqCst);
        });
        while db.store().locks.waiting() == 0 {
            std::thread::yield_now();
        }
        db.put("c", "not held up").unwrap();
        assert!(!done.load(Ordering::SeqCst));
        committed(holder).unwrap();
        writer.join().unwrap();
    });
    assert_eq!(
        (db.get("a").unwrap().unwrap(), db.get("b").unwrap().unwrap()),
        ("2"[..].as_bytes().into(), "2"[..].as_bytes().into())
    );
    assert_eq!(db.stats().locked_keys, 0);
}

/// A write that is in the ordering section when a key is locked has been published when the lock is given:
/// what is read under it then stays.
#[test]
fn a_lock_waits_for_the_write_that_did_not_see_it() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).open().unwrap();
    let mut transaction = db.begin(LOCKING).unwrap();
    let locked = AtomicBool::new(false);
    std::thread::scope(|scope| {
        db.store().with_writer(|_| {
            let (db, locked) = (&db, &locked);
            scope.spawn(move || {
                transaction.get_for_update(db, "k").unwrap();
                locked.store(true, Ordering::SeqCst);
            });
            while db.store().locks.held() == 0 && !locked.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            for _ in 0..10_000 {
                std::thread::yield_now();
                assert!(!locked.load(Ordering::SeqCst), "a write is still under way");
            }
        });
    });
    assert!(locked.into_inner());
}

#[test]
fn a_deadlock_names_the_circle() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).open().unwrap();
    let options = LOCKING.lock_timeout(Duration::from_secs(600));
    let (mut a, mut b) = (db.begin(options).unwrap(), db.begin(options).unwrap());
    a.put(&db, "a", "1").unwrap();
    b.put(&db, "b", "1").unwrap();
    let (first, second) = (a.id(), b.id());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            let waited = a.put(&a.db.clone(), "b", "1");
            (waited, a)
        });
        while db.store().locks.waiting() == 0 {
            std::thread::yield_now();
        }
        match b.put(&db, "a", "1") {
            Err(Error::Deadlock { cycle }) => {
                let cycle: Vec<_> = cycle.iter().map(|wait| (wait.transaction, &*wait.key)).collect();
                assert_eq!(cycle, [(second, &b"a"[..]), (first, &b"b"[..])]);
            }
            other => panic!("{other:?}"),
        }
        b.rollback();
        let (waited, a) = waiting.join().unwrap();
        waited.unwrap();
        committed(a).unwrap();
    });
    assert_eq!(db.stats().transactions.deadlocks, 1);
}

#[test]
fn limits_of_a_transaction_are_met_and_cost_no_conflict() {
    let (db, _) = store();
    let options = TransactionOptions { max_bytes: 1_000, max_tracked: 4, ..NO_WAIT.serialisable() };
    let mut transaction = db.begin(options).unwrap();
    transaction.put(&db, "k", vec![0; 500]).unwrap();
    let refused = transaction.put(&db, "l", vec![0; 500]);
    assert!(matches!(refused, Err(Error::TransactionTooLarge { limit: 1_000, .. })));
    assert!(matches!(transaction.put(&db, vec![0; 1 << 20], ""), Err(Error::KeyTooLarge { .. })));
    assert_eq!(transaction.len(), 1);
    for n in 10..30 {
        transaction.get(&db, n.to_string()).unwrap();
    }
    db.put("31", "outside of what was read").unwrap();
    transaction.refresh().unwrap();
    db.put("15", "").unwrap();
    assert!(is_conflict(committed(transaction)));
}

#[test]
fn open_transactions_are_listed() {
    let (db, clock) = store();
    let old = db.begin(NO_WAIT).unwrap();
    clock.advance(Duration::from_secs(60));
    let mut young = db.begin(LOCKING).unwrap();
    young.put(&db, "k", "v").unwrap();
    let stats = db.stats();
    let listed: Vec<_> = stats
        .oldest_transactions
        .iter()
        .map(|open| (open.id, open.age.as_secs(), open.locks, open.pessimistic))
        .collect();
    assert_eq!(listed, [(old.id(), 60, 0, false), (young.id(), 0, 1, true)]);
    assert_eq!((stats.open_transactions, stats.snapshots), (2, 2));
    drop((old, young));
    let stats = db.stats();
    assert_eq!((stats.open_transactions, stats.snapshots, stats.locked_keys), (0, 0, 0));
}

#[test]
fn merges_are_seen_over_own_writes_and_the_snapshot() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock)
        .merge_operator("default", Append::with_separator(","))
        .deterministic(1)
        .open()
        .unwrap();
    let bytes = |value: Option<crate::base::slice::Slice>| {
        value.map(|value| String::from_utf8(value.to_vec()).unwrap()).unwrap_or_default()
    };
    for key in ["below", "hidden", "short"] {
        db.put(key, "0").unwrap();
    }
    db.expire("short", Duration::from_secs(10)).unwrap();
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.put(&db, "put", "p").unwrap();
    transaction.delete(&db, "deleted").unwrap();
    transaction.delete_range(&db, "hidden".."hiddeo").unwrap();
    for operand in ["1", "2"] {
        for key in ["below", "hidden", "put", "deleted", "absent", "short"] {
            transaction.merge(&db, key, operand).unwrap();
        }
    }
    let savepoint = transaction.savepoint();
    transaction.merge(&db, "below", "3").unwrap();
    transaction.merge(&db, "new", "3").unwrap();
    assert_eq!(bytes(transaction.get(&db, "below").unwrap()), "0,1,2,3");
    transaction.rollback_to(savepoint).unwrap();
    transaction.merge_with_ttl(&db, "timed", "t", Duration::from_secs(5)).unwrap();
    let expected = ["1,2", "0,1,2", "1,2", "1,2", "p,1,2", "0,1,2", "t"];
    let values = |iter: crate::txn::TransactionIter| -> Vec<String> {
        iter.map(|entry| String::from_utf8(entry.unwrap().1.to_vec()).unwrap()).collect()
    };
    assert_eq!(values(transaction.iter(&db).unwrap()), expected);
    let iter = transaction.iter(&db).unwrap();
    let backward: Vec<_> = iter.rev().map(|entry| entry.unwrap().1).collect();
    assert_eq!(backward.len(), expected.len());
    assert!(backward.iter().rev().zip(expected).all(|(value, expected)| &value[..] == expected.as_bytes()));
    assert_eq!(transaction.len(), 8);
    transaction.commit().unwrap();
    let all: Vec<_> = db.iter().unwrap().map(|entry| entry.unwrap().1).collect();
    assert!(all.iter().zip(expected).all(|(value, expected)| &value[..] == expected.as_bytes()), "{all:?}");
    assert!(matches!(db.ttl("timed").unwrap(), Some(Ttl::Remaining(left)) if left.as_secs() == 5));
    assert!(matches!(db.ttl("short").unwrap(), Some(Ttl::Remaining(left)) if left.as_secs() == 10));
    clock.advance(Duration::from_secs(11));
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.merge(&db, "short", "3").unwrap();
    assert_eq!(bytes(transaction.get(&db, "short").unwrap()), "3", "it starts from nothing");
    db.merge("short", "4").unwrap();
    assert!(is_conflict(transaction.commit().map_err(Error::from)), "a merge is a write");
}

#[test]
fn a_merge_that_cannot_be_is_refused_or_fails_on_its_key() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).merge_operator("counts", Counter).deterministic(1).open().unwrap();
    let counts = db.column_family("counts").unwrap();
    let mut transaction = db.begin(NO_WAIT).unwrap();
    let none = transaction.merge(&db, "k", "1").unwrap_err();
    assert!(none.to_string().contains("no merge operator"), "{none}");
    let large = transaction.merge(&counts, "k", vec![0; 1 << 20]).unwrap_err();
    assert!(matches!(large, Error::TransactionTooLarge { .. }), "{large}");
    assert!(transaction.is_empty());
    transaction.merge(&counts, "b", "odd").unwrap();
    transaction.merge(&counts, "a", 1i64.to_le_bytes()).unwrap();
    assert!(matches!(transaction.get(&counts, "b"), Err(Error::MergeFailed { .. })));
    let mut iter = transaction.iter(&counts).unwrap();
    assert!(iter.next().unwrap().is_ok());
    assert!(matches!(iter.next(), Some(Err(Error::MergeFailed { .. }))));
    assert!(iter.next().is_none(), "an error ends it");
}

#[test]
fn many_threads_count_together() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).lock_timeout(Duration::from_secs(600)).open().unwrap();
    let pessimistic = LOCKING.lock_timeout(Duration::from_secs(600));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let db = &db;
            scope.spawn(move || {
                for _ in 0..100 {
                    let count = |transaction: &mut Transaction| {
                        let read = transaction.get_for_update(db, "count")?;
                        let read = read.map_or(0, |value| u32::from_le_bytes(value[..4].try_into().unwrap()));
                        transaction.put(db, "count", (read + 1).to_le_bytes())
                    };
                    let options = if thread % 2 == 0 { pessimistic } else { NO_WAIT };
                    while let Err(error) = db.transaction_with(options, count) {
                        assert!(error.is_transient_conflict(), "{error}");
                    }
                }
            });
        }
    });
    assert_eq!(db.get("count").unwrap().unwrap(), 400u32.to_le_bytes());
    assert_eq!((db.stats().locked_keys, db.stats().recent_writes_bytes), (0, 0));
}

#[test]
fn what_belongs_to_another_store_or_is_gone_is_refused() {
    let ((db, _), (other, _)) = (store(), store());
    let mut transaction = db.begin(NO_WAIT).unwrap();
    assert!(matches!(transaction.put(&other, "k", ""), Err(Error::WrongDatabase)));
    assert!(matches!(transaction.get(&other, "k"), Err(Error::WrongDatabase)));
    let family = db.column_family("family").unwrap();
    transaction.put(&family, "k", "").unwrap();
    db.drop_column_family("family").unwrap();
    assert!(matches!(transaction.get(&family, "k"), Err(Error::FamilyDropped { .. })));
    assert!(matches!(committed(transaction), Err(Error::FamilyDropped { .. })));
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.put(&db, "k", "").unwrap();
    db.clone().close().unwrap();
    assert!(matches!(transaction.get(&db, "k"), Err(Error::Closed)));
    assert!(matches!(committed(transaction), Err(Error::Closed)));
    assert!(matches!(db.begin(NO_WAIT), Err(Error::Closed)));
}
