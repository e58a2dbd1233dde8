//! Random changes to sorted sets beside a model of two maps; what is asked by index, score and name agrees.

use super::{Add, Aggregate, Entry, LexBound, Range, ScoreRange, Window};
use crate::encoding::scored::place;
use crate::store::{Access, Key, Store, Unit};
use crate::zset;
use esker::base::random::Random;
use esker::fs::{Fs, SimFs};
use std::collections::{BTreeMap, BTreeSet};

fn store(seed: u64) -> Store {
    let fs = Fs::Sim(SimFs::new());
    let builder = Store::builder("/data").deterministic(seed);
    builder.engine(|engine| engine.fs(fs).memory_budget(16 << 20)).open().unwrap()
}

fn with<T>(store: &Store, access: Access, body: impl FnOnce(&mut Unit<'_>, Key<'_>) -> T) -> T {
    let mut unit = store.unit();
    unit.begin(access);
    let key = Key { keyspace: unit.keyspace(0).unwrap(), name: b"board" };
    if access == Access::Write {
        unit.lock([key]).unwrap();
    }
    let result = body(&mut unit, key);
    unit.commit().unwrap();
    result
}

#[derive(Default)]
struct Model {
    scores: BTreeMap<Vec<u8>, f64>,
    places: BTreeSet<Vec<u8>>,
}

impl Model {
    fn set(&mut self, member: &[u8], score: f64) {
        self.remove(member);
        self.scores.insert(member.to_vec(), score);
        self.places.insert(place(score, member));
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.scores.remove(member) else { return false };
        self.places.remove(&place(score, member))
    }

    fn entries(&self) -> Vec<Entry> {
        let split = crate::encoding::scored::split_place;
        let entry = |(score, member): (f64, &[u8])| (member.to_vec(), score);
        self.places.iter().map(|place| entry(split(place).unwrap())).collect()
    }
}

/// One change to both; members are numbers below `names`.
fn change(store: &Store, model: &mut Model, random: &Random, names: u64) {
    let name = |random: &Random| format!("m{}", random.below(names)).into_bytes();
    with(store, Access::Write, |unit, key| match random.below(12) {
        0..=4 => {
            let members: Vec<(f64, Vec<u8>)> = (0..1 + random.below(30))
                .map(|_| ((random.below(names / 4 + 1) as f64) / 2.0 - 3.0, name(random)))
                .collect();
            let given: Vec<(f64, &[u8])> = members.iter().map(|(s, m)| (*s, &m[..])).collect();
            let before = model.scores.len();
            members.iter().for_each(|(score, member)| model.set(member, *score));
            let done = zset::add(unit, key, &given, Add::default()).unwrap();
            assert_eq!(done.added as usize, model.scores.len() - before);
        }
        5..=6 => {
            let (member, by) = (name(random), random.below(9) as f64 - 4.0);
            let sum = model.scores.get(&member).copied().unwrap_or(0.0) + by;
            model.set(&member, sum);
            let options = Add { increment: true, ..Add::default() };
            assert_eq!(zset::add(unit, key, &[(by, &member)], options).unwrap().score, Some(sum));
        }
        7..=8 => {
            let members: Vec<Vec<u8>> = (0..1 + random.below(8)).map(|_| name(random)).collect();
            let gone = members.iter().filter(|member| model.remove(member)).count();
            let members: Vec<&[u8]> = members.iter().map(|member| &member[..]).collect();
            assert_eq!(zset::remove(unit, key, &members).unwrap() as usize, gone);
        }
        9..=10 => {
            let (greatest, count) = (random.below(2) == 0, random.below(20));
            let mut expected = model.entries();
            if greatest {
                expected.reverse();
            }
            expected.truncate(count as usize);
            expected.iter().for_each(|(member, _)| assert!(model.remove(member)));
            assert_eq!(zset::pop(unit, key, greatest, count).unwrap(), expected);
        }
        _ => {
            let from = random.below(names / 8 + 1) as f64 - 3.0;
            let range = Range::Score((from..=from + 2.0).into());
            let gone: Vec<Entry> =
                model.entries().into_iter().filter(|(_, s)| (from..=from + 2.0).contains(s)).collect();
            gone.iter().for_each(|(member, _)| assert!(model.remove(member)));
            assert_eq!(zset::remove_range(unit, key, &range).unwrap() as usize, gone.len());
        }
    });
}

