//! A memtable: the skiplist with what the engine wants to know of it.

use super::entry::Entry;
use super::heads::Heads;
use super::keys::Keys;
use super::skiplist::{IN_STEP, ListWriter, SkipList};
use super::spare::Spare;
use crate::base::hash::key_hash;
use crate::base::key::{EntryRef, Kind, MAX_SEQ, NEVER, SeqNum, Trailer};
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::base::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::ranges::{Range, RangeKind, RangeSet};
use arc_swap::{ArcSwap, Guard};
use std::fmt;

/// Values from this size on are shared with the memtable instead of copied, in bytes: a small
/// [`Slice`] must not keep a whole memtable in memory.
pub const PIN_VALUE_BYTES: usize = 4 << 10;

/// Heads are chosen by so many keys, or a few times as many.
const SAMPLED_KEYS: usize = 128;

/// The entries of a column family that are not yet in a file, sorted.
///
/// One thread inserts at a time (see [`Memtable::writer`]); any number read at the same time
/// without locks. A reader sees at least the entries that were inserted before the sequence number
/// that it reads at was published to it.
pub struct Memtable {
    id: u64,
    list: SkipList,
    /// Asked before the list is searched for one key.
    keys: Keys,
    /// Changed by the inserting thread alone, read by all; each number stands for itself.
    facts: Facts,
    /// The deleted and dropped ranges, replaced as a whole before they are published.
    ranges: ArcSwap<RangeSet>,
    has_unlogged: AtomicBool,
    oldest_deletion_ms: AtomicU64,
}

struct Facts {
    entries: AtomicU64,
    deletions: AtomicU64,
    allocated_bytes: AtomicUsize,
    /// `u64::MAX` while there is no entry.
    first_seq: AtomicU64,
    last_seq: AtomicU64,
    earliest_expiry: AtomicU64,
    oldest_operand_ms: AtomicU64,
    /// How many ranges there are, and how many of them hide something from readers.
    ranges: AtomicUsize,
    hiding: AtomicUsize,
    range_bytes: AtomicUsize,
}

impl Memtable {
    /// An empty memtable. `heads` tells what comparisons look at first (a prefix that most keys are
    /// expected to have, for one; see [`Memtable::suggested_heads`]); `expected_bytes` what it may grow
    /// to, from which the size of its allocations follows. Equal ids and equal insertions give equal
    /// memtables.
    #[must_use]
    pub fn new(id: u64, heads: impl Into<Heads>, expected_bytes: usize) -> Memtable {
        let list = SkipList::new(heads.into(), id, expected_bytes);
        let allocated_bytes = AtomicUsize::new(list.writer().allocated_bytes());
        let facts = Facts {
            entries: AtomicU64::new(0),
            deletions: AtomicU64::new(0),
            allocated_bytes,
            first_seq: AtomicU64::new(u64::MAX),
            last_seq: AtomicU64::new(0),
            earliest_expiry: AtomicU64::new(NEVER),
            oldest_operand_ms: AtomicU64::new(NEVER),
            ranges: AtomicUsize::new(0),
            hiding: AtomicUsize::new(0),
            range_bytes: AtomicUsize::new(0),
        };
        Memtable {
            id,
            list,
            keys: Keys::new(expected_bytes),
            facts,
            ranges: ArcSwap::default(),
            has_unlogged: AtomicBool::new(false),
            oldest_deletion_ms: AtomicU64::new(u64::MAX),
        }
    }

    /// With memory that memtables dropped before have left, and which it leaves in turn.
    #[must_use]
    pub fn with_spare(self, spare: &Arc<Spare>) -> Memtable {
        self.list.set_spare(spare);
        self
    }

