//! Transactions side by side on one thread against a model: what each reads, and whether it commits.

use super::tests::{LOCKING, NO_WAIT, builder};
use super::{Savepoint, Transaction, TransactionOptions};
use crate::base::clock::ManualClock;
use crate::base::error::Error;
use crate::commit::Durability;
use crate::db::Db;
use crate::hooks::Maximum;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Content = BTreeMap<u8, u8>;

#[derive(Clone, Debug)]
enum Step {
    Begin(usize, u8),
    Get(usize, u8),
    GetForUpdate(usize, u8),
    Put(usize, u8),
    Delete(usize, u8),
    /// The greater of what a key has and something becomes its value.
    Merge(usize, u8),
    /// The keys from one on, so many.
    RemoveRange(usize, u8, u8),
    /// From the front or the back, so many entries of the range from a key on.
    Scan(usize, u8, bool, usize),
    Refresh(usize),
    Commit(usize),
    Rollback(usize),
    /// Notes a place to go back to.
    Save(usize),
    /// Goes back to it.
    Back(usize),
    Plain(u8, bool),
    PlainMerge(u8),
    PlainRange(u8, u8),
    Flush,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0usize..3;
    prop_oneof![
        3 => (slot.clone(), 0u8..4).prop_map(|(s, kind)| Step::Begin(s, kind)),
        3 => (slot.clone(), 0u8..8).prop_map(|(s, k)| Step::Get(s, k)),
        2 => (slot.clone(), 0u8..8).prop_map(|(s, k)| Step::GetForUpdate(s, k)),
        5 => (slot.clone(), 0u8..8).prop_map(|(s, k)| Step::Put(s, k)),
        2 => (slot.clone(), 0u8..8).prop_map(|(s, k)| Step::Delete(s, k)),
        5 => (slot.clone(), 0u8..8).prop_map(|(s, k)| Step::Merge(s, k)),
        2 => (slot.clone(), 0u8..8, 1u8..4).prop_map(|(s, k, n)| Step::RemoveRange(s, k, n)),
        1 => (0u8..8, 1u8..4).prop_map(|(k, n)| Step::PlainRange(k, n)),
        3 => (slot.clone(), 0u8..8, any::<bool>(), 0usize..6)
            .prop_map(|(s, k, back, n)| Step::Scan(s, k, back, n)),
        1 => slot.clone().prop_map(Step::Refresh),
        4 => slot.clone().prop_map(Step::Commit),
        1 => slot.clone().prop_map(Step::Rollback),
        2 => slot.clone().prop_map(Step::Save),
        2 => slot.prop_map(Step::Back),
        4 => (0u8..8, any::<bool>()).prop_map(|(k, delete)| Step::Plain(k, delete)),
        2 => (0u8..8).prop_map(Step::PlainMerge),
        1 => Just(Step::Flush),
        1 => Just(Step::Compact),
    ]
}

/// Writes of a transaction: as in [`Open`] what it wrote, with ranges, on others, and depends on.
type Own = (BTreeMap<u8, Option<u8>>, BTreeSet<u8>, BTreeSet<u8>, BTreeMap<u8, usize>);

/// A transaction and what the model knows of it.
struct Open {
    transaction: Transaction,
    serialisable: bool,
    pessimistic: bool,
    snapshot: Content,
    own: BTreeMap<u8, Option<u8>>,
    /// Of these the keys that are only removed along with a range.
    in_ranges: BTreeSet<u8>,
    /// Of these the keys whose value was made of what the transaction did not write.
    on_others: BTreeSet<u8>,
    /// Keys that must be unwritten, each since which commit of the model.
    depends: BTreeMap<u8, usize>,
    /// Of these those that stay so when writes are taken back: they were read, or are locked.
    relies: BTreeMap<u8, usize>,
    /// A place to go back to, and the writes there.
    saved: Option<(Savepoint, Own)>,
    began: usize,
    /// Locked before they were read.
    present: BTreeSet<u8>,
    locks: BTreeSet<u8>,
}

/// What a commit wrote.
struct Commit {
    keys: BTreeSet<u8>,
    /// Of these the keys that it only removed along with a range.
    in_ranges: BTreeSet<u8>,
}

struct Model {
    db: Db,
    content: Content,
    commits: Vec<Commit>,
    /// The content before each commit.
    before: Vec<Content>,
    open: [Option<Open>; 3],
    value: u8,
}

impl Open {
    fn see(&self, content: &Content, key: u8) -> Option<u8> {
        match self.own.get(&key) {
            Some(own) => *own,
            None if self.present.contains(&key) => content.get(&key).copied(),
            None => self.snapshot.get(&key).copied(),
        }
    }

