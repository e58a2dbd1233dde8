//! Whether what was recovered is allowed.
//!
//! What survived of the logged writes must be a prefix of them, and so must be what survived of the unlogged
//! ones. So there must be a pair of points, one in each order and none before what is known to survive, such
//! that the commits before them give exactly what was found. All pairs are tried: for each point in the
//! unlogged order the logged one is moved from its least to its greatest place, and a count of the keys that
//! differ is kept on the way.

use super::contract::Order;
use super::dump::{Dump, PREPARED_NAME};
use super::model::{Commit, Life, Oracle, PREPARED};
use super::state::{Chain, FamilyId, State, Version};
use crate::history::DROPPING;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// What was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// The process was killed.
    Kill,
    /// Power was lost.
    Power,
}

/// The explanation of what was found.
#[derive(Clone, Debug)]
pub struct Match {
    /// The commits that make it up, beside those that are known to survive.
    pub commits: BTreeSet<u32>,
}

/// Keys with the values that they may have, `None` standing for none.
pub type Candidates = BTreeMap<Vec<u8>, Vec<Option<Arc<[u8]>>>>;

impl Oracle {
    /// Looks for the points in the two orders that explain what was found after a loss.
    ///
    /// # Errors
    /// What is wrong with it: a violation of the contract.
    pub fn explain(&self, found: &Dump, loss: Loss) -> Result<Match, String> {
        let present = self.families_of(found)?;
        let least = |order| match loss {
            Loss::Kill => self.kept_by_a_kill(order),
            Loss::Power => 0,
        };
        let of = |order| self.pending.iter().filter(|commit| commit.order == order).collect::<Vec<_>>();
        let (logged, unlogged) = (of(Order::Logged), of(Order::Unlogged));
        let now_ms = found.now_ms;
        let mut nearest: Option<(usize, String)> = None;
        let mut matched = None;
        let base = Candidate::new(&self.floor, found, &present, now_ms);
        base.each_point(&unlogged, least(Order::Unlogged), &mut |candidate| {
            candidate.clone().each_point(&logged, least(Order::Logged), &mut |candidate| {
                let wrong = candidate.wrong.len();
                let clock = self.explain_clock(now_ms, &candidate.commits);
                if wrong == 0 && clock.is_ok() {
                    matched = Some(candidate.commits.clone());
                } else if nearest.as_ref().is_none_or(|(least, _)| wrong < *least) {
                    nearest = Some((wrong, clock.err().unwrap_or_default() + &candidate.complaint()));
                }
                matched.is_some()
            })
        });
        if let Some(commits) = matched {
            return Ok(Match { commits });
        }
        let pending: Vec<String> = self.pending.iter().map(name).collect();
        Err(format!(
            "no prefix of the commits gives what was found after {loss:?} at {now_ms}; \
             not known durable: [{}]; the nearest: {}",
            pending.join(" "),
            nearest.map_or(String::new(), |(_, complaint)| complaint)
        ))
    }

    /// The clock of expiry may fall back, but not behind what survived, nor behind the wall clock.
    fn explain_clock(&self, found_ms: u64, commits: &BTreeSet<u32>) -> Result<(), String> {
        let survived = self.pending.iter().filter(|commit| commits.contains(&commit.number));
        let latest = survived.map(|commit| commit.begun_ms).max().unwrap_or(0);
        let least = self.wall_ms().max(self.clock_floor_ms).max(latest);
        if (least..=self.now_ms.max(least)).contains(&found_ms) {
            return Ok(());
        }
        let most = self.now_ms;
        Err(format!("the clock shows {found_ms}, which is not between {least} and {most}; "))
    }

    /// The families that were found, by their ids.
    fn families_of(&self, found: &Dump) -> Result<BTreeMap<FamilyId, String>, String> {
        let mut present = BTreeMap::from([(PREPARED, PREPARED_NAME.to_string())]);
        for name in found.families.keys().filter(|name| *name != PREPARED_NAME) {
            let known = self.families.iter().find(|family| family.name == *name);
            let known = known.ok_or_else(|| format!("the family {name} was dropped or never created"))?;
            present.insert(known.id, name.clone());
        }
        let missing = |family: &&super::model::Family| {
            family.life == Life::Certain && !present.contains_key(&family.id)
        };
        match self.families.iter().find(missing) {
            Some(family) => Err(format!("the family {} is gone", family.name)),
            None => Ok(present),
        }
    }

    /// The keys that may be read in the family in which ranges are dropped, whatever survived of what is not
    /// known to be durable, with the values that they may have.
    #[must_use]
    pub fn never_dropped(&self, now_ms: u64) -> Candidates {
        let mut keys = Candidates::new();
        let Some(id) = self.families.iter().find(|family| family.name == DROPPING).map(|f| f.id) else {
            return keys;
        };
        let mut dropped = BTreeSet::new();
        let pending = self.pending.iter().flat_map(|commit| &commit.changes);
        let pending = pending.filter(|(family, ..)| *family == id);
        let floor = self.floor.versions().filter(|(family, ..)| *family == id);
        let all = floor.map(|(_, key, version)| (key, version));
        for (key, version) in all.chain(pending.map(|(_, key, version)| (key.as_slice(), version))) {
            if version.dropped {
                dropped.insert(key.to_vec());
            }
            keys.entry(key.to_vec()).or_default().push(version.at(now_ms).cloned());
        }
        // What a key held before a recovery is not known.
        let unknown = |key: &[u8]| self.recovered && self.floor.version(id, key).is_none();
        keys.retain(|key, _| !dropped.contains(key) && !unknown(key));
        for (key, values) in &mut keys {
            if self.floor.version(id, key).is_none() {
                values.push(None);
            }
        }
        keys
    }

