//! Sequence numbers, kinds of entries, and the order of internal keys.
//!
//! An internal key is a user key with a sequence number and a kind. Internal keys sort by user key
//! in byte order, and among entries of one user key by sequence number, newest first.

use super::operand::Operand;
use std::cmp::Ordering;

/// The position of an operation in the commit order. Advances by one per operation; 56 bits.
pub type SeqNum = u64;

/// The greatest sequence number.
pub const MAX_SEQ: SeqNum = (1 << 56) - 1;

/// The `expires_at` of an entry that never expires.
pub const NEVER: u64 = u64::MAX;

/// What an entry is. The numbers stand on disk and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// The key is absent as of this entry.
    Delete = 1,
    /// The key has the entry's value as of this entry.
    Put = 2,
    /// An operand for the family's merge operator; see [`super::operand`]. It always carries a time:
    /// when it was written.
    Merge = 3,
    /// Every key of a range is absent as of this operation. Stands in batches, never in a sorted run.
    RangeDelete = 4,
    /// A range that its owner promised never to read again. As [`Kind::RangeDelete`].
    DroppedRange = 5,
    /// The value stands in a blob file, and a [`super::blob_ref::BlobRef`] in its place. Stands in tables,
    /// never in batches or memtables.
    BlobRef = 6,
    /// Reserved: a named transaction was prepared.
    Prepare = 7,
    /// Reserved: a named transaction was committed.
    Commit = 8,
    /// Reserved: a named transaction was rolled back.
    Rollback = 9,
}

impl Kind {
    /// Decodes the kind of an entry that this version can read; `None` for any other byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Kind> {
        // A table is read for each entry of a scan; a match of these becomes several branches.
        const KINDS: [Option<Kind>; 7] =
            [None, Some(Kind::Delete), Some(Kind::Put), Some(Kind::Merge), None, None, Some(Kind::BlobRef)];
        KINDS.get(usize::from(byte)).copied().flatten()
    }

    /// The kind in a tag, or `None` where it is not one that this version knows: an operand without a
    /// time is none.
    #[must_use]
    pub fn of_tag(tag: u8) -> Option<Kind> {
        if tag == TIMELESS_MERGE { None } else { Kind::from_byte(tag & !EXPIRY_FLAG) }
    }

    /// Decodes the kind of an operation, which may also be one on a range.
    #[must_use]
    pub fn of_operation(byte: u8) -> Option<Kind> {
        match byte {
            4 => Some(Kind::RangeDelete),
            5 => Some(Kind::DroppedRange),
            // Only flushes and compactions separate values.
            6 => None,
            _ => Kind::from_byte(byte),
        }
    }

    /// Whether the key has a value as of such an entry, wherever that stands.
    #[inline]
    #[must_use]
    pub fn is_value(self) -> bool {
        matches!(self, Kind::Put | Kind::BlobRef)
    }

    /// Whether it is an operation on a range, whose key and value are the bounds.
    #[inline]
    #[must_use]
    pub fn is_range(self) -> bool {
        matches!(self, Kind::RangeDelete | Kind::DroppedRange)
    }
}

/// The bit of a tag that says that the entry carries a time: when it expires, or, for an operand, when
/// it was written.
pub const EXPIRY_FLAG: u8 = 0x80;

/// The tag of an operand without the time that every operand carries: none that this version knows.
const TIMELESS_MERGE: u8 = Kind::Merge as u8;

/// Sequence number and tag (kind and flags) of an entry in one word: `seq << 8 | tag`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trailer(pub u64);

impl Trailer {
    /// The trailer that sorts before every entry of the same user key with a sequence number of at
    /// most `seq`: where a lookup at `seq` starts.
    #[must_use]
    pub fn seek(seq: SeqNum) -> Trailer {
        debug_assert!(seq <= MAX_SEQ);
        Trailer(seq << 8 | 0xff)
    }

    /// The trailer that sorts after every entry of the same user key.
    pub const LAST: Trailer = Trailer(0);

    /// The trailer that sorts before every entry of the same user key.
    pub const FIRST: Trailer = Trailer(u64::MAX);

    /// Packs the parts. The expiry flag is set when `expires_at` is not [`NEVER`].
    #[must_use]
    pub fn new(seq: SeqNum, kind: Kind, expires_at: u64) -> Trailer {
        debug_assert!(seq <= MAX_SEQ);
        let flag = if expires_at == NEVER { 0 } else { EXPIRY_FLAG };
        Trailer(seq << 8 | u64::from(kind as u8 | flag))
    }

    /// The same with the sequence number `base` in the place of 0; what has one already is not raised.
    #[inline]
    #[must_use]
    pub fn raised(self, base: SeqNum) -> Trailer {
        debug_assert!(base <= MAX_SEQ);
        Trailer(self.0 | base << 8)
    }

    /// The sequence number.
    #[must_use]
    pub fn seq(self) -> SeqNum {
        self.0 >> 8
    }

    /// The tag byte: kind and flags.
    #[must_use]
    pub fn tag(self) -> u8 {
        self.0 as u8
    }

