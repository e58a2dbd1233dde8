//! Conditional writes of one key. Of several: [`WriteBatch`]'s `require_..`.

use super::family::ColumnFamily;
use super::read;
use super::snapshot::Snapshot;
use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::batch::{Versioned, WriteBatch};

impl ColumnFamily {
    /// The value of `key` with the number of the write that made it. What that is good for, and where,
    /// stands with [`Versioned::version`].
    ///
    /// # Errors
    /// As [`ColumnFamily::get`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"v")?;
    /// let read = db.get_versioned(b"k")?.unwrap();
    /// assert_eq!((read.value, read.version), (b"v"[..].into(), db.visible_seq()));
    /// # Ok(()) }
    /// ```
    pub fn get_versioned(&self, key: impl AsRef<[u8]>) -> Result<Option<Versioned>> {
        read::get(self, None, key.as_ref(), |found| Versioned { value: found.slice(), version: found.seq() })
    }

    /// Hands the value of `key`, where it stands, and the number of the write that made it to `read`.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"value")?;
    /// let read = db.get_versioned_with(b"k", |value, version| (value.len(), version))?;
    /// assert_eq!(read, Some((5, db.visible_seq())));
    /// # Ok(()) }
    /// ```
    pub fn get_versioned_with<R>(
        &self,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8], SeqNum) -> R,
    ) -> Result<Option<R>> {
        read::get(self, None, key.as_ref(), |found| read(found.bytes(), found.seq()))
    }

    /// The values of many keys as of one moment, each with the sequence number of the write that made it.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`]; the first one met.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"a", b"1")?;
    /// let first = db.visible_seq();
    /// db.put(b"b", b"2")?;
    /// let found = db.multi_get_versioned(&["a", "b", "c"])?;
    /// let versions: Vec<_> = found.iter().flatten().map(|found| found.version).collect();
    /// assert_eq!((versions, found[2].is_none()), (vec![first, first + 1], true));
    /// # Ok(()) }
    /// ```
    pub fn multi_get_versioned<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Versioned>>> {
        read::multi_get(self, None, keys, |found| Versioned { value: found.slice(), version: found.seq() })
    }

    /// Sets `key` to `value` if it has none, with the store's default durability. Returns whether it
    /// was set.
    ///
    /// # Errors
    /// As [`super::Db::write`]; [`Error::Conflict`] if others write the key all the time.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// assert!(db.put_if_absent(b"leader", b"node 1")?);
    /// assert!(!db.put_if_absent(b"leader", b"node 2")?);
    /// # Ok(()) }
    /// ```
    pub fn put_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        let mut batch = WriteBatch::new();
        batch.require_absent(self, &key).put(self, key, value);
        self.write_if(batch)
    }

    /// Sets `key` to `new` if its value is `expected`, with the store's default durability. Returns
    /// whether it was set.
    ///
    /// # Errors
    /// As [`ColumnFamily::put_if_absent`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"state", b"open")?;
    /// assert!(db.compare_and_set(b"state", b"open", b"closed")?);
    /// assert!(!db.compare_and_set(b"state", b"open", b"closed")?);
    /// # Ok(()) }
    /// ```
    pub fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: impl AsRef<[u8]>,
        new: impl AsRef<[u8]>,
    ) -> Result<bool> {
        let mut batch = WriteBatch::new();
        batch.require_value(self, &key, expected).put(self, key, new);
        self.write_if(batch)
    }

    /// Removes `key` if its value is `expected`, with the store's default durability. Returns whether it
    /// was removed.
    ///
    /// # Errors
    /// As [`ColumnFamily::put_if_absent`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"lock", b"me")?;
    /// assert!(!db.compare_and_delete(b"lock", b"you")?);
    /// assert!(db.compare_and_delete(b"lock", b"me")?);
    /// # Ok(()) }
    /// ```
    pub fn compare_and_delete(&self, key: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) -> Result<bool> {
        let mut batch = WriteBatch::new();
        batch.require_value(self, &key, expected).delete(self, key);
        self.write_if(batch)
    }

    /// Sets `key` to `value` if its value is the one that was written with this version, as
    /// [`ColumnFamily::get_versioned`] returned it, with the store's default durability. Returns whether it
    /// was set. Unlike [`ColumnFamily::compare_and_set`] it tells a value from an equal one that was written
    /// later, and holds no copy of it.
    ///
    /// # Errors
    /// As [`ColumnFamily::put_if_absent`]; [`Error::InvalidArgument`] if the family does not keep versions
    /// ([`super::FamilyOptions::keep_versions`]).
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let options = esker::FamilyOptions { keep_versions: true, ..Default::default() };
    /// let pages = db.create_column_family("pages", options)?;
    /// pages.put(b"home", b"first")?;
    /// let read = pages.get_versioned(b"home")?.unwrap();
    /// assert!(pages.put_if_version(b"home", read.version, b"second")?);
    /// assert!(!pages.put_if_version(b"home", read.version, b"third")?, "it has another version now");
    /// # Ok(()) }
    /// ```
    pub fn put_if_version(
        &self,
        key: impl AsRef<[u8]>,
        version: SeqNum,
        value: impl AsRef<[u8]>,
    ) -> Result<bool> {
        let mut batch = WriteBatch::new();
        batch.require_version(self, &key, version).put(self, key, value);
        self.write_if(batch)
    }

    /// Removes `key` if its value is the one that was written with this version, with the store's default
    /// durability. Returns whether it was removed.
    ///
    /// # Errors
    /// As [`ColumnFamily::put_if_version`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let options = esker::FamilyOptions { keep_versions: true, ..Default::default() };
    /// let leases = db.create_column_family("leases", options)?;
    /// leases.put(b"printer", b"ada")?;
    /// let mine = leases.get_versioned(b"printer")?.unwrap().version;
    /// leases.put(b"printer", b"ada")?; // somebody of the same name
    /// assert!(!leases.delete_if_version(b"printer", mine)?);
    /// # Ok(()) }
    /// ```
    pub fn delete_if_version(&self, key: impl AsRef<[u8]>, version: SeqNum) -> Result<bool> {
        let mut batch = WriteBatch::new();
        batch.require_version(self, &key, version).delete(self, key);
        self.write_if(batch)
    }

    fn write_if(&self, batch: WriteBatch) -> Result<bool> {
        match self.write_default(batch) {
            Ok(()) => Ok(true),
            Err(Error::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Snapshot {
    /// As [`ColumnFamily::get_versioned_with`], of the value that `key` of `family` had.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"old")?;
    /// let snapshot = db.snapshot();
    /// db.put(b"k", b"newer")?;
    /// let length = snapshot.get_versioned_with(&db, b"k", |value, _version| value.len())?;
    /// assert_eq!(length, Some(3));
    /// # Ok(()) }
    /// ```
    pub fn get_versioned_with<R>(
        &self,
        family: &ColumnFamily,
        key: impl AsRef<[u8]>,
        read: impl FnOnce(&[u8], SeqNum) -> R,
    ) -> Result<Option<R>> {
        read::get(family, Some(self), key.as_ref(), |found| read(found.bytes(), found.seq()))
    }

    /// As [`ColumnFamily::multi_get_versioned`], as of this snapshot.
    ///
    /// # Errors
    /// As [`Snapshot::get`]; the first one met.
    pub fn multi_get_versioned<K: AsRef<[u8]>>(
        &self,
        family: &ColumnFamily,
        keys: &[K],
    ) -> Result<Vec<Option<Versioned>>> {
        read::multi_get(family, Some(self), keys, |found| Versioned {
            value: found.slice(),
            version: found.seq(),
        })
    }
}
