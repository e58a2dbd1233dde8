//! A family's entries on their way from the log into tables.

use crate::base::key::{EntryRef, Kind, SeqNum};
use crate::base::sync::Arc;
use crate::memtable::{Heads, Memtable};
use std::ops::Range;

/// Entries after which it is judged what the keys have in common.
const SAMPLE_ENTRIES: u64 = 256;
/// So many entries wait for each other, because many go into a memtable in less time than one by one.
const MOST_WAITING: usize = 64;
/// An entry with more bytes does not wait: it would be copied twice.
const LARGE_BYTES: usize = 512;

/// A memtable that is filled, and what waits to be put into it.
pub(super) struct Filling {
    pub(super) memtable: Arc<Memtable>,
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
    pub(super) fn new(id: u64, heads: Heads, expected_bytes: usize) -> Filling {
        let heads_chosen = !heads.are_plain();
        let memtable = Arc::new(Memtable::new(id, heads, expected_bytes));
        Filling { memtable, expected_bytes, heads_chosen, bytes: Vec::new(), waiting: Vec::new() }
    }

    /// Adds an entry, which may stand in the memtable only after [`Filling::settle`].
    pub(super) fn add(&mut self, entry: &EntryRef<'_>) {
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
    pub(super) fn settle(&mut self) {
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
