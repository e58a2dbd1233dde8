//! What a transaction sees: its own writes over its snapshot.

use super::iter::{Own, TransactionIter};
use super::options::Locking;
use super::tracked::Scanned;
use super::transaction::Transaction;
use crate::base::error::Result;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::batch::FamilyRef;
use crate::db::{ColumnFamily, ScanOptions, Ttl, value_and_expiry};
use crate::locks::LockedKey;
use std::ops::RangeBounds;
use std::time::Duration;

impl Transaction {
    /// The value of `key`: its own last write, or what the snapshot shows. (A pessimistic transaction
    /// sees keys that it has read for update as [`Transaction::get_for_update`] does.)
    ///
    /// # Errors
    /// As [`crate::Snapshot::get`].
    pub fn get(&self, family: &ColumnFamily, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        let key = key.as_ref();
        self.check(family)?;
        Ok(self.read(family, key, self.options.serialisable)?.map(|(value, _)| value))
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn contains_key(&self, family: &ColumnFamily, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(family, key)?.is_some())
    }

    /// The values of many keys, in the order of `keys`.
    ///
    /// # Errors
    /// As [`Transaction::get`]; the first one met.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"a", b"1")?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"b", b"2")?;
    /// let values = transaction.multi_get(&db, &["a", "b", "c"])?;
    /// assert!(values[0].is_some() && values[1].is_some() && values[2].is_none());
    /// # Ok(()) }
    /// ```
    pub fn multi_get<K: AsRef<[u8]>>(&self, family: &ColumnFamily, keys: &[K]) -> Result<Vec<Option<Slice>>> {
        keys.iter().map(|key| self.get(family, key)).collect()
    }

    /// How long the value of `key` that the transaction sees has left to live; `None` if it sees none. A
    /// value of its snapshot that has ended since is seen, and has no time left.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put_with_ttl(b"lease", b"node 1", Duration::from_secs(60))?;
    /// let mut transaction = db.begin(Default::default())?;
    /// assert!(matches!(transaction.ttl(&db, b"lease")?, Some(esker::Ttl::Remaining(_))));
    /// transaction.put(&db, b"lease", b"node 2")?;
    /// assert_eq!(transaction.ttl(&db, b"lease")?, Some(esker::Ttl::Never));
    /// # Ok(()) }
    /// ```
    pub fn ttl(&self, family: &ColumnFamily, key: impl AsRef<[u8]>) -> Result<Option<Ttl>> {
        self.check(family)?;
        let found = self.read(family, key.as_ref(), self.options.serialisable)?;
        let ended = Ttl::Remaining(Duration::ZERO);
        Ok(found.map(|(_, expires_at)| Ttl::until(expires_at, self.now_ms()).unwrap_or(ended)))
    }

    /// The value of `key`, which nobody else may write until the commit. Optimistic, that is found out at
    /// the commit, and the value is that of the snapshot. Pessimistic, the key is locked first, and the
    /// value is the present one.
    ///
    /// # Errors
    /// As [`Transaction::get`]; [`crate::Error::LockTimeout`], [`crate::Error::Deadlock`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// use esker::{Durability, TransactionOptions};
    /// db.put(b"count", b"1")?;
    /// let options = TransactionOptions::pessimistic();
    /// let mut transaction = db.begin(options.lock_timeout(std::time::Duration::ZERO))?;
    /// assert_eq!(transaction.get_for_update(&db, b"count")?.unwrap(), b"1");
    /// let mut other = db.begin(options.lock_timeout(std::time::Duration::ZERO))?;
    /// let refused = other.put(&db, b"count", b"5");
    /// match refused {
    ///     Err(esker::Error::LockTimeout { holder, .. }) => assert_eq!(holder, transaction.id()),
    ///     other => panic!("{other:?}"),
    /// }
    /// transaction.put(&db, b"count", b"2")?;
    /// transaction.commit_with(Durability::Os)?;
    /// # Ok(()) }
    /// ```
    pub fn get_for_update(&mut self, family: &ColumnFamily, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        let key = key.as_ref();
        self.check(family)?;
        match self.options.locking {
            Locking::Optimistic => self.tracked.lock().key(family.family_id(), key),
            Locking::Pessimistic => self.lock(family, key, true)?,
        }
        Ok(self.read(family, key, true)?.map(|(value, _)| value))
    }

