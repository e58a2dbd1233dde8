//! A transaction, as its user holds it.

use super::operands::OwnOperand;
use super::options::{Locking, TransactionOptions};
use super::pending::{Pending, WRITE_OVERHEAD_BYTES, Write, operand_bytes, range_bytes};
use super::tracked::Tracked;
use crate::base::bounds::{half_open, prefix_end};
use crate::base::error::{Error, Result};
use crate::base::key::{NEVER, SeqNum};
use crate::base::limits::{MAX_BATCH_RANGES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::base::operand::Operand;
use crate::base::slice::Slice;
use crate::base::sync::{Arc, Mutex};
use crate::batch::FamilyRef;
use crate::commit::Watch;
use crate::db::{ColumnFamily, Db, Snapshot};
use crate::locks::{LockedKey, OwnerId};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

/// Reads and writes that take effect together or not at all, as if nobody else wrote meanwhile, as far
/// as its [options](TransactionOptions) say. Made by [`Db::begin`]; owned, and may move between threads.
///
/// It reads the state at its beginning, with its own writes over it. Nobody else sees these before the
/// commit. Dropping it rolls it back.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = esker::Db::open(dir.path().join("data"))?;
/// db.put(b"ada", b"100")?;
/// let mut transfer = db.begin(esker::TransactionOptions::default())?;
/// assert_eq!(transfer.get(&db, b"ada")?.unwrap(), b"100");
/// transfer.put(&db, b"ada", b"90")?;
/// transfer.put(&db, b"bob", b"10")?;
/// assert_eq!(transfer.get(&db, b"ada")?.unwrap(), b"90");
/// assert!(db.get(b"bob")?.is_none(), "nobody else sees it yet");
/// transfer.commit()?;
/// assert_eq!(db.get(b"bob")?.unwrap(), b"10");
/// # Ok(()) }
/// ```
pub struct Transaction {
    pub(super) db: Db,
    pub(super) id: OwnerId,
    pub(super) options: TransactionOptions,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) pending: Pending,
    pub(super) tracked: Mutex<Tracked>,
    /// The keys that it has locked.
    pub(super) locked: BTreeMap<LockedKey, Held>,
    /// What they take, in bytes, roughly.
    pub(super) locked_bytes: usize,
    /// What others write is recorded while it lives; it began before the snapshot was taken.
    pub(super) _watch: Watch,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.id)
            .field("seq", &self.snapshot.seq())
            .field("writes", &self.pending.len())
            .field("locks", &self.locked.len())
            .finish_non_exhaustive()
    }
}

/// What a transaction knows of a key that it has locked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Nobody must have written it behind this sequence number.
    pub(super) since: SeqNum,
    /// Whether it is read as it is now, because it was locked first, and not as the snapshot shows it.
    pub(super) at_present: bool,
}

/// A place in a transaction to go back to; see [`Transaction::savepoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    number: u64,
}

