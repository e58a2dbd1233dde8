//! A data block in memory: validated once, then searched in place.
//!
//! # Search
//! All keys of a block share a prefix, and the eight bytes after it, the *head*, of each restart
//! key stand together in an array. A search compares the prefix once, then heads, and keys in full
//! only where heads are equal. That leaves one restart interval, which is walked without building
//! any key: while every entry passed is less than the target, it is enough to know how many bytes
//! of the target the last one matched. If the next entry shares fewer bytes with its predecessor
//! than that, it is greater; if it shares more, it is less, too; if it shares exactly as many, the
//! suffix decides. A block that is searched again and again gets heads of more entries: see [`Fingers`].
//!
//! # Damage
//! Only the tail is validated when a block is loaded. Each entry is decoded with every length
//! checked, so that bytes which pass their checksum and are wrong all the same (a bug, not a
//! disk) give an error or wrong keys, but no panic and no read out of bounds.

use super::fingers::{Fingers, room};
use crate::base::coding::{Decoder, Malformed};
use crate::base::key::{EntryRef, Kind, NEVER, Trailer, common_prefix, compare, head};
use crate::base::memory::{Account, Charge, prefetch};
use crate::base::slice::Slice;
use crate::base::sync::quiet::{AtomicU32, Ordering};
use crate::base::sync::{Arc, OnceLock};

/// A validated data block.
#[derive(Debug)]
pub struct Block {
    bytes: Box<[u8]>,
    /// Where the entries end and the heads begin.
    entries_end: usize,
    /// Where the heads end and the restart offsets begin.
    heads_end: usize,
    /// Where the restart offsets end.
    restarts_end: usize,
    /// The common prefix of all keys, within `bytes`.
    prefix: std::ops::Range<usize>,
    _charge: Charge,
    /// How often it was searched, as far as that matters.
    searches: AtomicU32,
    /// Made when the block has been searched a few times; `None` in it if it is not fit for them.
    fingers: OnceLock<Option<Fingers>>,
}

/// So many cache lines of entries are asked for where a search begins: what lies between two fingers, mostly.
const LINES_AHEAD: usize = 5;
/// After so many searches a block is worth its fingers: what is read but once never pays for them.
const SEARCHES_BEFORE_FINGERS: u32 = 2;

/// One entry as it stands, its key not yet put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawEntry<'a> {
    /// How many bytes of the key are those of the previous entry's.
    pub(super) shared: usize,
    pub(super) suffix: &'a [u8],
    pub(super) trailer: Trailer,
    pub(super) expires_at: u64,
    pub(super) value: &'a [u8],
    /// Where the next entry begins.
    pub(super) next: usize,
}

impl RawEntry<'_> {
    /// The kind, checked.
    pub(super) fn kind(&self, at: usize) -> Result<Kind, Malformed> {
        self.trailer.kind().ok_or(Malformed { at, expected: "a known kind of entry" })
    }
}

/// Where a search in a block begins, if its fingers say so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aim(Option<(usize, usize)>);

/// Where a search ended: the first entry at or after the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Landing<'a> {
    pub(super) at: usize,
    pub(super) entry: RawEntry<'a>,
    /// Whether the entry's user key is the target's.
    pub(super) same_key: bool,
}

impl Block {
    /// Validates the tail of a payload and counts its bytes in `account` for as long as the block
    /// lives.
    ///
    /// # Errors
    /// [`Malformed`] if this is not a data block.
    pub fn new(bytes: Box<[u8]>, account: Option<&Arc<Account>>) -> Result<Block, Malformed> {
        let len = bytes.len();
        let tail = len.checked_sub(8).ok_or(Malformed { at: 0, expected: "a block with its tail" })?;
        let mut decoder = Decoder::new(&bytes);
        decoder.take(tail, "entries")?;
        let lcp = decoder.fixed32("length of the common prefix")? as usize;
        let count = decoder.fixed32("number of restart points")? as usize;
        let arrays = count.checked_mul(12).filter(|&n| n > 0 && n < tail);
        let arrays = arrays.ok_or(Malformed { at: len - 4, expected: "a plausible number of restarts" })?;
        let entries_end = tail - arrays;
        let mut block = Block {
            entries_end,
            heads_end: entries_end + count * 8,
            restarts_end: tail,
            prefix: 0..0,
            bytes,
            _charge: Charge::none(),
            searches: AtomicU32::new(0),
            fingers: OnceLock::new(),
        };
        let mut before = None;
        for (i, restart) in block.restarts().iter().enumerate() {
            let at = u32::from_le_bytes(*restart) as usize;
            let ascends = before.map_or(at == 0, |before| at > before);
            if !ascends || at >= entries_end {
                return Err(Malformed { at: block.heads_end + i * 4, expected: "ascending restart offsets" });
            }
            before = Some(at);
        }
        let first = block.parse(0)?;
        if first.shared != 0 || first.suffix.len() < lcp {
            return Err(Malformed { at: 0, expected: "a first key that holds the common prefix" });
        }
        // The suffix ends where trailer, expiry and value begin.
        let behind = first.value.len() + 8 + if first.trailer.has_expiry() { 8 } else { 0 };
        let key_at = first.next - behind - first.suffix.len();
        block.prefix = key_at..key_at + lcp;
        block._charge = account.map_or_else(Charge::none, |account| account.charge(block.size_bytes()));
        Ok(block)
    }

