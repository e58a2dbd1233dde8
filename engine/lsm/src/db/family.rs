//! The handle of a column family.

use super::inner::Inner;
use super::iter::Iter;
use super::read;
use super::scan::ScanOptions;
use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::base::observe::ReadContext;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::batch::{FamilyRef, WriteBatch};
use crate::commit::{Durability, Ticket};
use crate::hooks::FamilyHooks;
use crate::tree::Family;
use std::ops::RangeBounds;
use std::time::Duration;

/// A column family of an open store: a key space of its own that shares log and batches with the
/// others. Owned, cheap to clone, usable from any thread; it keeps the store open.
#[derive(Clone, Debug)]
pub struct ColumnFamily {
    inner: Arc<Inner>,
    family: Arc<Family>,
}

impl FamilyRef for ColumnFamily {
    fn family_id(&self) -> u32 {
        self.family.id()
    }
    fn store_id(&self) -> u64 {
        self.inner.store.handle
    }
    fn now_ms(&self) -> u64 {
        self.inner.store.clock.now_ms()
    }
    fn merges(&self) -> bool {
        self.hooks().merges()
    }
    fn default_ttl_ms(&self) -> Option<u64> {
        self.family.default_ttl_ms()
    }
}

impl Inner {
    /// Writes a batch and returns when it is published.
    pub(super) fn commit(&self, batch: WriteBatch, durability: Durability) -> Result<Ticket> {
        self.scheduler.step();
        self.store.commit(batch, durability)
    }

    /// Writes a batch and returns when it is as durable as asked for.
    pub(super) fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        let timed = self.store.timings.begin(self.store.clock.source());
        let ticket = self.commit(batch, durability)?;
        if durability == Durability::Sync {
            self.store.wait_durable(ticket.seq())?;
        }
        self.store.timings.write.end(timed, self.store.clock.source());
        self.scheduler.step();
        Ok(())
    }
}

impl ColumnFamily {
    pub(super) fn new(inner: Arc<Inner>, family: Arc<Family>) -> ColumnFamily {
        ColumnFamily { inner, family }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(super) fn family(&self) -> &Arc<Family> {
        &self.family
    }

    pub(crate) fn hooks(&self) -> &FamilyHooks {
        self.family.hooks()
    }

    /// The family's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.family.name()
    }

    /// An error if the store was closed or the family dropped.
    pub(crate) fn check(&self) -> Result<()> {
        self.inner.store.check_open()?;
        if self.family.is_dropped() {
            return Err(Error::FamilyDropped { name: self.family.name().into() });
        }
        Ok(())
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Error::Corruption`] if a block on the way is damaged; [`Error::MergeFailed`] if operands of the
    /// key cannot be merged; I/O errors; [`Error::Closed`], [`Error::FamilyDropped`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"v")?;
    /// assert_eq!(db.get(b"k")?.unwrap(), b"v");
    /// assert!(db.get(b"other")?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        read::get(self, None, key.as_ref(), |found| found.slice())
    }

    /// As [`ColumnFamily::get`], and adds what it cost to `context`; see [`ReadContext`] for an example.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`].
    pub fn get_with_context(
        &self,
        key: impl AsRef<[u8]>,
        context: &mut ReadContext,
    ) -> Result<Option<Slice>> {
        read::get_observed(self, None, key.as_ref(), context, |found| found.slice())
    }

    /// Hands the value of `key` to `read` where it stands, without copying or pinning it.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"long value")?;
    /// assert_eq!(db.get_with(b"k", |value| value.len())?, Some(10));
    /// # Ok(()) }
    /// ```
    pub fn get_with<R>(&self, key: impl AsRef<[u8]>, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        read::get(self, None, key.as_ref(), |found| read(found.bytes()))
    }

