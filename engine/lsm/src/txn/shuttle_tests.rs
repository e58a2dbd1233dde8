//! Transactions, conditional and plain writes beside each other, under schedules that a seed chooses.

use super::{Locking, Transaction, TransactionOptions};
use crate::base::error::Error;
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::commit::Durability::Os;
use crate::db::Db;
use crate::db::tests::rig::{NO_TIMER, builder, explore, seal, thread, together};
use crate::fs::SimFs;

fn store(recent_writes_bytes: usize) -> Arc<Db> {
    let builder = builder(&SimFs::new()).lock_timeout(NO_TIMER).recent_writes_bytes(recent_writes_bytes);
    Arc::new(builder.open().unwrap())
}

fn options(locking: Locking) -> TransactionOptions {
    TransactionOptions { locking, ..TransactionOptions::default().lock_timeout(NO_TIMER) }
}

fn number(value: Option<crate::base::slice::Slice>) -> u8 {
    value.map_or(0, |value| value[0])
}

/// One more, until it succeeds.
fn count(db: &Db, locking: Locking) {
    loop {
        let mut transaction = db.begin(options(locking)).unwrap();
        let add = |transaction: &mut Transaction| {
            let read = number(transaction.get_for_update(db, "count")?);
            transaction.put(db, "count", [read + 1])
        };
        let result = add(&mut transaction).and_then(|()| Ok(transaction.commit_with(Os)?));
        match result {
            Ok(_) => return,
            Err(error) => assert!(error.is_transient_conflict(), "{error}"),
        }
    }
}