impl Transaction {
    /// Its number in this run of the store, which errors about locks name.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &TransactionOptions {
        &self.options
    }

    /// The state that it reads: of its beginning, or of the last [`Transaction::refresh`].
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// How many keys it has written, and ranges removed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether it has written nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// What its writes and locks take, in bytes, roughly; see [`TransactionOptions::max_bytes`].
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.pending.bytes() + self.locked_bytes
    }

    /// Sets `key` to `value`, for the family's default time if it has one.
    ///
    /// # Errors
    /// [`Error::KeyTooLarge`], [`Error::ValueTooLarge`], [`Error::TransactionTooLarge`]; pessimistic:
    /// [`Error::LockTimeout`], [`Error::Deadlock`], and [`Error::Conflict`] if somebody has written the
    /// key since the snapshot. The transaction is as it was before.
    pub fn put(
        &mut self,
        family: &ColumnFamily,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        let expires_at = family.default_ttl_ms().map_or(NEVER, |ttl_ms| self.expiry_in(ttl_ms));
        self.put_at(family, key.as_ref(), value.as_ref(), expires_at)
    }

    /// Sets `key` to `value` for `ttl` from now (not from the commit), by the store's expiry clock.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn put_with_ttl(
        &mut self,
        family: &ColumnFamily,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<()> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.put_at(family, key.as_ref(), value.as_ref(), self.expiry_in(ttl_ms))
    }

    /// Sets `key` to `value` until the moment `expires_at_ms`, in milliseconds since the epoch; `u64::MAX` is
    /// never, whatever the family's default.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn put_until(
        &mut self,
        family: &ColumnFamily,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expires_at_ms: u64,
    ) -> Result<()> {
        self.put_at(family, key.as_ref(), value.as_ref(), expires_at_ms)
    }

    /// Removes `key`; it need not exist.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, family: &ColumnFamily, key: impl AsRef<[u8]>) -> Result<()> {
        self.write(family, key.as_ref(), Write::Delete)
    }

    /// Gives the family's merge operator `operand` to change the value of `key` with; see
    /// [`crate::WriteBatch::merge`]. It is a write like any other: at the commit nobody else may have
    /// written the key, merges among them. The transaction's own reads show what it makes of the value
    /// now; whether that has expired meanwhile is judged again at the commit.
    ///
    /// # Errors
    /// As [`Transaction::put`]; [`Error::InvalidArgument`] if the family has no merge operator. Whether the
    /// operator can do it shows when the key is read.
    ///
    /// ```
    /// use esker::hooks::Counter;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).merge_operator("default", Counter).open()?;
    /// db.merge(b"visits", 40i64.to_le_bytes())?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.merge(&db, b"visits", 2i64.to_le_bytes())?;
    /// assert_eq!(transaction.get(&db, b"visits")?.unwrap(), 42i64.to_le_bytes());
    /// transaction.commit()?;
    /// assert_eq!(db.get(b"visits")?.unwrap(), 42i64.to_le_bytes());
    /// # Ok(()) }
    /// ```
    pub fn merge(
        &mut self,
        family: &ColumnFamily,
        key: impl AsRef<[u8]>,
        operand: impl AsRef<[u8]>,
    ) -> Result<()> {
        let ttl_ms = family.default_ttl_ms().unwrap_or(0);
        self.add_operand(family, key.as_ref(), operand.as_ref(), ttl_ms)
    }

    /// As [`Transaction::merge`]; if the key is absent, what the operand makes of it lives for `ttl` from
    /// the commit. A value that is there keeps its own expiry.
    ///
    /// # Errors
    /// As [`Transaction::merge`].
    pub fn merge_with_ttl(
        &mut self,
        family: &ColumnFamily,
        key: impl AsRef<[u8]>,
        operand: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<()> {
        self.add_operand(family, key.as_ref(), operand.as_ref(), Operand::ttl_ms(Some(ttl)))
    }

    /// Removes every key of a range; see [`crate::WriteBatch::delete_range`]. At the commit nobody else may
    /// have written in it. Its keys are not locked: a pessimistic transaction waits at the commit for those
    /// that others hold. Walking over it costs what walking over its entries does.
    ///
    /// # Errors
    /// As [`ColumnFamily::delete_range`]; [`Error::TransactionTooLarge`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"user:1", b"")?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.delete_range(&db, "user:".."user;")?;
    /// transaction.put(&db, b"user:2", b"")?;
    /// assert_eq!(transaction.iter(&db)?.count(), 1);
    /// # Ok(()) }
    /// ```
    pub fn delete_range<K: AsRef<[u8]>, R: RangeBounds<K>>(
        &mut self,
        family: &ColumnFamily,
        range: R,
    ) -> Result<()> {
        self.check(family)?;
        let (start, end) = (range.start_bound().map(K::as_ref), range.end_bound().map(K::as_ref));
        let Some(range) = half_open(start, end)? else { return Ok(()) };
        if self.pending.range_count() >= MAX_BATCH_RANGES {
            return Err(Error::invalid("ranges", format!("a transaction may remove {MAX_BATCH_RANGES}")));
        }
        self.check_size(self.size_bytes() + range_bytes(&range))?;
        self.pending.remove_range(family.family_id(), range);
        Ok(())
    }

    /// Removes every key that begins with `prefix`; see [`Transaction::delete_range`].
    ///
    /// # Errors
    /// As [`Transaction::delete_range`].
    pub fn delete_prefix(&mut self, family: &ColumnFamily, prefix: impl AsRef<[u8]>) -> Result<()> {
        let prefix = prefix.as_ref();
        let end = prefix_end(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.delete_range::<&[u8], _>(family, (Bound::Included(prefix), end))
    }

    /// A place that [`Transaction::rollback_to`] goes back to.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"a", b"1")?;
    /// let before = transaction.savepoint();
    /// transaction.put(&db, b"a", b"2")?;
    /// transaction.rollback_to(before)?;
    /// assert_eq!(transaction.get(&db, b"a")?.unwrap(), b"1");
    /// # Ok(()) }
    /// ```
    pub fn savepoint(&mut self) -> Savepoint {
        Savepoint { number: self.pending.savepoint() }
    }

    /// Takes back what was written since `savepoint`, which can be gone back to again; later savepoints
    /// cannot. Locks are kept, and what was read remains read.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a savepoint of another transaction, or one that was gone behind.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        if self.pending.rollback_to(savepoint.number) {
            return Ok(());
        }
        Err(Error::invalid("savepoint", "it is not one of this transaction, or no longer"))
    }

    /// Forgets `savepoint` and all later ones, and keeps what was written: what they held to go back to takes
    /// memory.
    ///
    /// # Errors
    /// As [`Transaction::rollback_to`].
    pub fn release(&mut self, savepoint: Savepoint) -> Result<()> {
        if self.pending.release(savepoint.number) {
            return Ok(());
        }
        Err(Error::invalid("savepoint", "it is not one of this transaction, or no longer"))
    }

    /// Ends it without writing anything, as dropping it does.
    pub fn rollback(self) {
        drop(self);
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.db.now_ms()
    }

    fn expiry_in(&self, ttl_ms: u64) -> u64 {
        self.now_ms().saturating_add(ttl_ms).min(NEVER - 1)
    }

    pub(super) fn check(&self, family: &ColumnFamily) -> Result<()> {
        family.check()?;
        if family.store_id() == self.db.store_id() { Ok(()) } else { Err(Error::WrongDatabase) }
    }

    fn put_at(&mut self, family: &ColumnFamily, key: &[u8], value: &[u8], expires_at: u64) -> Result<()> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(Error::ValueTooLarge { bytes: value.len() });
        }
        self.write(family, key, Write::Put { value: Slice::copy(value), expires_at })
    }

    fn write(&mut self, family: &ColumnFamily, key: &[u8], write: Write) -> Result<()> {
        self.make_room(family, key, self.size_bytes() + write.bytes(key))?;
        self.pending.insert(family.family_id(), key, write);
        Ok(())
    }

    fn add_operand(&mut self, family: &ColumnFamily, key: &[u8], operand: &[u8], ttl_ms: u64) -> Result<()> {
        if !family.merges() {
            return Err(Error::invalid("merge", "the column family has no merge operator"));
        }
        if Operand::encoded_bytes(ttl_ms, operand) > MAX_VALUE_BYTES {
            return Err(Error::ValueTooLarge { bytes: operand.len() });
        }
        let value = Slice::own(Operand::encode_value(ttl_ms, operand));
        let operand = OwnOperand { written_ms: self.now_ms(), value };
        self.make_room(family, key, self.size_bytes() + operand_bytes(key, &operand))?;
        let at_present = self.is_read_at_present(family, key);
        self.pending.merge(family.family_id(), key, operand, at_present);
        Ok(())
    }

    /// What comes before a write of a key, after which the writes would take so many bytes.
    fn make_room(&mut self, family: &ColumnFamily, key: &[u8], bytes: usize) -> Result<()> {
        self.check(family)?;
        if key.len() > MAX_KEY_BYTES {
            return Err(Error::KeyTooLarge { bytes: key.len() });
        }
        self.check_size(bytes)?;
        if self.options.locking == Locking::Pessimistic {
            self.lock(family, key, false)?;
        }
        Ok(())
    }

    fn check_size(&self, bytes: usize) -> Result<()> {
        let limit = self.options.max_bytes;
        if bytes > limit { Err(Error::TransactionTooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Locks a key, unless it is locked already. If it is only written, and not read under the lock, it
    /// must be as the snapshot shows it.
    pub(super) fn lock(&mut self, family: &ColumnFamily, key: &[u8], for_update: bool) -> Result<()> {
        let key = LockedKey { family: family.family_id(), key: key.to_vec() };
        if self.locked.contains_key(&key) {
            return Ok(());
        }
        // A lock takes memory as a write does.
        self.check_size(self.size_bytes() + lock_bytes(&key))?;
        let (store, since) = (self.db.store(), self.snapshot.seq());
        let (visible, written) = store.lock_key(self.id, &key, since, self.options.lock_timeout)?;
        if written && !for_update {
            // It can never be committed: the transaction goes on without the lock, as it was before.
            store.locks.unlock(self.id, &key);
            let conflict = store.conflict(key);
            store.transaction_counts.count_error(&conflict);
            return Err(conflict);
        }
        self.locked_bytes += lock_bytes(&key);
        let since = if for_update { visible } else { since };
        self.locked.insert(key, Held { since, at_present: for_update });
        store.transactions.set_locks(self.id, self.locked.len());
        Ok(())
    }
}

/// What a lock takes, in bytes, roughly: it stands in the transaction and in the store's table.
fn lock_bytes(key: &LockedKey) -> usize {
    2 * (key.key.len() + WRITE_OVERHEAD_BYTES)
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let store = self.db.store();
        for key in self.locked.keys() {
            store.locks.unlock(self.id, key);
        }
        store.transactions.leave(self.id);
    }
}
