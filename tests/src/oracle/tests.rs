//! The oracle tried by hand: what it accepts, and above all what it does not.

use super::*;
use esker::Durability::{self, None as Unlogged, Os, Sync};
use std::sync::Arc;

const NOW: u64 = 1_000_000;

struct Case {
    oracle: Oracle,
}

fn case() -> Case {
    Case { oracle: Oracle::new(Contract::read(), NOW, 100) }
}

impl Case {
    /// Begins a commit that sets keys to values; `-` removes.
    fn begin(&mut self, durability: Durability, changes: &[(&str, &str)]) -> u32 {
        self.begin_until(durability, changes, u64::MAX)
    }

    fn begin_until(&mut self, durability: Durability, changes: &[(&str, &str)], expires_at: u64) -> u32 {
        let number = self.oracle.next_commit();
        let change = |(at, (key, value)): (usize, &(&str, &str))| {
            let value = (*value != "-").then(|| Arc::from(value.as_bytes()));
            let order = (number, at as u32);
            (0, key.as_bytes().to_vec(), Version { order, value, expires_at, dropped: false, merge: None })
        };
        let changes = changes.iter().enumerate().map(change).collect();
        self.oracle.begin_write(durability, changes)
    }

    fn write(&mut self, durability: Durability, changes: &[(&str, &str)]) {
        let number = self.begin(durability, changes);
        self.oracle.end_write(number, Outcome::Done { seq: Some(u64::from(number)) });
    }

    fn power(&self, found: &[(&str, &str)]) -> bool {
        self.oracle.explain(&self.dump(found), Loss::Power).is_ok()
    }

    fn kill(&self, found: &[(&str, &str)]) -> bool {
        self.oracle.explain(&self.dump(found), Loss::Kill).is_ok()
    }

    /// What was found, at the time that it is.
    fn dump(&self, found: &[(&str, &str)]) -> Dump {
        let entries = found.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let families = [("default".to_string(), entries.collect())].into();
        let short = found.iter().filter(|(_, value)| *value == "short");
        let expiries = short.map(|(key, _)| (("default".into(), key.as_bytes().to_vec()), NOW + 10));
        Dump {
            families,
            expiries: expiries.collect(),
            without_expiries: false,
            without_prepared: false,
            now_ms: self.oracle.now_ms(),
        }
    }
}

#[test]
fn synced_writes_and_what_stands_before_them_must_be_there() {
    let mut case = case();
    case.write(Os, &[("a", "1")]);
    case.write(Sync, &[("b", "2")]);
    case.write(Os, &[("c", "3")]);
    assert!(case.power(&[("a", "1"), ("b", "2")]));
    assert!(case.power(&[("a", "1"), ("b", "2"), ("c", "3")]));
    assert!(!case.power(&[("b", "2")]));
    assert!(!case.power(&[("a", "1")]));
    assert!(!case.power(&[("a", "1"), ("b", "2"), ("d", "4")]));
    assert!(case.kill(&[("a", "1"), ("b", "2"), ("c", "3")]));
    assert!(!case.kill(&[("a", "1"), ("b", "2")]));
}

#[test]
fn logged_writes_are_a_prefix_and_batches_are_whole() {
    let mut case = case();
    case.write(Os, &[("a", "1"), ("b", "1")]);
    case.write(Os, &[("a", "2")]);
    case.write(Os, &[("a", "-"), ("b", "3")]);
    for prefix in [&[][..], &[("a", "1"), ("b", "1")], &[("a", "2"), ("b", "1")], &[("b", "3")]] {
        assert!(case.power(prefix), "{prefix:?}");
    }
    for hole in [&[("a", "1")][..], &[("b", "1")], &[("a", "2")], &[("a", "2"), ("b", "3")]] {
        assert!(!case.power(hole), "{hole:?}");
    }
}

#[test]
fn unlogged_writes_are_a_prefix_of_their_own() {
    let mut case = case();
    case.write(Unlogged, &[("a", "1")]);
    case.write(Os, &[("b", "2")]);
    case.write(Unlogged, &[("c", "3")]);
    case.write(Os, &[("a", "4")]);
    assert!(case.power(&[]));
    assert!(case.power(&[("a", "1"), ("c", "3")]));
    assert!(case.power(&[("a", "4"), ("b", "2")]));
    assert!(case.power(&[("a", "4"), ("b", "2"), ("c", "3")]));
    assert!(!case.power(&[("b", "2"), ("c", "3")]));
    assert!(!case.power(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "")]));
    case.oracle.flushed();
    assert!(!case.power(&[("a", "4"), ("b", "2")]));
    assert!(case.power(&[("a", "4"), ("b", "2"), ("c", "3")]));
}

