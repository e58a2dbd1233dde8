//! What may go wrong between transactions, by the names it has in the literature (H. Berenson et al.: A
//! Critique of ANSI SQL Isolation Levels, 1995), and what becomes of it here.

use super::tests::{NO_WAIT, store};
use super::{Transaction, TransactionOptions};
use crate::base::error::{Error, Result};
use crate::commit::Ticket;
use crate::db::Db;

fn number(transaction: &Transaction, db: &Db, key: &str) -> u8 {
    transaction.get(db, key).unwrap().map_or(0, |value| value[0])
}

fn conflicts_at(result: Result<Ticket, super::CommitError>, expected: &[u8]) {
    match result {
        Err(failed) => match failed.error {
            Error::Conflict { key, family } => assert_eq!((&*key, &*family), (expected, "default")),
            other => panic!("{other}"),
        },
        Ok(ticket) => panic!("committed at {ticket:?}"),
    }
}

#[test]
fn a_lost_update_is_refused() {
    for options in [NO_WAIT, NO_WAIT.serialisable()] {
        let (db, _) = store();
        db.put("count", [1]).unwrap();
        let (mut a, mut b) = (db.begin(options).unwrap(), db.begin(options).unwrap());
        for transaction in [&mut a, &mut b] {
            let read = number(transaction, &db, "count");
            transaction.put(&db, "count", [read + 1]).unwrap();
        }
        a.commit().unwrap();
        conflicts_at(b.commit(), b"count");
        assert_eq!(db.get("count").unwrap().unwrap(), [2]);
    }
}

#[test]
fn a_lost_update_is_kept_out_by_locks() {
    let (db, _) = store();
    db.put("count", [1]).unwrap();
    let options = TransactionOptions { serialisable: false, ..super::tests::LOCKING };
    let mut a = db.begin(options).unwrap();
    let mut b = db.begin(options).unwrap();
    assert_eq!(a.get_for_update(&db, "count").unwrap().unwrap(), [1]);
    assert!(
        matches!(b.get_for_update(&db, "count"), Err(Error::LockTimeout { holder, .. }) if holder == a.id())
    );
    a.put(&db, "count", [2]).unwrap();
    a.commit().unwrap();
    assert_eq!(
        b.get_for_update(&db, "count").unwrap().unwrap(),
        [2],
        "the present value, not the snapshot's"
    );
    assert_eq!(number(&b, &db, "count"), 2, "and so reads see it from then on");
    b.put(&db, "count", [3]).unwrap();
    b.commit().unwrap();
    assert_eq!(db.get("count").unwrap().unwrap(), [3]);
}

/// Each of two doctors goes off call because the other is still on it.
fn two_doctors(options: TransactionOptions) -> (Db, Result<Ticket, super::CommitError>) {
    let (db, _) = store();
    db.put("ada", [1]).unwrap();
    db.put("bob", [1]).unwrap();
    let (mut a, mut b) = (db.begin(options).unwrap(), db.begin(options).unwrap());
    for (transaction, who, other) in [(&mut a, "ada", "bob"), (&mut b, "bob", "ada")] {
        if number(transaction, &db, other) == 1 {
            transaction.put(&db, who, [0]).unwrap();
        }
    }
    a.commit().unwrap();
    let second = b.commit();
    (db, second)
}

#[test]
fn write_skew_is_allowed_unless_serialisable() {
    let (db, second) = two_doctors(NO_WAIT);
    second.unwrap();
    assert_eq!((db.get("ada").unwrap().unwrap()[0], db.get("bob").unwrap().unwrap()[0]), (0, 0));
    let (db, second) = two_doctors(NO_WAIT.serialisable());
    conflicts_at(second, b"ada");
    assert_eq!(db.get("bob").unwrap().unwrap(), [1], "somebody is on call");
}