fn questions(store: &Store, model: &Model, random: &Random) {
    let all = model.entries();
    with(store, Access::Read, |unit, key| {
        assert_eq!(zset::length(unit, key).unwrap() as usize, all.len());
        assert_eq!(zset::members(unit, key, &Range::ALL, Window::ALL).unwrap(), all);
        let length = all.len() as u64;
        for _ in 0..8 {
            let (from, count) = (random.below(length + 2), random.below(5));
            let range = Range::Rank(from as i64, (from + count) as i64);
            let expected: Vec<Entry> =
                all.iter().skip(from as usize).take(count as usize + 1).cloned().collect();
            assert_eq!(zset::members(unit, key, &range, Window::ALL).unwrap(), expected);
            let expected: Vec<Entry> =
                all.iter().rev().skip(from as usize).take(count as usize + 1).cloned().collect();
            assert_eq!(zset::members(unit, key, &range, Window::REVERSED).unwrap(), expected);
            let Some((member, score)) = all.get(random.below(length + 1) as usize) else { continue };
            let at = all.iter().position(|entry| entry.0 == *member).unwrap() as u64;
            assert_eq!(zset::rank(unit, key, member, false).unwrap(), Some((at, *score)));
            assert_eq!(zset::rank(unit, key, member, true).unwrap(), Some((length - 1 - at, *score)));
            let range = ScoreRange {
                min: *score,
                min_open: random.below(2) == 0,
                max: score + random.below(9) as f64,
                max_open: random.below(2) == 0,
            };
            let inside = |score: f64| {
                (if range.min_open { score > range.min } else { score >= range.min })
                    && (if range.max_open { score < range.max } else { score <= range.max })
            };
            let mut expected: Vec<Entry> = all.iter().filter(|(_, s)| inside(*s)).cloned().collect();
            let range = Range::Score(range);
            assert_eq!(zset::count(unit, key, &range).unwrap() as usize, expected.len());
            let (offset, limit) = (random.below(100), random.below(10));
            let cut = |entries: &[Entry]| -> Vec<Entry> {
                entries.iter().skip(offset as usize).take(limit as usize).cloned().collect()
            };
            let found = zset::members(unit, key, &range, Window { offset, limit, ..Window::ALL }).unwrap();
            assert_eq!(found, cut(&expected));
            expected.reverse();
            let window = Window { offset, limit, ..Window::REVERSED };
            assert_eq!(zset::members(unit, key, &range, window).unwrap(), cut(&expected));
        }
        let chosen = zset::random_distinct(unit, key, 5).unwrap();
        let distinct: BTreeSet<&Vec<u8>> = chosen.iter().map(|(member, _)| member).collect();
        assert_eq!(distinct.len() as u64, length.min(5));
        assert!(chosen.iter().all(|(member, score)| model.scores.get(member) == Some(score)));
    });
}

#[test]
fn a_sorted_set_is_its_model() {
    for (seed, names, steps) in [(1, 30, 80), (2, 300, 80), (3, 3000, 120), (4, 100_000, 150)] {
        let (store, random, mut model) = (store(seed), Random::seeded(seed), Model::default());
        if names > 10_000 {
            // Enough for two levels of counts from the start, and a third set of boundaries to split.
            let members: Vec<(f64, Vec<u8>)> =
                (0..5_000).map(|at| (f64::from(at / 3), format!("m{at}").into_bytes())).collect();
            members.iter().for_each(|(score, member)| model.set(member, *score));
            let given: Vec<(f64, &[u8])> = members.iter().map(|(s, m)| (*s, &m[..])).collect();
            with(&store, Access::Write, |unit, key| zset::add(unit, key, &given, Add::default())).unwrap();
        }
        for step in 0..steps {
            change(&store, &mut model, &random, names);
            questions(&store, &model, &random);
            let report = store.verify().unwrap();
            assert!(report.is_clean(), "seed {seed}, step {step}: {:?}", report.findings);
        }
        let streamed: crate::base::error::Result<Vec<Entry>> =
            store.db(0).zset("board").entries(f64::NEG_INFINITY..=f64::INFINITY).unwrap().collect();
        assert_eq!(streamed.unwrap(), model.entries());
        let (mut cursor, mut scanned) = (0, BTreeMap::new());
        loop {
            let (next, page) =
                with(&store, Access::Read, |unit, key| zset::scan(unit, key, cursor, 10)).unwrap();
            scanned.extend(page);
            if next == 0 {
                break;
            }
            cursor = next;
        }
        assert_eq!(scanned, model.scores);
    }
}

#[test]
fn names_of_one_score_are_ranges() {
    let store = store(9);
    let names: Vec<Vec<u8>> = (0..400).map(|at| format!("n{at:03}").into_bytes()).collect();
    let members: Vec<(f64, &[u8])> = names.iter().map(|name| (0.0, &name[..])).collect();
    for count in [50, 400] {
        with(&store, Access::Write, |unit, key| zset::add(unit, key, &members[..count], Add::default()))
            .unwrap();
        with(&store, Access::Read, |unit, key| {
            let at = |member, open| LexBound::At { member, open };
            for (min, max, expected) in [
                (LexBound::Lowest, LexBound::Highest, (0, count)),
                (at(b"n010", false), at(b"n012", false), (10, 13)),
                (at(b"n010", true), at(b"n012", true), (11, 12)),
                (at(b"n010", true), at(b"n010", false), (0, 0)),
                (at(b"n045", false), LexBound::Highest, (45, count)),
                (LexBound::Highest, LexBound::Lowest, (0, 0)),
                (LexBound::Lowest, at(b"", false), (0, 0)),
            ] {
                let range = Range::Lex(min, max);
                let found = zset::members(unit, key, &range, Window::ALL).unwrap();
                let found: Vec<&[u8]> = found.iter().map(|(member, _)| &member[..]).collect();
                let expected: Vec<&[u8]> =
                    names[expected.0..expected.1].iter().map(|name| &name[..]).collect();
                assert_eq!(found, expected, "{count} {min:?} {max:?}");
                assert_eq!(zset::count(unit, key, &range).unwrap() as usize, expected.len());
            }
        });
    }
}

#[test]
fn scores_taken_together() {
    assert_eq!(Aggregate::Sum.of(f64::INFINITY, f64::NEG_INFINITY), 0.0);
    assert_eq!(Aggregate::Min.of(1.0, -1.0), -1.0);
    assert_eq!(Aggregate::Max.of(1.0, f64::NAN), 1.0);
}
