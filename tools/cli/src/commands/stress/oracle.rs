//! What must be there after a kill, and what may be.
//!
//! All that was logged and returned must be there. Of the unlogged writes a prefix is there, which no flush
//! that returned reaches beyond. Of what was under way, at most one commit of each writer, each may be there
//! or not, whole. So what was found must be what one of a few candidates gives: for each order in which
//! commits under way may have come in, and each point in the order of the unlogged ones. All are tried; what
//! differs is kept as a set that changes by one commit at a time.

use super::intents::{FAMILIES, Operation, PASSING};
use super::record::{Commit, Record};
use super::value::Mark;
use esker::Durability;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A family as the oracle counts them: the first three stay, and one of the name that comes and goes is a new
/// one each time.
pub type FamilyId = u32;

/// What was found in a store.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The names of its families.
    pub families: BTreeSet<String>,
    /// Its entries: the family (an index into [`FAMILIES`]) and the key.
    pub entries: BTreeMap<(u8, Vec<u8>), Mark>,
    /// The time at which it was read, by the store's clock.
    pub now_ms: u64,
}

/// What a commit made of a key.
#[derive(Clone, Debug)]
struct Version {
    seq: u64,
    operation: Operation,
}

impl Version {
    fn at(&self, now_ms: u64) -> Option<Mark> {
        self.operation.mark().filter(|_| now_ms < self.operation.expires_at)
    }
}

type Key = (FamilyId, Vec<u8>);

/// What the store holds between rounds.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// What the operations follow from.
    pub seed: u64,
    /// The family that comes and goes, if it is there.
    pub passing: Option<FamilyId>,
    /// The number that it gets next time.
    pub next_family: FamilyId,
    /// The greatest sequence number that is known to have been used.
    pub last_seq: u64,
    versions: BTreeMap<Key, Version>,
}

impl Oracle {
    /// An empty store with the families that stay.
    #[must_use]
    pub fn new(seed: u64) -> Oracle {
        let next_family = FamilyId::from(PASSING);
        Oracle { seed, passing: None, next_family, last_seq: 0, versions: BTreeMap::new() }
    }

    /// Judges what was found after a round, and takes it for what the store holds from now on.
    ///
    /// # Errors
    /// A violation: what was expected and what was found.
    pub fn settle(&mut self, record: Record, found: &Found) -> Result<(), String> {
        let passing = families(&record, found)?;
        let mut versions = self.explain(&record, found, passing)?;
        versions.retain(|(family, _), _| *family < FamilyId::from(PASSING) || Some(*family) == passing);
        self.versions = versions;
        self.passing = passing;
        self.next_family = record.next_family;
        self.last_seq = self.last_seq.max(record.last_seq);
        Ok(())
    }

    fn explain(
        &self,
        record: &Record,
        found: &Found,
        passing: Option<FamilyId>,
    ) -> Result<BTreeMap<Key, Version>, String> {
        let mut nearest: Option<(usize, String)> = None;
        let top = record.last_seq.max(self.last_seq) + 1;
        for order in orders(&record.under_way) {
            let mut candidate = Candidate::new(self.versions.clone(), found, passing);
            let mut next = top;
            let mut commits: Vec<(u64, &Commit)> = record.known.iter().map(|c| (c.first, c)).collect();
            for commit in order {
                commits.push((next, commit));
                next += commit.operations.len() as u64;
            }
            let (unlogged, logged): (Vec<_>, Vec<_>) =
                commits.into_iter().partition(|(_, commit)| commit.durability == Durability::None);
            logged.iter().for_each(|(first, commit)| candidate.commit(*first, commit));
            candidate.judge_all();
            let required = unlogged.iter().rposition(|(_, commit)| commit.required).map_or(0, |at| at + 1);
            for point in 0..=unlogged.len() {
                if point >= required {
                    if candidate.wrong.is_empty() {
                        return Ok(candidate.versions);
                    }
                    if nearest.as_ref().is_none_or(|(wrong, _)| candidate.wrong.len() < *wrong) {
                        nearest = Some((candidate.wrong.len(), candidate.complaint()));
                    }
                }
                if let Some((first, commit)) = unlogged.get(point) {
                    candidate.commit(*first, commit);
                }
            }
        }
        let (count, complaint) = nearest.unwrap_or_default();
        Err(format!("{count} keys are not what any order of the commits gives; in the nearest:{complaint}"))
    }
}

