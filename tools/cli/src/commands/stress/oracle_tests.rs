//! The oracle tried by hand: what it accepts, and above all what it does not.

use super::intents::{FAMILIES, Intent, Intents, Operation, PASSING};
use super::lines::Line;
use super::oracle::{Found, Oracle};
use super::record::{End, Record, Round};
use super::value::Mark;
use esker::Durability;
use std::collections::BTreeMap;

const SEED: u64 = 11;
const CLOCK_MS: u64 = 1_000_000;

/// One round in the making. The lines are as a store would give them; what a test takes away or changes is
/// what went wrong.
struct Case {
    round: u32,
    oracle: Oracle,
    intents: [Intents; 2],
    /// What a writer will do next, where that was looked at.
    next: [Option<Intent>; 2],
    commits: [u32; 2],
    passing: bool,
    seq: u64,
    lines: Vec<Line>,
    found: Found,
    flushes: u32,
}

impl Case {
    fn new(seed: u64) -> Case {
        Case::after(Oracle::new(seed), 1, 5, Found::default())
    }

    /// A round on what an earlier one has left.
    fn after(oracle: Oracle, round: u32, seq: u64, mut found: Found) -> Case {
        let passing = oracle.passing.is_some();
        let intents = [0, 1].map(|writer| Intents::new(oracle.seed, round, writer, passing, CLOCK_MS));
        found.families.extend(FAMILIES[..usize::from(PASSING)].iter().map(ToString::to_string));
        found.now_ms = CLOCK_MS;
        let lines = vec![Line::Open(seq)];
        Case {
            round,
            oracle,
            intents,
            next: [None, None],
            commits: [0, 0],
            passing,
            seq,
            lines,
            found,
            flushes: 0,
        }
    }

    fn peek(&mut self, writer: u8) -> &Intent {
        let at = usize::from(writer);
        self.next[at].get_or_insert_with(|| self.intents[at].advance())
    }

    /// The writer's next commit as it is carried out, and its line. Nothing of it is found so far.
    fn take(&mut self, writer: u8) -> (Intent, Line) {
        let intent = self.peek(writer).clone();
        self.next[usize::from(writer)] = None;
        let commit = self.commits[usize::from(writer)];
        self.commits[usize::from(writer)] += 1;
        let line = match &intent {
            Intent::Write(durability, operations) => {
                let first = self.seq + 1;
                self.seq += operations.len() as u64;
                let synced = *durability == Durability::Sync;
                Line::Done { writer, commit, first, last: self.seq, synced }
            }
            _ => Line::Family(commit),
        };
        (intent, line)
    }

    /// Its effect on what is found.
    fn show(&mut self, intent: &Intent) {
        match intent {
            Intent::Write(_, operations) => operations.iter().for_each(|operation| self.apply(operation)),
            Intent::Create => self.found.families.extend([FAMILIES[usize::from(PASSING)].to_owned()]),
            Intent::Drop => {
                self.found.families.remove(FAMILIES[usize::from(PASSING)]);
                self.found.entries.retain(|(family, _), _| *family != PASSING);
            }
        }
        match intent {
            Intent::Create => self.passing = true,
            Intent::Drop => self.passing = false,
            Intent::Write(..) => {}
        }
    }

    fn apply(&mut self, operation: &Operation) {
        let key = (operation.family, operation.key.clone());
        match operation.mark().filter(|_| operation.expires_at > self.found.now_ms) {
            Some(mark) => self.found.entries.insert(key, mark),
            None => self.found.entries.remove(&key),
        };
    }

    /// A commit that returned and is there.
    fn done(&mut self, writer: u8) -> Intent {
        let (intent, line) = self.take(writer);
        self.lines.push(line);
        self.show(&intent);
        intent
    }

