//! What a transaction relies on and how long it may, and what it takes meanwhile.

use super::tests::{LOCKING, NO_WAIT, builder};
use super::{Transaction, TransactionOptions};
use crate::base::clock::ManualClock;
use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::commit::Durability;
use crate::db::Db;
use crate::hooks::Append;
use std::time::Duration;

fn store() -> (Db, Arc<ManualClock>) {
    let clock = ManualClock::new(1_000_000);
    let db = builder(&clock).merge_operator("default", Append::new()).deterministic(1).open().unwrap();
    (db, clock)
}

/// The key that a refused commit names.
fn conflict(transaction: Transaction) -> Vec<u8> {
    match transaction.commit().map_err(Error::from) {
        Err(Error::Conflict { key, .. }) => key.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A value was read under an own operand, which was taken back: nothing reminded of the read.
#[test]
fn what_was_read_under_a_merge_stays_read_when_the_merge_is_taken_back() -> Result<()> {
    let (db, _) = store();
    db.put("k", "1")?;
    let mut transaction = db.begin(NO_WAIT.serialisable())?;
    let savepoint = transaction.savepoint();
    transaction.merge(&db, "k", "2")?;
    let seen = transaction.get(&db, "k")?.unwrap();
    transaction.rollback_to(savepoint)?;
    transaction.put(&db, "copy", &seen)?;
    db.put("k", "99")?;
    assert_eq!(conflict(transaction), b"k");
    Ok(())
}

/// One value was of the snapshot and one of now, and nobody asked whether they were ever there together.
#[test]
fn values_of_the_snapshot_and_of_now_were_there_together_or_it_is_a_conflict() -> Result<()> {
    for (others, serialisable) in [(true, true), (false, true), (true, false)] {
        let (db, _) = store();
        db.put("a", "50")?;
        db.put("b", "50")?;
        let mut transaction = db.begin(TransactionOptions { serialisable, ..LOCKING })?;
        assert_eq!(transaction.get(&db, "a")?.unwrap(), "50");
        if others {
            let mut batch = WriteBatch::new();
            batch.put(&db, "a", "0").put(&db, "b", "100");
            db.write(batch, Durability::Os)?;
        }
        transaction.get_for_update(&db, "b")?;
        if others && serialisable {
            assert_eq!(conflict(transaction), b"a");
        } else {
            transaction.commit()?;
        }
    }
    Ok(())
}

/// A lease had expired when it was relied on: two workers had it, and no order explained both.
#[test]
fn who_relies_on_a_value_commits_before_it_expires() -> Result<()> {
    type Read = fn(&mut Transaction, &Db) -> Result<bool>;
    let get: Read = |transaction, db| Ok(transaction.get(db, "lease")?.is_some());
    let update: Read = |transaction, db| Ok(transaction.get_for_update(db, "lease")?.is_some());
    let walk: Read = |transaction, db| Ok(transaction.iter(db)?.next().transpose()?.is_some());
    let back: Read = |transaction, db| Ok(transaction.iter(db)?.next_back().transpose()?.is_some());
    let merged: Read = |transaction, db| {
        transaction.merge(db, "lease", "!")?;
        Ok(transaction.get(db, "lease")?.is_some())
    };
    let cases = [
        (NO_WAIT, get, false),
        (NO_WAIT.serialisable(), get, true),
        (NO_WAIT.serialisable(), walk, true),
        (NO_WAIT.serialisable(), back, true),
        (NO_WAIT.serialisable(), merged, true),
        (NO_WAIT, update, true),
        (LOCKING, update, true),
        (LOCKING.serialisable(), get, true),
    ];
    for (number, (options, read, relies)) in cases.into_iter().enumerate() {
        for late in [false, true] {
            let (db, clock) = store();
            db.put_with_ttl("lease", "me", Duration::from_millis(100))?;
            let mut transaction = db.begin(options)?;
            assert!(read(&mut transaction, &db)?, "{number}");
            transaction.put(&db, "out", "1")?;
            clock.advance(Duration::from_millis(if late { 100 } else { 99 }));
            if late && relies {
                assert!(matches!(transaction.refresh(), Err(Error::Conflict { .. })), "{number}");
                assert_eq!(conflict(transaction), b"lease", "{number}");
            } else {
                transaction.commit()?;
            }
        }
    }
    Ok(())
}

/// The present was taken for that of the snapshot as long as nobody wrote.
#[test]
fn what_is_read_under_a_lock_is_of_now() -> Result<()> {
    let (db, clock) = store();
    db.put_with_ttl("lease", "me", Duration::from_millis(100))?;
    let mut transaction = db.begin(LOCKING)?;
    clock.advance(Duration::from_millis(100));
    assert!(transaction.get(&db, "lease")?.is_some(), "the snapshot's time stands still");
    assert!(transaction.get_for_update(&db, "lease")?.is_none());
    assert!(transaction.get(&db, "lease")?.is_none());
    transaction.put(&db, "lease", "mine")?;
    transaction.commit()?;
    Ok(())
}

/// The lock stayed, and each later commit was refused for a key that was never written.
#[test]
fn a_refused_write_leaves_a_transaction_as_it_was() -> Result<()> {
    let (db, _) = store();
    let mut transaction = db.begin(LOCKING)?;
    db.put("k", "newer")?;
    for _ in 0..2 {
        assert!(matches!(transaction.put(&db, "k", "mine"), Err(Error::Conflict { .. })));
        assert_eq!(db.stats().locked_keys, 0);
    }
    db.put("k", "newest")?;
    assert_eq!(transaction.get_for_update(&db, "k")?.unwrap(), "newest");
    transaction.put(&db, "k", "mine")?;
    transaction.put(&db, "other", "1")?;
    transaction.refresh()?;
    transaction.commit()?;
    assert_eq!(db.get("k")?.unwrap(), "mine");
    Ok(())
}

/// What there was to go back to, and locks, were not counted.
#[test]
fn everything_that_a_transaction_holds_counts() -> Result<()> {
    let (db, _) = store();
    let value = vec![b'v'; 100_000];
    let mut transaction = db.begin(NO_WAIT)?;
    let first = transaction.savepoint();
    let second = transaction.savepoint();
    let refused = (0..100).find_map(|_| transaction.put(&db, "k", &value).err());
    assert!(matches!(refused, Some(Error::TransactionTooLarge { .. })), "{refused:?}");
    assert!(transaction.size_bytes() > 900_000);
    transaction.release(second)?;
    assert!(transaction.rollback_to(second).is_err() && transaction.size_bytes() > 900_000);
    transaction.release(first)?;
    assert!(transaction.size_bytes() < 101_000 && transaction.release(first).is_err());
    transaction.put(&db, "k", &value)?;
    transaction.commit()?;
    let mut transaction = db.begin(LOCKING)?;
    let refused = (0..1_000_000).find_map(|n| transaction.get_for_update(&db, format!("{n}")).err());
    assert!(matches!(refused, Some(Error::TransactionTooLarge { .. })), "{refused:?}");
    assert!(db.stats().locked_keys < 6_000);
    Ok(())
}

/// Only the commit refused them.
#[test]
fn removed_ranges_are_limited_and_cheap_to_read_over() -> Result<()> {
    let (db, _) = store();
    let mut transaction = db.begin(NO_WAIT)?;
    let name = |n: u32| format!("{n:06}");
    for n in 0..4_096 {
        db.put(name(n), "v")?;
    }
    transaction.refresh()?;
    // In no order, and some of them over others.
    for n in (0..4_096u32).map(|n| n * 1_777 % 4_096) {
        transaction.delete_range(&db, name(n * 2)..name(n * 2 + 1 + n % 3))?;
    }
    let one_more = transaction.delete_range(&db, name(1)..name(2));
    assert!(matches!(one_more, Err(Error::InvalidArgument { what: "ranges", .. })), "{one_more:?}");
    transaction.delete_prefix(&db, "1").unwrap_err();
    let removed = |key: u32| (0..4_096u32).any(|n| (n * 2..n * 2 + 1 + n % 3).contains(&key));
    let left: Vec<String> = (0..4_096).filter(|key| !removed(*key)).map(name).collect();
    let keys =
        |entry: Result<(crate::base::slice::Slice, _)>| String::from_utf8(entry.unwrap().0.to_vec()).unwrap();
    let found: Vec<String> =
        transaction.iter(&db)?.map(|entry| entry.map(|(key, value)| (key, value.len()))).map(keys).collect();
    assert_eq!(found, left);
    assert!((0..4_096).all(|key| transaction.get(&db, name(key)).unwrap().is_none() == removed(key)));
    transaction.commit()?;
    assert_eq!(db.iter()?.count(), left.len());
    Ok(())
}

/// Operands were applied to the present of each step: after the commit twice, after a rollback to what
/// others had written.
#[test]
fn an_iterator_that_outlives_its_transaction_goes_on_with_what_it_saw() -> Result<()> {
    let ends: [fn(Transaction, &Db) -> Result<()>; 3] = [
        |transaction, _| Ok(transaction.commit().map(drop)?),
        |transaction, db| {
            transaction.rollback();
            db.put("k", "theirs, later")
        },
        |mut transaction, db| transaction.merge(db, "k", "3"),
    ];
    for end in ends {
        let (db, clock) = store();
        db.put("k", "0")?;
        let mut transaction = db.begin(LOCKING)?;
        db.put_with_ttl("k", "1", Duration::from_secs(1))?;
        transaction.get_for_update(&db, "k")?;
        transaction.merge(&db, "k", "2")?;
        let (mut front, mut back) = (transaction.iter(&db)?, transaction.iter(&db)?);
        end(transaction, &db)?;
        assert_eq!(front.next().unwrap()?.1, "12");
        clock.advance(Duration::from_secs(2));
        assert_eq!(back.next_back().unwrap()?.1, "12");
    }
    Ok(())
}

/// The number of a savepoint that was gone behind was given to the next one, and both were taken.
#[test]
fn a_savepoint_that_was_gone_behind_is_never_good_again() -> Result<()> {
    let (db, _) = store();
    let (other, _) = store();
    let mut transaction = db.begin(NO_WAIT)?;
    let first = transaction.savepoint();
    transaction.put(&db, "a", "1")?;
    let behind = transaction.savepoint();
    transaction.put(&db, "b", "1")?;
    transaction.rollback_to(first)?;
    transaction.put(&db, "c", "1")?;
    let again = transaction.savepoint();
    transaction.put(&db, "d", "1")?;
    let mut of_another = other.begin(NO_WAIT)?;
    let elsewhere = of_another.savepoint();
    for stale in [behind, elsewhere] {
        assert!(matches!(transaction.rollback_to(stale), Err(Error::InvalidArgument { .. })));
        assert!(matches!(transaction.release(stale), Err(Error::InvalidArgument { .. })));
        assert_eq!(transaction.len(), 2, "nothing is taken back");
    }
    transaction.release(again)?;
    let last = transaction.savepoint();
    assert!(transaction.rollback_to(again).is_err() && transaction.rollback_to(last).is_ok());
    transaction.rollback_to(first)?;
    assert!(transaction.is_empty());
    Ok(())
}

/// Keys were only counted, whatever their length: 65,536 of 128 KiB would have taken 8 GiB.
#[test]
fn what_is_remembered_of_reads_is_bounded_in_bytes() -> Result<()> {
    let (db, _) = store();
    let key = |n: u32| [format!("{n:06}").into_bytes(), vec![b'k'; 50_000]].concat();
    let mut transaction = db.begin(NO_WAIT.serialisable())?;
    for n in 0..100 {
        transaction.get(&db, key(n))?;
        let most = NO_WAIT.max_bytes / 4 / 50_000 + 1;
        assert!(transaction.tracked.lock().len() <= most, "{n}");
    }
    for n in 0..400 {
        // Ended at once; what they have come to is not known when they are begun.
        let walked = transaction.range(&db, key(n)..key(n + 1))?.next();
        assert!(walked.is_none() && transaction.tracked.lock().len() <= 100, "{n}");
    }
    transaction.put(&db, "mine", "1")?;
    db.put(key(7), "theirs")?;
    assert_eq!(conflict(transaction), key(7));
    Ok(())
}