/// The family that comes and goes, of those that may be there.
fn families(record: &Record, found: &Found) -> Result<Option<FamilyId>, String> {
    let [lasting @ .., passing] = FAMILIES;
    if let Some(name) = lasting.iter().find(|name| !found.families.contains(**name)) {
        return Err(format!("expected the family {name:?}, found none of that name"));
    }
    if let Some(name) = found.families.iter().find(|name| !FAMILIES.contains(&name.as_str())) {
        return Err(format!("found the family {name:?}, which was never created"));
    }
    let there = found.families.contains(passing);
    let fits = record.passing.iter().find(|id| id.is_some() == there);
    fits.copied().ok_or_else(|| match there {
        true => format!("found the family {passing:?}, which had been dropped or never created"),
        false => format!("expected the family {passing:?}, which had been created, found none of that name"),
    })
}

/// The orders in which commits under way may have come in: none, one of them, both either way.
fn orders(under_way: &[Commit]) -> Vec<Vec<&Commit>> {
    let mut orders = vec![Vec::new()];
    for (at, commit) in under_way.iter().enumerate() {
        orders.push(vec![commit]);
        let others = under_way.iter().enumerate().filter(|(other, _)| *other != at);
        orders.extend(others.map(|(_, other)| vec![commit, other]));
    }
    orders
}

/// One explanation, and the keys at which it differs from what was found.
struct Candidate<'a> {
    versions: BTreeMap<Key, Version>,
    found: &'a Found,
    passing: Option<FamilyId>,
    wrong: BTreeSet<Key>,
}

impl<'a> Candidate<'a> {
    fn new(versions: BTreeMap<Key, Version>, found: &'a Found, passing: Option<FamilyId>) -> Candidate<'a> {
        Candidate { versions, found, passing, wrong: BTreeSet::new() }
    }

    /// The number by which operations name a family; `None` if it is not there any more.
    fn family(&self, id: FamilyId) -> Option<u8> {
        match u8::try_from(id) {
            Ok(family) if family < PASSING => Some(family),
            _ => (Some(id) == self.passing).then_some(PASSING),
        }
    }

    fn commit(&mut self, first: u64, commit: &Commit) {
        for (seq, (family, operation)) in (first..).zip(&commit.operations) {
            let key = (*family, operation.key.clone());
            if self.versions.get(&key).is_none_or(|held| held.seq < seq) {
                self.versions.insert(key.clone(), Version { seq, operation: operation.clone() });
                self.judge(key);
            }
        }
    }

    fn judge(&mut self, key: Key) {
        let Some(family) = self.family(key.0) else { return };
        let expected = self.versions.get(&key).and_then(|version| version.at(self.found.now_ms));
        if expected.as_ref() == self.found.entries.get(&(family, key.1.clone())) {
            self.wrong.remove(&key);
        } else {
            self.wrong.insert(key);
        }
    }

    fn judge_all(&mut self) {
        self.wrong.clear();
        let mut keys: BTreeSet<Key> = self.versions.keys().cloned().collect();
        for (family, key) in self.found.entries.keys() {
            let id = if *family == PASSING { self.passing } else { Some(FamilyId::from(*family)) };
            keys.extend(id.map(|id| (id, key.clone())));
        }
        keys.into_iter().for_each(|key| self.judge(key));
    }

    fn complaint(&self) -> String {
        let mut text = String::new();
        for key in self.wrong.iter().take(4) {
            let family = self.family(key.0).unwrap_or(PASSING);
            let name = FAMILIES[usize::from(family)];
            let expected = match self.versions.get(key) {
                None => "nothing, it was never written".to_owned(),
                Some(version) => expectation(version, self.found.now_ms),
            };
            let found = self.found.entries.get(&(family, key.1.clone()));
            let found = found.map_or("nothing".to_owned(), Mark::to_string);
            write!(text, " [{name} {}: expected {expected}; found {found}]", key.1.escape_ascii())
                .expect("a String takes all");
        }
        text
    }
}

fn expectation(version: &Version, now_ms: u64) -> String {
    let Version { seq, operation } = version;
    match operation.len {
        None => format!("nothing, removed as {seq} by {}", operation.origin),
        Some(len) if now_ms >= operation.expires_at => {
            let until = operation.expires_at;
            format!(
                "nothing, {len} bytes as {seq} by {} expired at {until}, it is {now_ms}",
                operation.origin
            )
        }
        Some(len) => format!("{len} bytes as {seq} by {}", operation.origin),
    }
}