    /// What was found is from now on what the store holds, durably.
    ///
    /// # Errors
    /// As [`Oracle::explain`].
    pub fn recovered(&mut self, found: &Dump, loss: Loss) -> Result<(), String> {
        let matched = self.explain(found, loss)?;
        let present = self.families_of(found)?;
        for commit in std::mem::take(&mut self.pending) {
            if matched.commits.contains(&commit.number) {
                for (family, key, version) in &commit.changes {
                    self.floor.apply(*family, key, version);
                }
            }
        }
        self.families.retain(|family| present.contains_key(&family.id));
        self.families.iter_mut().for_each(|family| family.life = Life::Certain);
        let kept: BTreeSet<FamilyId> = present.into_keys().collect();
        let held: BTreeSet<FamilyId> = self.floor.versions().map(|(family, ..)| family).collect();
        held.difference(&kept).for_each(|gone| self.floor.remove_family(*gone));
        // Which of the drops have survived, nobody knows: what may have been dropped must not be read.
        let dropping = self.families.iter().filter(|family| family.name == DROPPING);
        dropping.for_each(|family| self.floor.remove_family(family.id));
        self.recovered = true;
        self.visible = self.floor.clone();
        // Opening the store makes its clock durable.
        self.now_ms = found.now_ms;
        self.clock_floor_ms = found.now_ms;
        Ok(())
    }
}

fn name(commit: &Commit) -> String {
    let state = match (commit.returned_ms, commit.refused) {
        (_, true) => "!",
        (None, _) => "?",
        _ => "",
    };
    format!("{}{state}/{:?}", commit.number, commit.durability)
}

/// A pair of points, and where it differs from what was found.
#[derive(Clone)]
struct Candidate<'a> {
    floor: &'a State,
    found: &'a Dump,
    present: &'a BTreeMap<FamilyId, String>,
    now_ms: u64,
    newer: BTreeMap<(FamilyId, &'a [u8]), Chain>,
    wrong: BTreeSet<(FamilyId, &'a [u8])>,
    commits: BTreeSet<u32>,
}

impl<'a> Candidate<'a> {
    fn new(
        floor: &'a State,
        found: &'a Dump,
        present: &'a BTreeMap<FamilyId, String>,
        now_ms: u64,
    ) -> Candidate<'a> {
        let (newer, commits) = (BTreeMap::new(), BTreeSet::new());
        let mut candidate =
            Candidate { floor, found, present, now_ms, newer, wrong: BTreeSet::new(), commits };
        for (family, key, _) in floor.versions() {
            candidate.judge(family, key);
        }
        for (id, name) in present {
            let entries = found.families.get(name).into_iter().flat_map(BTreeMap::keys);
            for key in entries.filter(|_| name != DROPPING) {
                candidate.judge(*id, key);
            }
        }
        candidate
    }

    fn version<'s>(&'s self, family: FamilyId, key: &'s [u8]) -> Option<&'s Version> {
        self.newer.get(&(family, key)).map_or_else(|| self.floor.version(family, key), Chain::folded)
    }

    fn judge(&mut self, family: FamilyId, key: &'a [u8]) {
        let untold = |name: &str| name == DROPPING || name == PREPARED_NAME && self.found.without_prepared;
        let Some(name) = self.present.get(&family).filter(|name| !untold(name.as_str())) else { return };
        let version = self.version(family, key).filter(|version| version.at(self.now_ms).is_some());
        let expected = version.and_then(|version| version.at(self.now_ms)).map(|value| value.as_ref());
        let ends = |version: &Version| {
            self.found.without_expiries || version.expires_at == self.found.expires_at(name, key)
        };
        if expected == self.found.get(name, key) && version.is_none_or(ends) {
            self.wrong.remove(&(family, key));
        } else {
            self.wrong.insert((family, key));
        }
    }

    /// Shows `found` this candidate at each point of an order that is not before the commit `least`, until
    /// it says that it has found what it was looking for. Refused commits may stand only at the very end:
    /// some may not have been written at all, so a run of them may begin anywhere, but has no gaps.
    fn each_point(
        mut self,
        commits: &[&'a Commit],
        least: u32,
        found: &mut dyn FnMut(&Candidate<'a>) -> bool,
    ) -> bool {
        let mut rest = commits;
        loop {
            let run = rest.iter().take_while(|commit| commit.refused).count();
            let (refused, behind) = rest.split_at(run);
            if !behind.iter().any(|commit| !commit.refused && commit.number <= least) {
                if found(&self) {
                    return true;
                }
                for first in 0..refused.len() {
                    let mut tail = self.clone();
                    for commit in &refused[first..] {
                        tail.commit(commit);
                        if found(&tail) {
                            return true;
                        }
                    }
                }
            }
            let Some((next, behind)) = behind.split_first() else { return false };
            self.commit(next);
            rest = behind;
        }
    }

    fn commit(&mut self, commit: &'a Commit) {
        self.commits.insert(commit.number);
        for (family, key, version) in &commit.changes {
            let floor = || self.floor.chain(*family, key).cloned().unwrap_or_default();
            if self.newer.entry((*family, key)).or_insert_with(floor).apply(version) {
                self.judge(*family, key);
            }
        }
    }

    fn complaint(&self) -> String {
        let mut text = format!("with {:?}", self.commits);
        for (family, key) in self.wrong.iter().take(4) {
            let name = &self.present[family];
            let found = self.found.get(name, key).map(|value| (value.len(), super::state::short(value)));
            let expected = self.version(*family, key);
            write!(text, "; {name} {}: expected {expected:?}, found {found:?}", key.escape_ascii())
                .expect("a String takes all");
        }
        text
    }
}
