//! The oracle beside what is on its way: answers come in the order of the questions, so what a read must give
//! is known when its answer arrives.

use super::answer::{Answer, Status, What};
use super::print::{Sum, print, unhex};
use crate::history::{self, Operation, Operator, Span, value};
use crate::oracle::{Contract, Dump, FamilyId, Loss, Merge, Oracle, Outcome, State, Version};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// What an answer is awaited to.
#[derive(Debug)]
enum Awaited {
    Write { number: u32, bytes: u64 },
    Other(Operation),
}

/// A snapshot with what it must show.
struct Held {
    state: State,
    now_ms: u64,
    families: BTreeMap<String, FamilyId>,
}

/// Tells right answers from wrong ones.
pub struct Judge {
    oracle: Oracle,
    awaited: VecDeque<Awaited>,
    snapshots: BTreeMap<u32, Held>,
    /// The time when everything on its way has been carried out, in milliseconds since the epoch.
    planned_ms: u64,
    planned_wall_ms: u64,
    /// Whether the disk may be full: then what needs space may fail.
    pub may_be_full: bool,
    /// What was asked and answered.
    pub counts: Counts,
}

/// What was asked and answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Lines.
    pub requests: u64,
    /// Keys written or looked up, and entries met by scans.
    pub operations: u64,
    /// Keys and values of writes that were done.
    pub written_bytes: u64,
    /// Operations that failed because the disk was full.
    pub refused: u64,
}

impl Judge {
    /// For a store that does not exist yet.
    #[must_use]
    pub fn new(now_ms: u64, sync_interval_ms: u64) -> Judge {
        Judge {
            oracle: Oracle::new(Contract::read(), now_ms, sync_interval_ms),
            awaited: VecDeque::new(),
            snapshots: BTreeMap::new(),
            planned_ms: now_ms,
            planned_wall_ms: now_ms,
            may_be_full: false,
            counts: Counts::default(),
        }
    }

    /// How many answers are awaited.
    #[must_use]
    pub fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Whether the family certainly exists.
    #[must_use]
    pub fn has_family(&self, name: &str) -> bool {
        self.oracle.family(name).is_some()
    }

    /// Whether the snapshot is held, and will be by the time that the next question is answered.
    #[must_use]
    pub fn has_snapshot(&self, slot: u32) -> bool {
        let touched =
            |awaited: &Awaited| matches!(awaited, Awaited::Other(Operation::Release(s)) if *s == slot);
        self.snapshots.contains_key(&slot) && !self.awaited.iter().any(touched)
    }

    /// The snapshots that are held.
    #[must_use]
    pub fn snapshots(&self) -> Vec<u32> {
        self.snapshots.keys().copied().collect()
    }

