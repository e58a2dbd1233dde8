//! The oracle beside what is on its way: answers come in the order of the questions, so what a read must give
//! is known when its answer arrives.

use super::answer::{Answer, Status, What};
use super::guarded::DOES_NOT_HOLD;
use super::print::{Sum, print, unhex};
use super::stock::Stock;
use crate::history::{self, Asked, Change, Condition, Movement, Operation, Operator, Span, value};
use crate::oracle::{Contract, Dump, FamilyId, Loss, Merge, Oracle, Outcome, State, Version};
use crate::session::{Entries, Standing};
use esker::Durability;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// What an answer is awaited to.
#[derive(Debug)]
enum Awaited {
    Write {
        number: u32,
        bytes: u64,
        /// Those that the oracle will forget.
        aside: Vec<(usize, Change)>,
    },
    /// One that changes nothing.
    Unchanged,
    Other(Operation),
}

/// What another expiry makes of a key.
enum Expired {
    Written(Version),
    /// It has that expiry already.
    Unchanged,
    /// There is no such key.
    Absent,
}

/// A cursor with what it must show.
struct Roaming {
    standing: Standing,
    family: String,
    span: Span,
    /// Of a snapshot: no refresh changes what it shows.
    frozen: bool,
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
    cursors: BTreeMap<u32, Roaming>,
    stock: Stock,
    /// What is asked of writes that do not say it.
    pub default_durability: Durability,
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
            cursors: BTreeMap::new(),
            stock: Stock::default(),
            default_durability: Durability::Sync,
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

    /// Whether the cursor is there, and will be by the time that the next question is answered.
    #[must_use]
    pub fn has_cursor(&self, slot: u32) -> bool {
        let touched =
            |awaited: &Awaited| matches!(awaited, Awaited::Other(Operation::LetGo(s)) if *s == slot);
        self.cursors.contains_key(&slot) && !self.awaited.iter().any(touched)
    }

    /// The snapshots that are held.
    #[must_use]
    pub fn snapshots(&self) -> Vec<u32> {
        self.snapshots.keys().copied().collect()
    }