fn count_if_equal(db: &Db) {
    loop {
        let read = db.get("count").unwrap();
        let mut batch = WriteBatch::new();
        match &read {
            Some(read) => batch.require_value(db, "count", read),
            None => batch.require_absent(db, "count"),
        };
        batch.put(db, "count", [number(read) + 1]);
        match db.write(batch, Os) {
            Ok(()) => return,
            Err(Error::ConditionFailed { .. } | Error::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// No update is lost, whichever way it is made, with a table of recent writes that reaches back and with
/// one that hardly does.
#[test]
fn shuttle_no_update_is_lost() {
    fn program(recent_writes_bytes: usize) {
        let db = store(recent_writes_bytes);
        together(vec![
            thread(&db, |db| (0..2).for_each(|_| count(db, Locking::Optimistic))),
            thread(&db, |db| count(db, Locking::Pessimistic)),
            thread(&db, |db| (0..2).for_each(|_| count_if_equal(db))),
            thread(&db, |db| {
                for n in 0..6u8 {
                    db.put([n; 40], [n]).unwrap();
                }
            }),
        ]);
        assert_eq!(number(db.get("count").unwrap()), 5);
        let stats = db.stats();
        assert_eq!((stats.locked_keys, stats.recent_writes_bytes, stats.open_transactions), (0, 0, 0));
    }
    explore("shuttle_no_update_is_lost", 4, || program(64 << 10));
    explore("shuttle_no_update_is_lost, with a short memory", 4, || program(1 << 10));
}

/// What a condition is judged by may be the view of before a rotation, and the writes behind it stand
/// elsewhere.
#[test]
fn shuttle_no_update_is_lost_over_a_rotation() {
    fn program(recent_writes_bytes: usize) {
        let db = store(recent_writes_bytes);
        together(vec![
            thread(&db, count_if_equal),
            thread(&db, |db| (0..2).for_each(|_| count_if_equal(db))),
            thread(&db, |db| (0..2).for_each(|_| seal(db))),
        ]);
        assert_eq!(number(db.get("count").unwrap()), 3);
    }
    explore("shuttle_no_update_is_lost_over_a_rotation", 4, || program(64 << 10));
    explore("shuttle_no_update_is_lost_over_a_rotation, with a short memory", 4, || program(1 << 10));
}

/// What is read under a lock stays as it is until the lock is given back: a plain write is either before
/// it or behind it.
#[test]
fn shuttle_a_locked_key_stands_still() {
    explore("shuttle_a_locked_key_stands_still", 6, || {
        let db = store(64 << 10);
        together(vec![
            thread(&db, |db| {
                let mut transaction = db.begin(options(Locking::Pessimistic)).unwrap();
                let read = number(transaction.get_for_update(db, "k").unwrap());
                crate::base::sync::thread::yield_now();
                assert_eq!(number(db.get("k").unwrap()), read, "written under the lock");
                transaction.put(db, "k", [read + 100]).unwrap();
                transaction.commit_with(Os).unwrap();
            }),
            thread(&db, |db| {
                db.put("k", [1]).unwrap();
                db.put("k", [2]).unwrap();
            }),
            thread(&db, |db| {
                let mut batch = WriteBatch::new();
                batch.put(db, "l", [3]).put(db, "k", [3]);
                db.write(batch, Os).unwrap();
            }),
        ]);
        assert_eq!(db.stats().locked_keys, 0);
    });
}

/// Two that lock in opposite orders: one of them is told, and both get through in the end.
#[test]
fn shuttle_a_deadlock_is_found() {
    explore("shuttle_a_deadlock_is_found", 3, || {
        let db = store(64 << 10);
        let both = |first: &'static str, second: &'static str| {
            move |db: &Db| loop {
                let mut transaction = db.begin(options(Locking::Pessimistic)).unwrap();
                let result = [first, second].iter().try_for_each(|key| {
                    let read = number(transaction.get_for_update(db, key)?);
                    transaction.put(db, key, [read + 1])
                });
                match result {
                    Ok(()) => {
                        transaction.commit_with(Os).unwrap();
                        return;
                    }
                    Err(Error::Deadlock { cycle }) => assert_eq!(cycle.len(), 2),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        together(vec![thread(&db, both("a", "b")), thread(&db, both("b", "a"))]);
        assert_eq!((number(db.get("a").unwrap()), number(db.get("b").unwrap())), (2, 2));
    });
}

/// What a prepared transaction has read for update stands still until its commit, though others write it and
/// lock what it will remove.
#[test]
fn shuttle_what_is_prepared_stands_still() {
    fn prepare_and_commit(db: &Db) {
        loop {
            let mut transaction = db.begin(options(Locking::Optimistic)).unwrap();
            let read = number(transaction.get_for_update(db, "k").unwrap());
            transaction.put(db, "seen", [read]).unwrap();
            transaction.delete_range(db, "l".."m").unwrap();
            match transaction.prepare("t", Os) {
                Ok(prepared) => {
                    crate::base::sync::thread::yield_now();
                    assert_eq!(number(db.get("k").unwrap()), read, "written while it is prepared");
                    prepared.commit(Os).unwrap();
                    assert_eq!(number(db.get("seen").unwrap()), read);
                    return;
                }
                Err(failed) => assert!(failed.error.is_transient_conflict(), "{failed}"),
            }
        }
    }
    fn lock_and_count(db: &Db) {
        loop {
            let mut transaction = db.begin(options(Locking::Pessimistic)).unwrap();
            let read = number(transaction.get_for_update(db, "l1").unwrap());
            transaction.put(db, "l1", [read + 1]).unwrap();
            match transaction.commit_with(Os) {
                Ok(_) => return,
                Err(failed) => assert!(failed.error.is_transient_conflict(), "{failed}"),
            }
        }
    }
    explore("shuttle_what_is_prepared_stands_still", 6, || {
        let db = store(64 << 10);
        together(vec![
            thread(&db, prepare_and_commit),
            thread(&db, lock_and_count),
            thread(&db, |db| {
                db.put("k", [1]).unwrap();
                db.put("k", [2]).unwrap();
            }),
        ]);
        let stats = db.stats();
        assert_eq!((stats.locked_keys, stats.recent_writes_bytes, stats.prepared.count), (0, 0, 0));
    });
}
