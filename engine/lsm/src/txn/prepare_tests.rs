//! Transactions that are prepared under a name.

use super::tests::{LOCKING, NO_WAIT, builder, store};
use super::{CommitError, Transaction, TransactionOptions};
use crate::base::clock::ManualClock;
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_PREPARED_NAME_BYTES;
use crate::base::sync::Arc;
use crate::commit::Durability;
use crate::db::{Builder, ColumnFamily, Db};
use crate::fs::sim::Image;
use crate::fs::{Fs, SimFs};
use crate::hooks::Append;
use std::time::Duration;

/// A store on a disk that can be lost.
fn on(sim: &SimFs, clock: &Arc<ManualClock>) -> Builder {
    builder(clock).fs(Fs::Sim(sim.clone())).deterministic(1)
}

fn names(db: &Db) -> Vec<String> {
    db.prepared().into_iter().map(|prepared| prepared.name).collect()
}

/// Who holds the key that a write meets.
fn holder<T: std::fmt::Debug>(result: Result<T>, key: &str) -> String {
    match result {
        Err(Error::HeldByPrepared { key: found, name, .. }) if *found == *key.as_bytes() => name.into(),
        other => panic!("{other:?}"),
    }
}

fn is_not_prepared<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result, Err(Error::NotPrepared { .. }))
}

/// Two families written in one transaction, prepared as `t`.
fn prepare_two(db: &Db, durability: Durability) {
    let other = db.column_family("other").unwrap();
    db.put("a", "old").unwrap();
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.put(db, "a", "new").unwrap();
    transaction.put(&other, "b", "new").unwrap();
    transaction.prepare("t", durability).unwrap();
}

/// What the two keys hold.
fn both(db: &Db) -> (String, bool) {
    let other = db.column_family("other").unwrap();
    let a = db.get("a").unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap());
    (a.unwrap_or_default(), other.get("b").unwrap().is_some())
}

#[test]
fn what_is_prepared_is_held_and_unseen_until_it_is_committed() {
    let (db, _) = store();
    prepare_two(&db, Durability::Os);
    let other = db.column_family("other").unwrap();
    assert_eq!(both(&db), ("old".into(), false));
    assert_eq!(db.column_families(), ["default", "other"]);
    let info = &db.prepared()[0];
    assert_eq!((info.name.as_str(), info.writes, info.locks), ("t", 2, 2));
    assert_eq!(holder(db.put("a", "theirs"), "a"), "t");
    assert_eq!(holder(other.delete("b"), "b"), "t");
    assert_eq!(holder(other.delete_prefix(""), "b"), "t");
    assert_eq!(holder(db.compare_and_set("a", "old", "theirs"), "a"), "t");
    let mut theirs = db.begin(NO_WAIT).unwrap();
    theirs.put(&db, "a", "theirs").unwrap();
    assert_eq!(holder(theirs.commit().map_err(Error::from), "a"), "t");
    let mut theirs = db.begin(LOCKING).unwrap();
    assert_eq!(holder(theirs.get_for_update(&db, "a"), "a"), "t");
    drop(theirs);
    db.put("c", "free").unwrap();

    let before = db.visible_seq();
    let ticket = db.commit_prepared("t", Durability::Os).unwrap();
    assert!(ticket.first_seq() > before, "it is ordered where it is committed");
    assert_eq!(both(&db), ("new".into(), true));
    assert!(is_not_prepared(db.commit_prepared("t", Durability::Os)));
    assert!(is_not_prepared(db.rollback_prepared("t")));
    db.put("a", "theirs").unwrap();
    let stats = db.stats();
    assert_eq!((stats.prepared.count, stats.prepared.committed, stats.locked_keys), (0, 1, 0));
    assert_eq!(stats.recent_writes_bytes, 0, "nothing is left behind");
}

