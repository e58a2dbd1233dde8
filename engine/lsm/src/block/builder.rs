//! Writes data blocks. The byte grammar is in `docs/format/sst.md`, "Data block".

use crate::base::coding::put_varint;
use crate::base::key::{EntryRef, common_prefix, head};

/// What an entry takes at most beyond its key and value: three varints of 32 bits, trailer, expiry.
const ENTRY_OVERHEAD: usize = 3 * 5 + 8 + 8;
/// Bytes of the tail for each restart point: its head and its offset.
const RESTART_BYTES: usize = 8 + 4;
/// Bytes of the tail besides: length of the common prefix, number of restart points.
const TAIL_BYTES: usize = 4 + 4;

/// Builds one block after the other in the same buffers.
#[derive(Debug)]
pub struct BlockBuilder {
    interval: u32,
    /// The entries so far.
    bytes: Vec<u8>,
    /// Where each restart's entry begins, and where its key (stored whole) stands.
    restarts: Vec<Restart>,
    last_key: Vec<u8>,
    entries: u32,
}

#[derive(Debug)]
struct Restart {
    at: u32,
    key: std::ops::Range<usize>,
}

impl BlockBuilder {
    /// A builder that stores the key whole at every `restart_interval`-th entry (at least 1).
    #[must_use]
    pub fn new(restart_interval: u32) -> BlockBuilder {
        BlockBuilder {
            interval: restart_interval.max(1),
            bytes: Vec::new(),
            restarts: Vec::new(),
            last_key: Vec::new(),
            entries: 0,
        }
    }

    /// Whether the block has no entry yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// How many entries the block has.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// The size of the block if it were finished now, in bytes, uncompressed.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len() + self.restarts.len() * RESTART_BYTES + TAIL_BYTES
    }

    /// An upper bound of [`BlockBuilder::size_bytes`] after `entry` was added.
    #[must_use]
    pub fn size_with(&self, entry: &EntryRef<'_>) -> usize {
        self.size_bytes() + RESTART_BYTES + ENTRY_OVERHEAD + entry.key.len() + entry.value.len()
    }

    /// Adds an entry, which must sort after all that were added before.
    pub fn add(&mut self, entry: &EntryRef<'_>) {
        let shared = if self.entries.is_multiple_of(self.interval) {
            0
        } else {
            common_prefix(&self.last_key, entry.key)
        };
        let at = self.bytes.len() as u32;
        let suffix = &entry.key[shared..];
        let trailer = entry.trailer();
        if (shared | suffix.len() | entry.value.len()) < 0x80 {
            self.bytes.extend_from_slice(&[shared as u8, suffix.len() as u8, entry.value.len() as u8]);
        } else {
            put_varint(&mut self.bytes, shared as u64);
            put_varint(&mut self.bytes, suffix.len() as u64);
            put_varint(&mut self.bytes, entry.value.len() as u64);
        }
        let key = self.bytes.len()..self.bytes.len() + suffix.len();
        self.bytes.extend_from_slice(suffix);
        self.bytes.extend_from_slice(&trailer.0.to_le_bytes());
        if trailer.has_expiry() {
            self.bytes.extend_from_slice(&entry.expires_at.to_le_bytes());
        }
        self.bytes.extend_from_slice(entry.value);
        if self.entries.is_multiple_of(self.interval) {
            self.restarts.push(Restart { at, key });
        }
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(suffix);
        self.entries += 1;
    }

    /// The payload of the block, valid until the next [`BlockBuilder::clear`]. Requires at least
    /// one entry; nothing may be added after it.
    pub fn finish(&mut self) -> &[u8] {
        assert!(!self.is_empty(), "a block has at least one entry");
        // Sorted keys share what the first and the last of them share.
        let lcp = match self.restarts.first() {
            Some(first) => common_prefix(&self.bytes[first.key.clone()], &self.last_key),
            None => 0,
        };
        for restart in &self.restarts {
            let head = head(&self.bytes[restart.key.clone()], lcp);
            self.bytes.extend_from_slice(&head.to_le_bytes());
        }
        for restart in &self.restarts {
            self.bytes.extend_from_slice(&restart.at.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(lcp as u32).to_le_bytes());
        self.bytes.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        &self.bytes
    }

    /// Starts the next block, keeping the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.restarts.clear();
        self.last_key.clear();
        self.entries = 0;
    }
}