    /// The cursors that are held.
    #[must_use]
    pub fn cursors(&self) -> Vec<u32> {
        self.cursors.keys().copied().collect()
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

    /// What the family should hold that nobody may read.
    #[must_use]
    pub fn stock(&self) -> &Stock {
        &self.stock
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
            Operation::Write { changes, durability } | Operation::Transaction { changes, durability, .. } => {
                self.begin(changes, durability, &mut number)
            }
            Operation::Ingest { changes, .. } => self.begin(changes, Durability::Sync, &mut number),
            Operation::If { condition, changes, durability } if self.holds(&condition) => {
                self.begin(changes, durability, &mut number)
            }
            Operation::Expire { family, key, ttl_ms } => match self.expired(&family, &key, ttl_ms) {
                Expired::Written(version) => {
                    let id = self.oracle.family(&family).expect("a family that exists");
                    let bytes = key.len() as u64;
                    number = self.oracle.begin_write(self.default_durability, vec![(id, key, version)]);
                    Awaited::Write { number, bytes, aside: Vec::new() }
                }
                Expired::Unchanged => Awaited::Unchanged,
                Expired::Absent => Awaited::Other(Operation::Expire { family, key, ttl_ms }),
            },
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

    /// Changes that will be committed together; `number` becomes that of their commit.
    fn begin(&mut self, changes: Vec<Change>, durability: Durability, number: &mut u32) -> Awaited {
        let (next, mut bytes, mut versions) = (self.oracle.next_commit(), 0, Vec::new());
        let aside = Stock::concerned(&changes);
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
        *number = self.oracle.begin_write(durability, versions);
        Awaited::Write { number: *number, bytes, aside }
    }

    /// Whether a condition holds, with nothing on its way.
    fn holds(&self, condition: &Condition) -> bool {
        let (state, now_ms) = self.visible();
        let id = self.oracle.family(&condition.family);
        let is_there = id.is_some_and(|id| state.get(id, &condition.key, now_ms).is_some());
        match condition.asked {
            Asked::Absent => !is_there,
            Asked::Value | Asked::Version => is_there,
            Asked::OtherValue => false,
        }
    }

    /// What another expiry makes of a key, with nothing on its way.
    fn expired(&self, family: &str, key: &[u8], ttl_ms: Option<u64>) -> Expired {
        let (state, now_ms) = self.visible();
        let held = self.oracle.family(family).and_then(|id| state.version(id, key));
        let Some(held) = held.filter(|held| held.at(now_ms).is_some()) else { return Expired::Absent };
        let expires_at = ttl_ms.map_or(u64::MAX, |ttl_ms| now_ms + ttl_ms);
        if held.expires_at == expires_at {
            return Expired::Unchanged;
        }
        let (order, value) = ((self.oracle.next_commit(), 0), held.value.clone());
        Expired::Written(Version { order, value, expires_at, dropped: false, merge: None })
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
            Awaited::Write { number, bytes, aside } => match self.written(&answer.what, *bytes) {
                Ok(how) => {
                    self.oracle.end_write(*number, how);
                    if !matches!(how, Outcome::Refused) {
                        self.stock.done(*number, aside);
                    }
                    outcome = Some(how);
                    Ok(())
                }
                Err(why) => Err(why),
            },
            Awaited::Unchanged => self.written(&answer.what, 0).map(drop),
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
            (Operation::Move { slot, to }, What::Entries(found)) => self.moved(*slot, to, found),
            (Operation::If { .. }, What::Refused(why)) if why == DOES_NOT_HOLD => Ok(()),
            (Operation::Expire { .. }, What::Values(found)) if found == [None] => Ok(()),
            (Operation::If { .. } | Operation::Expire { .. }, What::Refused(why)) => self.tolerate(&why),
            (Operation::If { .. } | Operation::Expire { .. }, other) => Err(format!("{other:?}")),
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
                Operation::Sync
                | Operation::Flush
                | Operation::Compact
                | Operation::CompactRange { .. }
                | Operation::Adjust(_)
                | Operation::Backup,
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
            Operation::Cursor { slot, at, family, span } => {
                let standing = Standing::new(self.entries(*at, family, span));
                let (family, span, frozen) = (family.clone(), span.clone(), at.is_some());
                self.cursors.insert(*slot, Roaming { standing, family, span, frozen });
            }
            Operation::LetGo(slot) => drop(self.cursors.remove(slot)),
            Operation::Reopen => {
                self.oracle.closed();
                self.snapshots.clear();
                self.cursors.clear();
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

    fn moved(&mut self, slot: u32, to: &Movement, found: Sum) -> Result<(), String> {
        let mut roaming = self.cursors.remove(&slot).ok_or("no such cursor")?;
        let renewed = *to == Movement::Refresh && !roaming.frozen;
        let present = renewed.then(|| self.entries(None, &roaming.family, &roaming.span));
        roaming.standing.moved(to, present);
        let mut expected = Sum::default();
        if let Some((key, print)) = roaming.standing.entry() {
            expected.add(key, print);
        }
        let stands = format!("{:?}", roaming.standing.entry().map(|(key, _)| key.escape_ascii().to_string()));
        self.cursors.insert(slot, roaming);
        if found == expected { Ok(()) } else { Err(format!("a cursor must stand at {stands}, and does not")) }
    }

    fn sum(&self, at: Option<u32>, family: &str, span: &Span) -> Sum {
        let mut sum = Sum::default();
        self.entries(at, family, span).iter().for_each(|(key, print)| sum.add(key, print));
        sum
    }

    fn entries(&self, at: Option<u32>, family: &str, span: &Span) -> Entries {
        let (state, now_ms, id) = self.target(at, family);
        let (from, to): (Bound<&[u8]>, Bound<&[u8]>) = match span {
            Span::All => (Bound::Unbounded, Bound::Unbounded),
            Span::Prefix(prefix) => (Bound::Included(prefix), Bound::Unbounded),
            Span::Range(from, to) => (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice)),
        };
        let mut entries = Entries::new();
        for (key, print) in id.into_iter().flat_map(|id| state.entries_from(id, from, now_ms)) {
            let beyond = match to {
                Bound::Included(to) => key > to,
                Bound::Excluded(to) => key >= to,
                Bound::Unbounded => false,
            };
            if beyond || !span.contains(key) {
                break;
            }
            entries.push((key.to_vec(), print.to_vec()));
        }
        entries
    }

    /// The child was killed: whatever was on its way may have been done, and the time that was has passed.
    pub fn killed(&mut self) {
        for awaited in std::mem::take(&mut self.awaited) {
            if let Awaited::Other(operation) = awaited {
                self.time_passed(&operation);
            }
        }
        self.snapshots.clear();
        self.cursors.clear();
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