#[test]
fn what_is_rolled_back_was_never_there() {
    let (db, _) = store();
    prepare_two(&db, Durability::Sync);
    let prepared = db.find_prepared("t").unwrap();
    prepared.rollback().unwrap();
    assert_eq!(both(&db), ("old".into(), false));
    assert!(is_not_prepared(prepared.commit(Durability::Os)) && names(&db).is_empty());
    db.put("a", "theirs").unwrap();
    prepare_two(&db, Durability::Os);
    assert!(
        is_not_prepared(prepared.commit(Durability::Os)),
        "a handle is of one transaction, not of a name"
    );
    db.commit_prepared("t", Durability::Os).unwrap();
    assert_eq!((db.stats().prepared.committed, db.stats().prepared.rolled_back), (1, 1));
}

/// After each way to lose or close the store it is prepared, held and unseen, and can be committed.
#[test]
fn what_is_prepared_outlives_the_store() {
    for flushed in [false, true] {
        for (at, end) in ["close", "kill", "power", "close twice"].into_iter().enumerate() {
            let (mut sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
            let db = on(&sim, &clock).open().unwrap();
            prepare_two(&db, Durability::Sync);
            if flushed {
                db.flush().unwrap();
                db.compact().unwrap();
            }
            clock.advance(Duration::from_secs(5));
            match end {
                "kill" => sim = sim.kill_image(),
                "power" => {
                    sim.power_off();
                    sim = sim.image(Image::Nothing, at as u64);
                    drop(db);
                }
                _ => db.close().unwrap(),
            }
            let mut db = on(&sim, &clock).open().unwrap();
            if end == "close twice" {
                db.close().unwrap();
                db = on(&sim, &clock).open().unwrap();
            }
            assert_eq!(names(&db), ["t"], "{end}, {flushed}");
            assert_eq!(db.prepared()[0].age, Duration::from_secs(5));
            assert_eq!(both(&db), ("old".into(), false));
            let other = db.column_family("other").unwrap();
            assert_eq!(holder(other.put("b", "theirs"), "b"), "t");
            let mut again = db.begin(NO_WAIT).unwrap();
            again.put(&db, "z", "").unwrap();
            let failed = again.prepare("t", Durability::Os).unwrap_err();
            assert!(matches!(failed.error, Error::AlreadyPrepared { .. }));
            drop((failed, other));
            db.commit_prepared("t", Durability::Sync).unwrap();
            let lost = sim.kill_image();
            let db = on(&lost, &clock).open().unwrap();
            assert_eq!((names(&db).len(), both(&db)), (0, ("new".into(), true)), "{end}, {flushed}");
            db.put("a", "theirs").unwrap();
        }
    }
}

/// Whatever a loss of power leaves of a commit that was not synced: all of it, or the prepared transaction.
#[test]
fn a_crash_leaves_it_prepared_or_committed_and_never_both() {
    let (mut prepared, mut committed) = (0, 0);
    for image in Image::ALL {
        for seed in 0..4 {
            let (sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
            let db = on(&sim, &clock).open().unwrap();
            prepare_two(&db, Durability::Sync);
            db.commit_prepared("t", Durability::Os).unwrap();
            sim.power_off();
            let left = sim.image(image, seed);
            drop(db);
            let db = on(&left, &clock).open().unwrap();
            match (names(&db).len(), both(&db)) {
                (1, (a, false)) if a == "old" => {
                    prepared += 1;
                    db.commit_prepared("t", Durability::Os).unwrap();
                    assert_eq!(both(&db), ("new".into(), true));
                }
                (0, (a, true)) if a == "new" => committed += 1,
                other => panic!("{image:?}: {other:?}"),
            }
        }
    }
    assert!(prepared > 0 && committed > 0, "{prepared} {committed}");
}

fn prepared_serialisable(db: &Db) -> Transaction {
    db.put("read", "1").unwrap();
    db.put("range/1", "1").unwrap();
    let mut transaction = db.begin(NO_WAIT.serialisable()).unwrap();
    transaction.get(db, "read").unwrap();
    transaction.get(db, "absent").unwrap();
    assert_eq!(transaction.prefix(db, "range/").unwrap().count(), 1);
    transaction.put(db, "mine", "1").unwrap();
    transaction
}

/// What a serialisable transaction has read stands still until its commit, over a reopening too.
#[test]
fn what_was_read_stands_still() {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
    let mut db = on(&sim, &clock).open().unwrap();
    prepared_serialisable(&db).prepare("t", Durability::Os).unwrap();
    for _ in 0..2 {
        for key in ["read", "absent", "range/1", "range/2", "mine"] {
            assert_eq!(holder(db.put(key, "theirs"), key), "t");
        }
        assert!(matches!(db.delete_range("q".."s"), Err(Error::HeldByPrepared { .. })));
        db.put("free", "theirs").unwrap();
        db.close().unwrap();
        db = on(&sim, &clock).open().unwrap();
    }
    // Others may have read the same, but must not have what it will write.
    let other = prepared_with(&db, |other| other.get(&db, "read").map(drop));
    other.prepare("reader", Durability::Os).unwrap();
    let other = prepared_with(&db, |other| other.get(&db, "mine").map(drop));
    let failed = other.prepare("of mine", Durability::Os).unwrap_err();
    assert_eq!(holder(Err::<(), _>(failed.error), "mine"), "t");
    db.commit_prepared("t", Durability::Os).unwrap();
    assert_eq!(holder(db.put("read", "theirs"), "read"), "reader");
    db.rollback_prepared("reader").unwrap();
    db.put("read", "theirs").unwrap();
}

fn prepared_with(db: &Db, read: impl FnOnce(&Transaction) -> Result<()>) -> Transaction {
    let mut transaction = db.begin(NO_WAIT.serialisable()).unwrap();
    read(&transaction).unwrap();
    transaction.put(db, format!("own {}", transaction.id()), "").unwrap();
    transaction
}

/// The keys of a range that it will remove are held as those that it writes.
#[test]
fn a_range_to_be_removed_stands_still() {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
    let db = on(&sim, &clock).open().unwrap();
    db.put("b", "old").unwrap();
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.delete_range(&db, "a".."c").unwrap();
    transaction.prepare("t", Durability::Sync).unwrap();
    let sim = sim.kill_image();
    let db = on(&sim, &clock).open().unwrap();
    assert_eq!(holder(db.put("aa", "theirs"), "aa"), "t");
    let mut locking = db.begin(LOCKING).unwrap();
    assert_eq!(holder(locking.get_for_update(&db, "b"), "b"), "t");
    assert_eq!(db.stats().locked_keys, 0, "what met the range is not locked");
    let reader = prepared_with(&db, |reader| reader.get(&db, "b").map(drop));
    let failed = reader.prepare("reader", Durability::Os).unwrap_err();
    assert_eq!(holder(Err::<(), _>(failed.error), "b"), "t");
    db.put("c", "theirs").unwrap();
    db.commit_prepared("t", Durability::Os).unwrap();
    assert!(db.get("b").unwrap().is_none() && db.get("c").unwrap().is_some());
    locking.get_for_update(&db, "b").unwrap();
}

/// Keys that are only locked are held as well.
#[test]
fn what_was_read_for_update_is_held() {
    for options in [NO_WAIT, LOCKING] {
        let (db, _) = store();
        db.put("a", "1").unwrap();
        let mut transaction = db.begin(options).unwrap();
        transaction.get_for_update(&db, "a").unwrap();
        transaction.prepare("t", Durability::Os).unwrap();
        assert_eq!(holder(db.put("a", "theirs"), "a"), "t");
        db.commit_prepared("t", Durability::Os).unwrap();
        db.put("a", "theirs").unwrap();
        assert_eq!(db.stats().locked_keys, 0);
    }
}

/// A preparation that is refused leaves the transaction as it was, its name free and nothing held.
#[test]
fn a_refused_preparation_leaves_nothing() {
    let (db, _) = store();
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.put(&db, "a", "mine").unwrap();
    transaction.put(&db, "b", "mine").unwrap();
    db.put("b", "theirs").unwrap();
    let failed = transaction.prepare("t", Durability::Os).unwrap_err();
    assert!(matches!(failed.error, Error::Conflict { .. }));
    assert!(names(&db).is_empty() && is_not_prepared(db.commit_prepared("t", Durability::Os)));
    db.put("a", "theirs").unwrap();
    let transaction = failed.transaction.unwrap();
    assert_eq!(transaction.get(&db, "a").unwrap().unwrap(), b"mine");
    drop(transaction);
    // Of a pessimistic one the locks stay that it had.
    let mut transaction = db.begin(LOCKING).unwrap();
    transaction.put(&db, "c", "mine").unwrap();
    let failed = transaction.prepare("", Durability::Os).unwrap_err();
    assert!(matches!(failed.error, Error::InvalidArgument { what: "name", .. }));
    assert!(matches!(db.put("c", "theirs"), Err(Error::LockTimeout { .. })));
    let prepared = failed.transaction.unwrap().prepare("t", Durability::Os).unwrap();
    prepared.commit(Durability::Os).unwrap();
    assert_eq!((db.stats().locked_keys, db.stats().recent_writes_bytes), (0, 0));
}

#[test]
fn names_durabilities_and_limits_are_judged() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).max_prepared(2).max_prepared_bytes(2_000).deterministic(1).open().unwrap();
    let begun = |bytes: usize| {
        let mut transaction = db.begin(NO_WAIT).unwrap();
        transaction.put(&db, format!("k{}", transaction.id()), vec![b'v'; bytes]).unwrap();
        transaction
    };
    let refused = |result: Result<_, CommitError>| result.map(drop).unwrap_err().error;
    let long = "n".repeat(MAX_PREPARED_NAME_BYTES + 1);
    assert!(matches!(refused(begun(1).prepare(&long, Durability::Os)), Error::InvalidArgument { .. }));
    assert!(matches!(refused(begun(1).prepare("t", Durability::None)), Error::InvalidArgument { .. }));
    let too_large = refused(begun(3_000).prepare("t", Durability::Os));
    assert!(matches!(too_large, Error::PreparedTooLarge { limit: 2_000, .. }), "{too_large:?}");
    begun(1).prepare(&long[1..], Durability::Os).unwrap();
    let too_large = refused(begun(1_600).prepare("t", Durability::Os));
    assert!(matches!(too_large, Error::PreparedTooLarge { .. }), "all of them count together");
    let prepared = begun(1).prepare("t", Durability::Os).unwrap();
    assert!(matches!(refused(begun(1).prepare("u", Durability::Os)), Error::TooManyPrepared { limit: 2 }));
    assert!(matches!(prepared.commit(Durability::None), Err(Error::InvalidArgument { .. })));
    assert_eq!(names(&db).len(), 2, "what is refused is as it was");
    prepared.commit(Durability::Os).unwrap();
    begun(1).prepare("u", Durability::Os).unwrap();
}

