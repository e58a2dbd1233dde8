//! Looking up one key in a view.

use super::scan::sources;
use super::view::View;
use crate::base::blob_ref::BlobRef;
use crate::base::coding::Malformed;
use crate::base::cursor::Cursor;
use crate::base::error::Result;
use crate::base::hash::key_hash;
use crate::base::key::{EntryRef, Kind, SeqNum};
use crate::base::limits::LEVELS;
use crate::base::observe::Observe;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::block::Block;
use crate::cache::Through;
use crate::iter::{Merge, gather};
use crate::memtable::{Memtable, PIN_VALUE_BYTES};
use crate::table::Access;
use crate::version::{BlobSet, TableFile};

/// A value where it stands, for as long as the view is pinned.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    value: &'a [u8],
    place: Place<'a>,
    seq: SeqNum,
    expires_at: u64,
}

/// Where a value stands.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Memtable(&'a Arc<Memtable>, &'a [u8], SeqNum),
    Block(&'a Arc<Block>),
    /// It was merged, or read from a blob file, for this look-up.
    Owned(&'a Slice),
    /// In a blob file, of so many bytes: nobody wants to see it.
    Apart(usize),
}

/// A value that stands in a blob file. (It has nothing to drop: who looks up a value beside its key would
/// pay for that.)
pub(super) struct Separate {
    at: Result<BlobRef, Malformed>,
    seq: SeqNum,
    expires_at: u64,
}

impl Separate {
    #[inline(never)]
    fn of(entry: &EntryRef<'_>) -> Separate {
        Separate { at: BlobRef::decode(entry.value), seq: entry.seq, expires_at: entry.expires_at }
    }

    /// Reads it, and hands it to `read`.
    #[inline(never)]
    fn load<R, O: Observe>(
        &self,
        view: &View,
        key: &[u8],
        observe: &mut O,
        read: impl FnOnce(Found<'_>) -> R,
    ) -> Result<Option<R>> {
        let Separate { at, seq, expires_at } = *self;
        let at = at.map_err(BlobSet::misplaced)?;
        if !O::VALUES {
            let place = Place::Apart(at.raw as usize);
            return Ok(Some(read(Found { value: &[], place, seq, expires_at })));
        }
        let slice = view.version.blobs().load_at(key, &at, Through::Cache, observe)?;
        Ok(Some(read(Found { value: &slice, place: Place::Owned(&slice), seq, expires_at })))
    }
}

/// Hands a value that shows to `read`, from wherever it stands.
#[inline]
pub(super) fn hand_over<R>(
    view: &View,
    (entry, place): (&EntryRef<'_>, Place<'_>),
    read: impl FnOnce(Found<'_>) -> R,
) -> Result<Option<R>> {
    if entry.kind == Kind::BlobRef {
        return Separate::of(entry).load(view, entry.key, &mut (), read);
    }
    Ok(Some(read(Found::new(entry, place))))
}

/// What the newest entry of a key says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the value.
    Live,
    /// What stands below it decides, too.
    Operand,
    /// There is no value.
    Absent,
}

impl<'a> Found<'a> {
    #[inline]
    pub(super) fn new(entry: &EntryRef<'a>, place: Place<'a>) -> Found<'a> {
        Found { value: entry.value, place, seq: entry.seq, expires_at: entry.expires_at }
    }

    /// The value.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.value
    }

    /// Its length in bytes, also where it was not read.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks whether a value is empty")]
    pub fn len(&self) -> usize {
        match self.place {
            Place::Apart(len) => len,
            _ => self.value.len(),
        }
    }

    /// The sequence number of the write.
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        self.seq
    }

    /// When the value expires, in milliseconds since the epoch; [`crate::base::key::NEVER`] if it does
    /// not.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// The value as a slice that outlives the view.
    #[must_use]
    pub fn slice(&self) -> Slice {
        match self.place {
            // Only values that are worth sharing are looked up again to be shared.
            Place::Memtable(memtable, key, seq) if self.value.len() >= PIN_VALUE_BYTES => {
                memtable.get_slice(key, seq).map_or_else(|| Slice::copy(self.value), |(_, slice)| slice)
            }
            Place::Memtable(..) | Place::Apart(_) => Slice::copy(self.value),
            Place::Block(block) => block.slice(self.value),
            Place::Owned(slice) => slice.clone(),
        }
    }
}