    fn depend(&mut self, key: u8, since: usize) {
        let held = self.depends.entry(key).or_insert(since);
        *held = (*held).min(since);
    }

    /// Depends on a key until the end.
    fn rely(&mut self, key: u8, since: usize) {
        self.depend(key, since);
        let held = self.relies.entry(key).or_insert(since);
        *held = (*held).min(since);
    }

    /// Whether what is read of a key is what the transaction did not write.
    fn reads_others(&self, key: u8) -> bool {
        !self.own.contains_key(&key) || self.on_others.contains(&key)
    }

    fn back(&mut self) {
        let Some((savepoint, own)) = &self.saved else { return };
        self.transaction.rollback_to(*savepoint).unwrap();
        (self.own, self.in_ranges, self.on_others, self.depends) = own.clone();
        for (key, since) in self.relies.clone() {
            self.depend(key, since);
        }
    }
}

impl Model {
    fn holder(&self, key: u8, but: usize) -> bool {
        let others = self.open.iter().enumerate().filter(|(at, _)| *at != but);
        others.filter_map(|(_, open)| open.as_ref()).any(|open| open.locks.contains(&key))
    }

    /// Whether a key was written since.
    fn wrote(&self, key: u8, since: usize) -> bool {
        self.commits[since..].iter().any(|commit| commit.keys.contains(&key))
    }

    /// Whether that must be noticed. A range that was removed where nothing was at the beginning leaves
    /// nothing behind: what was read is so again.
    fn changed(&self, key: u8, since: usize) -> bool {
        let was_there = self.before.get(since).is_some_and(|content| content.contains_key(&key));
        let mut changed = false;
        for commit in self.commits[since..].iter().filter(|commit| commit.keys.contains(&key)) {
            changed = !commit.in_ranges.contains(&key) || was_there;
        }
        changed
    }

    fn commits(&mut self, keys: BTreeSet<u8>, in_ranges: BTreeSet<u8>, before: Content) {
        self.commits.push(Commit { keys, in_ranges });
        self.before.push(before);
    }

    fn options(kind: u8) -> TransactionOptions {
        let options = if kind.is_multiple_of(2) { NO_WAIT } else { LOCKING };
        TransactionOptions { serialisable: kind >= 2, ..options }
    }

    fn run(&mut self, step: Step) {
        self.value = self.value.wrapping_add(151);
        match step {
            Step::Begin(slot, kind) => {
                let transaction = self.db.begin(Model::options(kind)).unwrap();
                self.open[slot] = Some(Open {
                    transaction,
                    serialisable: kind >= 2,
                    pessimistic: !kind.is_multiple_of(2),
                    snapshot: self.content.clone(),
                    own: BTreeMap::new(),
                    in_ranges: BTreeSet::new(),
                    on_others: BTreeSet::new(),
                    depends: BTreeMap::new(),
                    relies: BTreeMap::new(),
                    saved: None,
                    began: self.commits.len(),
                    present: BTreeSet::new(),
                    locks: BTreeSet::new(),
                });
            }
            Step::Plain(key, delete) => self.plain(key, delete),
            Step::PlainMerge(key) => self.plain_merge(key),
            Step::PlainRange(from, count) => self.plain_range(from..(from + count).min(8)),
            Step::Flush => self.db.flush().unwrap(),
            Step::Compact => self.db.compact().unwrap(),
            Step::Rollback(slot) => self.open[slot] = None,
            Step::Commit(slot) => self.commit(slot),
            Step::Get(slot, _)
            | Step::GetForUpdate(slot, _)
            | Step::Put(slot, _)
            | Step::Delete(slot, _)
            | Step::Merge(slot, _)
            | Step::Scan(slot, ..)
            | Step::RemoveRange(slot, ..)
            | Step::Save(slot)
            | Step::Back(slot)
            | Step::Refresh(slot) => {
                if let Some(open) = self.open[slot].take() {
                    self.open[slot] = Some(self.act(slot, open, step));
                }
            }
        }
    }

    fn plain(&mut self, key: u8, delete: bool) {
        let result = if delete { self.db.delete([key]) } else { self.db.put([key], [self.value]) };
        if self.holder(key, 3) {
            assert!(matches!(result, Err(Error::LockTimeout { .. })), "{result:?}");
            return;
        }
        result.unwrap();
        let before = self.content.clone();
        if delete {
            self.content.remove(&key)
        } else {
            self.content.insert(key, self.value)
        };
        self.commits([key].into(), BTreeSet::new(), before);
    }