    /// A memtable with the same entries and the same facts, created with other heads. Costs an
    /// insertion for each entry; nothing may be inserted meanwhile.
    #[must_use]
    pub fn rebuilt(&self, heads: impl Into<Heads>, expected_bytes: usize) -> Memtable {
        let rebuilt = Memtable::new(self.id, heads, expected_bytes);
        let mut writer = rebuilt.writer();
        let mut at = self.list.first_position();
        while let Some(position) = at {
            writer.insert(&position.entry().to_ref());
            at = self.list.after(&position);
        }
        writer.add_ranges(self.ranges.load().ranges().iter().cloned());
        drop(writer);
        rebuilt.has_unlogged.store(self.has_unlogged(), Ordering::Release);
        rebuilt.oldest_deletion_ms.store(self.oldest_deletion_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        rebuilt
    }

    /// Whether it was created with anything known of its keys.
    #[must_use]
    pub fn has_heads(&self) -> bool {
        !self.list.heads().are_plain()
    }

    /// The number given at creation.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the right to insert; take it once for a group of entries.
    #[must_use]
    pub fn writer(&self) -> MemtableWriter<'_> {
        MemtableWriter { table: self, list: self.list.writer() }
    }

    /// The newest entry of `key` with a sequence number of at most `seq`. `hash` must be [`key_hash`] of the
    /// key.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &[u8], hash: u64, seq: SeqNum) -> Option<EntryRef<'_>> {
        if !self.keys.may_contain(hash) {
            return None;
        }
        Some(self.list.get(key, seq)?.to_ref())
    }

    /// Has the processor fetch what [`Memtable::get`] looks at first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.keys.prefetch(hash);
    }

    /// As [`Memtable::get`], with the value also as a [`Slice`] that outlives the reference: a copy
    /// below [`PIN_VALUE_BYTES`], from there on shared with the memtable, which it keeps in memory.
    #[must_use]
    pub fn get_slice(self: &Arc<Self>, key: &[u8], seq: SeqNum) -> Option<(EntryRef<'_>, Slice)> {
        let entry = self.list.get(key, seq)?;
        Some((entry.to_ref(), value_slice(self, entry)))
    }

    pub(super) fn list(&self) -> &SkipList {
        &self.list
    }

    /// Whether nothing was inserted yet, no range either.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries() == 0 && self.facts.ranges.load(Ordering::Relaxed) == 0
    }

    /// Whether it holds ranges that hide something from readers. What a sequence number was published for
    /// was counted before.
    #[inline]
    #[must_use]
    pub fn has_deleted_ranges(&self) -> bool {
        self.facts.hiding.load(Ordering::Relaxed) > 0
    }

    /// The ranges that were deleted or dropped beside its entries. A reader asks for them after it has
    /// loaded the sequence number that it reads at, and leaves out what is newer: so it never sees half of
    /// a batch.
    #[must_use]
    pub fn ranges(&self) -> Guard<Arc<RangeSet>> {
        self.ranges.load()
    }

    /// Whether at least `least` of its entries lie in a range from `from` up to `to`, an empty `to` being no
    /// end. Looks at no more than that many.
    #[must_use]
    pub fn holds_at_least(&self, least: u64, from: &[u8], to: &[u8]) -> bool {
        let mut at = self.list.at_or_after(&self.list.target(from, Trailer::FIRST));
        let mut met = 0;
        while let Some(position) = at.filter(|at| to.is_empty() || at.entry().key() < to) {
            met += 1;
            if met >= least {
                return true;
            }
            at = self.list.after(&position);
        }
        false
    }

    /// Entries inserted.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.facts.entries.load(Ordering::Relaxed)
    }

    /// Of these, deletions.
    #[must_use]
    pub fn deletions(&self) -> u64 {
        self.facts.deletions.load(Ordering::Relaxed)
    }

    /// Memory in use, in bytes: the entries and what finds them, and the ranges.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        let keys = if self.entries() > 0 { self.keys.size_bytes() } else { 0 };
        self.entry_bytes() + keys
    }

    /// What of that the entries and ranges take: a table of them is no larger.
    #[must_use]
    pub fn entry_bytes(&self) -> usize {
        self.facts.allocated_bytes.load(Ordering::Relaxed) + self.facts.range_bytes.load(Ordering::Relaxed)
    }

    /// The least sequence number inserted, those of ranges included; `None` while empty.
    #[must_use]
    pub fn first_seq(&self) -> Option<SeqNum> {
        let seq = self.facts.first_seq.load(Ordering::Relaxed);
        (seq <= MAX_SEQ).then_some(seq)
    }

    /// The greatest sequence number of an entry; `None` while there is none.
    #[must_use]
    pub fn last_seq(&self) -> Option<SeqNum> {
        // First the test, which an insertion passes last.
        (self.entries() > 0).then(|| self.facts.last_seq.load(Ordering::Relaxed))
    }

    /// The earliest time at which something may expire, in milliseconds since the epoch; [`NEVER`] if
    /// nothing does. See [`EntryRef::may_expire_at`].
    #[must_use]
    pub fn earliest_expiry(&self) -> u64 {
        self.facts.earliest_expiry.load(Ordering::Relaxed)
    }

    /// When the oldest operand was written, in milliseconds since the epoch; [`NEVER`] if there is none.
    #[must_use]
    pub fn oldest_operand_ms(&self) -> u64 {
        self.facts.oldest_operand_ms.load(Ordering::Relaxed)
    }

    /// When the oldest deletion was inserted, in milliseconds since the epoch, as far as it was
    /// noted.
    #[must_use]
    pub fn oldest_deletion_ms(&self) -> Option<u64> {
        let ms = self.oldest_deletion_ms.load(Ordering::Relaxed);
        (ms != u64::MAX).then_some(ms)
    }

    /// Notes that a deletion was inserted at `now_ms`; the earliest time noted stays.
    pub fn note_deletion_at(&self, now_ms: u64) {
        self.oldest_deletion_ms.fetch_min(now_ms, Ordering::Relaxed);
    }

    /// Whether it holds entries that are in no log (see [`Memtable::set_has_unlogged`]).
    #[must_use]
    pub fn has_unlogged(&self) -> bool {
        self.has_unlogged.load(Ordering::Acquire)
    }

    /// Says that it holds entries that are in no log. To be said before they are inserted.
    pub fn set_has_unlogged(&self) {
        self.has_unlogged.store(true, Ordering::Release);
    }

    /// The smallest user key; `None` while empty.
    #[must_use]
    pub fn smallest_key(&self) -> Option<&[u8]> {
        Some(self.list.first_position()?.entry().key())
    }

    /// The largest user key; `None` while empty.
    #[must_use]
    pub fn largest_key(&self) -> Option<&[u8]> {
        Some(self.list.last_position()?.entry().key())
    }

    /// Some of its keys in order, about evenly spread: all of few, at least a hundred of many.
    #[must_use]
    pub fn sample(&self) -> Vec<&[u8]> {
        self.list.sample(SAMPLED_KEYS)
    }

    /// The heads that suit its keys: what the family's next memtable may be created with. Plain ones while
    /// there are no keys. Looks at some hundred keys.
    #[must_use]
    pub fn suggested_heads(&self) -> Heads {
        let mut sample = self.list.sample(SAMPLED_KEYS);
        // The lowest of the nodes of a level are not the first and the last of all.
        let (first, last) = (self.smallest_key(), self.largest_key());
        if first != sample.first().copied() {
            sample.splice(0..0, first);
        }
        if last != sample.last().copied() {
            sample.extend(last);
        }
        Heads::of(&sample)
    }
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable")
            .field("id", &self.id)
            .field("entries", &self.entries())
            .field("allocated_bytes", &self.allocated_bytes())
            .finish_non_exhaustive()
    }
}