    /// Checks what searches rely on beside the order of the entries, and loading does not look at: that
    /// the heads are those of the restart keys, that every other entry shares with the one before all that
    /// it can, and that restarts stand where entries begin. Costs a walk over the block.
    ///
    /// # Errors
    /// [`Malformed`] at the first that is not so.
    pub fn check(&self) -> Result<(), Malformed> {
        let (mut at, mut key) = (0, Vec::new());
        let mut restarts = self.restarts().iter().zip(self.heads()).peekable();
        while at < self.entries_end {
            let entry = self.parse(at)?;
            let restart = restarts.next_if(|(restart, _)| u32::from_le_bytes(**restart) as usize == at);
            let rest = key.get(entry.shared..);
            let all = rest.is_some_and(|rest| common_prefix(entry.suffix, rest) == 0);
            let right = if restart.is_some() { entry.shared == 0 } else { all };
            if !right {
                return Err(Malformed { at, expected: "an entry that shares all that it can" });
            }
            key.truncate(entry.shared);
            key.extend_from_slice(entry.suffix);
            let skip = self.prefix.len();
            if let Some((_, stored)) = restart
                && (key.len() < skip || u64::from_le_bytes(*stored) != head(&key, skip))
            {
                return Err(Malformed { at, expected: "a restart whose key has the head that is stored" });
            }
            at = entry.next;
        }
        match restarts.next() {
            Some(_) => Err(Malformed { at, expected: "restarts where entries begin" }),
            None => Ok(()),
        }
    }