    /// As [`Transaction::get_for_update`], of many keys, in the order of `keys`. Pessimistic, they are
    /// locked in the order of the keys themselves, so that transactions of which each locks all its keys
    /// with one such call are in no deadlock.
    ///
    /// # Errors
    /// As [`Transaction::get_for_update`]; the first one met. Keys before it stay locked, or relied upon.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"from", b"100")?;
    /// let mut transfer = db.begin(esker::TransactionOptions::pessimistic())?;
    /// let balances = transfer.multi_get_for_update(&db, &["to", "from"])?;
    /// assert!(balances[0].is_none() && balances[1].is_some());
    /// # Ok(()) }
    /// ```
    pub fn multi_get_for_update<K: AsRef<[u8]>>(
        &mut self,
        family: &ColumnFamily,
        keys: &[K],
    ) -> Result<Vec<Option<Slice>>> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|at| keys[*at].as_ref());
        let mut values = vec![None; keys.len()];
        for at in order {
            values[at] = self.get_for_update(family, &keys[at])?;
        }
        Ok(values)
    }

    /// All entries of `family`.
    ///
    /// # Errors
    /// As [`crate::Snapshot::iter`].
    pub fn iter(&self, family: &ColumnFamily) -> Result<TransactionIter> {
        self.scan(family, ScanOptions::default())
    }

    /// The entries of a range of keys: of the snapshot, with what the transaction has written so far over
    /// it.
    ///
    /// # Errors
    /// As [`crate::Snapshot::range`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"a", b"")?;
    /// db.put(b"c", b"")?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"b", b"")?;
    /// transaction.delete(&db, b"c")?;
    /// let keys = transaction.range(&db, "a"..)?.rev().map(|entry| Ok(entry?.0));
    /// assert_eq!(keys.collect::<esker::Result<Vec<_>>>()?, ["b", "a"]);
    /// # Ok(()) }
    /// ```
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(
        &self,
        family: &ColumnFamily,
        range: R,
    ) -> Result<TransactionIter> {
        self.scan(family, ScanOptions::range(range))
    }

    /// The entries whose keys start with `prefix`.
    ///
    /// # Errors
    /// As [`crate::Snapshot::prefix`].
    pub fn prefix(&self, family: &ColumnFamily, prefix: impl AsRef<[u8]>) -> Result<TransactionIter> {
        self.scan(family, ScanOptions::prefix(prefix))
    }

    /// The entries that `options` say.
    ///
    /// # Errors
    /// As [`crate::Snapshot::scan`].
    pub fn scan(&self, family: &ColumnFamily, options: ScanOptions) -> Result<TransactionIter> {
        self.check(family)?;
        let id = family.family_id();
        let (lower, upper) = options.bounds();
        let tracked = || self.tracked.lock().scan(Scanned::new(id, lower.clone(), upper.clone()));
        let scanned = self.options.serialisable.then(tracked);
        let present =
            if self.pending.changes_present() { Arc::new(self.db.snapshot()) } else { self.snapshot.clone() };
        let below = (self.snapshot.clone(), present);
        let own = Own::new(self.pending.writes(id), family, below, self.now_ms(), &options);
        Ok(TransactionIter::new(self.snapshot.scan(family, options)?, own, scanned))
    }

    /// The value of a key, and when it expires. The commit may rely on what was there before the transaction:
    /// that it is still there, and has not expired.
    fn read(&self, family: &ColumnFamily, key: &[u8], relies: bool) -> Result<Option<(Slice, u64)>> {
        let id = family.family_id();
        let (own, hidden) = (self.pending.get(id, key), self.pending.hides(id, key));
        let base = if !hidden && own.is_none_or(|write| write.changes_what_was_there().is_some()) {
            self.read_base(family, key, relies)?
        } else {
            None
        };
        match own {
            Some(write) => write.value(family, key, base, self.now_ms()),
            None => Ok(base),
        }
    }

    /// What was there before the transaction.
    fn read_base(&self, family: &ColumnFamily, key: &[u8], relies: bool) -> Result<Option<(Slice, u64)>> {
        let at_present = self.is_read_at_present(family, key);
        let snapshot = (!at_present).then_some(&*self.snapshot);
        if !relies {
            return value_and_expiry(family, snapshot, key);
        }
        let (mut tracked, id) = (self.tracked.lock(), family.family_id());
        if self.options.serialisable && !at_present {
            tracked.key(id, key);
        }
        let found = value_and_expiry(family, snapshot, key)?;
        if let Some((_, expires_at)) = &found {
            tracked.expires(id, key, *expires_at);
        }
        Ok(found)
    }

    /// Whether a key was locked before it was read, and so is known to be as it is now.
    pub(super) fn is_read_at_present(&self, family: &ColumnFamily, key: &[u8]) -> bool {
        if self.locked.is_empty() {
            return false;
        }
        let key = LockedKey { family: family.family_id(), key: key.to_vec() };
        self.locked.get(&key).is_some_and(|held| held.at_present)
    }
}
