//! Names of runs of the smallest and the largest byte, and scores at the ends: read in both orders, by
//! rank, by score and by name, and walked over, they are what a sorted list says.

use super::connection::Connection;
use super::reply::Reply;
use crate::store::Store;
use esker::base::random::Random;
use esker::fs::{Fs, SimFs};
use std::collections::{BTreeMap, BTreeSet};

const SCORES: &[&str] =
    &["-inf", "-1.7976931348623157e308", "-1", "-5e-324", "-0", "0", "5e-324", "1e300", "inf"];

fn store() -> Store {
    let builder = Store::builder("/data").deterministic(1);
    builder.engine(|engine| engine.fs(Fs::Sim(SimFs::new())).memory_budget(16 << 20)).open().unwrap()
}

fn name(random: &Random) -> Vec<u8> {
    let mut name = Vec::new();
    for _ in 0..1 + random.below(4) {
        let byte = [0x00, 0xff, 0x00, 0xff, 0x01, 0xfe, b'm'][random.below(7) as usize];
        name.extend(vec![byte; 1 + random.below(40) as usize]);
    }
    name
}

fn ask(connection: &mut Connection, args: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    connection.execute(args).reply.encode(super::reply::Protocol::Resp2, &mut bytes);
    unpacked(&bytes)
}

/// The byte strings of an array on the wire.
fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let number = |from: usize| {
        let len = bytes[from..].windows(2).position(|pair| pair == b"\r\n").expect("a line");
        let text = std::str::from_utf8(&bytes[from + 1..from + len]).expect("a number");
        (text.parse::<usize>().expect("a number"), from + len + 2)
    };
    let (count, mut at) = number(0);
    let mut items = Vec::new();
    for _ in 0..count {
        let (len, from) = number(at);
        items.push(bytes[from..from + len].to_vec());
        at = from + len + 2;
    }
    items
}

fn sorted_set(connection: &mut Connection, random: &Random, count: usize) -> Vec<(f64, Vec<u8>)> {
    let mut model: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
    for _ in 0..count {
        let (member, score) = (name(random), SCORES[random.below(SCORES.len() as u64) as usize]);
        connection.execute(&[b"zadd".as_slice(), b"z", score.as_bytes(), &member]);
        model.insert(member, score.parse().expect("a score"));
    }
    let mut sorted: Vec<(f64, Vec<u8>)> = model.into_iter().map(|(member, score)| (score, member)).collect();
    sorted.sort_by(|a, b| a.0.partial_cmp(&b.0).expect("numbers").then(a.1.cmp(&b.1)));
    sorted
}

#[test]
fn members_of_every_score_are_read_in_both_orders() {
    // In the header, and with records of their own.
    for count in [20, 600] {
        let (store, random) = (store(), Random::seeded(count));
        let mut connection = Connection::new(&store);
        let sorted = sorted_set(&mut connection, &random, count as usize);
        let members: Vec<Vec<u8>> = sorted.iter().map(|(_, member)| member.clone()).collect();
        let turned: Vec<Vec<u8>> = members.iter().rev().cloned().collect();
        assert_eq!(ask(&mut connection, &[b"zrange", b"z", b"0", b"-1"]), members);
        assert_eq!(ask(&mut connection, &[b"zrevrange", b"z", b"0", b"-1"]), turned);
        assert_eq!(ask(&mut connection, &[b"zrangebyscore", b"z", b"-inf", b"inf"]), members);
        assert_eq!(ask(&mut connection, &[b"zrevrangebyscore", b"z", b"inf", b"-inf"]), turned);
        for edge in SCORES {
            let value: f64 = edge.parse().unwrap();
            let of = |is: &dyn Fn(f64) -> bool| -> Vec<Vec<u8>> {
                sorted.iter().filter(|(score, _)| is(*score)).map(|(_, member)| member.clone()).collect()
            };
            let open = format!("({edge}");
            let asked = ask(&mut connection, &[b"zrangebyscore", b"z", edge.as_bytes(), edge.as_bytes()]);
            assert_eq!(asked, of(&|score| score == value), "{edge}");
            let asked = ask(&mut connection, &[b"zrangebyscore", b"z", open.as_bytes(), b"inf"]);
            assert_eq!(asked, of(&|score| score > value), "above {edge}");
            let asked = ask(&mut connection, &[b"zrangebyscore", b"z", b"-inf", open.as_bytes()]);
            assert_eq!(asked, of(&|score| score < value), "below {edge}");
        }
        for (rank, member) in members.iter().enumerate() {
            let found = connection.execute(&[b"zrank".as_slice(), b"z", member]).reply;
            assert_eq!(found, Reply::Integer(rank as i64), "{}", member.escape_ascii());
        }
        assert!(store.verify().unwrap().is_clean());
    }
}