/// Hands the value of `key` as seen at `seq` to `read`; `None` if the key is absent or its entry
/// has expired. `now_ms` is only asked for entries that can expire.
///
/// # Errors
/// What reading gives; [`crate::base::error::Error::MergeFailed`] if the key's operands cannot be merged.
pub fn lookup<R>(
    view: &View,
    key: &[u8],
    seq: SeqNum,
    now_ms: impl Fn() -> u64,
    read: impl FnOnce(Found<'_>) -> R,
) -> Result<Option<R>> {
    lookup_observed(view, key, seq, now_ms, &mut (), read)
}

/// As [`lookup()`], and tells `observe` of its way.
///
/// # Errors
/// As [`lookup()`].
#[inline]
pub fn lookup_observed<R, O: Observe>(
    view: &View,
    key: &[u8],
    seq: SeqNum,
    now_ms: impl Fn() -> u64,
    observe: &mut O,
    read: impl FnOnce(Found<'_>) -> R,
) -> Result<Option<R>> {
    let hash = key_hash(key);
    if let Some((entry, place)) = in_memtables(view, key, hash, seq, observe) {
        let verdict = judge(view, key, &entry, seq, &now_ms);
        observe.entry(verdict == Verdict::Live);
        return match verdict {
            Verdict::Live => Ok(Some(read(Found::new(&entry, place)))),
            Verdict::Operand => merged(view, key, seq, now_ms, observe, read),
            Verdict::Absent => Ok(None),
        };
    }
    let mut read = Some(read);
    let (mut operand, mut separate) = (false, None);
    // Whoever a filter sends away does not pay for what looking into a block needs.
    let rules_out = |table: &TableFile, level: usize, observe: &mut O| {
        observe.table(level);
        table.reader.rules_out(key, hash, observe)
    };
    // Whether the entry that was met, of which there is one at most, shows itself.
    let mut shown = None;
    let mut ask = |table: &TableFile, observe: &mut O| {
        table.reader.get_not_ruled_out(key, hash, seq, observe, |entry, block| {
            let verdict = judge(view, key, &entry, seq, &now_ms);
            if O::WANTED {
                shown = Some(verdict == Verdict::Live);
            }
            match verdict {
                Verdict::Live if entry.kind == Kind::BlobRef => separate = Some(Separate::of(&entry)),
                Verdict::Live => return Some(read.take()?(Found::new(&entry, Place::Block(block)))),
                verdict => operand = verdict == Verdict::Operand,
            }
            None
        })
    };
    let answer = 'found: {
        for table in view.version.level(0) {
            if table.meta.overlaps(Some(key), Some(key))
                && !rules_out(table, 0, observe)
                && let Some(answer) = ask(table, observe)?
            {
                break 'found answer;
            }
        }
        for level in 1..LEVELS {
            if let Some(table) = view.version.find(level, key)
                && !rules_out(table, level, observe)
                && let Some(answer) = ask(table, observe)?
            {
                break 'found answer;
            }
        }
        None
    };
    if O::WANTED
        && let Some(shows) = shown
    {
        observe.entry(shows);
    }
    match read {
        Some(read) if operand => merged(view, key, seq, now_ms, observe, read),
        Some(read) => match separate {
            Some(separate) => separate.load(view, key, observe, read),
            None => Ok(answer),
        },
        None => Ok(answer),
    }
}

/// The newest entry of `key`, whose [`key_hash`] is `hash`, in a memtable, which decides whatever the tables
/// hold.
#[inline]
pub(super) fn in_memtables<'a>(
    view: &'a View,
    key: &'a [u8],
    hash: u64,
    seq: SeqNum,
    observe: &mut impl Observe,
) -> Option<(EntryRef<'a>, Place<'a>)> {
    // What `seq` was published for was counted before.
    for memtable in view.memtables().filter(|memtable| !memtable.is_empty()) {
        observe.memtable();
        if let Some(entry) = memtable.get(key, hash, seq) {
            return Some((entry, Place::Memtable(memtable, key, seq)));
        }
    }
    None
}

/// What the newest entry of `key` that `seq` sees comes to.
#[inline]
pub(super) fn judge(
    view: &View,
    key: &[u8],
    entry: &EntryRef<'_>,
    seq: SeqNum,
    now_ms: impl Fn() -> u64,
) -> Verdict {
    if entry.kind.is_value() {
        let live = (!entry.trailer().has_expiry() || entry.expires_at > now_ms())
            && !(view.has_deleted_ranges() && view.newest_deleted(key, seq) > entry.seq)
            && is_kept(view, entry, seq);
        if live { Verdict::Live } else { Verdict::Absent }
    } else if entry.kind == Kind::Merge {
        Verdict::Operand
    } else {
        Verdict::Absent
    }
}

/// Looks up a key whose newest entry is an operand.
#[cold]
#[inline(never)]
pub(super) fn merged<R>(
    view: &View,
    key: &[u8],
    seq: SeqNum,
    now_ms: impl Fn() -> u64,
    observe: &mut impl Observe,
    read: impl FnOnce(Found<'_>) -> R,
) -> Result<Option<R>> {
    let range = if view.has_deleted_ranges() { view.newest_deleted(key, seq) } else { 0 };
    let watch = observe.watch();
    let access = Access { watch: watch.clone(), ..Access::plain(true) };
    let mut cursor = Merge::new(sources(view, access.clone()));
    cursor.seek(key, seq)?;
    // The newest entry is an operand, as was just seen.
    if !cursor.valid() || cursor.trailer().seq() < range {
        return Ok(None);
    }
    let gathered = gather(&mut cursor, &view.hooks, &view.version.values(&access), range, now_ms());
    observe.watched(&watch);
    let Some(merged) = gathered? else { return Ok(None) };
    observe.operands(merged.operands);
    let (slice, seq, expires_at) = (Slice::own(merged.value), merged.seq, merged.expires_at);
    Ok(Some(read(Found { value: &slice, place: Place::Owned(&slice), seq, expires_at })))
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