    /// Bytes that the block takes in memory, with those that it may come to take when it is searched.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len() + room(self.bytes.len())
    }

    /// The newest entry of `key` at or after `trailer` ([`Trailer::seek`] of a sequence number).
    /// Its key is `key` itself; nothing is allocated.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are damaged.
    #[inline]
    pub fn get<'a>(&'a self, key: &'a [u8], trailer: Trailer) -> Result<Option<EntryRef<'a>>, Malformed> {
        Self::found(self.locate(key, trailer)?, key)
    }

    /// Asks for what [`Block::aim`] looks at.
    #[inline]
    pub fn prefetch(&self) {
        match self.fingers.get() {
            Some(Some(fingers)) => fingers.prefetch(),
            _ => prefetch(&self.bytes[self.entries_end]),
        }
    }

    /// Where a search for `key` begins; asks for what [`Block::get_at`] looks at first.
    #[inline(always)]
    #[must_use]
    pub fn aim(&self, key: &[u8]) -> Aim {
        let aim = match self.fingers.get() {
            Some(Some(fingers)) => fingers.start(key, self.prefix()),
            Some(None) => None,
            None => self.count_search(),
        };
        if let Some((at, _)) = aim {
            let first: *const u8 = self.bytes.as_ptr().wrapping_add(at);
            (0..LINES_AHEAD).for_each(|line| prefetch(first.wrapping_add(line * 64)));
        }
        Aim(aim)
    }

    /// As [`Block::get`], from where [`Block::aim`] of the same key said.
    ///
    /// # Errors
    /// As [`Block::get`].
    #[inline]
    pub fn get_at<'a>(
        &'a self,
        aim: Aim,
        key: &'a [u8],
        trailer: Trailer,
    ) -> Result<Option<EntryRef<'a>>, Malformed> {
        Self::found(self.locate_from(aim, key, trailer)?, key)
    }

    /// As [`Block::get`], by nothing but what is stored: for whoever checks that.
    ///
    /// # Errors
    /// As [`Block::get`].
    pub fn get_as_stored<'a>(
        &'a self,
        key: &'a [u8],
        trailer: Trailer,
    ) -> Result<Option<EntryRef<'a>>, Malformed> {
        Self::found(self.locate_by_restarts(key, trailer)?, key)
    }

    #[inline]
    fn found<'a>(landing: Option<Landing<'a>>, key: &'a [u8]) -> Result<Option<EntryRef<'a>>, Malformed> {
        match landing {
            Some(Landing { at, entry, same_key: true }) => Ok(Some(EntryRef {
                key,
                seq: entry.trailer.seq(),
                kind: entry.kind(at)?,
                expires_at: entry.expires_at,
                value: entry.value,
            })),
            _ => Ok(None),
        }
    }

    /// `bytes`, which must lie within this block (a value that it handed out), as a slice that
    /// keeps the block alive instead of copying. Short ones are copied and pin nothing.
    #[must_use]
    pub fn slice(self: &Arc<Self>, bytes: &[u8]) -> Slice {
        let (outer, inner) = (self.bytes.as_ptr_range(), bytes.as_ptr_range());
        assert!(
            bytes.is_empty() || (outer.start <= inner.start && inner.end <= outer.end),
            "a slice of a block lies within the block"
        );
        if bytes.is_empty() {
            return Slice::default();
        }
        // SAFETY: the bytes lie within `self.bytes`, as just asserted. That buffer is owned by the
        // block, is never changed or moved after construction (no method takes `&mut Block` once it
        // is behind the `Arc`, and a `Box<[u8]>` does not move its content with it), and is freed
        // only with the last `Arc<Block>`.
        unsafe { Slice::from_owner(self, bytes) }
    }

    pub(super) fn entries_end(&self) -> usize {
        self.entries_end
    }

    pub(super) fn restarts(&self) -> &[[u8; 4]] {
        self.bytes[self.heads_end..self.restarts_end].as_chunks::<4>().0
    }

    fn heads(&self) -> &[[u8; 8]] {
        self.bytes[self.entries_end..self.heads_end].as_chunks::<8>().0
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.bytes[self.prefix.clone()]
    }

    /// The value of the entry at hand, by its place in the block.
    #[inline]
    pub(super) fn range(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Decodes the entry at `at`, every length checked.
    #[inline]
    pub(super) fn parse(&self, at: usize) -> Result<RawEntry<'_>, Malformed> {
        let entries = &self.bytes[..self.entries_end];
        let rest = entries.get(at..).unwrap_or_default();
        let (shared, unshared, value_len, header) = match rest.first_chunk::<3>() {
            Some(&[a, b, c]) if (a | b | c) < 0x80 => (a as usize, b as usize, c as usize, 3),
            _ => Self::parse_long(rest, at)?,
        };
        // Three numbers of 32 bits: the sums fit.
        let trailer_at = header + unshared;
        let Some((suffix, body)) =
            rest.get(header..).and_then(|body| body.split_at_checked(trailer_at - header))
        else {
            return Err(Malformed { at, expected: "the key of an entry" });
        };
        let Some((trailer, mut body)) = body.split_first_chunk::<8>() else {
            return Err(Malformed { at, expected: "the trailer of an entry" });
        };
        let trailer = Trailer(u64::from_le_bytes(*trailer));
        let mut expires_at = NEVER;
        if trailer.has_expiry() {
            let Some((expiry, after)) = body.split_first_chunk::<8>() else {
                return Err(Malformed { at, expected: "the expiry of an entry" });
            };
            expires_at = u64::from_le_bytes(*expiry);
            body = after;
        }
        let Some(value) = body.get(..value_len) else {
            return Err(Malformed { at, expected: "the value of an entry" });
        };
        let next = self.entries_end - body.len() + value_len;
        Ok(RawEntry { shared, suffix, trailer, expires_at, value, next })
    }

    #[cold]
    fn parse_long(rest: &[u8], at: usize) -> Result<(usize, usize, usize, usize), Malformed> {
        let mut decoder = Decoder::new(rest);
        let mut number = |expected| match decoder.varint32(expected) {
            Ok(number) => Ok(number as usize),
            Err(_) => Err(Malformed { at, expected }),
        };
        let shared = number("the shared length of an entry")?;
        let unshared = number("the suffix length of an entry")?;
        let value_len = number("the value length of an entry")?;
        Ok((shared, unshared, value_len, decoder.position()))
    }

    /// The first entry at or after (`key`, `trailer`); `None` if all are before.
    #[inline]
    pub(super) fn locate(&self, key: &[u8], trailer: Trailer) -> Result<Option<Landing<'_>>, Malformed> {
        self.locate_from(self.aim(key), key, trailer)
    }

    #[inline]
    fn locate_from(&self, aim: Aim, key: &[u8], trailer: Trailer) -> Result<Option<Landing<'_>>, Malformed> {
        match aim.0 {
            Some((at, matched)) => self.walk(at, matched, key, trailer),
            None => self.locate_by_restarts(key, trailer),
        }
    }

    /// The same, without fingers.
    fn locate_by_restarts(&self, key: &[u8], trailer: Trailer) -> Result<Option<Landing<'_>>, Malformed> {
        self.walk(self.interval(key, trailer)?, 0, key, trailer)
    }

    /// Makes the fingers if it is time for them. The search at hand goes on without.
    #[cold]
    fn count_search(&self) -> Option<(usize, usize)> {
        let searches = self.searches.load(Ordering::Relaxed);
        if searches < SEARCHES_BEFORE_FINGERS {
            self.searches.store(searches + 1, Ordering::Relaxed);
        } else {
            self.fingers.get_or_init(|| Fingers::of(self, room(self.bytes.len())));
        }
        None
    }

    /// Walks from the entry at `at`, with all entries before it less than the target, and `matched` bytes
    /// that the target shares with the last one of them.
    // With [`Block::aim`] it costs a look-up 3 % less within its caller.
    #[inline(always)]
    fn walk(
        &self,
        mut at: usize,
        mut matched: usize,
        key: &[u8],
        trailer: Trailer,
    ) -> Result<Option<Landing<'_>>, Malformed> {
        while at < self.entries_end {
            let entry = self.parse(at)?;
            // A whole key, as at a restart, says nothing about what it shares with the one before.
            if entry.shared == 0 {
                matched = 0;
            }
            if entry.shared < matched {
                return Ok(Some(Landing { at, entry, same_key: false }));
            }
            if entry.shared == matched {
                // An aim at another key may say more than there is of this one.
                let rest = key.get(matched..).unwrap_or_default();
                let same = common_prefix(entry.suffix, rest);
                match (entry.suffix.get(same), rest.get(same)) {
                    (None, None) if entry.trailer.0 <= trailer.0 => {
                        return Ok(Some(Landing { at, entry, same_key: true }));
                    }
                    (Some(_), None) => return Ok(Some(Landing { at, entry, same_key: false })),
                    (Some(here), Some(wanted)) if here > wanted => {
                        return Ok(Some(Landing { at, entry, same_key: false }));
                    }
                    _ => matched += same,
                }
            }
            at = entry.next;
        }
        Ok(None)
    }

    /// Where the restart interval begins that is to be walked: every entry before it is less than the target,
    /// and so is the first in it, unless it is the first of all.
    #[inline]
    fn interval(&self, key: &[u8], trailer: Trailer) -> Result<usize, Malformed> {
        let prefix = self.prefix();
        if !key.starts_with(prefix) {
            let all_after = key < prefix;
            return Ok(if all_after { 0 } else { self.entries_end });
        }
        let wanted = head(key, prefix.len());
        let (heads, restarts) = (self.heads(), self.restarts());
        // Restarts before `low` are less than the target, those from `high` on are greater.
        let mut low = heads.partition_point(|head| u64::from_le_bytes(*head) < wanted);
        let mut high = low;
        while high < heads.len() && u64::from_le_bytes(heads[high]) == wanted {
            high += 1;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.parse_restart(u32::from_le_bytes(restarts[middle]) as usize)?;
            if compare((entry.suffix, entry.trailer), (key, trailer)).is_lt() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let before = low.checked_sub(1).and_then(|i| restarts.get(i));
        Ok(before.map_or(0, |r| u32::from_le_bytes(*r) as usize))
    }

    /// Decodes the entry at a restart point, whose key stands whole.
    pub(super) fn parse_restart(&self, at: usize) -> Result<RawEntry<'_>, Malformed> {
        let entry = self.parse(at)?;
        if entry.shared != 0 {
            return Err(Malformed { at, expected: "a whole key at a restart point" });
        }
        Ok(entry)
    }
}