    /// Commits that returned, up to and without the first that fits.
    fn done_until(&mut self, writer: u8, fits: impl Fn(&Intent) -> bool) {
        for _ in 0..10_000 {
            if fits(self.peek(writer)) {
                return;
            }
            self.done(writer);
        }
        panic!("no such commit");
    }

    fn flush(&mut self) {
        self.flushes += 1;
        self.lines.extend([Line::Flushing(self.flushes), Line::Flushed(self.flushes)]);
    }

    fn judge(&self, end: End) -> Result<Oracle, String> {
        let mut oracle = self.oracle.clone();
        let round = Round { number: self.round, clock_ms: CLOCK_MS, lines: &self.lines, end };
        let record = Record::new(&oracle, &round)?;
        oracle.settle(record, &self.found)?;
        Ok(oracle)
    }

    fn accepts(&self) -> bool {
        self.judge(End::Killed).is_ok()
    }
}

fn is(durability: Durability) -> impl Fn(&Intent) -> bool {
    move |intent| matches!(intent, Intent::Write(of, _) if *of == durability)
}

/// A write of one operation that can be seen: a value with a stamp that stays.
fn is_visible(durability: Durability) -> impl Fn(&Intent) -> bool {
    move |intent| match intent {
        Intent::Write(of, operations) => *of == durability && operations.iter().all(lasting),
        _ => false,
    }
}

fn lasting(operation: &Operation) -> bool {
    operation.expires_at == u64::MAX && matches!(operation.mark(), Some(Mark::Stamped { .. }))
}

fn is_batch(durability: Durability) -> impl Fn(&Intent) -> bool {
    move |intent| match intent {
        Intent::Write(of, operations) => {
            let keys: BTreeMap<_, _> = operations.iter().map(|o| ((o.family, &o.key), ())).collect();
            let apart = keys.len() == operations.len() && operations.len() > 1;
            *of == durability && apart && operations.iter().all(lasting)
        }
        _ => false,
    }
}

#[test]
fn what_returned_is_accepted() {
    let mut case = Case::new(SEED);
    for step in 0..2000u32 {
        case.done((step % 3 % 2) as u8);
        if step % 100 == 0 {
            case.flush();
        }
    }
    case.judge(End::Killed).unwrap();
    case.judge(End::Closed).unwrap();
    assert!(case.passing || case.oracle.passing.is_none());
}

#[test]
fn a_logged_write_that_returned_must_be_there() {
    for durability in [Durability::Sync, Durability::Os] {
        let mut case = Case::new(SEED);
        case.done_until(0, is_visible(durability));
        let before = case.found.clone();
        case.done(0);
        assert!(case.accepts());
        case.found = before;
        let why = case.judge(End::Killed).unwrap_err();
        assert!(why.contains("expected") && why.contains("found"), "{why}");
    }
}

#[test]
fn a_write_under_way_may_be_there_or_not() {
    let mut case = Case::new(SEED);
    case.done_until(0, is_visible(Durability::Os));
    case.done_until(1, is_visible(Durability::Os));
    assert!(case.accepts());
    let (first, _) = case.take(0);
    let (second, _) = case.take(1);
    case.show(&second);
    assert!(case.accepts(), "one alone");
    case.show(&first);
    assert!(case.accepts(), "both");
    // A writer begins nothing before its last commit has returned.
    let mut case = Case::new(SEED);
    case.done_until(0, is_visible(Durability::Os));
    let (first, _) = case.take(0);
    case.show(&first);
    let (next, _) = case.take(0);
    case.show(&next);
    assert!(!case.accepts());
}

#[test]
fn a_write_below_one_that_is_there_must_be_there() {
    let mut case = Case::new(SEED);
    case.done_until(0, is_visible(Durability::Os));
    let (hidden, _) = case.take(0);
    case.done(1);
    assert!(!case.accepts(), "its numbers were used, and a later write is there");
    case.show(&hidden);
    // What it wrote may be overwritten by the later one; it is shown in its order otherwise.
    assert!(case.accepts());
}

