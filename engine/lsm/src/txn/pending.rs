//! What a transaction has written and nobody else can see yet.
//!
//! For each key its last write, sorted, so that reads and iterators can merge it with the snapshot. The
//! batch is made of it at the commit; so a commit that is refused costs the transaction nothing.
//!
//! While there is a savepoint, each change notes what was there before it. Going back undoes the notes,
//! last first.

use super::operands::{Chain, OwnOperand};
use crate::base::bounds::HalfOpen;
use crate::base::error::Result;
use crate::base::slice::Slice;
use crate::base::sync::{Arc, OnceLock, unique_number};
use crate::batch::{FamilyRef, WriteBatch};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

/// A write of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// It has a value until some time, in milliseconds since the epoch, or [`crate::base::key::NEVER`].
    Put { value: Slice, expires_at: u64 },
    /// It has none.
    Delete,
    /// What it has is changed.
    Merge(Chain),
}

/// The writes of a column family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Writes {
    /// By key.
    pub(super) keys: BTreeMap<Vec<u8>, Write>,
    /// What was removed before `keys` were written.
    pub(super) ranges: Removed,
}

impl Writes {
    /// Whether a key was removed with a range, and not written since.
    pub(super) fn hides(&self, key: &[u8]) -> bool {
        self.ranges.contains(key)
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.list.is_empty()
    }
}

/// Ranges that were removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Removed {
    /// In the order in which they were removed, so that the last can be taken back.
    list: Vec<HalfOpen>,
    /// The same in the order of keys, those that overlap put together; made when it is asked for.
    merged: OnceLock<Vec<HalfOpen>>,
}

impl PartialEq for Removed {
    fn eq(&self, other: &Removed) -> bool {
        self.list == other.list
    }
}

impl Eq for Removed {}

impl Removed {
    fn push(&mut self, range: HalfOpen) {
        self.merged = OnceLock::new();
        self.list.push(range);
    }

    fn pop(&mut self) -> Option<HalfOpen> {
        self.merged = OnceLock::new();
        self.list.pop()
    }

    fn contains(&self, key: &[u8]) -> bool {
        if self.list.is_empty() {
            return false;
        }
        let merged = self.merged.get_or_init(|| self.merge());
        let behind = merged.partition_point(|(from, _)| &from[..] <= key);
        let last = merged[..behind].last();
        last.is_some_and(|(_, to)| to.as_ref().is_none_or(|to| key < &to[..]))
    }

    fn merge(&self) -> Vec<HalfOpen> {
        let mut sorted = self.list.clone();
        sorted.sort_unstable();
        let mut merged: Vec<HalfOpen> = Vec::with_capacity(sorted.len());
        for (from, to) in sorted {
            match merged.last_mut() {
                // No end is the furthest one.
                Some((_, end)) if end.as_ref().is_none_or(|end| *end >= from) => {
                    let further = end.is_some() && (to.is_none() || to > *end);
                    if further {
                        *end = to;
                    }
                }
                _ => merged.push((from, to)),
            }
        }
        merged
    }
}

/// What a write takes beside key and value, in bytes, roughly.
pub(super) const WRITE_OVERHEAD_BYTES: usize = 100;

/// What a removed range takes, in bytes, roughly.
pub(super) fn range_bytes((from, to): &HalfOpen) -> usize {
    from.len() + to.as_ref().map_or(0, Vec::len) + WRITE_OVERHEAD_BYTES
}

/// The writes of a transaction.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Shared with iterators, which see what was written before they were made.
    families: BTreeMap<u32, Arc<Writes>>,
    bytes: usize,
    undo: Vec<Undo>,
    /// What `undo` takes, in bytes, roughly.
    undo_bytes: usize,
    /// Each savepoint with the length of `undo` there. Their numbers ascend.
    savepoints: Vec<(u64, usize)>,
    /// Whether there are operands, or were, that change what was there at present.
    changes_present: bool,
}

/// How to take a change back.
#[derive(Debug)]
enum Undo {
    /// What stood at a key before it was written.
    Key { family: u32, key: Vec<u8>, before: Option<Write> },
    /// A key got one more operand.
    Operand { family: u32, key: Vec<u8> },
    /// A range was removed.
    Range { family: u32 },
}

impl Write {
    /// If it changes what was there before the transaction, and so depends on it: whether that is the
    /// present, and not what the snapshot shows.
    pub(super) fn changes_what_was_there(&self) -> Option<bool> {
        match self {
            Write::Merge(Chain { on: None, at_present, .. }) => Some(*at_present),
            _ => None,
        }
    }