#[test]
fn members_of_one_score_are_read_by_name_in_both_orders() {
    let (store, random) = (store(), Random::seeded(7));
    let mut connection = Connection::new(&store);
    let names: BTreeSet<Vec<u8>> = (0..500).map(|_| name(&random)).collect();
    for (at, member) in names.iter().enumerate() {
        // -0 and 0 are one score.
        let score: &[u8] = if at % 2 == 0 { b"-0" } else { b"0" };
        connection.execute(&[b"zadd".as_slice(), b"z", score, member]);
    }
    let all: Vec<Vec<u8>> = names.iter().cloned().collect();
    let turned: Vec<Vec<u8>> = names.iter().rev().cloned().collect();
    assert_eq!(ask(&mut connection, &[b"zrangebylex", b"z", b"-", b"+"]), all);
    assert_eq!(ask(&mut connection, &[b"zrevrangebylex", b"z", b"+", b"-"]), turned);
    for (at, member) in all.iter().enumerate().step_by(7) {
        let (closed, open) = ([b"[", &member[..]].concat(), [b"(", &member[..]].concat());
        assert_eq!(ask(&mut connection, &[b"zrangebylex", b"z", &closed, b"+"]), all[at..]);
        assert_eq!(ask(&mut connection, &[b"zrangebylex", b"z", b"-", &open]), all[..at]);
    }
}

#[test]
fn walks_show_every_name_once() {
    let (store, random) = (store(), Random::seeded(9));
    let mut connection = Connection::new(&store);
    let names: BTreeSet<Vec<u8>> = (0..400).map(|_| name(&random)).collect();
    for key in &names {
        connection.execute(&[b"set".as_slice(), key, b"v"]);
        connection.execute(&[b"hset".as_slice(), b"h", key, b"v"]);
        connection.execute(&[b"sadd".as_slice(), b"s", key]);
    }
    connection.execute(&["select", "1"]);
    connection.execute(&["set", "elsewhere", "v"]);
    connection.execute(&["select", "0"]);
    let mut fields = ask(&mut connection, &[b"hkeys", b"h"]);
    fields.sort_unstable();
    assert!(fields.iter().eq(&names));
    let mut members = ask(&mut connection, &[b"smembers", b"s"]);
    members.sort_unstable();
    assert!(members.iter().eq(&names));
    let (mut cursor, mut found) = (b"0".to_vec(), Vec::new());
    loop {
        let Reply::Array(parts) = connection.execute(&[b"scan".as_slice(), &cursor, b"count", b"7"]).reply
        else {
            panic!("a page")
        };
        let [Reply::Bulk(next), page] = &parts[..] else { panic!("a cursor and keys") };
        let mut bytes = Vec::new();
        page.encode(super::reply::Protocol::Resp2, &mut bytes);
        found.extend(unpacked(&bytes));
        cursor.clone_from(next);
        if cursor == b"0" {
            break;
        }
    }
    found.retain(|key| key != b"h" && key != b"s");
    found.sort_unstable();
    assert!(found.iter().eq(&names), "{} of {}", found.len(), names.len());
    assert!(store.verify().unwrap().is_clean());
}
