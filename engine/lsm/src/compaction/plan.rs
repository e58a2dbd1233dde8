//! What a compaction is to do, and what is already being done.

use crate::base::error::Error;
use crate::base::filename::FileNumber;
use crate::base::sync::Arc;
pub use crate::hooks::CompactionReason as Reason;
use crate::hooks::{CompactionWay, TableInfo};
use crate::version::TableFile;
use std::collections::BTreeMap;
use std::time::Duration;

/// A compaction that was chosen but not yet carried out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Why.
    pub reason: Reason,
    /// The tables that go, with their levels.
    pub inputs: Vec<(usize, Arc<TableFile>)>,
    /// The level that what remains goes to.
    pub output_level: usize,
    /// The inputs need not be rewritten: they only change their level.
    pub trivial_move: bool,
    /// The inputs are removed without being read.
    pub drop_whole: bool,
    /// The blob files from which the inputs shall refer to no value any more, ascending.
    pub moved: Vec<FileNumber>,
}

impl Plan {
    /// A plan to merge `inputs`.
    #[must_use]
    pub fn merging(reason: Reason, inputs: Vec<(usize, Arc<TableFile>)>, output_level: usize) -> Plan {
        let moved = Vec::new();
        Plan { reason, inputs, output_level, trivial_move: false, drop_whole: false, moved }
    }

    /// The first and the last user key of the inputs.
    #[must_use]
    pub fn range(&self) -> Option<(&[u8], &[u8])> {
        let metas = || self.inputs.iter().map(|(_, t)| &t.meta);
        let smallest = metas().map(|m| m.smallest.0.as_slice()).min()?;
        let largest = metas().map(|m| m.largest.0.as_slice()).max()?;
        Some((smallest, largest))
    }

    /// What is done with the inputs.
    #[must_use]
    pub fn way(&self) -> CompactionWay {
        match (self.trivial_move, self.drop_whole) {
            (true, _) => CompactionWay::Moved,
            (_, true) => CompactionWay::Dropped,
            _ => CompactionWay::Merged,
        }
    }

    /// The inputs, as those who listen are told of them.
    #[must_use]
    pub fn shown_inputs(&self) -> Vec<TableInfo> {
        self.inputs.iter().map(|(level, table)| table.meta.shown(*level)).collect()
    }

    /// The bytes of the inputs.
    #[must_use]
    pub fn input_bytes(&self) -> u64 {
        self.inputs.iter().map(|(_, t)| t.meta.size).sum()
    }

    /// One line for people and golden files: `level size: L4[12] + L5[8 9] -> L5`.
    #[must_use]
    pub fn describe(&self) -> String {
        let reason = match self.reason {
            Reason::Level0 => "level 0",
            Reason::LevelSize => "level size",
            Reason::Tier => "tier",
            Reason::Oldest => "oldest",
            Reason::BottomDeletions => "bottom deletions",
            Reason::Expired => "expired",
            Reason::Erasure => "erasure",
            Reason::Deletions => "deletions",
            Reason::Covered => "covered",
            Reason::Ranges => "ranges",
            Reason::DeadValues => "dead values",
            Reason::Calm => "calm",
            Reason::Manual => "manual",
        };
        let mut levels: Vec<usize> = self.inputs.iter().map(|(level, _)| *level).collect();
        levels.dedup();
        let inputs: Vec<String> = levels
            .iter()
            .map(|level| {
                let of_level = self.inputs.iter().filter(|(l, _)| l == level);
                let numbers: Vec<_> = of_level.map(|(_, t)| t.meta.number.to_string()).collect();
                format!("L{level}[{}]", numbers.join(" "))
            })
            .collect();
        let verb = match self.way() {
            CompactionWay::Moved => "moves to",
            CompactionWay::Dropped => "is dropped from",
            CompactionWay::Merged => "->",
        };
        format!("{reason}: {} {verb} L{}", inputs.join(" + "), self.output_level)
    }
}

/// What running compactions of one column family have taken, and what none may take.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Tables that cannot be read whole: what a compaction met, and when.
    damaged: BTreeMap<FileNumber, (Error, Duration)>,
    tables: Vec<FileNumber>,
    ranges: Vec<(u64, usize, Vec<u8>, Vec<u8>)>,
    next: u64,
}

/// A claim, to be released when its compaction has ended.
#[derive(Debug)]
#[must_use = "a claim that is never released blocks its tables for good"]
pub struct Claim {
    tables: Vec<FileNumber>,
    range: u64,
}

impl Claims {
    /// Whether a table is being compacted, or must not be.
    #[must_use]
    pub fn has(&self, number: FileNumber) -> bool {
        self.tables.contains(&number) || self.damaged.contains_key(&number)
    }

    /// Whether a table is being compacted.
    #[must_use]
    pub fn runs_on(&self, number: FileNumber) -> bool {
        self.tables.contains(&number)
    }

    /// Leaves a table alone from `now` on: reading it gave `error`.
    pub fn set_damaged(&mut self, number: FileNumber, error: Error, now: Duration) {
        self.damaged.insert(number, (error, now));
    }

    /// The tables that are left alone, and what reading each has given.
    pub fn damaged(&self) -> impl Iterator<Item = (FileNumber, &Error)> {
        self.damaged.iter().map(|(number, (error, _))| (*number, error))
    }

    /// Gives those tables that were left alone before `then` another chance. Returns whether there
    /// were any.
    pub fn forgive(&mut self, then: Duration) -> bool {
        let before = self.damaged.len();
        self.damaged.retain(|_, (_, since)| *since >= then);
        self.damaged.len() < before
    }

    /// Whether nothing is being compacted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// How many compactions run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.ranges.len()
    }

    /// Whether a running compaction writes to `level` within the range of user keys.
    #[must_use]
    pub fn writes(&self, level: usize, from: &[u8], to: &[u8]) -> bool {
        self.ranges
            .iter()
            .any(|(_, l, start, end)| *l == level && start.as_slice() <= to && end.as_slice() >= from)
    }

    /// Takes the tables and the output range of a plan.
    pub fn claim(&mut self, plan: &Plan) -> Claim {
        let tables: Vec<_> = plan.inputs.iter().map(|(_, t)| t.meta.number).collect();
        self.tables.extend(&tables);
        self.next += 1;
        if let Some((from, to)) = plan.range() {
            self.ranges.push((self.next, plan.output_level, from.to_vec(), to.to_vec()));
        }
        Claim { tables, range: self.next }
    }

    /// Gives a claim back.
    pub fn release(&mut self, claim: &Claim) {
        self.tables.retain(|number| !claim.tables.contains(number));
        self.ranges.retain(|(id, ..)| *id != claim.range);
    }
}
