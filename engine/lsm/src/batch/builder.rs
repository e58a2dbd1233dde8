//! Building a batch. The byte grammar stands in `docs/format/wal.md`.

use super::condition::Conditions;
use super::decode::{OpIter, decode_ops};
use crate::base::bounds::{half_open, prefix_end};
use crate::base::coding::{put_bytes, put_varint, varint_len};
use crate::base::error::{Error, Result};
use crate::base::key::{EXPIRY_FLAG, Kind, NEVER};
use crate::base::limits::{
    MAX_BATCH_BYTES, MAX_BATCH_RANGES, MAX_KEY_BYTES, MAX_ROOM_MAKING_BYTES, MAX_VALUE_BYTES,
};
use crate::base::operand::Operand;
use std::ops::RangeBounds;
use std::time::Duration;

/// What an operation takes at most besides its key and value: tag, expiry, three varints of 32 bits.
const OP_OVERHEAD_BYTES: usize = 32;

/// What names a column family of an open store to a batch: a `Db` (its default family) or a
/// `ColumnFamily`.
pub trait FamilyRef {
    /// The family's number in its store.
    fn family_id(&self) -> u32;
    /// A number that no other open store of this process has.
    fn store_id(&self) -> u64;
    /// The store's expiry clock, in milliseconds since the epoch.
    fn now_ms(&self) -> u64;
    /// Whether the family has a merge operator, so that operands may be written to it.
    fn merges(&self) -> bool {
        false
    }
    /// How long an entry lives that is put without a word about it, in ms; `None` for ever.
    fn default_ttl_ms(&self) -> Option<u64> {
        None
    }
}

/// When something expires that lives for `ttl_ms` from now on.
fn expiry_in(family: &impl FamilyRef, ttl_ms: u64) -> u64 {
    family.now_ms().saturating_add(ttl_ms).min(NEVER - 1)
}

/// Operations that take effect together or not at all, across column families.
///
/// Building a batch never fails; an operation that is out of range (a key over 128 KiB, a value
/// over 1 GiB, handles of two stores) is remembered and refused when the batch is written, as a
/// whole. At most 4096 of its operations may be on ranges.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = esker::Db::open(dir.path().join("data"))?;
/// let tokens = db.column_family("tokens")?;
/// let mut batch = esker::WriteBatch::new();
/// batch.put(&db, b"user:1", b"Ada");
/// batch.put(&tokens, b"s1", b"user:1").delete(&tokens, b"s0");
/// db.write(batch, esker::Durability::Sync)?;
/// assert_eq!(tokens.get(b"s1")?.unwrap(), b"user:1");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    ops: Vec<u8>,
    count: u32,
    /// The family that the first operation names. Most batches name no other.
    family: Option<u32>,
    /// The others, each once.
    other_families: Vec<u32>,
    store: Option<u64>,
    /// Boxed: a batch is moved about, and is cheap to move up to 128 bytes.
    pub(super) refused: Option<Box<Error>>,
    /// Where in `ops` the times of operands stand, which are set when the batch is ordered.
    stamps: Vec<u32>,
    ranges: u32,
    /// It makes room, as whoever made it says.
    makes_room: bool,
    /// What must hold; boxed, because few batches ask for anything.
    pub(super) conditions: Option<Box<Conditions>>,
}