#[test]
fn write_skew_is_refused_where_the_other_key_is_read_for_update() {
    let (db, _) = store();
    let (mut a, mut b) = (db.begin(NO_WAIT).unwrap(), db.begin(NO_WAIT).unwrap());
    assert!(a.get_for_update(&db, "bob").unwrap().is_none());
    assert!(b.get_for_update(&db, "ada").unwrap().is_none());
    a.put(&db, "ada", [1]).unwrap();
    b.put(&db, "bob", [1]).unwrap();
    a.commit().unwrap();
    conflicts_at(b.commit(), b"ada");
}

#[test]
fn a_phantom_in_a_scanned_range_is_refused_when_serialisable() {
    for (options, refused) in [(NO_WAIT, false), (NO_WAIT.serialisable(), true)] {
        let (db, _) = store();
        db.put("job/1", [1]).unwrap();
        let mut count = db.begin(options).unwrap();
        let jobs = count.prefix(&db, "job/").unwrap().count();
        count.put(&db, "jobs", [jobs as u8]).unwrap();
        db.put("job/2", [1]).unwrap();
        if refused {
            conflicts_at(count.commit(), b"job/2");
        } else {
            count.commit().unwrap();
        }
    }
}

/// What a scan has not come to is none of its business.
#[test]
fn a_phantom_behind_what_was_scanned_is_none() {
    let (db, _) = store();
    for key in ["b", "d", "f"] {
        db.put(key, "").unwrap();
    }
    let first_and_last = || {
        let mut transaction = db.begin(NO_WAIT.serialisable()).unwrap();
        let mut all = transaction.range(&db, "a".."z").unwrap();
        assert!(all.next().is_some() && all.next_back().is_some());
        drop(all);
        transaction.put(&db, "result", "").unwrap();
        transaction
    };
    let transaction = first_and_last();
    db.put("d", "again").unwrap();
    transaction.commit().unwrap();
    let transaction = first_and_last();
    db.put("aa", "before the first").unwrap();
    conflicts_at(transaction.commit(), b"aa");
    let transaction = first_and_last();
    db.delete("y").unwrap();
    conflicts_at(transaction.commit(), b"y");
}

#[test]
fn a_dirty_read_and_a_fuzzy_read_are_impossible() {
    let (db, _) = store();
    db.put("k", [1]).unwrap();
    let reader = db.begin(NO_WAIT).unwrap();
    let mut writer = db.begin(NO_WAIT).unwrap();
    writer.put(&db, "k", [2]).unwrap();
    assert_eq!((number(&reader, &db, "k"), db.get("k").unwrap().unwrap()[0]), (1, 1), "not committed");
    writer.commit().unwrap();
    assert_eq!(number(&reader, &db, "k"), 1, "as at the beginning");
    assert_eq!(db.get("k").unwrap().unwrap(), [2]);
    reader.commit().unwrap();
    let mut writer = db.begin(NO_WAIT).unwrap();
    writer.put(&db, "k", [3]).unwrap();
    writer.rollback();
    assert_eq!(db.get("k").unwrap().unwrap(), [2]);
}

/// The conflict named an empty key.
#[test]
fn a_range_that_others_removed_is_named_by_the_first_key_that_was_read_of_it() {
    type Read = std::ops::Range<&'static str>;
    let cases: [(Read, Read, &[u8]); 3] =
        [("a".."z", "b".."c", b"b"), ("b".."z", "a".."c", b"b"), ("b".."c", "a".."z", b"b")];
    for (read, removed, named) in cases {
        let (db, _) = store();
        db.put("b", "1").unwrap();
        let mut transaction = db.begin(NO_WAIT.serialisable()).unwrap();
        assert_eq!(transaction.range(&db, read).unwrap().count(), 1);
        transaction.put(&db, "~result", "").unwrap();
        db.delete_range(removed).unwrap();
        conflicts_at(transaction.commit(), named);
    }
    let (db, _) = store();
    let mut transaction = db.begin(NO_WAIT).unwrap();
    transaction.delete_range(&db, "b".."d").unwrap();
    db.delete_range("a".."c").unwrap();
    conflicts_at(transaction.commit(), b"b");
}
