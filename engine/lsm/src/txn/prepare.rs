//! The first half of a commit in two: a transaction that is sure to be committed, but is not yet.

use super::commit::CommitError;
use super::transaction::Transaction;
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_PREPARED_NAME_BYTES;
use crate::base::sync::Arc;
use crate::batch::FamilyRef;
use crate::commit::{Durability, Hold, PreparedEntry, Ticket};
use crate::db::{Db, prepared};
use std::fmt;
use std::time::Duration;

/// A transaction that is prepared: on disk, and neither visible nor gone. Made by
/// [`Transaction::prepare`], or found by [`Db::find_prepared`].
///
/// It stays prepared, over crashes, closes and copies of the store, until it is committed or rolled back by
/// this handle or by its name; dropping the handle changes nothing. Owned, and may move between threads.
pub struct Prepared {
    db: Db,
    entry: Arc<PreparedEntry>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("name", &self.entry.name()).finish_non_exhaustive()
    }
}

/// A prepared transaction, as [`Db::prepared`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreparedInfo {
    /// The name under which it was prepared.
    pub name: String,
    /// How long ago, by the store's expiry clock.
    pub age: Duration,
    /// How many operations it writes.
    pub writes: usize,
    /// How many keys it holds locked.
    pub locks: usize,
    /// What it is stored in, in bytes: names, keys and values.
    pub bytes: u64,
}

impl Prepared {
    /// The name under which it was prepared.
    #[must_use]
    pub fn name(&self) -> &str {
        self.entry.name()
    }

    /// Commits it: all of its writes become visible at once, at their place in the order of all writes, and
    /// what it held is free. Nothing is judged any more, so that no conflict can come of it.
    ///
    /// # Errors
    /// [`Error::NotPrepared`] if it was committed or rolled back before; [`Error::InvalidArgument`] for
    /// [`Durability::None`], since it must end in the log as it began there; otherwise as [`Db::write`]: it
    /// stays prepared, unless it was published and then could not be made durable.
    pub fn commit(&self, durability: Durability) -> Result<Ticket> {
        self.resolve(true, durability)
    }

    /// Gives it up, with the store's default durability, or [`Durability::Os`] if that is none: nothing of it
    /// was ever there, and what it held is free. If a crash takes that back, it is prepared again.
    ///
    /// # Errors
    /// As [`Prepared::commit`].
    pub fn rollback(&self) -> Result<()> {
        let durability = match self.db.default_durability() {
            Durability::None => Durability::Os,
            logged => logged,
        };
        self.resolve(false, durability).map(|_| ())
    }

    fn resolve(&self, commit: bool, durability: Durability) -> Result<Ticket> {
        self.db.step();
        let store = self.db.store();
        let ticket = store.resolve(&self.entry, commit, durability)?;
        if durability == Durability::Sync {
            store.wait_durable(ticket.seq())?;
        }
        self.db.step();
        Ok(ticket)
    }
}

impl Transaction {
    /// Prepares the transaction under a name that no other prepared one has: what it depends on is judged as
    /// by a commit, its writes become as durable as `durability` says, and all that it writes and relies on
    /// is held for it from now on, over crashes and closes, so that its commit cannot fail for anything that
    /// others do. Nobody sees its writes before that.
    ///
    /// Who wants to write what it holds waits, as for any lock, and then gets
    /// [`Error::HeldByPrepared`]. Values that it has read may expire meanwhile; its own expire at the time
    /// that they were given.
    ///
    /// # Errors
    /// With the transaction as it was: [`Error::InvalidArgument`] for a name that is empty or longer than 512
    /// bytes, or for [`Durability::None`]; [`Error::AlreadyPrepared`]; [`Error::TooManyPrepared`],
    /// [`Error::PreparedTooLarge`]; otherwise as [`Transaction::commit`]. Without it, if it is prepared and
    /// then could not be made durable: it may or may not survive.
    ///
    /// ```
    /// use esker::Durability;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::open(&path)?;
    /// let mut transfer = db.begin(Default::default())?;
    /// transfer.put(&db, b"ada", b"90")?;
    /// let prepared = transfer.prepare("transfer-17", Durability::Sync)?;
    /// assert!(db.get(b"ada")?.is_none(), "nobody sees it yet");
    /// # drop(prepared);
    /// db.close()?;
    ///
    /// let db = esker::Db::open(&path)?; // the other store is prepared, too, or was committed already
    /// assert_eq!(db.prepared()[0].name, "transfer-17");
    /// db.commit_prepared("transfer-17", Durability::Sync)?;
    /// assert_eq!(db.get(b"ada")?.unwrap(), b"90");
    /// # Ok(()) }
    /// ```
    pub fn prepare(mut self, name: &str, durability: Durability) -> Result<Prepared, CommitError> {
        let db = self.db.clone();
        db.step();
        let (entry, ticket) = match self.publish_prepared(name, durability) {
            Ok(prepared) => prepared,
            Err(error) => return Err(CommitError { error, transaction: Some(Box::new(self)) }),
        };
        // They are the prepared transaction's from here on.
        self.locked.clear();
        drop(self);
        if durability == Durability::Sync {
            let durable = db.store().wait_durable(ticket.seq());
            durable.map_err(|error| CommitError { error, transaction: None })?;
        }
        db.step();
        Ok(Prepared { db, entry })
    }