#[test]
fn a_write_in_flight_may_be_there_whole() {
    let mut case = case();
    case.write(Sync, &[("a", "1")]);
    case.begin(Sync, &[("a", "2"), ("b", "2")]);
    assert!(case.power(&[("a", "1")]));
    assert!(case.power(&[("a", "2"), ("b", "2")]));
    assert!(!case.power(&[("a", "2")]));
    assert!(!case.power(&[]));
}

#[test]
fn a_refused_write_does_not_turn_up_behind_an_accepted_one() {
    let mut case = case();
    let refused = case.begin(Os, &[("a", "1")]);
    case.oracle.end_write(refused, Outcome::Refused);
    assert!(case.power(&[]) && case.power(&[("a", "1")]) && case.kill(&[]));
    case.write(Os, &[("b", "2")]);
    assert!(case.power(&[]) && case.power(&[("b", "2")]));
    // It may have stood where the accepted one was written later, and that is lost.
    assert!(case.power(&[("a", "1")]) && !case.kill(&[("a", "1")]));
    assert!(!case.power(&[("a", "1"), ("b", "2")]));
    case.oracle.synced();
    assert!(case.power(&[("b", "2")]) && !case.power(&[("a", "1")]));
    // A sync with nothing new to it leaves what a refused write has left behind the end.
    let refused = case.begin(Os, &[("b", "9")]);
    case.oracle.end_write(refused, Outcome::Refused);
    case.oracle.synced();
    assert!(case.power(&[("b", "2")]) && case.power(&[("b", "9")]));
    // Of several, the first need not have been written at all; behind one that was, none is missing.
    for key in ["d", "e"] {
        let refused = case.begin(Os, &[(key, "9")]);
        case.oracle.end_write(refused, Outcome::Refused);
    }
    assert!(case.power(&[("b", "2"), ("d", "9")]) && case.power(&[("b", "2"), ("e", "9")]));
    assert!(case.power(&[("b", "9"), ("d", "9")]) && !case.power(&[("b", "9"), ("e", "9")]));
    let published = case.begin(Sync, &[("c", "3")]);
    case.oracle.end_write(published, Outcome::Published);
    assert!(case.kill(&[("b", "2")]) && case.kill(&[("b", "2"), ("c", "3")]));
    assert!(!case.kill(&[("c", "3")]) && !case.kill(&[("b", "9"), ("c", "3")]));
}

#[test]
fn the_watermark_and_the_interval_are_promises() {
    let mut case = case();
    case.write(Os, &[("a", "1")]);
    case.write(Os, &[("b", "2")]);
    case.oracle.durable_up_to(1);
    assert!(case.power(&[("a", "1")]) && !case.power(&[]));
    assert!(!case.oracle.sync_is_overdue());
    case.oracle.advance(100);
    assert!(case.oracle.sync_is_overdue() && case.power(&[("a", "1")]));
    case.oracle.settled();
    assert!(!case.power(&[("a", "1")]) && case.power(&[("a", "1"), ("b", "2")]));
}

#[test]
fn nothing_expired_or_overwritten_comes_back() {
    let mut case = case();
    case.write(Sync, &[("a", "old")]);
    let short = case.begin_until(Sync, &[("a", "short")], NOW + 10);
    case.oracle.end_write(short, Outcome::Done { seq: Some(2) });
    assert!(case.power(&[("a", "short")]) && !case.power(&[("a", "old")]) && !case.power(&[]));
    case.oracle.advance(10);
    assert!(case.power(&[]) && !case.power(&[("a", "short")]) && !case.power(&[("a", "old")]));
}

#[test]
fn an_expiry_that_nobody_set_is_noticed() {
    let mut case = case();
    let short = case.begin_until(Sync, &[("a", "short")], NOW + 9);
    case.oracle.end_write(short, Outcome::Done { seq: Some(1) });
    assert!(!case.power(&[("a", "short")]), "it expires a millisecond later than it must");
}

#[test]
fn families_exist_once_created_and_are_gone_once_dropped() {
    let mut case = case();
    let with = |names: &[&str]| {
        let families = names.iter().map(|n| (n.to_string(), [].into())).collect();
        Dump { families, now_ms: NOW, ..Dump::default() }
    };
    let holds = |case: &Case, names: &[&str]| case.oracle.explain(&with(names), Loss::Power).is_ok();
    case.oracle.begin_create("f");
    assert!(holds(&case, &["default"]) && holds(&case, &["default", "f"]) && !holds(&case, &["f"]));
    case.oracle.end_family("f", true);
    assert!(!holds(&case, &["default"]) && holds(&case, &["default", "f"]));
    case.oracle.begin_drop("f");
    assert!(holds(&case, &["default"]) && holds(&case, &["default", "f"]));
    case.oracle.end_family("f", false);
    assert!(holds(&case, &["default"]) && !holds(&case, &["default", "f"]));
}

