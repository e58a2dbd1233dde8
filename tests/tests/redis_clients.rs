//! Connections at the same time: what they are answered has an order that explains it, transactions are
//! whole, and what one relied on with WATCH still held when its EXEC went on. In one process, over the wire
//! to `esker serve`, and, to try the judge as well, to a real `redis-server`.
//!
//! `ESKER_CLIENTS_HISTORIES` says how many histories are judged, `ESKER_CLIENTS_SEED` from which seed on.

use esker::base::random::Random;
use esker_structures::Store;
use esker_structures::command::Connection;
use esker_tests::linear::{What, check, overlapping, shown};
use esker_tests::redis::{Client, Line, Raced, Server, Value, race};
use esker_tests::served::Served;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the connections lead to.
enum Behind {
    /// A store in this process, and its directory.
    Inside { store: Store, _dir: tempfile::TempDir },
    /// `esker serve`.
    Served { server: Served, _dir: tempfile::TempDir },
    /// A real `redis-server`.
    Redis(Server),
}

impl Behind {
    fn inside() -> Behind {
        let dir = tempfile::tempdir().unwrap();
        Behind::Inside { store: Store::open(dir.path()).unwrap(), _dir: dir }
    }

    fn served(mode: &str) -> Behind {
        let dir = tempfile::tempdir().unwrap();
        let server = Served::start(PROGRAM, dir.path(), &["--durability", mode]);
        Behind::Served { server, _dir: dir }
    }

    /// All that there are; Redis only where it is installed.
    fn all() -> Vec<(&'static str, Behind)> {
        let ours = [
            ("inside", Behind::inside()),
            ("served, os", Behind::served("os")),
            ("served, sync", Behind::served("sync")),
        ];
        let redis = Server::start().map(|server| ("redis-server", Behind::Redis(server)));
        ours.into_iter().chain(redis).collect()
    }

    fn line(&self) -> Line {
        match self {
            Behind::Inside { store, .. } => Line::Inside(Box::new(Connection::new(store))),
            Behind::Served { server, .. } => Line::Wire(Client::new(server.stream())),
            Behind::Redis(server) => Line::Wire(server.connect()),
        }
    }

    fn lines(&self, count: usize) -> Vec<Line> {
        self.line().ask(&["flushall"]);
        (0..count).map(|_| self.line()).collect()
    }
}

#[test]
fn connections_agree_on_one_order() {
    let (histories, first) = (number("ESKER_CLIENTS_HISTORIES", 240), number("ESKER_CLIENTS_SEED", 1));
    let behind = Behind::all();
    let (mut calls, mut beside, mut went_on, mut refused) = (0, 0, 0, 0);
    for seed in first..first + histories {
        // The other server tries the judge: a few times will do.
        let ours = behind.iter().filter(|(name, _)| *name != "redis-server").count();
        let at = if seed.is_multiple_of(8) { behind.len() - 1 } else { (seed % ours as u64) as usize };
        let (name, behind) = &behind[at];
        let raced = race(behind.lines(4 + (seed % 3) as usize), seed, 10);
        let about = || format!("{name}, seed {seed}");
        match check(&raced.calls) {
            Ok(None) => {}
            Ok(Some(part)) => panic!("{}: no order explains\n{}", about(), shown(&part)),
            Err(undecided) => panic!("{}: {undecided:?}\n{}", about(), shown(&raced.calls)),
        }
        let for_nothing = raced.refused_for_nothing();
        assert!(for_nothing.is_empty(), "{}: {for_nothing:?}\n{}", about(), shown(&raced.calls));
        calls += raced.calls.len();
        beside += overlapping(&raced.calls);
        went_on += raced.went_on;
        refused += raced.refused.len();
    }
    esker_tests::figure!(
        "{histories} histories of 4 to 6 connections at once from seed {first}, {calls} calls, {beside} of \
         them beside others, {went_on} EXECs that relied on keys and {refused} refused: all linearizable"
    );
    assert!(beside * 20 > calls, "only {beside} of {calls} calls had another beside them");
    assert!(went_on > 0);
}