#[test]
fn a_family_that_is_needed_is_not_dropped() {
    let (db, _) = store();
    prepare_two(&db, Durability::Os);
    let refused = db.drop_column_family("other").unwrap_err();
    assert!(matches!(&refused, Error::FamilyPrepared { name, .. } if **name == *"t"), "{refused}");
    let unseen = db.drop_column_family("esker:prepared");
    assert!(matches!(unseen, Err(Error::NoSuchFamily { .. })), "the family of the prepared is nobody's");
    assert!(db.open_column_family("esker:prepared").is_err());
    db.rollback_prepared("t").unwrap();
    db.drop_column_family("other").unwrap();
}

#[test]
fn a_name_that_a_family_of_the_user_has_is_let_be() {
    let (db, _) = store();
    let own = db.column_family("esker:prepared").unwrap();
    own.put("k", "v").unwrap();
    prepare_two(&db, Durability::Os);
    assert_eq!(own.iter().unwrap().count(), 1);
    db.commit_prepared("t", Durability::Os).unwrap();
}

/// However much is written behind it, a prepared transaction keeps no log.
#[test]
fn a_prepared_transaction_pins_no_log() {
    let (sim, clock) = (SimFs::new(), ManualClock::new(1_000_000));
    let small = || on(&sim, &clock).wal_segment_bytes(16 << 10).memtable_bytes(32 << 10);
    let db = small().open().unwrap();
    prepare_two(&db, Durability::Os);
    for n in 0..2_000u32 {
        db.put(n.to_be_bytes(), [7u8; 100]).unwrap();
    }
    db.flush().unwrap();
    let stats = db.stats();
    assert!(stats.logged_bytes > 200_000 && stats.wal_bytes < 32 << 10, "{}", stats.wal_bytes);
    drop(db);
    let db = small().open().unwrap();
    assert_eq!(holder(db.put("a", "theirs"), "a"), "t");
    db.commit_prepared("t", Durability::Os).unwrap();
    assert_eq!(both(&db), ("new".into(), true));
}