const _: () = assert!(MAX_BATCH_BYTES <= u32::MAX as usize);

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for `bytes` of encoded operations.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        WriteBatch { ops: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Sets `key` to `value`, for the family's default time if it has one.
    pub fn put(
        &mut self,
        family: &impl FamilyRef,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> &mut Self {
        let expires_at = family.default_ttl_ms().map_or(NEVER, |ttl_ms| expiry_in(family, ttl_ms));
        self.push(family, Kind::Put, key.as_ref(), value.as_ref(), expires_at)
    }

    /// Sets `key` to `value` for `ttl` from now, by the store's expiry clock.
    pub fn put_with_ttl(
        &mut self,
        family: &impl FamilyRef,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> &mut Self {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let expires_at = expiry_in(family, ttl_ms);
        self.push(family, Kind::Put, key.as_ref(), value.as_ref(), expires_at)
    }

    /// Sets `key` to `value` until the moment `expires_at_ms`, in milliseconds since the epoch;
    /// `u64::MAX` is never, whatever the family's default.
    pub fn put_until(
        &mut self,
        family: &impl FamilyRef,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expires_at_ms: u64,
    ) -> &mut Self {
        self.push(family, Kind::Put, key.as_ref(), value.as_ref(), expires_at_ms)
    }

    /// Removes `key`; it need not exist.
    pub fn delete(&mut self, family: &impl FamilyRef, key: impl AsRef<[u8]>) -> &mut Self {
        self.push(family, Kind::Delete, key.as_ref(), b"", NEVER)
    }

    /// Says that the batch makes room in the end, though it also adds something, such as a count of what is
    /// left: on a full disk it is let through like one that only removes, as long as what it adds takes at
    /// most [`MAX_ROOM_MAKING_BYTES`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.delete(&db, "photo:17").put(&db, "photos", "16").makes_room();
    /// db.write(batch, esker::Durability::Sync)?;
    /// # Ok(()) }
    /// ```
    pub fn makes_room(&mut self) -> &mut Self {
        self.makes_room = true;
        self
    }

    /// Whether it may be written on a full disk: it adds nothing, or makes room and adds little.
    pub(crate) fn is_let_through(&self) -> bool {
        let most = if self.makes_room { MAX_ROOM_MAKING_BYTES } else { 0 };
        let mut added = 0_usize;
        self.iter().flatten().filter(|op| op.kind != Kind::Delete && !op.kind.is_range()).all(|op| {
            added = added.saturating_add(op.key.len() + op.value.len() + OP_OVERHEAD_BYTES);
            added <= most
        })
    }

    /// Gives the family's merge operator `operand` to change the value of `key` with, without reading
    /// it. An absent key starts from nothing, for the family's default time if it has one; a value that
    /// is there keeps its expiry.
    ///
    /// A family without an operator refuses the batch.
    ///
    /// ```
    /// use esker::hooks::Counter;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).merge_operator("default", Counter).open()?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.merge(&db, b"visits", 1i64.to_le_bytes()).merge(&db, b"visits", 2i64.to_le_bytes());
    /// db.write(batch, esker::Durability::Os)?;
    /// assert_eq!(db.get(b"visits")?.unwrap(), 3i64.to_le_bytes());
    /// # Ok(()) }
    /// ```
    pub fn merge(
        &mut self,
        family: &impl FamilyRef,
        key: impl AsRef<[u8]>,
        operand: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.push_operand(family, key.as_ref(), operand.as_ref(), None)
    }

    /// As [`WriteBatch::merge`]; if the key is absent, what the operand makes of it lives for `ttl`, at
    /// least a millisecond, from when the batch is written. A value that is there keeps its own expiry.
    pub fn merge_with_ttl(
        &mut self,
        family: &impl FamilyRef,
        key: impl AsRef<[u8]>,
        operand: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> &mut Self {
        self.push_operand(family, key.as_ref(), operand.as_ref(), Some(ttl))
    }

    fn push_operand(
        &mut self,
        family: &impl FamilyRef,
        key: &[u8],
        operand: &[u8],
        ttl: Option<Duration>,
    ) -> &mut Self {
        if !family.merges() {
            let none = Error::invalid("merge", "the column family has no merge operator");
            self.refused.get_or_insert(Box::new(none));
            return self;
        }
        let ttl_ms = match ttl {
            Some(_) => Operand::ttl_ms(ttl),
            None => family.default_ttl_ms().unwrap_or(0),
        };
        if Operand::encoded_bytes(ttl_ms, operand) > MAX_VALUE_BYTES {
            self.refused.get_or_insert(Box::new(Error::ValueTooLarge { bytes: operand.len() }));
            return self;
        }
        let value = Operand::encode_value(ttl_ms, operand);
        self.push_stamped(family, key, &value, family.now_ms().min(NEVER - 1))
    }

    /// Adds an encoded operand, with a time that ordering sets anew.
    pub(super) fn push_stamped(
        &mut self,
        family: &impl FamilyRef,
        key: &[u8],
        value: &[u8],
        written_ms: u64,
    ) -> &mut Self {
        let count = self.count;
        let stamp = self.ops.len() + key_end_bytes(family.family_id(), key);
        self.push(family, Kind::Merge, key, value, written_ms);
        if self.count > count {
            self.stamps.push(stamp as u32);
        }
        self
    }

    /// Whether [`WriteBatch::stamp`] changes anything.
    #[inline]
    pub(crate) fn has_stamps(&self) -> bool {
        !self.stamps.is_empty()
    }

    /// Sets the time at which the batch's operands count as written. Their times must ascend with their
    /// sequence numbers, so this is done where those are handed out.
    pub(crate) fn stamp(&mut self, now_ms: u64) {
        let time = now_ms.min(NEVER - 1).to_le_bytes();
        for &at in &self.stamps {
            if let Some(bytes) = self.ops.get_mut(at as usize..at as usize + time.len()) {
                bytes.copy_from_slice(&time);
            }
        }
    }

    /// Removes every key of a range, whatever there is of it, in one operation. Keys that are set behind it,
    /// in the same batch or later, are there; snapshots from before go on showing what was. A range that
    /// holds no key does nothing; one that starts behind its end is refused with the batch.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put("user:1:name", "Ada")?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.delete_range(&db, "user:1:".."user:2:").put(&db, "user:1:gone", "yes");
    /// db.write(batch, esker::Durability::Sync)?;
    /// assert!(db.get("user:1:name")?.is_none() && db.get("user:1:gone")?.is_some());
    /// # Ok(()) }
    /// ```
    pub fn delete_range<K: AsRef<[u8]>, R: RangeBounds<K>>(
        &mut self,
        family: &impl FamilyRef,
        range: R,
    ) -> &mut Self {
        self.push_range(family, Kind::RangeDelete, &range)
    }

    /// Removes every key that starts with `prefix`; see [`WriteBatch::delete_range`].
    pub fn delete_prefix(&mut self, family: &impl FamilyRef, prefix: impl AsRef<[u8]>) -> &mut Self {
        let prefix = prefix.as_ref();
        self.push_bounds(family, Kind::RangeDelete, prefix, prefix_end(prefix).as_deref())
    }

    /// Gives a range of keys up for good: the caller promises never to read again what has been written to
    /// it so far. The space comes back as with [`WriteBatch::delete_range`], and reads elsewhere cost
    /// nothing for it; but a read inside the range, an iterator that crosses it included, may or may not
    /// show what was there, until the key is set anew.
    pub fn drop_range<K: AsRef<[u8]>, R: RangeBounds<K>>(
        &mut self,
        family: &impl FamilyRef,
        range: R,
    ) -> &mut Self {
        self.push_range(family, Kind::DroppedRange, &range)
    }

    /// Gives every key that starts with `prefix` up for good; see [`WriteBatch::drop_range`].
    pub fn drop_prefix(&mut self, family: &impl FamilyRef, prefix: impl AsRef<[u8]>) -> &mut Self {
        let prefix = prefix.as_ref();
        self.push_bounds(family, Kind::DroppedRange, prefix, prefix_end(prefix).as_deref())
    }

    fn push_range<K: AsRef<[u8]>>(
        &mut self,
        family: &impl FamilyRef,
        kind: Kind,
        range: &impl RangeBounds<K>,
    ) -> &mut Self {
        let (start, end) = (range.start_bound().map(K::as_ref), range.end_bound().map(K::as_ref));
        match half_open(start, end) {
            Ok(Some((from, to))) => self.push_bounds(family, kind, &from, to.as_deref()),
            Ok(None) => self,
            Err(error) => {
                self.refused.get_or_insert_with(|| Box::new(error));
                self
            }
        }
    }

    pub(super) fn push_bounds(
        &mut self,
        family: &impl FamilyRef,
        kind: Kind,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> &mut Self {
        // A prefix may be longer than any key.
        let bytes = from.len().max(to.map_or(0, <[u8]>::len));
        if bytes > MAX_KEY_BYTES {
            self.refused.get_or_insert_with(|| Box::new(Error::KeyTooLarge { bytes }));
            return self;
        }
        if self.ranges as usize >= MAX_BATCH_RANGES {
            let why = format!("a batch may hold {MAX_BATCH_RANGES}");
            self.refused.get_or_insert_with(|| Box::new(Error::invalid("ranges", why)));
            return self;
        }
        let before = self.count;
        self.push(family, kind, from, to.unwrap_or_default(), NEVER);
        self.ranges += self.count - before;
        self
    }

    pub(super) fn push(
        &mut self,
        family: &impl FamilyRef,
        kind: Kind,
        key: &[u8],
        value: &[u8],
        expires_at: u64,
    ) -> &mut Self {
        if let Err(error) = self.check(family.store_id(), key, value) {
            self.refused.get_or_insert_with(|| Box::new(error));
            return self;
        }
        let expires = expires_at != NEVER;
        if self.ops.capacity() == 0 {
            // Many batches have one operation: no growing in steps.
            self.ops = Vec::with_capacity(key.len() + value.len() + OP_OVERHEAD_BYTES);
        }
        self.ops.push(kind as u8 | if expires { EXPIRY_FLAG } else { 0 });
        put_varint(&mut self.ops, u64::from(family.family_id()));
        put_bytes(&mut self.ops, key);
        if expires {
            self.ops.extend_from_slice(&expires_at.to_le_bytes());
        }
        if kind != Kind::Delete {
            put_bytes(&mut self.ops, value);
        }
        self.note_family(family.family_id());
        self.count += 1;
        self
    }

    fn note_family(&mut self, family: u32) {
        let others = &mut self.other_families;
        let known = *self.family.get_or_insert(family) == family || others.last() == Some(&family);
        if !known && !others.contains(&family) {
            others.push(family);
        }
    }

    pub(super) fn check(&mut self, store: u64, key: &[u8], value: &[u8]) -> Result<()> {
        if *self.store.get_or_insert(store) != store {
            return Err(Error::WrongDatabase);
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(Error::KeyTooLarge { bytes: key.len() });
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(Error::ValueTooLarge { bytes: value.len() });
        }
        let bytes = self.ops.len() + key.len() + value.len() + OP_OVERHEAD_BYTES;
        if bytes > MAX_BATCH_BYTES || self.count == u32::MAX {
            return Err(Error::BatchTooLarge { bytes });
        }
        Ok(())
    }

    /// The number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// How many of them are on ranges of keys.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ranges as usize
    }

    /// Whether there are no operations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The size of the encoded operations, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.ops.len()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.count = 0;
        self.ranges = 0;
        self.makes_room = false;
        self.family = None;
        self.other_families.clear();
        self.store = None;
        self.refused = None;
        self.stamps.clear();
        self.conditions = None;
    }

    /// The operations, in order, of every kind.
    #[must_use]
    pub fn iter(&self) -> OpIter<'_> {
        decode_ops(&self.ops)
    }

    /// The encoded operations.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.ops
    }

    /// The numbers of the column families that operations name, each once.
    pub fn families(&self) -> impl Iterator<Item = u32> {
        self.family.into_iter().chain(self.other_families.iter().copied())
    }

    /// The store that the handles belong to; `None` while the batch is empty.
    #[must_use]
    pub fn store_id(&self) -> Option<u64> {
        self.store
    }

    /// The first operation that was out of range, as the error that a write will return.
    #[must_use]
    pub fn refused(&self) -> Option<&Error> {
        self.refused.as_deref()
    }
}