#[test]
fn numbers_are_used_once_and_none_is_left_out() {
    let mut case = Case::new(SEED);
    (0..20).for_each(|_| drop(case.done(0)));
    let writes = |line: &Line| matches!(line, Line::Done { .. });
    let mut skipped = case.lines.clone();
    let last = skipped.iter().rposition(writes).unwrap();
    if let Line::Done { first, last, .. } = &mut skipped[last] {
        *first += 1;
        *last += 1;
    }
    let lines = std::mem::replace(&mut case.lines, skipped);
    assert!(case.judge(End::Killed).unwrap_err().contains("no commit had the sequence numbers"));
    case.lines = lines;
    case.oracle.last_seq = 6;
    assert!(case.judge(End::Killed).unwrap_err().contains("the store opens at 5"));
    case.oracle.last_seq = 0;
    if let Some(Line::Done { first, last, .. }) = case.lines.iter_mut().rfind(|line| writes(line)) {
        *first -= 1;
        *last -= 1;
    }
    assert!(case.judge(End::Killed).unwrap_err().contains("handed out twice"));
}

#[test]
fn batches_are_whole() {
    for durability in [Durability::Os, Durability::None] {
        let mut case = Case::new(SEED);
        case.done_until(0, is_batch(durability));
        let (batch, _) = case.take(0);
        let before = case.found.clone();
        case.show(&batch);
        assert!(case.accepts());
        let Intent::Write(_, operations) = batch else { unreachable!() };
        case.found = before;
        case.apply(&operations[0]);
        assert!(!case.accepts(), "half of a batch of {durability:?}");
    }
}

#[test]
fn unlogged_writes_are_a_prefix_from_the_last_flush_on() {
    let mut case = Case::new(SEED);
    case.done_until(0, is_visible(Durability::None));
    let before = case.found.clone();
    case.done(0);
    let after = std::mem::replace(&mut case.found, before);
    assert!(case.accepts(), "unlogged and not flushed");
    assert!(case.judge(End::Closed).is_err(), "a close flushes");
    case.flush();
    assert!(!case.accepts(), "it was flushed");
    case.found = after;
    assert!(case.accepts());

    // The later of two without the earlier.
    let mut case = Case::new(SEED);
    case.done_until(0, is_visible(Durability::None));
    let before = case.found.clone();
    let first = case.done(0);
    case.lines.push(Line::Flushing(1));
    case.done_until(0, is_visible(Durability::None));
    let Intent::Write(_, operations) = case.done(0) else { unreachable!() };
    assert!(case.accepts());
    let all = std::mem::replace(&mut case.found, before);
    operations.iter().for_each(|operation| case.apply(operation));
    assert!(!case.accepts());
    case.found = all;
    let Intent::Write(_, hidden) = first else { unreachable!() };
    for operation in hidden {
        case.found.entries.remove(&(operation.family, operation.key));
    }
    assert!(!case.accepts(), "a flush that has not returned promises nothing, but order holds");
}

#[test]
fn nothing_comes_back() {
    let mut case = Case::new(SEED);
    (0..300).for_each(|_| drop(case.done(0)));
    case.flush();
    let deleting = |intent: &Intent| match intent {
        Intent::Write(Durability::Sync, operations) => operations.len() == 1 && operations[0].len.is_none(),
        _ => false,
    };
    // A key that is there is removed, and found again.
    let (key, mark) = loop {
        case.done_until(0, deleting);
        let before = case.found.clone();
        let Intent::Write(_, operations) = case.done(0) else { unreachable!() };
        let key = (operations[0].family, operations[0].key.clone());
        if let Some(mark) = before.entries.get(&key) {
            break (key, mark.clone());
        }
    };
    assert!(case.accepts());
    case.found.entries.insert(key, mark);
    assert!(case.judge(End::Killed).unwrap_err().contains("expected nothing, removed"));
}