/// Values expire when they were told to, operands meet what is there at the commit.
#[test]
fn times_are_those_of_the_writes_and_of_the_commit() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock)
        .merge_operator("default", Append::with_separator(","))
        .deterministic(1)
        .open()
        .unwrap();
    db.put("m", "a").unwrap();
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.put_with_ttl(&db, "short", "v", Duration::from_millis(100)).unwrap();
    transaction.put_with_ttl(&db, "long", "v", Duration::from_millis(900)).unwrap();
    transaction.merge(&db, "m", "b").unwrap();
    transaction.prepare("t", Durability::Os).unwrap();
    clock.advance(Duration::from_millis(200));
    let snapshot = db.snapshot();
    db.commit_prepared("t", Durability::Os).unwrap();
    assert!(db.get("short").unwrap().is_none() && db.get("long").unwrap().is_some());
    assert_eq!(db.get("m").unwrap().unwrap(), b"a,b");
    assert_eq!(snapshot.get(&db, "m").unwrap().unwrap(), b"a");
    assert!(snapshot.get(&db, "long").unwrap().is_none());
}

/// A writer that waits for a prepared transaction goes on behind its commit.
#[test]
fn who_waits_goes_on_when_it_is_resolved() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).lock_timeout(Duration::from_secs(600)).open().unwrap();
    db.put("b", "old").unwrap();
    let mut transaction = db.begin(TransactionOptions::default()).unwrap();
    transaction.put(&db, "a", "prepared").unwrap();
    transaction.delete_range(&db, "b".."c").unwrap();
    transaction.prepare("t", Durability::Os).unwrap();
    let put = |family: ColumnFamily, key: &'static str| std::thread::spawn(move || family.put(key, "theirs"));
    let writers = [put(db.default_family(), "a"), put(db.default_family(), "b")];
    while db.store().locks.waiting() == 0 {
        std::thread::yield_now();
    }
    db.commit_prepared("t", Durability::Os).unwrap();
    writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
    assert_eq!(db.get("a").unwrap().unwrap(), b"theirs", "it came behind");
    assert_eq!(db.get("b").unwrap().unwrap(), b"theirs");
}