/// How many bytes of an operation stand before what follows its key.
fn key_end_bytes(family: u32, key: &[u8]) -> usize {
    1 + varint_len(u64::from(family)) + varint_len(key.len() as u64) + key.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Family(u32, u64);

    impl FamilyRef for Family {
        fn family_id(&self) -> u32 {
            self.0
        }
        fn store_id(&self) -> u64 {
            self.1
        }
        fn now_ms(&self) -> u64 {
            1_000
        }
        fn merges(&self) -> bool {
            self.0 > 0
        }
    }

    #[test]
    fn operands_carry_the_time_at_which_they_are_ordered() {
        let (long, counts) = (vec![b'k'; 300], Family(70_000, 1));
        let mut batch = WriteBatch::new();
        batch.put(&counts, b"a", b"v").merge(&counts, b"k", b"+1");
        batch.merge_with_ttl(&counts, &long, b"+2", Duration::from_secs(2));
        batch.stamp(5_555);
        let ops: Vec<_> = batch.iter().map(Result::unwrap).collect();
        assert_eq!((ops[0].kind, ops[0].expires_at, ops[0].value), (Kind::Put, NEVER, &b"v"[..]));
        assert_eq!((ops[1].kind, ops[1].expires_at), (Kind::Merge, 5_555));
        assert_eq!((ops[2].kind, ops[2].expires_at, ops[2].key), (Kind::Merge, 5_555, &long[..]));
        assert_eq!(Operand::decode_value(ops[1].value), Some((0, &b"+1"[..])));
        assert_eq!(Operand::decode_value(ops[2].value), Some((2_000, &b"+2"[..])));
        batch.clear();
        batch.merge(&Family(0, 1), b"k", b"+1");
        assert!(batch.is_empty() && batch.refused().unwrap().to_string().contains("no merge operator"));
    }

    #[test]
    fn operations_come_back_as_they_were_given() {
        let (a, b) = (Family(0, 1), Family(700, 1));
        let mut batch = WriteBatch::new();
        batch.put(&a, b"", b"empty key").delete(&b, b"k").put_with_ttl(&b, b"t", b"", Duration::from_secs(1));
        let ops: Vec<_> = batch.iter().map(Result::unwrap).collect();
        assert_eq!(batch.len(), 3);
        assert_eq!((ops[0].family, ops[0].kind, ops[0].value), (0, Kind::Put, &b"empty key"[..]));
        assert_eq!((ops[1].family, ops[1].kind, ops[1].key), (700, Kind::Delete, &b"k"[..]));
        assert_eq!((ops[2].key, ops[2].expires_at), (&b"t"[..], 2_000));
        batch.clear();
        assert!(batch.is_empty() && batch.iter().next().is_none());
    }

    #[test]
    fn what_is_out_of_range_is_remembered() {
        let mut batch = WriteBatch::new();
        batch.put(&Family(0, 1), vec![0; MAX_KEY_BYTES], b"v");
        assert!(batch.refused().is_none());
        batch.put(&Family(0, 1), vec![0; MAX_KEY_BYTES + 1], b"v");
        assert!(matches!(batch.refused(), Some(Error::KeyTooLarge { .. })));
        batch.clear();
        batch.delete(&Family(0, 1), b"a").delete(&Family(0, 2), b"a");
        assert!(matches!(batch.refused(), Some(Error::WrongDatabase)));
    }

    #[test]
    fn ranges_stand_in_a_batch_with_their_bounds() {
        let family = Family(3, 1);
        let mut batch = WriteBatch::new();
        batch.delete_range(&family, "a".."c").drop_range::<&str, _>(&family, ..).delete_prefix(&family, "p");
        batch.drop_prefix(&family, [0xff, 0xff]).delete_range(&family, "a".."a");
        assert!(batch.refused().is_none());
        let ops: Vec<_> = batch.iter().map(|op| op.unwrap()).map(|op| (op.kind, op.key, op.value)).collect();
        assert_eq!(
            ops,
            [
                (Kind::RangeDelete, &b"a"[..], &b"c"[..]),
                (Kind::DroppedRange, b"", b""),
                (Kind::RangeDelete, b"p", b"q"),
                (Kind::DroppedRange, b"\xff\xff", b""),
            ]
        );
        assert_eq!((batch.len(), batch.range_count()), (4, 4));
        batch.delete_range(&family, "b".."a");
        assert!(matches!(batch.refused(), Some(Error::InvalidArgument { .. })));
        batch.clear();
        batch.delete_prefix(&family, vec![1; MAX_KEY_BYTES + 1]);
        assert!(matches!(batch.refused(), Some(Error::KeyTooLarge { .. })) && batch.range_count() == 0);
        batch.clear();
        for _ in 0..MAX_BATCH_RANGES {
            batch.delete_prefix(&family, "p");
        }
        assert!(batch.refused().is_none());
        batch.delete_prefix(&family, "p");
        assert!(matches!(batch.refused(), Some(Error::InvalidArgument { what: "ranges", .. })));
    }

    #[test]
    fn a_ttl_beyond_the_calendar_does_not_become_never() {
        let mut batch = WriteBatch::new();
        batch.put_with_ttl(&Family(0, 1), b"k", b"v", Duration::MAX);
        assert_eq!(batch.iter().next().unwrap().unwrap().expires_at, NEVER - 1);
    }
}
