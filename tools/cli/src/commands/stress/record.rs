//! What is known of one round: the commits that returned, in their order, and those under way.

use super::intents::{Intent, Intents, Operation, PASSING, WRITERS};
use super::lines::Line;
use super::oracle::{FamilyId, Oracle};
use esker::Durability;
use std::collections::BTreeMap;

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process was killed.
    Killed,
    /// The store was closed in good order.
    Closed,
}

/// One round, as the parent saw it.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// Its number.
    pub number: u32,
    /// The moment from which times to live count.
    pub clock_ms: u64,
    /// What the child said.
    pub lines: &'a [Line],
    /// How it ended.
    pub end: End,
}

/// A write with its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The sequence number of its first operation. Of a write under way it is unknown at first, and zero.
    pub first: u64,
    /// What it must survive.
    pub durability: Durability,
    /// Its operations, each with the family, told apart from earlier ones of the same name.
    pub operations: Vec<(FamilyId, Operation)>,
    /// Whether it must be there: it had returned, or a flush that covers it had, or a later one is there.
    pub required: bool,
}

impl Commit {
    fn len(&self) -> u64 {
        self.operations.len() as u64
    }
}

/// All commits of a round.
#[derive(Debug, Default)]
pub struct Record {
    /// Those whose place in the order is known, in it.
    pub known: Vec<Commit>,
    /// Those that were under way and whose place is not known: they may be there or not.
    pub under_way: Vec<Commit>,
    /// What the family that comes and goes may be: one state, or two while it is being created or dropped.
    pub passing: Vec<Option<FamilyId>>,
    /// The first number that a later family may have.
    pub next_family: FamilyId,
    /// The greatest sequence number that is known to have been used.
    pub last_seq: u64,
    /// Commits that returned, those of families too.
    pub commits: u64,
    /// Operations in them.
    pub operations: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// A line about a commit: which line, and the sequence numbers.
type Report = (usize, u64, u64);

impl Record {
    /// Puts the lines of a round together with the commits that they are about.
    ///
    /// # Errors
    /// What the child said contradicts itself or the order that sequence numbers promise.
    pub fn new(oracle: &Oracle, round: &Round<'_>) -> Result<Record, String> {
        let reports = reports(round.lines)?;
        let flushed = last_flush(round.lines);
        let open = round.lines.iter().find_map(|line| match line {
            Line::Open(seq) => Some(*seq),
            _ => None,
        });
        let mut record =
            Record { passing: vec![oracle.passing], next_family: oracle.next_family, ..Record::default() };
        // Nothing is written before the store is open.
        let Some(open) = open else { return Ok(record) };
        if open < oracle.last_seq {
            return Err(format!("sequence number {} was used; the store opens at {open}", oracle.last_seq));
        }
        let mut last_of = [open; WRITERS as usize];
        let mut under_way = Vec::new();
        for writer in 0..WRITERS {
            let passing = oracle.passing.is_some();
            let mut intents = Intents::new(oracle.seed, round.number, writer, passing, round.clock_ms);
            let reports = reports.get(usize::from(writer)).map_or(&[][..], Vec::as_slice);
            for report in reports {
                let required = round.end == End::Closed || flushed.is_some_and(|line| report.0 < line);
                record.returned(intents.advance(), report, required)?;
                last_of[usize::from(writer)] = report.2.max(last_of[usize::from(writer)]);
            }
            if round.end == End::Killed
                && let Some(commit) = record.begun(intents.advance())
            {
                under_way.push((writer, commit));
            }
        }
        record.known.sort_by_key(|commit| commit.first);
        record.place(open, &last_of, under_way)?;
        Ok(record)
    }

