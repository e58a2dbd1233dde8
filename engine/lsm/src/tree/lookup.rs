//! Looking up one key in a view.

use super::view::View;
use crate::base::error::Result;
use crate::base::hash::key_hash;
use crate::base::key::{EntryRef, Kind, SeqNum};
use crate::base::limits::LEVELS;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::block::Block;
use crate::memtable::{Memtable, PIN_VALUE_BYTES};
use crate::version::TableFile;

/// A value where it stands, for as long as the view is pinned.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    value: &'a [u8],
    place: Place<'a>,
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Memtable(&'a Arc<Memtable>, &'a [u8], SeqNum),
    Block(&'a Arc<Block>),
}

impl Found<'_> {
    /// The value.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.value
    }

    /// The value as a slice that outlives the view.
    #[must_use]
    pub fn slice(&self) -> Slice {
        match self.place {
            // Only values that are worth sharing are looked up again to be shared.
            Place::Memtable(memtable, key, seq) if self.value.len() >= PIN_VALUE_BYTES => {
                memtable.get_slice(key, seq).map_or_else(|| Slice::copy(self.value), |(_, slice)| slice)
            }
            Place::Memtable(..) => Slice::copy(self.value),
            Place::Block(block) => block.slice(self.value),
        }
    }
}

/// Hands the value of `key` as seen at `seq` to `read`; `None` if the key is absent or its entry
/// has expired. `now_ms` is only asked for entries that can expire.
pub fn lookup<R>(
    view: &View,
    key: &[u8],
    seq: SeqNum,
    now_ms: impl Fn() -> u64,
    read: impl FnOnce(Found<'_>) -> R,
) -> Result<Option<R>> {
    let live = |entry: &EntryRef<'_>| {
        entry.kind == Kind::Put
            && (!entry.trailer().has_expiry() || entry.expires_at > now_ms())
            && !(view.has_deleted_ranges() && view.newest_deleted(key, seq) > entry.seq)
            && is_kept(view, entry, seq)
    };
    // What `seq` was published for was counted before.
    for memtable in view.memtables().filter(|memtable| !memtable.is_empty()) {
        if let Some(entry) = memtable.get(key, seq) {
            let found = Found { value: entry.value, place: Place::Memtable(memtable, key, seq) };
            return Ok(live(&entry).then(|| read(found)));
        }
    }
    let hash = key_hash(key);
    let mut read = Some(read);
    let mut ask = |table: &TableFile| {
        table.reader.get(key, hash, seq, |entry, block| {
            let read = read.take().filter(|_| live(&entry))?;
            Some(read(Found { value: entry.value, place: Place::Block(block) }))
        })
    };
    for table in view.version.level(0) {
        if table.meta.overlaps(Some(key), Some(key))
            && let Some(answer) = ask(table)?
        {
            return Ok(answer);
        }
    }
    for level in 1..LEVELS {
        if let Some(table) = view.version.find(level, key)
            && let Some(answer) = ask(table)?
        {
            return Ok(answer);
        }
    }
    Ok(None)
}

/// Asserts under `invariants` that nobody is shown an entry of a range that was dropped behind it.
#[inline]
fn is_kept(view: &View, entry: &EntryRef<'_>, seq: SeqNum) -> bool {
    if cfg!(feature = "invariants") {
        let dropped = view.newest_dropped(entry.key, seq);
        assert!(entry.seq >= dropped, "a read meets what was dropped: \"{}\"", entry.key.escape_ascii());
    }
    true
}