    fn plain_merge(&mut self, key: u8) {
        let result = self.db.merge([key], [self.operand()]);
        if self.holder(key, 3) {
            assert!(matches!(result, Err(Error::LockTimeout { .. })), "{result:?}");
            return;
        }
        result.unwrap();
        let before = self.content.clone();
        let operand = self.operand();
        let value = self.content.entry(key).or_insert(operand);
        *value = operand.max(*value);
        self.commits([key].into(), BTreeSet::new(), before);
    }

    /// Sometimes greater than what is there, and sometimes not.
    fn operand(&self) -> u8 {
        self.value.wrapping_mul(93)
    }

    fn plain_range(&mut self, range: std::ops::Range<u8>) {
        let result = self.db.delete_range([range.start]..[range.end]);
        if range.clone().any(|key| self.holder(key, 3)) {
            assert!(matches!(result, Err(Error::LockTimeout { .. })), "{result:?}");
            return;
        }
        result.unwrap();
        let before = self.content.clone();
        self.content.retain(|key, _| !range.contains(key));
        self.commits(range.clone().collect(), range.collect(), before);
    }

    fn act(&mut self, slot: usize, mut open: Open, step: Step) -> Open {
        match step {
            Step::Get(_, key) => {
                let read = open.transaction.get(&self.db, [key]).unwrap().map(|value| value[0]);
                assert_eq!(read, open.see(&self.content, key), "key {key}");
                let tracked = open.serialisable && open.reads_others(key) && !open.present.contains(&key);
                if tracked {
                    open.rely(key, open.began);
                }
            }
            Step::GetForUpdate(_, key) => self.get_for_update(slot, &mut open, key),
            Step::Put(..) | Step::Delete(..) | Step::Merge(..) => self.write(slot, &mut open, &step),
            Step::RemoveRange(_, from, count) => {
                let range = from..(from + count).min(8);
                open.transaction.delete_range(&self.db, [range.start]..[range.end]).unwrap();
                let began = open.began;
                for key in range {
                    open.own.insert(key, None);
                    open.on_others.remove(&key);
                    open.in_ranges.insert(key);
                    open.depend(key, began);
                }
            }
            Step::Scan(_, from, back, count) => self.scan(&mut open, from, back, count),
            Step::Save(_) => {
                let own = (&open.own, &open.in_ranges, &open.on_others, &open.depends);
                let own = (own.0.clone(), own.1.clone(), own.2.clone(), own.3.clone());
                open.saved = Some((open.transaction.savepoint(), own));
            }
            Step::Back(_) => open.back(),
            _ => self.refresh(&mut open),
        }
        open
    }

    fn get_for_update(&mut self, slot: usize, open: &mut Open, key: u8) {
        let result = open.transaction.get_for_update(&self.db, [key]);
        if open.pessimistic && self.holder(key, slot) && !open.locks.contains(&key) {
            assert!(matches!(result, Err(Error::LockTimeout { .. })), "{result:?}");
            return;
        }
        if open.pessimistic && open.locks.insert(key) {
            open.rely(key, self.commits.len());
            open.present.insert(key);
        }
        if !open.pessimistic || (open.serialisable && open.reads_others(key) && !open.present.contains(&key))
        {
            open.rely(key, open.began);
        }
        assert_eq!(result.unwrap().map(|value| value[0]), open.see(&self.content, key), "key {key}");
    }

    fn write(&mut self, slot: usize, open: &mut Open, step: &Step) {
        let (put, operand) = (self.value, self.operand());
        let (key, value, result) = match *step {
            Step::Put(_, key) => (key, Some(put), open.transaction.put(&self.db, [key], [put])),
            Step::Merge(_, key) => {
                let greater = open.see(&self.content, key).map_or(operand, |value| value.max(operand));
                (key, Some(greater), open.transaction.merge(&self.db, [key], [operand]))
            }
            Step::Delete(_, key) => (key, None, open.transaction.delete(&self.db, [key])),
            _ => return,
        };
        if open.pessimistic && !open.locks.contains(&key) {
            if self.holder(key, slot) {
                assert!(matches!(result, Err(Error::LockTimeout { .. })), "{result:?}");
                return;
            }
            if matches!(result, Err(Error::Conflict { .. })) {
                // It goes on as if it had not tried.
                assert!(self.wrote(key, open.began), "a false conflict at {key}");
                return;
            }
            open.locks.insert(key);
            open.rely(key, open.began);
        }
        result.unwrap();
        if !open.depends.contains_key(&key) {
            open.depend(key, open.began);
        }
        match step {
            Step::Merge(..) if !open.own.contains_key(&key) => open.on_others.insert(key),
            Step::Merge(..) => false,
            _ => open.on_others.remove(&key),
        };
        open.own.insert(key, value);
        open.in_ranges.remove(&key);
    }