    /// The kind, or `None` where the byte is not one that this version knows.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        Kind::of_tag(self.tag())
    }

    /// Whether the entry carries a time: see [`EXPIRY_FLAG`].
    #[must_use]
    pub fn has_expiry(self) -> bool {
        self.tag() & EXPIRY_FLAG != 0
    }
}

impl std::fmt::Debug for Trailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{}/{:#04x}", self.seq(), self.tag())
    }
}

/// The order of internal keys: user key ascending, then trailer descending (newest first).
#[must_use]
pub fn compare(a: (&[u8], Trailer), b: (&[u8], Trailer)) -> Ordering {
    a.0.cmp(b.0).then_with(|| b.1.0.cmp(&a.1.0))
}

/// The head of `key` in a container whose keys share a prefix of `skip` bytes: the eight bytes
/// after it as a big-endian number, zero-padded. `head(a) < head(b)` implies `a < b`; equal heads
/// decide nothing. `key` must be at least `skip` bytes long.
#[inline]
#[must_use]
pub fn head(key: &[u8], skip: usize) -> u64 {
    let rest = &key[skip..];
    if let Some(first) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let mut padded = [0u8; 8];
    padded[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(padded)
}

/// The first sixteen bytes of `key` as a big-endian number, zero-padded. As with [`head`], only those that
/// differ decide.
#[inline]
#[must_use]
pub fn wide_head(key: &[u8]) -> u128 {
    if let Some(first) = key.first_chunk::<16>() {
        return u128::from_be_bytes(*first);
    }
    let mut padded = [0u8; 16];
    padded[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(padded)
}

/// The length of the longest common prefix of `a` and `b`.
#[inline]
#[must_use]
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a8, b8) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (i, (x, y)) in a8.iter().zip(b8).enumerate() {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differ != 0 {
            return i * 8 + (differ.trailing_zeros() / 8) as usize;
        }
    }
    let start = a8.len().min(b8.len()) * 8;
    let same = a[start..].iter().zip(&b[start..]).take_while(|(x, y)| x == y).count();
    start + same
}

/// One entry, borrowed from wherever it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The user key.
    pub key: &'a [u8],
    /// The position in the commit order.
    pub seq: SeqNum,
    /// What the entry is.
    pub kind: Kind,
    /// When it expires, in milliseconds since the epoch; [`NEVER`] if it does not. Of an operand
    /// ([`Kind::Merge`]) it is the time at which it was written: ask [`EntryRef::expiry`] where expiry
    /// is judged.
    pub expires_at: u64,
    /// The value; empty for a deletion.
    pub value: &'a [u8],
}

impl EntryRef<'_> {
    /// Sequence number and tag in one word.
    #[must_use]
    pub fn trailer(&self) -> Trailer {
        Trailer::new(self.seq, self.kind, self.expires_at)
    }

    /// When the entry stops counting, in milliseconds since the epoch. [`NEVER`] for an operand: what
    /// it comes to depends on what is below it.
    #[must_use]
    pub fn expiry(&self) -> u64 {
        if self.kind == Kind::Merge { NEVER } else { self.expires_at }
    }

    /// The earliest time at which something that the entry makes visible may expire: for an operand,
    /// the end of what it starts if there is nothing below it.
    #[must_use]
    pub fn may_expire_at(&self) -> u64 {
        if self.kind == Kind::Merge { self.end_of_start() } else { self.expires_at }
    }

    #[cold]
    fn end_of_start(&self) -> u64 {
        Operand::decode(self).map_or(NEVER, |operand| operand.end_of_start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn newer_entries_of_a_key_sort_first() {
        let t = |seq| Trailer::new(seq, Kind::Put, NEVER);
        assert_eq!(compare((b"a", t(9)), (b"a", t(8))), Ordering::Less);
        assert_eq!(compare((b"a", t(1)), (b"b", t(9))), Ordering::Less);
        assert_eq!(compare((b"a", Trailer::seek(9)), (b"a", t(9))), Ordering::Less);
        assert_eq!(compare((b"a", Trailer::seek(8)), (b"a", t(9))), Ordering::Greater);
        assert_eq!(compare((b"a", Trailer::LAST), (b"a", t(0))), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn common_prefixes_end_at_the_first_difference(
            a in prop::collection::vec(0u8..2, 0..40),
            b in prop::collection::vec(0u8..2, 0..40),
            same in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (x, y) = ([&same[..], &a].concat(), [&same[..], &b].concat());
            let n = common_prefix(&x, &y);
            prop_assert_eq!(&x[..n], &y[..n]);
            prop_assert!(n == x.len() || n == y.len() || x[n] != y[n]);
        }

        #[test]
        fn heads_never_contradict_the_order(
            prefix in prop::collection::vec(any::<u8>(), 0..4),
            a in prop::collection::vec(0u8..3, 0..12),
            b in prop::collection::vec(0u8..3, 0..12),
            same in prop::collection::vec(0u8..3, 0..16),
        ) {
            let (x, y) = ([&prefix[..], &a].concat(), [&prefix[..], &b].concat());
            if head(&x, prefix.len()) < head(&y, prefix.len()) {
                prop_assert!(x < y);
            }
            let (x, y) = ([&same[..], &a].concat(), [&same[..], &b].concat());
            if wide_head(&x) < wide_head(&y) {
                prop_assert!(x < y);
            }
        }
    }
}