/// Of several who want to end one, one does.
#[test]
fn one_of_several_resolves_it() {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).lock_timeout(Duration::from_secs(600)).open().unwrap();
    for round in 0..50u32 {
        let mut transaction = db.begin(TransactionOptions::default()).unwrap();
        transaction.put(&db, "k", round.to_be_bytes()).unwrap();
        transaction.prepare("t", Durability::Os).unwrap();
        let resolvers: Vec<_> = (0..3)
            .map(|n| {
                let db = db.clone();
                std::thread::spawn(move || match n {
                    0 => db.rollback_prepared("t").map(|()| false),
                    _ => db.commit_prepared("t", Durability::Os).map(|_| true),
                })
            })
            .collect();
        let outcomes: Vec<_> = resolvers.into_iter().map(|thread| thread.join().unwrap()).collect();
        let won: Vec<bool> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        assert!(outcomes.into_iter().filter(Result::is_err).all(is_not_prepared));
        let found = db.get("k").unwrap().is_some_and(|value| *value == round.to_be_bytes());
        assert_eq!(found, won[0]);
    }
}

/// With nothing written it holds what it has locked, and there is nothing to see of its commit.
#[test]
fn a_transaction_without_writes_can_be_prepared() {
    let (db, _) = store();
    db.put("a", "1").unwrap();
    let mut transaction = db.begin(LOCKING).unwrap();
    transaction.get_for_update(&db, "a").unwrap();
    transaction.prepare("t", Durability::Os).unwrap();
    assert_eq!(db.prepared()[0].writes, 0);
    assert_eq!(holder(db.put("a", "2"), "a"), "t");
    db.commit_prepared("t", Durability::Os).unwrap();
    db.put("a", "2").unwrap();
}