    /// Whether `key` is present.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"")?;
    /// assert!(db.contains_key(b"k")? && !db.contains_key(b"other")?);
    /// # Ok(()) }
    /// ```
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(read::look(self, None, key.as_ref(), |_| ())?.is_some())
    }

    /// The length of the value of `key`, in bytes.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`].
    pub fn size_of(&self, key: impl AsRef<[u8]>) -> Result<Option<usize>> {
        read::look(self, None, key.as_ref(), |found| found.len())
    }

    /// The values of many keys as of one moment, in the order of `keys`.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`]; the first one met.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"a", b"1")?;
    /// db.put(b"c", b"3")?;
    /// let values = db.multi_get(&["a", "b", "c"])?;
    /// assert_eq!(values[0].as_deref(), Some(&b"1"[..]));
    /// assert!(values[1].is_none() && values[2].is_some());
    /// # Ok(()) }
    /// ```
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Slice>>> {
        read::multi_get(self, None, keys, |found| found.slice())
    }

    /// Sets `key` to `value` with the store's default durability, for the family's default time if it
    /// has one.
    ///
    /// # Errors
    /// As [`super::Db::write`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put(self, key, value);
        self.write_default(batch)
    }

    /// Sets `key` to `value` for `ttl` from now. After that it reads as absent; see
    /// `docs/architecture.md` for the clock.
    ///
    /// # Errors
    /// As [`super::Db::write`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put_with_ttl(b"session", b"ada", Duration::from_secs(1800))?;
    /// assert!(db.contains_key(b"session")?);
    /// # Ok(()) }
    /// ```
    pub fn put_with_ttl(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, ttl: Duration) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put_with_ttl(self, key, value, ttl);
        self.write_default(batch)
    }

    /// Removes `key`; it need not exist.
    ///
    /// # Errors
    /// As [`super::Db::write`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"v")?;
    /// db.delete(b"k")?;
    /// assert!(db.get(b"k")?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.delete(self, key);
        self.write_default(batch)
    }

    /// Has the family's merge operator change the value of `key` by `operand`, without reading it. An
    /// absent key starts from nothing, for the family's default time if it has one; a value that is there
    /// keeps its expiry.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the family has no merge operator; otherwise as [`super::Db::write`].
    /// Whether the operator can do it shows when the key is read.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let operator = Some("esker.counter".into());
    /// let options = esker::FamilyOptions { merge_operator: operator, ..Default::default() };
    /// let visits = db.create_column_family("visits", options)?;
    /// visits.merge(b"ada", 2i64.to_le_bytes())?;
    /// visits.merge(b"ada", 40i64.to_le_bytes())?;
    /// assert_eq!(visits.get(b"ada")?.unwrap(), 42i64.to_le_bytes());
    /// # Ok(()) }
    /// ```
    pub fn merge(&self, key: impl AsRef<[u8]>, operand: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.merge(self, key, operand);
        self.write_default(batch)
    }

    /// As [`ColumnFamily::merge`]; if the key is absent, what the operand makes of it lives for `ttl`
    /// from now. A value that is there keeps its own expiry.
    ///
    /// # Errors
    /// As [`ColumnFamily::merge`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).merge_operator("default", esker::hooks::Counter).open()?;
    /// for _ in 0..3 {
    ///     // Counts requests within a minute from the first on.
    ///     db.merge_with_ttl(b"requests of 10.0.0.1", 1i64.to_le_bytes(), Duration::from_secs(60))?;
    /// }
    /// assert_eq!(db.get(b"requests of 10.0.0.1")?.unwrap(), 3i64.to_le_bytes());
    /// # Ok(()) }
    /// ```
    pub fn merge_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        operand: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.merge_with_ttl(self, key, operand, ttl);
        self.write_default(batch)
    }

    /// Removes every key of a range in one write; see [`WriteBatch::delete_range`]. It costs the same
    /// whatever there is in the range; the space comes back with compactions, and tables that lie inside
    /// it go without being read.
    ///
    /// # Errors
    /// As [`super::Db::write`]; [`Error::InvalidArgument`] if the range starts behind its end,
    /// [`Error::KeyTooLarge`] if a bound is longer than a key may be.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// for key in ["a", "b", "c", "d"] {
    ///     db.put(key, "")?;
    /// }
    /// db.delete_range("b".."d")?;
    /// let keys = db.iter()?.map(|entry| Ok(entry?.0)).collect::<esker::Result<Vec<_>>>()?;
    /// assert_eq!(keys, ["a", "d"]);
    /// # Ok(()) }
    /// ```
    pub fn delete_range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.delete_range(self, range);
        self.write_default(batch)
    }

    /// Removes every key that starts with `prefix`; see [`ColumnFamily::delete_range`].
    ///
    /// # Errors
    /// As [`ColumnFamily::delete_range`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put("user:1", "")?;
    /// db.delete_prefix("user:")?;
    /// assert!(!db.contains_key("user:1")?);
    /// # Ok(()) }
    /// ```
    pub fn delete_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.delete_prefix(self, prefix);
        self.write_default(batch)
    }

    /// Gives a range of keys up for good; see [`WriteBatch::drop_range`] for what the caller promises.
    ///
    /// # Errors
    /// As [`ColumnFamily::delete_range`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put("log:0001:a", "")?;
    /// db.put("log:0002:a", "")?;
    /// db.drop_range("log:0001:".."log:0002:")?; // never to be read again
    /// assert_eq!(db.range("log:0002:"..)?.count(), 1);
    /// # Ok(()) }
    /// ```
    pub fn drop_range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.drop_range(self, range);
        self.write_default(batch)
    }

    /// Gives every key that starts with `prefix` up for good; see [`WriteBatch::drop_range`].
    ///
    /// # Errors
    /// As [`ColumnFamily::delete_range`].
    pub fn drop_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.drop_prefix(self, prefix);
        self.write_default(batch)
    }

    pub(super) fn write_default(&self, batch: WriteBatch) -> Result<()> {
        self.check()?;
        let durability = self.inner.default_durability.get();
        self.inner.write(batch, durability)
    }

    /// All entries in key order, from both ends.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::FamilyDropped`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// for key in ["a", "b", "c"] {
    ///     db.put(key, "")?;
    /// }
    /// let keys = db.iter()?.rev().map(|entry| Ok(entry?.0)).collect::<esker::Result<Vec<_>>>()?;
    /// assert_eq!(keys, ["c", "b", "a"]);
    /// # Ok(()) }
    /// ```
    pub fn iter(&self) -> Result<Iter> {
        self.range::<&[u8], _>(..)
    }

    /// The entries of a range of keys, from both ends.
    ///
    /// # Errors
    /// As [`ColumnFamily::iter`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// for key in ["a", "b", "c", "d"] {
    ///     db.put(key, "")?;
    /// }
    /// let keys = |iter: esker::Iter| iter.map(|entry| Ok(entry?.0)).collect::<esker::Result<Vec<_>>>();
    /// assert_eq!(keys(db.range("b".."d")?)?, ["b", "c"]);
    /// assert_eq!(db.range("b"..)?.next_back().unwrap()?.0, "d");
    /// # Ok(()) }
    /// ```
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Result<Iter> {
        self.scan(ScanOptions::range(range))
    }

    /// The entries whose keys start with `prefix`, from both ends.
    ///
    /// # Errors
    /// As [`ColumnFamily::iter`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// for key in ["user:1", "user:2", "token:1"] {
    ///     db.put(key, "")?;
    /// }
    /// assert_eq!(db.prefix("user:")?.count(), 2);
    /// # Ok(()) }
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Iter> {
        self.scan(ScanOptions::prefix(prefix))
    }

    /// The entries that `options` say, from both ends.
    ///
    /// # Errors
    /// As [`ColumnFamily::iter`].
    pub fn scan(&self, options: ScanOptions) -> Result<Iter> {
        Iter::new(self, None, options)
    }

    /// Compacts everything in a range of keys down to the last level, so that what was deleted,
    /// overwritten or expired there gives its space back. Returns when it is done.
    ///
    /// # Errors
    /// What flushing and compacting gives.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// for i in 0..100u8 {
    ///     db.put([i], "v")?;
    ///     db.delete([i])?;
    /// }
    /// db.compact_range([0u8]..[50])?;
    /// let all: std::ops::RangeFull = ..;
    /// db.compact_range::<&[u8], _>(all)?;
    /// assert_eq!(db.stats().families[0].table_bytes(), 0);
    /// # Ok(()) }
    /// ```
    pub fn compact_range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Result<()> {
        self.compact_bounds(range.start_bound().map(K::as_ref), range.end_bound().map(K::as_ref))
    }

    /// The position in the commit order that reads of this family see now.
    pub(super) fn read_seq(&self) -> SeqNum {
        self.inner.store.read_seq()
    }
}
