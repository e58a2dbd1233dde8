//! What is to be run, in which order, and what of it has been run.

use super::engines::Kind;
use super::phases::{For, Phase};
use super::row::Outcome;
use super::suites::Suite;
use crate::latency::Latency;
use crate::process::Fallible;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What all figures of a state have in common; figures of others are not to be compared with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Entries.
    pub entries: u32,
    /// The memory of an engine, in bytes.
    pub memory_bytes: u64,
    /// No phase lasts longer, in milliseconds.
    pub longest_ms: u64,
    /// From what orders and values follow.
    pub seed: u64,
    /// A hash of the program.
    pub build: u64,
}

/// A round of phases of an engine, in a process of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The name of the suite.
    pub suite: String,
    /// The engine.
    pub kind: Kind,
    /// Which run it is, from 0 on.
    pub run: u32,
    /// What the machine alone does to operations of two microseconds, measured before.
    pub spin: Option<Latency>,
    /// A bare `fdatasync` after an append, measured before.
    pub fdatasync: Option<Latency>,
    /// What is known so far.
    pub results: Vec<Named>,
}

/// How a phase ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Named {
    /// The name of the phase.
    pub phase: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What has been measured so far. It is kept in a file, so that who is interrupted goes on there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// What all figures have in common.
    pub conditions: Conditions,
    /// The jobs that were begun.
    pub jobs: Vec<Job>,
}

/// The engines and suites in the order in which they are run, and the number of the run: each suite
/// forth and back (A-B-B-A), so that a machine that gets slower with time hits all alike.
#[must_use]
pub fn order(suites: &[&'static Suite], kinds: &[Kind], runs: u32) -> Vec<(&'static Suite, Kind, u32)> {
    let mut all = Vec::new();
    for suite in suites {
        for run in 0..runs {
            let mut kinds = kinds.to_vec();
            if run % 2 == 1 {
                kinds.reverse();
            }
            all.extend(kinds.into_iter().map(|kind| (*suite, kind, run)));
        }
    }
    all
}

/// The phases of a suite that an engine takes part in, if `wanted` names them, or all if it is empty.
#[must_use]
pub fn phases_of(suite: &'static Suite, kind: Kind, wanted: &[String]) -> Vec<&'static Phase> {
    let may = |phase: &&Phase| phase.whom == For::All || kind.is_esker() || kind.is_rocksdb();
    let takes_part = |phase: &&Phase| suite.is_for(kind) && may(phase);
    let named = |phase: &&Phase| wanted.is_empty() || wanted.iter().any(|name| name == phase.name);
    suite.phases.iter().filter(takes_part).filter(named).collect()
}

impl State {
    /// A state without figures.
    #[must_use]
    pub fn new(conditions: Conditions) -> State {
        State { conditions, jobs: Vec::new() }
    }

    /// The state in a file, or a new one if there is none. What failed is forgotten, to be tried again.
    ///
    /// # Errors
    /// If the file cannot be read, or was written under other conditions.
    pub fn load(path: &Path, conditions: Conditions) -> Fallible<State> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::new(conditions)),
            text => text?,
        };
        let again = || format!("{}: --fresh begins anew", path.display());
        let mut state: State =
            serde_json::from_str(&text).map_err(|error| format!("{error}; {}", again()))?;
        if state.conditions != conditions {
            let what = "there are figures of other sizes or another build";
            return Err(format!("{what} ({:?}) in {}", state.conditions, again()).into());
        }
        for job in &mut state.jobs {
            job.results.retain(|result| !matches!(result.outcome, Outcome::Failed(_)));
        }
        Ok(state)
    }

    /// Writes the state to a file, in whose place the former stands until the new one is whole.
    ///
    /// # Errors
    /// What writing gives.
    pub fn save(&self, path: &Path) -> Fallible<()> {
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_string(self)?)?;
        Ok(std::fs::rename(new, path)?)
    }

    /// The job, begun now if it was not before.
    pub fn job(&mut self, suite: &str, kind: Kind, run: u32) -> &mut Job {
        let is = |job: &Job| job.suite == suite && job.kind == kind && job.run == run;
        let at = self.jobs.iter().position(is).unwrap_or_else(|| {
            let results = Vec::new();
            self.jobs.push(Job { suite: suite.into(), kind, run, spin: None, fdatasync: None, results });
            self.jobs.len() - 1
        });
        &mut self.jobs[at]
    }
}

impl Job {
    /// Those of `phases` of which nothing is known yet.
    #[must_use]
    pub fn missing(&self, phases: &[&'static Phase]) -> Vec<&'static Phase> {
        let known = |phase: &&&Phase| !self.results.iter().any(|result| result.phase == phase.name);
        phases.iter().filter(known).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::row::Row;

    fn conditions() -> Conditions {
        Conditions { entries: 100, memory_bytes: 1 << 20, longest_ms: 100, seed: 1, build: 0 }
    }

    #[test]
    fn runs_go_forth_and_back() {
        let kinds = [Kind::Esker, Kind::RocksdbZstd, Kind::Lmdb];
        let main = Suite::named("main").unwrap();
        let order: Vec<_> = order(&[main], &kinds, 3).into_iter().map(|(_, kind, run)| (kind, run)).collect();
        let [a, b, c] = kinds;
        assert_eq!(order, [(a, 0), (b, 0), (c, 0), (c, 1), (b, 1), (a, 1), (a, 2), (b, 2), (c, 2)]);
    }

    #[test]
    fn other_engines_take_part_where_they_are_asked_to() {
        let main = Suite::named("main").unwrap();
        let all = phases_of(main, Kind::RocksdbMixed, &[]).len();
        let some = phases_of(main, Kind::Lmdb, &[]);
        assert!(some.len() < all && all == main.phases.len());
        assert!(some.iter().any(|phase| phase.name == "readhot"));
        assert!(some.iter().all(|phase| phase.name != "transfer"));
        let two = phases_of(main, Kind::Esker, &["scan".into(), "queue".into()]);
        assert_eq!(two.iter().map(|phase| phase.name).collect::<Vec<_>>(), ["scan", "queue"]);
    }

    #[test]
    fn what_was_interrupted_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let mut state = State::load(&path, conditions()).unwrap();
        let phases = phases_of(Suite::named("main").unwrap(), Kind::Esker, &["scan".into(), "queue".into()]);
        let job = state.job("main", Kind::Esker, 1);
        assert_eq!(job.missing(&phases).len(), 2);
        let row = Row { operations: 7, slots: vec![3, 4], ..Row::default() };
        job.results.push(Named { phase: "scan".into(), outcome: Outcome::Measured(Box::new(row)) });
        let failed = Outcome::Failed("no memory".into());
        job.results.push(Named { phase: "queue".into(), outcome: failed });
        assert!(job.missing(&phases).is_empty());
        state.save(&path).unwrap();

        let mut state = State::load(&path, conditions()).unwrap();
        let missing = state.job("main", Kind::Esker, 1).missing(&phases);
        assert_eq!(missing.iter().map(|phase| phase.name).collect::<Vec<_>>(), ["queue"]);
        assert_eq!(state.jobs[0].results[0].outcome.row().unwrap().slots, [3, 4]);
        assert_eq!(state.job("main", Kind::Esker, 0).missing(&phases).len(), 2);
        let other = State::load(&path, Conditions { seed: 2, ..conditions() }).unwrap_err().to_string();
        assert!(other.contains("another build") && other.contains("--fresh"), "{other}");
        std::fs::write(&path, "{").unwrap();
        assert!(State::load(&path, conditions()).is_err());
    }
}