/// The commit of a prepared transaction is whole or not there: never both of it, nor neither.
#[test]
fn a_prepared_transaction_is_there_or_its_writes_are() {
    let mut case = case();
    let name = |order, is_prepared: bool| {
        let value = is_prepared.then(|| Arc::from(&b""[..]));
        (PREPARED, b"t".to_vec(), Version { order, value, expires_at: u64::MAX, dropped: false, merge: None })
    };
    let prepared = case.oracle.begin_write(Sync, vec![name((1, 0), true)]);
    case.oracle.end_write(prepared, Outcome::Done { seq: Some(1) });
    let value = Some(Arc::from(&b"new"[..]));
    let written = Version { order: (2, 1), value, expires_at: u64::MAX, dropped: false, merge: None };
    let changes = vec![name((2, 0), false), (0, b"a".to_vec(), written)];
    let committed = case.oracle.begin_write(Os, changes);
    case.oracle.end_write(committed, Outcome::Done { seq: Some(3) });
    let holds = |is_prepared: bool, found: &[(&str, &str)]| {
        let mut dump = case.dump(found);
        if is_prepared {
            dump.families.insert(PREPARED_NAME.into(), [(b"t".to_vec(), Vec::new())].into());
        }
        case.oracle.explain(&dump, Loss::Power).is_ok()
    };
    assert!(holds(true, &[]) && holds(false, &[("a", "new")]));
    assert!(!holds(true, &[("a", "new")]) && !holds(false, &[]));
}

#[test]
fn what_was_recovered_is_durable_from_then_on() {
    let mut case = case();
    case.write(Os, &[("a", "1")]);
    case.write(Os, &[("a", "2")]);
    let found = case.dump(&[("a", "1")]);
    case.oracle.recovered(&found, Loss::Power).unwrap();
    assert!(case.power(&[("a", "1")]) && !case.power(&[]) && !case.power(&[("a", "2")]));
    assert_eq!(case.oracle.visible().get(0, b"a", NOW).unwrap().as_ref(), b"1");
}

#[test]
fn the_clock_falls_back_at_most_to_what_survived_and_to_the_wall_clock() {
    let mut case = case();
    let shows = |case: &Case, found: &[(&str, &str)], now_ms: u64| {
        let found = Dump { now_ms, ..case.dump(found) };
        case.oracle.explain(&found, Loss::Power).is_ok()
    };
    case.write(Sync, &[("a", "1")]);
    case.oracle.wall_set(NOW + 50);
    case.write(Os, &[("b", "2")]);
    case.oracle.wall_set(NOW - 900);
    assert_eq!(case.oracle.now_ms(), NOW + 50);
    assert!(!case.oracle.sync_is_overdue(), "setting the clock lets no time pass");
    // The second write carries the time with it, if it survives.
    let (one, two) = (&[("a", "1")][..], &[("a", "1"), ("b", "2")][..]);
    assert!(shows(&case, one, NOW) && shows(&case, one, NOW + 50) && shows(&case, two, NOW + 50));
    assert!(!shows(&case, two, NOW + 49) && !shows(&case, one, NOW - 1) && !shows(&case, one, NOW + 51));
    case.oracle.wall_set(NOW + 20);
    assert!(shows(&case, one, NOW + 20) && !shows(&case, one, NOW + 19));
    case.oracle.closed();
    assert!(shows(&case, two, NOW + 50) && !shows(&case, two, NOW + 49));
}

#[test]
fn what_had_expired_may_be_back_only_where_the_clock_may_fall_back() {
    let mut case = case();
    let short = case.begin_until(Sync, &[("a", "short")], NOW + 10);
    case.oracle.end_write(short, Outcome::Done { seq: Some(1) });
    case.oracle.wall_set(NOW + 20);
    assert!(case.power(&[]) && !case.power(&[("a", "short")]));
    case.oracle.wall_set(NOW);
    let back = Dump { now_ms: NOW, ..case.dump(&[("a", "short")]) };
    assert!(case.oracle.explain(&back, Loss::Power).is_ok());
    assert!(!case.power(&[("a", "short")]), "not as long as the clock has not fallen back");
    case.write(Sync, &[("b", "2")]);
    let back = Dump { now_ms: NOW, ..case.dump(&[("a", "short"), ("b", "2")]) };
    assert!(case.oracle.explain(&back, Loss::Power).is_err());
}

#[test]
fn a_callback_promises_what_was_committed_before_it_was_asked_for() {
    let mut case = case();
    case.write(Os, &[("a", "1")]);
    let asked = case.oracle.next_commit() - 1;
    case.write(Os, &[("b", "2")]);
    case.oracle.synced_up_to(asked);
    assert!(case.power(&[("a", "1")]) && case.power(&[("a", "1"), ("b", "2")]) && !case.power(&[]));
}
