//! Lists against a model: long ones, changed in the middle, with the counts checked.

use super::{Connection, Reply};
use crate::store::Store;
use esker::base::random::Random;
use esker::fs::{Fs, SimFs};
use std::collections::VecDeque;

fn store() -> Store {
    let builder = Store::builder("/data").deterministic(1);
    builder.engine(|engine| engine.fs(Fs::Sim(SimFs::new()))).open().unwrap()
}

/// A list beside its model.
struct Both {
    store: Store,
    connection: Connection,
    model: VecDeque<String>,
}

impl Both {
    fn new() -> Both {
        let store = store();
        Both { connection: Connection::new(&store), store, model: VecDeque::new() }
    }

    fn ask(&mut self, line: &str) -> Reply {
        self.connection.execute(&line.split(' ').collect::<Vec<_>>()).reply
    }

    fn push(&mut self, left: bool, value: String) {
        let reply = self.ask(&format!("{} l {value}", if left { "lpush" } else { "rpush" }));
        if left {
            self.model.push_front(value);
        } else {
            self.model.push_back(value);
        }
        assert_eq!(reply, Reply::count(self.model.len() as u64));
    }

    fn pop(&mut self, left: bool, count: usize) {
        let reply = self.ask(&format!("{} l {count}", if left { "lpop" } else { "rpop" }));
        let mut popped = Vec::new();
        for _ in 0..count.min(self.model.len()) {
            popped.extend(if left { self.model.pop_front() } else { self.model.pop_back() });
        }
        assert_eq!(reply, Reply::bulks(popped));
    }

    fn insert(&mut self, at: usize, before: bool, value: String) {
        let pivot = self.model[at].clone();
        let place = if before { "before" } else { "after" };
        let reply = self.ask(&format!("linsert l {place} {pivot} {value}"));
        self.model.insert(if before { at } else { at + 1 }, value);
        assert_eq!(reply, Reply::count(self.model.len() as u64));
    }

    fn remove(&mut self, at: usize) {
        let value = self.model.remove(at).unwrap();
        assert_eq!(self.ask(&format!("lrem l 0 {value}")), Reply::Integer(1));
    }

    fn trim(&mut self, left: usize, right: usize) {
        let stop = self.model.len() - right;
        assert_eq!(self.ask(&format!("ltrim l {left} {}", stop as i64 - 1)), Reply::OK);
        self.model = self.model.iter().take(stop).skip(left).cloned().collect();
    }

    fn index(&mut self, at: usize) {
        assert_eq!(self.ask(&format!("lindex l {at}")), Reply::Bulk(self.model[at].clone().into_bytes()));
    }

    fn check(&mut self) {
        let all = self.ask("lrange l 0 -1");
        assert_eq!(all, Reply::bulks(self.model.iter().cloned()));
        let report = self.store.verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }
}

#[test]
fn long_lists_are_those_of_the_model() {
    for seed in 0..6 {
        let random = Random::seeded(seed);
        let mut list = Both::new();
        for at in 0..1500 {
            list.push(random.below(4) == 0, format!("a{at}"));
        }
        for round in 0..600 {
            let length = list.model.len() as u64;
            let at = random.below(length.max(1)) as usize;
            match random.below(20) {
                0..=3 => list.push(random.below(2) == 0, format!("b{round}")),
                4..=6 => list.pop(random.below(2) == 0, 1 + random.below(3) as usize),
                7 => list.pop(random.below(2) == 0, random.below(60) as usize),
                8 if random.below(3) == 0 => list.trim(random.below(90) as usize, random.below(90) as usize),
                9..=13 => list.insert(at, random.below(2) == 0, format!("c{round}")),
                14..=16 => list.remove(at),
                _ => list.index(at),
            }
            if list.model.len() < 300 {
                (0..300).for_each(|more| list.push(false, format!("d{round}.{more}")));
            }
            if round % 25 == 0 {
                list.check();
            }
        }
        (0..list.model.len()).step_by(7).for_each(|at| list.index(at));
        list.check();
    }
}

#[test]
fn insertions_at_one_place_find_room() {
    let mut list = Both::new();
    (0..200).for_each(|at| list.push(false, format!("a{at}")));
    for at in 0..3000 {
        // Behind the same element, and in front of another, next to it.
        let (place, before) = if at % 2 == 0 { (3, false) } else { (5, true) };
        list.insert(place, before, format!("b{at}"));
    }
    list.check();
    (0..list.model.len()).step_by(50).for_each(|at| list.index(at));
}

#[test]
fn a_list_that_is_full_from_end_to_end_is_written_anew() {
    let mut list = Both::new();
    (0..200).for_each(|at| list.push(false, format!("a{at}")));
    list.trim(100, 98);
    assert_eq!(list.model.len(), 2);
    (0..1500).for_each(|at| list.insert(0, false, format!("b{at}")));
    list.check();
    list.trim(700, 100);
    list.check();
    (0..list.model.len()).step_by(20).for_each(|at| list.index(at));
}

#[test]
fn holes_are_passed_when_an_end_meets_them() {
    for left in [true, false] {
        let mut list = Both::new();
        (0..600).for_each(|at| list.push(!left, format!("a{at}")));
        for _ in 0..400 {
            let at = if left { 1 } else { list.model.len() - 2 };
            list.remove(at);
        }
        list.check();
        list.pop(left, 1);
        list.check();
        for at in 0..100 {
            list.push(left, format!("b{at}"));
        }
        list.check();
        while !list.model.is_empty() {
            list.pop(left, 1);
        }
        assert_eq!(list.ask("exists l"), Reply::Integer(0));
        list.check();
    }
}