    /// What it takes with its key, in bytes, roughly.
    pub(super) fn bytes(&self, key: &[u8]) -> usize {
        match self {
            Write::Put { value, .. } => key.len() + value.len() + WRITE_OVERHEAD_BYTES,
            Write::Delete => key.len() + WRITE_OVERHEAD_BYTES,
            Write::Merge(chain) => chain.bytes,
        }
    }
}

impl Undo {
    fn bytes(&self) -> usize {
        match self {
            Undo::Key { key, before, .. } => {
                key.len() + WRITE_OVERHEAD_BYTES + before.as_ref().map_or(0, |write| write.bytes(key))
            }
            Undo::Operand { key, .. } => key.len() + WRITE_OVERHEAD_BYTES,
            Undo::Range { .. } => WRITE_OVERHEAD_BYTES,
        }
    }
}

/// What another operand takes, in bytes, roughly.
pub(super) fn operand_bytes(key: &[u8], operand: &OwnOperand) -> usize {
    key.len() + operand.value.len() + WRITE_OVERHEAD_BYTES
}

impl Pending {
    /// The bytes that it takes, roughly, with what there is to go back to.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.undo_bytes
    }

    /// How many ranges are removed.
    pub(super) fn range_count(&self) -> usize {
        self.families.values().map(|writes| writes.ranges.list.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.families.values().all(|writes| writes.is_empty())
    }

    /// How many keys and ranges are written.
    pub(super) fn len(&self) -> usize {
        self.families.values().map(|writes| writes.keys.len()).sum::<usize>() + self.range_count()
    }

    /// The write of a key, if there is one.
    pub(super) fn get(&self, family: u32, key: &[u8]) -> Option<&Write> {
        self.families.get(&family)?.keys.get(key)
    }

    /// Whether a key was removed with a range, and not written since.
    pub(super) fn hides(&self, family: u32, key: &[u8]) -> bool {
        self.families.get(&family).is_some_and(|writes| writes.hides(key))
    }

    /// The writes of a family, held as they are now.
    pub(super) fn writes(&self, family: u32) -> Arc<Writes> {
        self.families.get(&family).cloned().unwrap_or_default()
    }

    /// The keys that are written.
    pub(super) fn keys<'p>(&'p self) -> impl Iterator<Item = (u32, &'p [u8])> {
        let of_family = |(family, writes): (&u32, &'p Arc<Writes>)| {
            let family = *family;
            writes.keys.keys().map(move |key| (family, key.as_slice()))
        };
        self.families.iter().flat_map(of_family)
    }

    /// The ranges that are removed.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u32, &HalfOpen)> {
        let all = self.families.iter();
        all.flat_map(|(family, writes)| writes.ranges.list.iter().map(|range| (*family, range)))
    }

    /// Removes a range; what it holds of keys written before goes.
    pub(super) fn remove_range(&mut self, family: u32, range: HalfOpen) {
        let writes = self.writes(family);
        let upper = range.1.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let covered = writes.keys.range::<[u8], _>((Bound::Included(&range.0[..]), upper));
        let covered: Vec<Vec<u8>> = covered.map(|(key, _)| key.clone()).collect();
        drop(writes);
        for key in covered {
            let before = self.set(family, &key, None);
            self.note(Undo::Key { family, key, before });
        }
        self.bytes += range_bytes(&range);
        Arc::make_mut(self.families.entry(family).or_default()).ranges.push(range);
        self.note(Undo::Range { family });
    }

    fn note(&mut self, undo: Undo) {
        if !self.savepoints.is_empty() {
            self.undo_bytes += undo.bytes();
            self.undo.push(undo);
        }
    }

    /// Writes a key.
    pub(super) fn insert(&mut self, family: u32, key: &[u8], write: Write) {
        let before = self.set(family, key, Some(write));
        self.note(Undo::Key { family, key: key.to_vec(), before });
    }

    /// Adds an operand to what a key has. `at_present` says whether, if the transaction has not written it,
    /// that is the present and not what the snapshot shows.
    pub(super) fn merge(&mut self, family: u32, key: &[u8], operand: OwnOperand, at_present: bool) {
        let added = operand_bytes(key, &operand);
        self.changes_present |= at_present;
        let writes = Arc::make_mut(self.families.entry(family).or_default());
        if let Some(Write::Merge(chain)) = writes.keys.get_mut(key) {
            chain.operands.push(operand);
            chain.bytes += added;
            self.bytes += added;
            self.note(Undo::Operand { family, key: key.to_vec() });
            return;
        }
        let on = writes.keys.get(key).cloned().map(Box::new);
        let bytes = added + on.as_ref().map_or(0, |write| write.bytes(key));
        self.insert(family, key, Write::Merge(Chain { on, at_present, operands: vec![operand], bytes }));
    }

    /// Whether anything may change what is there at present, and not what the snapshot shows.
    pub(super) fn changes_present(&self) -> bool {
        self.changes_present
    }

    /// Takes the last operand of a key back.
    fn pop_operand(&mut self, family: u32, key: &[u8]) {
        let writes = Arc::make_mut(self.families.entry(family).or_default());
        if let Some(Write::Merge(chain)) = writes.keys.get_mut(key)
            && let Some(operand) = chain.operands.pop()
        {
            chain.bytes -= operand_bytes(key, &operand);
            self.bytes -= operand_bytes(key, &operand);
        }
    }

    fn set(&mut self, family: u32, key: &[u8], write: Option<Write>) -> Option<Write> {
        let writes = Arc::make_mut(self.families.entry(family).or_default());
        let (before, added) = match write {
            Some(write) => {
                let added = write.bytes(key);
                (writes.keys.insert(key.to_vec(), write), added)
            }
            None => (writes.keys.remove(key), 0),
        };
        let removed = before.as_ref().map_or(0, |write| write.bytes(key));
        self.bytes = self.bytes + added - removed;
        before
    }

    /// Notes a place to go back to, under a number that no other has, of any transaction.
    pub(super) fn savepoint(&mut self) -> u64 {
        let number = unique_number();
        self.savepoints.push((number, self.undo.len()));
        number
    }

    /// How many savepoints were noted before this one; `None` if it is not there, or no longer.
    fn before(&self, savepoint: u64) -> Option<usize> {
        self.savepoints.binary_search_by_key(&savepoint, |(number, _)| *number).ok()
    }

    /// Undoes what was written behind a savepoint, which stays. Returns whether there is such a one.
    pub(super) fn rollback_to(&mut self, savepoint: u64) -> bool {
        let Some(before) = self.before(savepoint) else { return false };
        let (_, length) = self.savepoints[before];
        self.savepoints.truncate(before + 1);
        while self.undo.len() > length {
            let undo = self.undo.pop();
            self.undo_bytes -= undo.as_ref().map_or(0, Undo::bytes);
            match undo {
                Some(Undo::Key { family, key, before }) => drop(self.set(family, &key, before)),
                Some(Undo::Operand { family, key }) => self.pop_operand(family, &key),
                Some(Undo::Range { family }) => {
                    let writes = Arc::make_mut(self.families.entry(family).or_default());
                    self.bytes -= writes.ranges.pop().map_or(0, |range| range_bytes(&range));
                }
                None => {}
            }
        }
        true
    }

    /// Forgets a savepoint and the later ones. Returns whether there is such a one.
    pub(super) fn release(&mut self, savepoint: u64) -> bool {
        let Some(before) = self.before(savepoint) else { return false };
        self.savepoints.truncate(before);
        if self.savepoints.is_empty() {
            self.undo = Vec::new();
            self.undo_bytes = 0;
        }
        true
    }

    /// All writes as a batch: for each family the ranges, then the keys in their order.
    pub(super) fn batch(&self, store: u64) -> Result<WriteBatch> {
        let mut batch = WriteBatch::with_capacity(self.bytes.min(64 << 20));
        for (family, writes) in &self.families {
            let family = Named { family: *family, store };
            for (from, to) in &writes.ranges.list {
                let to = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                batch.delete_range::<&[u8], _>(&family, (Bound::Included(from.as_slice()), to));
            }
            for (key, write) in &writes.keys {
                add(&mut batch, &family, key, write);
            }
        }
        batch.refused().map_or(Ok(()), |refused| Err(refused.clone()))?;
        Ok(batch)
    }
}