    /// What the child's wall clock is to show, in milliseconds since the epoch.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        self.planned_wall_ms
    }

    /// What the store must hold.
    #[must_use]
    pub fn visible(&self) -> (&State, u64) {
        (self.oracle.visible(), self.oracle.now_ms())
    }

    /// The families that exist, with their ids.
    #[must_use]
    pub fn families(&self) -> BTreeMap<String, FamilyId> {
        let named = |name: String| self.oracle.family(&name).map(|id| (name, id));
        self.oracle.family_names().into_iter().filter_map(named).collect()
    }

    /// An operation is about to be sent; returns its line.
    pub fn ask(&mut self, operation: Operation) -> String {
        let text = history::print(std::slice::from_ref(&operation));
        self.counts.requests += 1;
        let mut number = 0;
        let awaited = match operation {
            Operation::Write { changes, durability } => {
                let (next, mut bytes, mut versions) = (self.oracle.next_commit(), 0, Vec::new());
                self.counts.operations += changes.len() as u64;
                for (at, change) in changes.into_iter().enumerate() {
                    let version = self.version(next, at, &change.what);
                    bytes += change.key.len() as u64 + length(&change.what) as u64;
                    let family = self.oracle.family(&change.family).expect("a family that exists");
                    match &change.what {
                        history::What::DeleteRange(span) | history::What::DropRange(span) => {
                            self.oracle.remove_range(family, span, &version, &mut versions);
                        }
                        _ => versions.push((family, change.key, version)),
                    }
                }
                number = self.oracle.begin_write(durability, versions);
                Awaited::Write { number, bytes }
            }
            other => {
                match &other {
                    Operation::Advance(ms) => {
                        self.planned_ms += ms;
                        self.planned_wall_ms += ms;
                    }
                    Operation::Clock(by_ms) => {
                        self.planned_wall_ms = self.planned_wall_ms.saturating_add_signed(*by_ms);
                        self.planned_ms = self.planned_ms.max(self.planned_wall_ms);
                    }
                    Operation::Create(name) => self.oracle.begin_create(name),
                    Operation::Drop(name) => self.oracle.begin_drop(name),
                    _ => {}
                }
                Awaited::Other(other)
            }
        };
        self.awaited.push_back(awaited);
        format!("{number} {text}")
    }

    fn version(&self, commit: u32, at: usize, what: &history::What) -> Version {
        let expires_at = match what {
            history::What::PutTtl { ttl_ms, .. } => self.planned_ms + ttl_ms,
            _ => u64::MAX,
        };
        let print_of = |bytes| Arc::from(print(&value(commit, at, bytes)).as_slice());
        let value = match what {
            history::What::Put { .. } | history::What::PutTtl { .. } | history::What::Merge { .. } => {
                Some(print_of(length(what)))
            }
            _ => None,
        };
        let merge = match what {
            history::What::Merge { ttl_ms, .. } => {
                Some(Merge { operator: Operator::Newest, written_ms: self.planned_ms, ttl_ms: *ttl_ms })
            }
            _ => None,
        };
        let dropped = matches!(what, history::What::DropRange(_));
        Version { order: (commit, at as u32), value, expires_at, dropped, merge }
    }

    /// Judges the next answer; returns what a write came to, if it was one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn hear(&mut self, line: &str) -> Result<Option<Outcome>, String> {
        let awaited = self.awaited.pop_front().ok_or_else(|| format!("nobody asked for {line}"))?;
        let answer = Answer::parse(line)?;
        let mut outcome = None;
        let judged = match &awaited {
            Awaited::Write { number, bytes } => match self.written(&answer.what, *bytes) {
                Ok(how) => {
                    self.oracle.end_write(*number, how);
                    outcome = Some(how);
                    Ok(())
                }
                Err(why) => Err(why),
            },
            Awaited::Other(operation) => self.other(operation, answer.what),
        };
        judged.map_err(|why| format!("{awaited:?}: {why}"))?;
        self.oracle.durable_up_to(answer.durable_seq);
        Ok(outcome)
    }

    fn written(&mut self, what: &What, bytes: u64) -> Result<Outcome, String> {
        match what {
            What::Done(seq) => {
                self.counts.written_bytes += bytes;
                Ok(Outcome::Done { seq: Some(*seq) })
            }
            What::Refused(why) => self.tolerate(why).map(|()| Outcome::Refused),
            What::Published(why) => self.tolerate(why).map(|()| Outcome::Published),
            other => Err(format!("a write is answered by {other:?}")),
        }
    }

    /// An error that a full disk explains.
    fn tolerate(&mut self, why: &str) -> Result<(), String> {
        if self.may_be_full && why.contains("full") {
            self.counts.refused += 1;
            return Ok(());
        }
        Err(why.into())
    }

    fn other(&mut self, operation: &Operation, what: What) -> Result<(), String> {
        match (operation, what) {
            (Operation::Get { at, family, key }, What::Values(found)) => {
                self.compare(*at, family, std::slice::from_ref(key), &found)
            }
            (Operation::MultiGet { at, family, keys }, What::Values(found)) => {
                self.compare(*at, family, keys, &found)
            }
            (Operation::Scan { at, family, span, .. }, What::Entries(found)) => {
                let expected = self.sum(*at, family, span);
                self.counts.operations += found.count;
                if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
            }
            (Operation::Families, What::Names(mut found)) => {
                let mut expected = self.oracle.family_names();
                found.sort();
                expected.sort();
                if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
            }
            (Operation::Create(name), what) => {
                self.oracle.end_family(name, matches!(what, What::Done(_)));
                self.done(what)
            }
            (Operation::Drop(name), what) => {
                self.oracle.end_family(name, !matches!(what, What::Done(_)));
                self.done(what)
            }
            (operation, What::Done(_)) => {
                self.was_done(operation);
                Ok(())
            }
            (
                Operation::Sync | Operation::Flush | Operation::Compact | Operation::CompactRange { .. },
                What::Failed(why),
            ) => self.tolerate(&why),
            (_, other) => Err(format!("{other:?}")),
        }
    }

    fn done(&mut self, what: What) -> Result<(), String> {
        match what {
            What::Done(_) => Ok(()),
            What::Failed(why) => self.tolerate(&why),
            other => Err(format!("{other:?}")),
        }
    }

    fn was_done(&mut self, operation: &Operation) {
        match operation {
            Operation::Sync => self.oracle.synced(),
            Operation::Flush | Operation::Compact | Operation::CompactRange { .. } => self.oracle.flushed(),
            Operation::Snapshot(slot) => {
                let (state, now_ms) = (self.oracle.visible().clone(), self.oracle.now_ms());
                let families = self.families();
                self.snapshots.insert(*slot, Held { state, now_ms, families });
            }
            Operation::Release(slot) => drop(self.snapshots.remove(slot)),
            Operation::Reopen => {
                self.oracle.closed();
                self.snapshots.clear();
            }
            other => self.time_passed(other),
        }
    }

    fn time_passed(&mut self, operation: &Operation) {
        match operation {
            Operation::Advance(ms) => self.oracle.advance(*ms),
            Operation::Clock(by_ms) => {
                let wall_ms = self.oracle.wall_ms().saturating_add_signed(*by_ms);
                self.oracle.wall_set(wall_ms);
            }
            _ => {}
        }
    }

    /// What is to be read: the state, the time and the family.
    fn target(&self, at: Option<u32>, family: &str) -> (&State, u64, Option<FamilyId>) {
        match at.and_then(|slot| self.snapshots.get(&slot)) {
            Some(held) => (&held.state, held.now_ms, held.families.get(family).copied()),
            None => (self.oracle.visible(), self.oracle.now_ms(), self.oracle.family(family)),
        }
    }

    fn compare(
        &mut self,
        at: Option<u32>,
        family: &str,
        keys: &[Vec<u8>],
        found: &[Option<Vec<u8>>],
    ) -> Result<(), String> {
        self.counts.operations += keys.len() as u64;
        let (state, now_ms, id) = self.target(at, family);
        if found.len() != keys.len() {
            return Err(format!("{} answers for {} keys", found.len(), keys.len()));
        }
        for (key, found) in keys.iter().zip(found) {
            let expected = id.and_then(|id| state.get(id, key, now_ms)).map(|print| print.as_ref());
            if found.as_deref() != expected {
                let version = id.and_then(|id| state.version(id, key));
                let key = key.escape_ascii();
                return Err(format!(
                    "{key} at {now_ms}: found {found:?} instead of {expected:?} ({version:?})"
                ));
            }
        }
        Ok(())
    }

    fn sum(&self, at: Option<u32>, family: &str, span: &Span) -> Sum {
        let (state, now_ms, id) = self.target(at, family);
        let (from, to): (Bound<&[u8]>, Bound<&[u8]>) = match span {
            Span::All => (Bound::Unbounded, Bound::Unbounded),
            Span::Prefix(prefix) => (Bound::Included(prefix), Bound::Unbounded),
            Span::Range(from, to) => (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice)),
        };
        let mut sum = Sum::default();
        for (key, print) in id.into_iter().flat_map(|id| state.entries_from(id, from, now_ms)) {
            let beyond = match to {
                Bound::Included(to) => key > to,
                Bound::Excluded(to) => key >= to,
                Bound::Unbounded => false,
            };
            if beyond || !span.contains(key) {
                break;
            }
            sum.add(key, print);
        }
        sum
    }

    /// The child was killed: whatever was on its way may have been done, and the time that was has passed.
    pub fn killed(&mut self) {
        for awaited in std::mem::take(&mut self.awaited) {
            if let Awaited::Other(operation) = awaited {
                self.time_passed(&operation);
            }
        }
        self.snapshots.clear();
    }

    /// The store was opened again, and these lines are everything in it.
    ///
    /// # Errors
    /// If that is not allowed.
    pub fn recovered(&mut self, lines: &[String], status: &Status) -> Result<(), String> {
        let found = dump(lines, status)?;
        self.oracle.recovered(&found, Loss::Kill)?;
        self.planned_ms = self.oracle.now_ms();
        Ok(())
    }
}

fn length(what: &history::What) -> usize {
    match what {
        history::What::Put { bytes }
        | history::What::PutTtl { bytes, .. }
        | history::What::Merge { bytes, .. } => *bytes,
        _ => 0,
    }
}

fn dump(lines: &[String], status: &Status) -> Result<Dump, String> {
    let mut dump = Dump { now_ms: status.now_ms, without_expiries: true, ..Dump::default() };
    let mut entries = None;
    for line in lines {
        match (line.split(' ').collect::<Vec<_>>().as_slice(), &mut entries) {
            (["family", name], _) => entries = Some(dump.families.entry((*name).into()).or_default()),
            (["entry", key, print], Some(entries)) => {
                let (key, print) = unhex(key).zip(unhex(print)).ok_or_else(|| format!("no entry: {line}"))?;
                entries.insert(key, print);
            }
            _ => return Err(format!("this is no line of a dump: {line}")),
        }
    }
    Ok(dump)
}