    /// Takes in a commit that returned.
    fn returned(&mut self, intent: Intent, report: &Report, required: bool) -> Result<(), String> {
        self.commits += 1;
        let (_, first, last) = *report;
        match intent {
            Intent::Write(durability, operations) => {
                let (count, used) = (operations.len() as u64, (last + 1).saturating_sub(first));
                if first == 0 || count != used {
                    return Err(format!("{used} sequence numbers from {first} on for {count} operations"));
                }
                self.operations += count;
                self.bytes += operations.iter().map(Operation::bytes).sum::<u64>();
                self.last_seq = self.last_seq.max(last);
                let required = required || durability != Durability::None;
                let operations = self.of_families(operations);
                self.known.push(Commit { first, durability, operations, required });
            }
            Intent::Create => {
                self.passing = vec![Some(self.next_family)];
                self.next_family += 1;
            }
            Intent::Drop => self.passing = vec![None],
        }
        Ok(())
    }

    /// Takes in what a writer was doing when it was killed, if it is no write.
    fn begun(&mut self, intent: Intent) -> Option<Commit> {
        match intent {
            Intent::Write(durability, operations) => {
                let operations = self.of_families(operations);
                return Some(Commit { first: 0, durability, operations, required: false });
            }
            Intent::Create => {
                self.passing.push(Some(self.next_family));
                self.next_family += 1;
            }
            Intent::Drop => self.passing.push(None),
        }
        None
    }

    fn of_families(&self, operations: Vec<Operation>) -> Vec<(FamilyId, Operation)> {
        let passing = self.passing.last().copied().flatten().unwrap_or(0);
        let id = |family| if family == PASSING { passing } else { FamilyId::from(family) };
        operations.into_iter().map(|operation| (id(operation.family), operation)).collect()
    }

    /// Every number belongs to an operation. So a gap below a commit that returned is the place of a commit
    /// under way, of a writer that had not got that far.
    fn place(&mut self, open: u64, last_of: &[u64], mut under_way: Vec<(u8, Commit)>) -> Result<(), String> {
        let (mut next, mut placed) = (open + 1, Vec::new());
        for commit in &self.known {
            if commit.first < next {
                return Err(format!("sequence number {} was handed out twice", commit.first));
            }
            if commit.first > next {
                let gap = commit.first - next;
                let fits = |(writer, commit): &(u8, Commit)| {
                    commit.len() == gap && last_of[usize::from(*writer)] < next
                };
                let Some(at) = under_way.iter().position(fits) else {
                    return Err(format!("no commit had the sequence numbers {next} to {}", commit.first - 1));
                };
                let (_, mut commit) = under_way.remove(at);
                commit.first = next;
                // Something behind it in the log is there, and so must this be.
                commit.required = commit.durability != Durability::None;
                placed.push(commit);
            }
            next = commit.first + commit.len();
        }
        self.known.extend(placed);
        self.known.sort_by_key(|commit| commit.first);
        self.under_way = under_way.into_iter().map(|(_, commit)| commit).collect();
        Ok(())
    }
}

/// The reports of each writer, in the order of its commits.
fn reports(lines: &[Line]) -> Result<Vec<Vec<Report>>, String> {
    let mut reports = vec![BTreeMap::new(); usize::from(WRITERS)];
    for (at, line) in lines.iter().enumerate() {
        let (writer, commit, report) = match line {
            Line::Done { writer, commit, first, last, .. } => (*writer, *commit, (at, *first, *last)),
            Line::Family(commit) => (0, *commit, (at, 0, 0)),
            _ => continue,
        };
        let of_writer = reports.get_mut(usize::from(writer));
        let of_writer = of_writer.ok_or_else(|| format!("there is no writer {writer}"))?;
        of_writer.insert(commit, report);
    }
    for (writer, reports) in reports.iter().enumerate() {
        if reports.keys().zip(0..).any(|(commit, expected)| *commit != expected) {
            return Err(format!("writer {writer} left a commit out"));
        }
    }
    Ok(reports.into_iter().map(|reports| reports.into_values().collect()).collect())
}

/// The line at which the last flush began that also returned.
fn last_flush(lines: &[Line]) -> Option<usize> {
    let returned = lines.iter().rev().find_map(|line| match line {
        Line::Flushed(number) => Some(*number),
        _ => None,
    })?;
    lines.iter().position(|line| *line == Line::Flushing(returned))
}
