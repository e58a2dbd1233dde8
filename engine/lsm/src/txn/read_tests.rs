use super::tests::{LOCKING, NO_WAIT, store};
use crate::base::error::Error;
use crate::db::{FamilyOptions, Ttl};
use std::time::Duration;

#[test]
fn a_transaction_sees_how_long_its_own_values_live_and_relies_on_what_it_saw() {
    let (db, clock) = store();
    db.put_with_ttl("lease", "ada", Duration::from_secs(3)).unwrap();
    db.put("for ever", "x").unwrap();
    let mut transaction = db.begin(NO_WAIT.serialisable()).unwrap();
    let seconds = |ttl: Option<Ttl>| match ttl {
        Some(Ttl::Remaining(left)) => Some(left.as_secs()),
        Some(Ttl::Never) => Some(u64::MAX),
        None => None,
    };
    transaction.put_with_ttl(&db, "own", "1", Duration::from_secs(9)).unwrap();
    transaction.delete(&db, "for ever").unwrap();
    let keys = ["lease", "own", "for ever", "none"];
    let found = keys.map(|key| seconds(transaction.ttl(&db, key).unwrap()));
    assert_eq!(found, [Some(3), Some(9), None, None]);
    // What it sees it sees to its end, and no longer than that it lives.
    clock.advance(Duration::from_secs(5));
    let (value, ttl) = (transaction.get(&db, "lease").unwrap(), transaction.ttl(&db, "lease").unwrap());
    assert_eq!((value.unwrap(), seconds(ttl)), (b"ada"[..].into(), Some(0)));
    assert_eq!(seconds(transaction.ttl(&db, "own").unwrap()), Some(4));
    db.put("lease", "bob").unwrap();
    let failed = transaction.commit().unwrap_err();
    assert!(matches!(failed.error, Error::Conflict { ref key, .. } if **key == *b"lease"), "{failed:?}");
}

#[test]
fn many_keys_are_locked_in_their_order_and_stay_so_after_an_error() {
    let (db, _clock) = store();
    db.put("b", "1").unwrap();
    let mut transaction = db.begin(LOCKING).unwrap();
    let found = transaction.multi_get_for_update(&db, &["c", "b", "a", "b"]).unwrap();
    assert_eq!(found, [None, Some(b"1"[..].into()), None, Some(b"1"[..].into())]);
    let mut other = db.begin(LOCKING).unwrap();
    let refused = other.multi_get_for_update(&db, &["z", "c", "0"]).unwrap_err();
    assert!(matches!(refused, Error::LockTimeout { ref key, .. } if **key == *b"c"), "{refused:?}");
    // Of those in front of it in the order of keys it has the lock, of those behind it has not.
    transaction.put(&db, "z", "2").unwrap();
    let held = transaction.put(&db, "0", "2").unwrap_err();
    assert!(matches!(held, Error::LockTimeout { holder, .. } if holder == other.id()), "{held:?}");
    // Optimistic, all of them are relied on.
    drop((transaction, other));
    let mut optimistic = db.begin(NO_WAIT).unwrap();
    optimistic.multi_get_for_update(&db, &["x", "y"]).unwrap();
    db.put("y", "theirs").unwrap();
    optimistic.put(&db, "mine", "1").unwrap();
    let failed = optimistic.commit().unwrap_err();
    assert!(matches!(failed.error, Error::Conflict { ref key, .. } if **key == *b"y"), "{failed:?}");
}

#[test]
fn a_key_is_written_by_its_version_in_one_call_where_versions_are_kept() {
    let (db, clock) = store();
    let options = FamilyOptions { keep_versions: true, ..FamilyOptions::default() };
    let pages = db.create_column_family("pages", options).unwrap();
    let version = || pages.get_versioned("k").unwrap().map(|read| read.version);
    pages.put("k", "v").unwrap();
    let first = version().unwrap();
    pages.put("k", "v").unwrap();
    let second = version().unwrap();
    // The value is equal, the write another.
    assert!(!pages.put_if_version("k", first, "w").unwrap() && !pages.delete_if_version("k", first).unwrap());
    db.compact().unwrap();
    assert_eq!((version(), pages.get("k").unwrap().unwrap()), (Some(second), b"v"[..].into()));
    assert!(pages.put_if_version("k", second, "w").unwrap());
    let third = version().unwrap();
    assert!(third > second && !pages.delete_if_version("k", second).unwrap());
    assert!(pages.delete_if_version("k", third).unwrap() && version().is_none());
    assert!(!pages.put_if_version("k", third, "w").unwrap(), "it is gone");
    // What has expired is absent.
    pages.put_with_ttl("k", "v", Duration::from_secs(1)).unwrap();
    let fourth = version().unwrap();
    clock.advance(Duration::from_secs(1));
    assert!(!pages.put_if_version("k", fourth, "w").unwrap());
    db.put("k", "v").unwrap();
    for refused in
        [db.put_if_version("k", db.visible_seq(), "w"), db.delete_if_version("k", db.visible_seq())]
    {
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    }
}
