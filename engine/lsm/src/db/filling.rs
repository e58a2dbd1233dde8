//! The entries of families on their way from the log into memtables.

use crate::base::error::{Corruption, Result};
use crate::base::key::{EntryRef, Kind, SeqNum};
use crate::base::limits::MAX_BATCH_RANGES;
use crate::base::sync::Arc;
use crate::batch::decode_ops;
use crate::memtable::{Heads, Memtable};
use crate::ranges::{self, RangeKind};
use crate::version::StoreState;
use crate::wal::{GroupHeader, LoggedBatch};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Entries after which it is judged what the keys have in common.
const SAMPLE_ENTRIES: u64 = 256;
/// So many entries wait for each other, because many go into a memtable in less time than one by one.
const MOST_WAITING: usize = 64;
/// An entry with more bytes does not wait: it would be copied twice.
const LARGE_BYTES: usize = 512;

/// A memtable that is filled, and what waits to be put into it.
pub(crate) struct Filling {
    pub(crate) memtable: Arc<Memtable>,
    expected_bytes: usize,
    heads_chosen: bool,
    /// Keys and values of those that wait.
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
}

struct Waiting {
    key: Range<usize>,
    value: Range<usize>,
    seq: SeqNum,
    kind: Kind,
    expires_at: u64,
}

impl Filling {
    /// A memtable whose keys have in common what is known of earlier ones, if anything.
    pub(crate) fn new(id: u64, heads: Heads, expected_bytes: usize) -> Filling {
        let heads_chosen = !heads.are_plain();
        let memtable = Arc::new(Memtable::new(id, heads, expected_bytes));
        Filling { memtable, expected_bytes, heads_chosen, bytes: Vec::new(), waiting: Vec::new() }
    }

    /// Adds an entry, which may stand in the memtable only after [`Filling::settle`].
    pub(crate) fn add(&mut self, entry: &EntryRef<'_>) {
        if entry.key.len() + entry.value.len() > LARGE_BYTES {
            return self.memtable.writer().insert(entry);
        }
        let mut keep = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let (key, value) = (keep(entry.key), keep(entry.value));
        let EntryRef { seq, kind, expires_at, .. } = *entry;
        self.waiting.push(Waiting { key, value, seq, kind, expires_at });
        if self.waiting.len() == MOST_WAITING {
            self.settle();
        }
    }

    /// Puts into the memtable what waits.
    pub(crate) fn settle(&mut self) {
        let bytes = &self.bytes;
        let entry = |waiting: &Waiting| EntryRef {
            key: &bytes[waiting.key.clone()],
            seq: waiting.seq,
            kind: waiting.kind,
            expires_at: waiting.expires_at,
            value: &bytes[waiting.value.clone()],
        };
        let entries: Vec<EntryRef<'_>> = self.waiting.iter().map(entry).collect();
        self.memtable.writer().insert_all(&entries);
        self.waiting.clear();
        self.bytes.clear();
        if !self.heads_chosen && self.memtable.entries() >= SAMPLE_ENTRIES {
            self.heads_chosen = true;
            let heads = self.memtable.suggested_heads();
            if !heads.are_plain() {
                self.memtable = Arc::new(self.memtable.rebuilt(heads, self.expected_bytes));
            }
        }
    }
}

/// Takes a batch of the log at `base` of `file` apart: each operation goes to the filling of its family,
/// which `begin` makes if there is none yet, unless it was flushed or its family was dropped. The one before
/// it ended with the sequence number `before`. Returns with which this one ends.
///
/// # Errors
/// [`crate::Error::Corruption`] if it makes no sense; part of it may then stand in memtables.
pub(crate) fn fill(
    fillings: &mut BTreeMap<u32, Filling>,
    state: &StoreState,
    before: SeqNum,
    (group, batch): (GroupHeader, LoggedBatch<'_>),
    (file, base): (&Path, u64),
    mut begin: impl FnMut(u32) -> Filling,
) -> Result<SeqNum> {
    let wrong = |expected: String, found: String| Corruption::new(file, base, expected, found);
    if batch.first_seq <= before {
        let expected = format!("a sequence number above {before}");
        return Err(wrong(expected, batch.first_seq.to_string()).into());
    }
    let mut seq = batch.first_seq;
    let (end, count) = (seq + u64::from(batch.count), batch.count);
    let miscounted = |found: String| wrong(format!("a batch of {count} operations"), found);
    let mut ranges: BTreeMap<u32, Vec<Arc<ranges::Range>>> = BTreeMap::new();
    let mut left = MAX_BATCH_RANGES;
    for op in decode_ops(batch.ops) {
        let op = op.map_err(|e| e.in_file(file, base))?;
        if seq == end {
            return Err(miscounted("another operation".into()).into());
        }
        let skip = match state.families.get(&op.family) {
            Some(family) => seq <= family.flushed,
            // It was dropped after this was written.
            None if op.family < state.next_family => true,
            None => return Err(wrong("a known column family".into(), op.family.to_string()).into()),
        };
        if !skip {
            let filling = fillings.entry(op.family).or_insert_with(|| begin(op.family));
            if op.kind == Kind::Delete {
                filling.memtable.note_deletion_at(group.clock_ms);
            }
            let (key, kind, expires_at, value) = (op.key, op.kind, op.expires_at, op.value);
            match RangeKind::of(kind) {
                Some(kind) => {
                    let most = || format!("a batch of at most {MAX_BATCH_RANGES} ranges");
                    left = left.checked_sub(1).ok_or_else(|| wrong(most(), "more".into()))?;
                    let range = ranges::Range::new(kind, seq, key, value, group.clock_ms);
                    ranges.entry(op.family).or_default().push(Arc::new(range));
                }
                None => filling.add(&EntryRef { key, seq, kind, expires_at, value }),
            }
        }
        seq += 1;
    }
    if seq != end {
        return Err(miscounted((seq - batch.first_seq).to_string()).into());
    }
    for (family, ranges) in ranges {
        if let Some(filling) = fillings.get(&family) {
            filling.memtable.writer().add_ranges(ranges);
        }
    }
    Ok(seq - 1)
}