    fn scan(&mut self, open: &mut Open, from: u8, back: bool, count: usize) {
        let mut iter = open.transaction.range(&self.db, [from]..).unwrap();
        let mut all = open.snapshot.clone();
        for (key, value) in &open.own {
            match value {
                Some(value) => drop(all.insert(*key, *value)),
                None => drop(all.remove(key)),
            }
        }
        let mut expected = all.range(from..);
        let mut seen = Vec::new();
        for _ in 0..count {
            let (read, expected) = match back {
                true => (iter.next_back(), expected.next_back()),
                false => (iter.next(), expected.next()),
            };
            let read = read.map(|entry| entry.unwrap()).map(|(key, value)| (key[0], value[0]));
            assert_eq!(read, expected.map(|(key, value)| (*key, *value)));
            seen.push(read.map(|(key, _)| key));
        }
        if open.serialisable
            && let Some(last) = seen.last()
        {
            let came = |key: &u8| match last {
                None => true,
                Some(last) if back => key >= last,
                Some(last) => key <= last,
            };
            let began = open.began;
            (from..8).filter(came).for_each(|key| open.rely(key, began));
        }
    }

    fn refresh(&mut self, open: &mut Open) {
        let wrote = open.depends.iter().any(|(key, since)| self.wrote(*key, *since));
        let changed = open.depends.iter().any(|(key, since)| self.changed(*key, *since));
        match open.transaction.refresh() {
            Ok(()) => {
                assert!(!changed, "a conflict was missed");
                open.snapshot = self.content.clone();
                open.began = self.commits.len();
                let now = open.began;
                let saved = open.saved.as_mut().map(|(_, own)| &mut own.3);
                for depends in [&mut open.depends, &mut open.relies].into_iter().chain(saved) {
                    depends.values_mut().for_each(|since| *since = now);
                }
            }
            Err(Error::Conflict { .. }) => assert!(wrote, "a false conflict"),
            Err(error) => panic!("{error}"),
        }
    }

    fn commit(&mut self, slot: usize) {
        let Some(open) = self.open[slot].take() else { return };
        let wrote = open.depends.iter().any(|(key, since)| self.wrote(*key, *since));
        let changed = open.depends.iter().any(|(key, since)| self.changed(*key, *since));
        let before = self.content.clone();
        let locked = open.own.keys().any(|key| self.holder(*key, slot));
        match open.transaction.commit_with(Durability::Os) {
            Ok(_) => {
                assert!(open.own.is_empty() || (!changed && !locked), "a conflict was missed");
                for (key, value) in &open.own {
                    match value {
                        Some(value) => drop(self.content.insert(*key, *value)),
                        None => drop(self.content.remove(key)),
                    }
                }
                self.commits(open.own.keys().copied().collect(), open.in_ranges, before);
            }
            Err(failed) => match failed.error {
                Error::Conflict { .. } => assert!(wrote, "a false conflict"),
                Error::LockTimeout { .. } => assert!(locked),
                error => panic!("{error}"),
            },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// No conflict is missed, and on one thread none is a false one, whether the table of recent writes
    /// reaches back or not.
    #[test]
    fn transactions_do_what_the_model_does(
        steps in prop::collection::vec(step(), 1..80),
        small: bool,
    ) {
        let clock = ManualClock::new(1_000_000);
        let table = if small { 256 } else { 1 << 20 };
        let builder = builder(&clock).merge_operator("default", Maximum).recent_writes_bytes(table);
        let db = builder.deterministic(1).open().unwrap();
        let mut model = Model {
            db,
            content: Content::new(),
            commits: Vec::new(),
            before: Vec::new(),
            open: [None, None, None],
            value: 0,
        };
        for step in steps {
            model.run(step);
            let dump: Content = model.db.iter().unwrap().map(|entry| {
                let (key, value) = entry.unwrap();
                (key[0], value[0])
            }).collect();
            assert_eq!(dump, model.content);
        }
        model.open = [None, None, None];
        let stats = model.db.stats();
        prop_assert_eq!((stats.locked_keys, stats.open_transactions, stats.recent_writes_bytes), (0, 0, 0));
    }
}
