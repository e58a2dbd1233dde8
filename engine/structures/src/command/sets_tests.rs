//! Large sets: members by chance, cursors, algebra.

use super::{Connection, Reply};
use crate::encoding::key;
use crate::store::{Key, Store, Table};
use esker::fs::{Fs, SimFs};
use std::collections::{BTreeMap, BTreeSet};

fn store() -> Store {
    let builder = Store::builder("/data").deterministic(1);
    builder.engine(|engine| engine.fs(Fs::Sim(SimFs::new()))).open().unwrap()
}

fn ask(connection: &mut Connection, line: &str) -> Reply {
    connection.execute(&line.split(' ').collect::<Vec<_>>()).reply
}

fn items(reply: Reply) -> Vec<String> {
    let (Reply::Array(items) | Reply::Set(items)) = reply else { panic!("{reply:?}") };
    let text = |item| match item {
        Reply::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    items.into_iter().map(text).collect()
}

fn fill(connection: &mut Connection, key: &str, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        assert_eq!(ask(connection, &format!("sadd {key} m{number}")), Reply::Integer(1));
    }
}

#[test]
fn every_member_has_the_same_chance() {
    let store = store();
    let mut connection = Connection::new(&store);
    fill(&mut connection, "s", 0..300);
    let mut met: BTreeMap<String, u64> = BTreeMap::new();
    for member in items(ask(&mut connection, "srandmember s -30000")) {
        *met.entry(member).or_default() += 1;
    }
    // Each is met 100 times on average, with a deviation of 10.
    assert_eq!(met.len(), 300);
    assert!(met.values().all(|times| (50..=150).contains(times)), "{met:?}");
    for count in [1, 20, 74, 75, 299, 300, 1000] {
        let chosen = items(ask(&mut connection, &format!("srandmember s {count}")));
        let distinct: BTreeSet<&String> = chosen.iter().collect();
        assert_eq!((chosen.len(), distinct.len()), (count.min(300), count.min(300)));
    }
}

#[test]
fn what_is_popped_is_gone() {
    let store = store();
    let mut connection = Connection::new(&store);
    fill(&mut connection, "s", 0..300);
    let mut left: BTreeSet<String> = (0..300).map(|number| format!("m{number}")).collect();
    for count in [1, 40, 200, 30, 1000] {
        for member in items(ask(&mut connection, &format!("spop s {count}"))) {
            assert!(left.remove(&member), "{member}");
        }
        assert_eq!(ask(&mut connection, "scard s"), Reply::count(left.len() as u64));
        let report = store.verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }
    assert!(left.is_empty());
    assert_eq!(ask(&mut connection, "exists s"), Reply::Integer(0));
}

#[test]
fn a_cursor_meets_what_stays() {
    let store = store();
    let mut connection = Connection::new(&store);
    fill(&mut connection, "s", 0..500);
    let (mut cursor, mut met) = ("0".to_owned(), BTreeSet::new());
    for round in 0.. {
        let Reply::Array(reply) = ask(&mut connection, &format!("sscan s {cursor} count 7")) else {
            panic!()
        };
        let [Reply::Bulk(next), found] = &reply[..] else { panic!("{reply:?}") };
        met.extend(items(found.clone()));
        cursor = String::from_utf8(next.clone()).unwrap();
        // Members with odd numbers go while the cursor moves.
        ask(&mut connection, &format!("srem s m{}", round * 2 + 1));
        if cursor == "0" {
            break;
        }
    }
    assert!((0..500).step_by(2).all(|number| met.contains(&format!("m{number}"))));
}

#[test]
fn large_sets_are_taken_together() {
    let store = store();
    let mut connection = Connection::new(&store);
    fill(&mut connection, "a", 0..600);
    fill(&mut connection, "b", 300..900);
    for (command, expected) in [("sinter", 300..600), ("sunion", 0..900), ("sdiff", 0..300)] {
        let found: BTreeSet<String> =
            items(ask(&mut connection, &format!("{command} a b"))).into_iter().collect();
        let expected: BTreeSet<String> = expected.map(|number| format!("m{number}")).collect();
        assert_eq!(found, expected, "{command}");
        let stored = ask(&mut connection, &format!("{command}store a2 a b"));
        assert_eq!(stored, Reply::count(expected.len() as u64));
        let members: BTreeSet<String> = items(ask(&mut connection, "smembers a2")).into_iter().collect();
        assert_eq!(members, expected);
    }
    assert_eq!(ask(&mut connection, "sintercard 2 a b limit 7"), Reply::Integer(7));
    // A target may be one of the sources.
    assert_eq!(ask(&mut connection, "sdiffstore a a b"), Reply::Integer(300));
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// Removes records of a collection behind its back, as a repair may leave it without them: those from number
/// `from` on.
fn lose(store: &Store, name: &str, kind: u8, from: usize) {
    let mut unit = store.unit();
    let key = Key { keyspace: unit.keyspace(0).unwrap(), name: name.as_bytes() };
    let meta = unit.meta(key).unwrap().unwrap();
    let prefix = key::kind_prefix(key.keyspace, meta.incarnation, kind);
    let mut lost = Vec::new();
    let mut cursor = unit.cursor(Table::Elements, &prefix).unwrap();
    let mut found = cursor.seek_to_first().unwrap();
    while found {
        lost.push(cursor.key().to_vec());
        found = cursor.next().unwrap();
    }
    drop(cursor);
    lost.into_iter().skip(from).for_each(|record| unit.delete(Table::Elements, record));
    unit.commit().unwrap();
}

#[test]
fn members_by_chance_of_a_collection_that_has_lost_them_are_an_error() {
    let store = store();
    let mut connection = Connection::new(&store);
    fill(&mut connection, "s", 0..500);
    for number in 0..500 {
        ask(&mut connection, &format!("hset h f{number} v"));
    }
    let lines = |name: &str, commands: &[&str]| -> Vec<String> {
        commands.iter().map(|command| command.replace('@', name)).collect()
    };
    let one = ["srandmember @", "srandmember @ -3", "hrandfield @", "hrandfield @ -3 withvalues"];
    let many = ["srandmember @ 5", "spop @ 5", "hrandfield @ 5", "hrandfield @ 5 withvalues"];
    let of = |name: &str, line: &String| (line.starts_with('h')) == (name == "h");
    let mut refused = |line: &str| match ask(&mut connection, line) {
        Reply::Error(text) => assert!(text.starts_with("ERR corrupt data: fewer members"), "{line}: {text}"),
        reply => panic!("{line}: {reply:?}"),
    };
    for (name, kind) in [("s", key::kind::MEMBER), ("h", key::kind::FIELD)] {
        // Fewer than are wanted: what is left is found all the same.
        lose(&store, name, kind, 2);
        let of_this = |line: &String| of(name, line);
        lines(name, &many).iter().filter(|line| of_this(line)).for_each(|line| refused(line));
        let mut other = Connection::new(&store);
        for line in lines(name, &one).iter().filter(|line| of_this(line)) {
            assert!(!ask(&mut other, line).is_error(), "{line}");
        }
        lose(&store, name, kind, 0);
        let all = [lines(name, &one), lines(name, &many)].concat();
        all.iter().filter(|line| of_this(line)).for_each(|line| refused(line));
    }
    refused("spop s");
}