#[test]
fn what_has_expired_stays_away() {
    let mut case = Case::new(SEED);
    let expiring = |intent: &Intent| match intent {
        Intent::Write(Durability::Os, operations) => {
            operations.len() == 1
                && operations[0].expires_at > CLOCK_MS
                && operations[0].expires_at < u64::MAX
        }
        _ => false,
    };
    case.done_until(0, expiring);
    let Intent::Write(_, operations) = case.done(0) else { unreachable!() };
    assert!(case.accepts());
    let settled = case.judge(End::Killed).unwrap();
    // A round later it has expired: it must be away then, and only then.
    let mut later = Case::after(settled, 2, case.seq, case.found.clone());
    assert!(later.accepts());
    later.found.now_ms = operations[0].expires_at;
    let why = later.judge(End::Killed).unwrap_err();
    assert!(why.contains("expired"), "{why}");
}

#[test]
fn what_was_never_written_is_noticed() {
    let mut case = Case::new(SEED);
    case.done(0);
    let key = (0, b"never written".to_vec());
    case.found.entries.insert(key, Mark::Short { len: 3 });
    assert!(case.judge(End::Killed).unwrap_err().contains("it was never written"));
    let mut case = Case::new(SEED);
    case.done_until(0, is_visible(Durability::Os));
    case.done(0);
    let value = case.found.entries.values_mut().next().unwrap();
    *value = Mark::Foreign { len: 5, at: 2 };
    assert!(!case.accepts());
}

#[test]
fn families_come_and_go_with_what_is_in_them() {
    let mut case = Case::new(SEED);
    case.done_until(0, |intent| *intent == Intent::Create);
    case.found.families.insert("other".into());
    assert!(case.judge(End::Killed).unwrap_err().contains("never created"));
    case.found.families.remove("other");
    assert!(case.accepts(), "creating it is under way");
    case.done(0);
    let name = FAMILIES[usize::from(PASSING)];
    case.found.families.remove(name);
    assert!(case.judge(End::Killed).unwrap_err().contains("had been created"));
    case.found.families.insert(name.into());
    assert!(case.accepts());
    // Entries in it are entries of this family, not of a later one of the same name.
    let within = |intent: &Intent| match intent {
        Intent::Write(Durability::Os, operations) => {
            operations.iter().any(|operation| operation.family == PASSING && lasting(operation))
        }
        _ => false,
    };
    case.done_until(0, within);
    case.done(0);
    let of_passing = |found: &Found| -> Vec<_> {
        found
            .entries
            .iter()
            .filter(|((family, _), _)| *family == PASSING)
            .map(|e| (e.0.clone(), e.1.clone()))
            .collect()
    };
    let entries = of_passing(&case.found);
    assert!(!entries.is_empty() && case.accepts());
    case.done_until(0, |intent| *intent == Intent::Drop);
    case.done(0);
    assert!(case.accepts());
    case.done_until(0, |intent| *intent == Intent::Create);
    case.done(0);
    assert!(case.accepts());
    case.found.entries.extend(entries);
    assert!(!case.accepts(), "what was in the family comes back with its name");
    case.found.families.remove("odds");
    assert!(case.judge(End::Killed).unwrap_err().contains("\"odds\""));
}

#[test]
fn lines_that_contradict_themselves_are_noticed() {
    let mut case = Case::new(SEED);
    (0..10).for_each(|_| drop(case.done(1)));
    case.lines.remove(3);
    assert!(case.judge(End::Killed).unwrap_err().contains("left a commit out"));
    let mut case = Case::new(SEED);
    case.done_until(0, is(Durability::Os));
    case.done(0);
    if let Some(Line::Done { last, .. }) = case.lines.last_mut() {
        *last += 1;
    }
    assert!(case.judge(End::Killed).unwrap_err().contains("operations"));
    let mut case = Case::new(SEED);
    case.lines.clear();
    assert!(case.accepts(), "killed before the store was open");
}