/// Adds a write to a batch.
fn add(batch: &mut WriteBatch, family: &Named, key: &[u8], write: &Write) {
    match write {
        Write::Put { value, expires_at } => _ = batch.put_until(family, key, value, *expires_at),
        Write::Delete => _ = batch.delete(family, key),
        Write::Merge(chain) => {
            if let Some(on) = &chain.on {
                add(batch, family, key, on);
            }
            for operand in &chain.operands {
                let operand = operand.operand();
                match operand.ttl_ms {
                    0 => batch.merge(family, key, operand.bytes),
                    ttl_ms => batch.merge_with_ttl(family, key, operand.bytes, Duration::from_millis(ttl_ms)),
                };
            }
        }
    }
}

/// A family by its number.
struct Named {
    family: u32,
    store: u64,
}

impl FamilyRef for Named {
    fn family_id(&self) -> u32 {
        self.family
    }
    fn store_id(&self) -> u64 {
        self.store
    }
    fn now_ms(&self) -> u64 {
        // Expiry times are absolute here.
        0
    }
    fn merges(&self) -> bool {
        // Operands of other families were refused before.
        true
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::base::key::NEVER;
    use crate::base::operand::Operand;
    use proptest::prelude::*;

    fn put(value: &[u8]) -> Write {
        Write::Put { value: value.into(), expires_at: NEVER }
    }

    /// The operations of a batch that a write comes to.
    fn operations(write: &Write) -> usize {
        match write {
            Write::Merge(chain) => chain.operands.len() + usize::from(chain.on.is_some()),
            _ => 1,
        }
    }

    proptest! {
        /// Going back to a savepoint gives what was there, bytes included, however often.
        #[test]
        fn going_back_undoes_everything_since(
            steps in prop::collection::vec((0u8..7, 0u8..6, 0u8..3, any::<bool>()), 0..60),
        ) {
            let mut pending = Pending::default();
            let mut saved: Vec<(u64, BTreeMap<u32, Arc<Writes>>, usize)> = Vec::new();
            let mut gone = vec![0];
            for (what, key, family, delete) in steps {
                match what {
                    0 => {
                        let held = (pending.savepoint(), pending.families.clone(), pending.bytes);
                        saved.push(held);
                    }
                    1 if !saved.is_empty() => {
                        let at = usize::from(key) % saved.len();
                        prop_assert!(pending.rollback_to(saved[at].0));
                        gone.extend(saved.drain(at + 1..).map(|(number, ..)| number));
                        let alive = |all: &BTreeMap<u32, Arc<Writes>>| {
                            all.iter().filter(|(_, writes)| !writes.is_empty()).map(|(f, w)| (*f, w.clone()))
                                .collect::<Vec<_>>()
                        };
                        prop_assert_eq!(alive(&pending.families), alive(&saved[at].1));
                        prop_assert_eq!(pending.bytes, saved[at].2);
                    }
                    2 => {
                        let to = (!delete).then(|| vec![key + family + 1]);
                        pending.remove_range(u32::from(family), (vec![key], to));
                        prop_assert!(pending.get(u32::from(family), &[key]).is_none());
                        prop_assert!(pending.hides(u32::from(family), &[key]));
                    }
                    3 | 4 => {
                        let value = Operand::encode_value(u64::from(what), &vec![key; usize::from(what)]);
                        let operand = OwnOperand { written_ms: 1, value: Slice::own(value) };
                        pending.merge(u32::from(family), &[key], operand, false);
                    }
                    _ => {
                        let write = if delete { Write::Delete } else { put(&vec![key; usize::from(what)]) };
                        pending.insert(u32::from(family), &[key], write);
                    }
                }
            }
            let refused = |number: &u64| !pending.rollback_to(*number) && !pending.release(*number);
            prop_assert!(gone.iter().all(refused));
            let whole = |writes: &Arc<Writes>| {
                writes.ranges.list.len() + writes.keys.values().map(operations).sum::<usize>()
            };
            let expected: usize = pending.families.values().map(whole).sum();
            prop_assert_eq!(pending.batch(1).unwrap().len(), expected);
            let bytes = |writes: &Arc<Writes>| {
                let keys: usize = writes.keys.iter().map(|(key, write)| write.bytes(key)).sum();
                keys + writes.ranges.list.iter().map(range_bytes).sum::<usize>()
            };
            prop_assert_eq!(pending.bytes, pending.families.values().map(bytes).sum::<usize>());
            prop_assert_eq!(pending.undo_bytes, pending.undo.iter().map(Undo::bytes).sum::<usize>());
            if let Some((first, ..)) = saved.first() {
                prop_assert!(pending.release(*first) && !pending.release(*first));
            }
            prop_assert_eq!(pending.undo_bytes, 0);
        }
    }
}