    fn publish_prepared(&self, name: &str, durability: Durability) -> Result<(Arc<PreparedEntry>, Ticket)> {
        if name.is_empty() || name.len() > MAX_PREPARED_NAME_BYTES {
            let why = format!("the name of a prepared transaction has 1 to {MAX_PREPARED_NAME_BYTES} bytes");
            return Err(Error::invalid("name", why));
        }
        if durability == Durability::None {
            return Err(Error::invalid("durability", "what is prepared must stand in the log"));
        }
        let store = self.db.store();
        let writes = self.pending.batch(self.db.store_id())?;
        let mut checks = self.checks();
        checks.owner = Some(self.id);
        let relied_on = self.relied_on();
        let reads = relied_on.iter().map(|range| {
            (range.family, range.lower.as_ref().map(Vec::as_slice), range.upper.as_ref().map(Vec::as_slice))
        });
        let stored = Hold::encode(self.now_ms(), &writes, self.locked.keys(), reads);
        drop(writes);
        let among = prepared::family(store)?;
        let wrong = |_| Error::invalid("prepare", "what it holds is too large to be kept");
        let hold = Arc::new(Hold::decode(store.handle, among, name, &stored).map_err(wrong)?);
        let prepared = store.prepare((among, name), &stored, &hold, durability, (self.id, checks));
        if prepared.is_err() {
            hold.let_go(&store.locks, self.id, |key| self.locked.contains_key(key));
        }
        prepared
    }
}

impl Db {
    /// The transactions that are prepared, by name; those that were found when the store was opened among
    /// them. After a failed sync this is what was published, while reads go back to what is durable.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"k", b"v")?;
    /// transaction.prepare("t", esker::Durability::Sync)?;
    /// let prepared = db.prepared();
    /// assert_eq!((prepared[0].name.as_str(), prepared[0].writes), ("t", 1));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn prepared(&self) -> Vec<PreparedInfo> {
        let now_ms = self.store().clock.now_ms();
        let info = |entry: Arc<PreparedEntry>| PreparedInfo {
            name: entry.name().into(),
            age: Duration::from_millis(now_ms.saturating_sub(entry.prepared_ms())),
            writes: entry.writes(),
            locks: entry.locks(),
            bytes: entry.bytes(),
        };
        self.store().prepared.list().into_iter().map(info).collect()
    }

    /// The prepared transaction of this name.
    ///
    /// # Errors
    /// [`Error::NotPrepared`], [`Error::Closed`].
    pub fn find_prepared(&self, name: &str) -> Result<Prepared> {
        self.store().check_open()?;
        Ok(Prepared { db: self.clone(), entry: self.store().prepared.get(name)? })
    }

    /// Commits the prepared transaction of this name; see [`Prepared::commit`].
    ///
    /// # Errors
    /// As [`Prepared::commit`].
    ///
    /// ```
    /// # use esker::{Durability, Error};
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"k", b"v")?;
    /// transaction.prepare("t", Durability::Sync)?;
    /// db.commit_prepared("t", Durability::Sync)?;
    /// let again = db.commit_prepared("t", Durability::Sync);
    /// assert!(matches!(again, Err(Error::NotPrepared { name }) if &*name == "t"));
    /// # Ok(()) }
    /// ```
    pub fn commit_prepared(&self, name: &str, durability: Durability) -> Result<Ticket> {
        self.find_prepared(name)?.commit(durability)
    }

    /// Gives the prepared transaction of this name up; see [`Prepared::rollback`].
    ///
    /// # Errors
    /// As [`Prepared::rollback`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"k", b"v")?;
    /// transaction.prepare("t", esker::Durability::Sync)?;
    /// db.rollback_prepared("t")?;
    /// assert!(db.prepared().is_empty() && db.get(b"k")?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn rollback_prepared(&self, name: &str) -> Result<()> {
        self.find_prepared(name)?.rollback()
    }
}
