//! The end of a transaction, and its new beginning.

use super::transaction::Transaction;
use crate::base::error::{Error, Result};
use crate::base::key::{NEVER, SeqNum};
use crate::base::sync::Arc;
use crate::batch::FamilyRef;
use crate::commit::{Checks, Durability, KeyCheck, RangeCheck, Ticket};
use crate::locks::LockedKey;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

/// A commit that failed. Converts into its [`Error`], so that `?` works.
#[derive(Debug)]
pub struct CommitError {
    /// Why.
    pub error: Error,
    /// The transaction, as it was: to be rolled back to a savepoint, refreshed, or dropped. `None` if it
    /// was published, and then could not be made durable: it may or may not survive.
    pub transaction: Option<Box<Transaction>>,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<CommitError> for Error {
    fn from(failed: CommitError) -> Error {
        failed.error
    }
}

impl Transaction {
    /// Commits with the store's default durability; returns when it is as durable as that says.
    ///
    /// # Errors
    /// [`Error::Conflict`] if somebody else has written what it depends on; nothing was written then. As
    /// [`crate::Db::write`] otherwise.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"k", b"mine")?;
    /// db.put(b"k", b"theirs")?;
    /// let failed = transaction.commit().unwrap_err();
    /// assert!(matches!(&failed.error, esker::Error::Conflict { key, .. } if **key == *b"k"));
    /// let transaction = failed.transaction.unwrap(); // still there
    /// transaction.rollback();
    /// # Ok(()) }
    /// ```
    pub fn commit(self) -> Result<Ticket, CommitError> {
        let db = self.db.clone();
        let durability = db.default_durability();
        let ticket = self.commit_with(durability)?;
        if durability == Durability::Sync {
            let durable = db.store().wait_durable(ticket.seq());
            durable.map_err(|error| CommitError { error, transaction: None })?;
        }
        db.step();
        Ok(ticket)
    }

    /// Commits and returns when it is published: visible to all, its locks given back. As with
    /// [`crate::Db::commit`], what is to be [`Durability::Sync`] is synced in the background.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn commit_with(self, durability: Durability) -> Result<Ticket, CommitError> {
        self.db.step();
        let committed = self.publish(durability);
        match committed {
            Ok(ticket) => {
                if durability == Durability::Sync {
                    self.db.request_sync();
                }
                Ok(ticket)
            }
            Err(error) => Err(CommitError { error, transaction: Some(Box::new(self)) }),
        }
    }

    fn publish(&self, durability: Durability) -> Result<Ticket> {
        let store = self.db.store();
        let batch = self.pending.batch(self.db.store_id())?;
        if batch.is_empty() {
            // What it has read was all there at one moment, that of its snapshot; or some of it is of now.
            if self.options.serialisable && self.locked.values().any(|held| held.at_present) {
                self.look_again(&mut self.checks(), self.now_ms())?;
            }
            return store.commit(batch, durability);
        }
        let ticket = store.commit_checked(batch, durability, self.checks())?;
        store.transaction_counts.count_commit();
        Ok(ticket)
    }

    /// What must be unwritten for it to be committed, and since when.
    pub(super) fn checks(&self) -> Checks {
        let since = self.snapshot.seq();
        let tracked = self.tracked.lock();
        let read = tracked.keys().map(|(family, key)| (LockedKey { family, key: key.to_vec() }, since));
        let mut keys: BTreeMap<LockedKey, SeqNum> = read.collect();
        for (key, held) in &self.locked {
            let of_key = keys.entry(key.clone()).or_insert(held.since);
            *of_key = (*of_key).min(held.since);
        }
        for (family, key) in self.pending.keys() {
            keys.entry(LockedKey { family, key: key.to_vec() }).or_insert(since);
        }
        let removed = self.pending.ranges().map(|(family, (from, to))| RangeCheck {
            family,
            lower: Bound::Included(from.clone()),
            upper: to.clone().map_or(Bound::Unbounded, Bound::Excluded),
            since,
        });
        let check = |(LockedKey { family, key }, since)| KeyCheck { family, key, since };
        let (mut before_ms, mut checks) = (NEVER, Vec::with_capacity(keys.len() + 1));
        if let Some((expires_at, family, key)) = tracked.expiring() {
            // First, so that it is the one that a conflict names.
            let key = LockedKey { family, key };
            let since = keys.remove(&key).unwrap_or(since);
            checks.push(KeyCheck { family, key: key.key, since });
            before_ms = expires_at;
        }
        checks.extend(keys.into_iter().map(check));
        Checks {
            keys: checks,
            ranges: tracked.ranges(since).into_iter().chain(removed).collect(),
            before_ms,
            owner: (!self.locked.is_empty()).then_some(self.id),
            lock_timeout: Some(self.options.lock_timeout),
            ..Checks::default()
        }
    }

    /// What it has read, beside the keys that it has locked, and must find unwritten when it is committed.
    pub(super) fn relied_on(&self) -> Vec<RangeCheck> {
        let tracked = self.tracked.lock();
        let of_key = |(family, key): (u32, &[u8])| {
            let (lower, upper) = (Bound::Included(key.to_vec()), Bound::Included(key.to_vec()));
            RangeCheck { family, lower, upper, since: 0 }
        };
        let mut all: Vec<_> = tracked.keys().map(of_key).collect();
        all.extend(tracked.ranges(0));
        all
    }

    /// Whether all that it depends on is as it was, at `now_ms`.
    fn look_again(&self, checks: &mut Checks, now_ms: u64) -> Result<()> {
        let store = self.db.store();
        let expired = (now_ms >= checks.before_ms).then(|| checks.first_key());
        let Some(key) = expired.map_or_else(|| store.look_again(checks), |key| Ok(Some(key)))? else {
            return Ok(());
        };
        let conflict = store.conflict(key);
        store.transaction_counts.count_error(&conflict);
        Err(conflict)
    }

    /// Goes on with the present state, if nothing that it depends on has changed: what it has written, or
    /// read for update, or, serialisable, read at all. Otherwise it stays as it is.
    ///
    /// # Errors
    /// [`Error::Conflict`]; [`Error::InvalidArgument`] while an iterator of a serialisable transaction is
    /// alive; what reading gives.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"mine", b"1")?;
    /// db.put(b"theirs", b"2")?;
    /// assert!(transaction.get(&db, b"theirs")?.is_none());
    /// transaction.refresh()?;
    /// assert!(transaction.get(&db, b"theirs")?.is_some());
    /// # Ok(()) }
    /// ```
    pub fn refresh(&mut self) -> Result<()> {
        if self.tracked.lock().is_being_scanned() {
            return Err(Error::invalid("refresh", "an iterator of the transaction is still alive"));
        }
        let store = self.db.store();
        let mut checks = self.checks();
        // Everything up to the new snapshot is judged: what is visible afterwards includes it.
        let next = self.db.snapshot();
        self.look_again(&mut checks, next.now_ms())?;
        let before = self.snapshot.seq();
        for held in self.locked.values_mut().filter(|held| held.since == before) {
            held.since = next.seq();
        }
        store.transactions.set_seq(self.id, next.seq());
        self.snapshot = Arc::new(next);
        Ok(())
    }
}