/// The judge is not blind: a read of what nobody wrote, half an EXEC, and a lost update are seen.
#[test]
fn the_judge_sees_what_cannot_be() {
    let raced = race(Behind::inside().lines(4), 7, 10);
    assert!(check(&raced.calls).unwrap().is_none());
    let spoilt = |spoil: &dyn Fn(&mut What) -> bool| {
        let Raced { mut calls, .. } = race(Behind::inside().lines(1), 3, 60);
        assert!(check(&calls).unwrap().is_none());
        assert!(calls.iter_mut().rev().any(|call| spoil(&mut call.what)), "there is no such call");
        check(&calls).unwrap().is_some()
    };
    assert!(spoilt(&|what| match what {
        What::Read { cells } => {
            cells[0].1 = 100_000;
            true
        }
        _ => false,
    }));
    assert!(spoilt(&|what| match what {
        What::Update { read, .. } if read.len() > 1 => {
            read[0].1 += 1;
            true
        }
        _ => false,
    }));
}

/// How many rely on one key at the same time.
const RIVALS: usize = 4;

/// Of those who relied on a key before any of them changed it, exactly one goes on: whoever is first.
#[test]
fn of_all_who_rely_on_a_key_one_goes_on() {
    let rounds = number("ESKER_CLIENTS_HISTORIES", 240).min(2_000) / 4;
    for (name, behind) in Behind::all() {
        let mut lines = behind.lines(RIVALS);
        for round in 0..rounds {
            let key = format!("counter{}", round % 2);
            let rely = |line: &mut Line| {
                line.ask(&[format!("watch {key}")]);
                match line.ask(&[format!("hget {key} sum")]).remove(0) {
                    Value::Bulk(None) => 0,
                    held => texts(&held)[0].parse::<u64>().unwrap(),
                }
            };
            let held: Vec<u64> = lines.iter_mut().map(rely).collect();
            let went_on: Vec<bool> = thread::scope(|scope| {
                let run = |(number, (line, held)): (usize, (_, u64))| {
                    let writes = [format!("hset {key} sum {}", held + 1), format!("rpush journal {round}")];
                    scope.spawn(move || Line::transact(line, &writes, number % 2 == 0).is_some())
                };
                let threads: Vec<_> = lines.iter_mut().zip(held).enumerate().map(run).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let winners = went_on.iter().filter(|went_on| **went_on).count();
            assert_eq!(winners, 1, "{name}, round {round}");
        }
        let text = |text: String| Value::Bulk(Some(text.into_bytes()));
        let found = behind.line().ask(&["hget counter0 sum", "hget counter1 sum", "lrange journal 0 -1"]);
        let journal = (0..rounds).map(|round| text(round.to_string())).collect();
        let sums = [rounds.div_ceil(2), rounds / 2].map(|sum| text(sum.to_string()));
        assert_eq!(found, [&sums[..], &[Value::Array(Some(journal))]].concat(), "{name}");
    }
}

/// Two transactions each read what the other writes: one of them is the second, and sees what the first
/// wrote.
#[test]
fn of_two_that_read_what_the_other_writes_one_sees_it() {
    let rounds = number("ESKER_CLIENTS_HISTORIES", 240).min(2_000) as usize * 8;
    for (name, behind) in Behind::all() {
        let rounds = if matches!(behind, Behind::Inside { .. }) { rounds } else { rounds / 8 };
        let (arrived, at_work) = (AtomicU64::new(0), AtomicU64::new(2));
        let saw: Vec<Vec<Value>> = thread::scope(|scope| {
            let (arrived, at_work) = (&arrived, &at_work);
            let run = |(own, mut line): (usize, Line)| {
                let leaving = Leaving(at_work);
                scope.spawn(move || {
                    let _leaving = leaving;
                    let mut saw = Vec::new();
                    for round in 0..rounds {
                        // Keys of the round, which nobody has written before.
                        let (mine, other) = (format!("x{own}:{round}"), format!("x{}:{round}", 1 - own));
                        let lines = [format!("get {other}"), format!("set {mine} 1")];
                        arrived.fetch_add(1, Ordering::AcqRel);
                        let both = 2 * (round as u64 + 1);
                        while arrived.load(Ordering::Acquire) < both && at_work.load(Ordering::Acquire) == 2 {
                            std::hint::spin_loop();
                        }
                        saw.push(line.transact(&lines, true).expect("nothing was watched").remove(0));
                    }
                    saw
                })
            };
            let threads: Vec<_> = behind.lines(2).into_iter().enumerate().map(run).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let blind =
            (0..rounds).filter(|round| saw.iter().all(|saw| saw[*round] == Value::Bulk(None))).count();
        assert_eq!(blind, 0, "{name}: of {rounds} rounds");
    }
}

const ACCOUNTS: u64 = 5;
const FIRST: u64 = 100;
/// Connections that move money, and those that look.
const TELLERS: u64 = 4;
const AUDITORS: u64 = 2;

fn texts(reply: &Value) -> Vec<String> {
    match reply {
        Value::Array(Some(items)) => items.iter().flat_map(texts).collect(),
        Value::Bulk(Some(text)) => vec![String::from_utf8_lossy(text).into_owned()],
        other => panic!("{other:?}"),
    }
}

/// Moves money, by WATCH or without; returns the names of the transfers that were done, and how often
/// somebody else was first.
fn tell(line: &mut Line, teller: u64, seed: u64, transfers: u64) -> (Vec<String>, u64) {
    let random = Random::seeded(seed * 64 + teller);
    let (mut done, mut refused) = (Vec::new(), 0);
    for number in 0..transfers {
        let (from, step) = (random.below(ACCOUNTS), 1 + random.below(ACCOUNTS - 1));
        let (to, name) = ((from + step) % ACCOUNTS, format!("t{teller}.{number}"));
        loop {
            line.ask(&[format!("watch a{from} a{to}")]);
            let held: Vec<u64> = texts(&line.ask(&[format!("mget a{from} a{to}")])[0])
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
            let amount = (1 + random.below(30)).min(held[0]);
            let journal = format!("rpush journal {name}:{from}:{to}:{amount}");
            // Half of the time what was read is written, so that an update that is lost makes money.
            let writes = if random.below(2) == 0 {
                [format!("set a{from} {}", held[0] - amount), format!("set a{to} {}", held[1] + amount)]
            } else {
                [format!("decrby a{from} {amount}"), format!("incrby a{to} {amount}")]
            };
            let [take, give] = writes;
            match line.transact(&[take, journal, give], random.below(2) == 0) {
                Some(_) => break done.push(name.clone()),
                None => refused += 1,
            }
        }
    }
    (done, refused)
}

/// One fewer is at work when this goes, however its thread ends.
struct Leaving<'l>(&'l AtomicU64);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The accounts are what the journal says, whose beginning was there before.
fn audit(line: &mut Line, seen: &mut Vec<String>) {
    let accounts: Vec<String> = (0..ACCOUNTS).map(|account| format!("a{account}")).collect();
    let asked = [format!("mget {}", accounts.join(" ")), "lrange journal 0 -1".to_owned()];
    let replies = line.transact(&asked, true).unwrap();
    let (balances, journal) = (texts(&replies[0]), texts(&replies[1]));
    let mut expected = [FIRST; ACCOUNTS as usize];
    for entry in &journal {
        let parts: Vec<&str> = entry.split(':').collect();
        let number = |at: usize| parts[at].parse::<u64>().unwrap();
        expected[number(1) as usize] -= number(3);
        expected[number(2) as usize] += number(3);
    }
    assert_eq!(balances, expected.map(|balance| balance.to_string()), "{journal:?}");
    assert!(journal.starts_with(seen), "what was in the journal is gone");
    *seen = journal;
}

#[test]
fn sums_hold_among_connections() {
    let transfers = number("ESKER_CLIENTS_HISTORIES", 240).min(4_000) / 4;
    let (mut all, mut refused) = (0, 0);
    for (seed, (name, behind)) in (1..).zip(Behind::all()) {
        let mut line = behind.lines(1).remove(0);
        (0..ACCOUNTS).for_each(|account| drop(line.ask(&[format!("set a{account} {FIRST}")])));
        let left = AtomicU64::new(TELLERS);
        let told: Vec<(Vec<String>, u64)> = thread::scope(|scope| {
            let left = &left;
            for _ in 0..AUDITORS {
                let mut line = behind.line();
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    while left.load(Ordering::Acquire) > 0 {
                        audit(&mut line, &mut seen);
                    }
                });
            }
            let run = |teller| {
                let mut line = behind.line();
                let leaving = Leaving(left);
                scope.spawn(move || {
                    let _leaving = leaving;
                    tell(&mut line, teller, seed, transfers)
                })
            };
            let threads: Vec<_> = (0..TELLERS).map(run).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut journal = Vec::new();
        audit(&mut line, &mut journal);
        let name_of = |entry: &String| entry.split(':').next().unwrap_or_default().to_owned();
        let found: BTreeSet<String> = journal.iter().map(name_of).collect();
        let done: BTreeSet<String> = told.iter().flat_map(|(done, _)| done.clone()).collect();
        assert_eq!((journal.len(), found), (done.len(), done), "{name}");
        all += journal.len();
        refused += told.iter().map(|(_, refused)| refused).sum::<u64>();
    }
    esker_tests::figure!(
        "bank over connections: {all} transfers by {TELLERS} at the same time, {refused} times another was \
         first, while {AUDITORS} looked: sums hold"
    );
}