/// The value of an entry of `table` as a slice of its own.
pub(super) fn value_slice(table: &Arc<Memtable>, entry: Entry<'_>) -> Slice {
    let value = entry.value();
    if value.len() < PIN_VALUE_BYTES {
        return Slice::copy(value);
    }
    // SAFETY: entries stay where they are, unchanged, until their memtable is dropped.
    unsafe { Slice::from_owner(table, value) }
}

/// Whether an entry is of a kind that can be read back.
#[inline]
fn is_known(entry: &EntryRef<'_>) -> bool {
    match entry.kind {
        Kind::Put | Kind::Delete => true,
        Kind::Merge => entry.expires_at != NEVER,
        _ => false,
    }
}

/// The right to insert into a memtable.
pub struct MemtableWriter<'a> {
    table: &'a Memtable,
    list: ListWriter<'a>,
}

impl MemtableWriter<'_> {
    /// Puts ranges beside the entries, to be published after that. Costs the sorting of all that are
    /// there; a batch gives all of its ranges at once. Returns how many there are now.
    #[cold]
    pub fn add_ranges(&mut self, added: impl IntoIterator<Item = Arc<Range>>) -> usize {
        let mut added = added.into_iter().peekable();
        let facts = &self.table.facts;
        if added.peek().is_none() {
            return facts.ranges.load(Ordering::Relaxed);
        }
        let set = self.table.ranges.load().changed(&[], added);
        if let Some(first) = set.ranges().first()
            && first.seq < facts.first_seq.load(Ordering::Relaxed)
        {
            facts.first_seq.store(first.seq, Ordering::Relaxed);
        }
        let hiding = set.ranges().iter().filter(|range| range.kind == RangeKind::Deleted).count();
        let (len, bytes) = (set.len(), set.bytes());
        self.table.ranges.store(Arc::new(set));
        facts.range_bytes.store(bytes, Ordering::Relaxed);
        facts.hiding.store(hiding, Ordering::Relaxed);
        facts.ranges.store(len, Ordering::Release);
        len
    }

    /// Inserts a copy of `entry`. No entry with its user key and sequence number may be there yet.
    ///
    /// # Panics
    /// If the key or the value is longer than [`crate::base::limits`] allows, or the kind is one
    /// that is only reserved.
    #[inline]
    pub fn insert(&mut self, entry: &EntryRef<'_>) {
        assert!(is_known(entry), "{:?} is reserved", entry.kind);
        let hash = key_hash(entry.key);
        self.table.keys.prefetch(hash);
        self.list.insert(entry);
        self.table.keys.add(hash);
        self.note(std::slice::from_ref(entry));
    }

    /// Inserts copies of entries as [`MemtableWriter::insert`] does one by one, in less time: it waits for
    /// memory less often.
    ///
    /// # Panics
    /// As [`MemtableWriter::insert`].
    pub fn insert_all(&mut self, entries: &[EntryRef<'_>]) {
        for part in entries.chunks(IN_STEP) {
            let mut hashes = [0; IN_STEP];
            for (entry, hash) in part.iter().zip(&mut hashes) {
                assert!(is_known(entry), "{:?} is reserved", entry.kind);
                *hash = key_hash(entry.key);
                self.table.keys.prefetch(*hash);
            }
            self.list.insert_in_step(part);
            hashes[..part.len()].iter().for_each(|hash| self.table.keys.add(*hash));
            self.note(part);
        }
    }

    /// Keeps what is to be known of all entries, of some more.
    #[inline]
    fn note(&mut self, entries: &[EntryRef<'_>]) {
        let facts = &self.table.facts;
        // This thread is the only one that changes them: no read-modify-write is needed.
        let lower = |fact: &AtomicU64, to: u64| {
            if to < fact.load(Ordering::Relaxed) {
                fact.store(to, Ordering::Relaxed);
            }
        };
        for entry in entries {
            lower(&facts.first_seq, entry.seq);
            if entry.expires_at != NEVER {
                lower(&facts.earliest_expiry, entry.may_expire_at());
            }
            if entry.kind == Kind::Merge {
                lower(&facts.oldest_operand_ms, entry.expires_at);
            }
            if entry.seq > facts.last_seq.load(Ordering::Relaxed) {
                facts.last_seq.store(entry.seq, Ordering::Relaxed);
            }
            if entry.kind == Kind::Delete {
                facts.deletions.store(facts.deletions.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
        }
        facts.allocated_bytes.store(self.list.allocated_bytes(), Ordering::Relaxed);
        let count = facts.entries.load(Ordering::Relaxed) + entries.len() as u64;
        facts.entries.store(count, Ordering::Release);
    }
}
