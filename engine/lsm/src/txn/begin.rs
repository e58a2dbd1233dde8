//! Beginning transactions, and trying them again.

use super::options::{Locking, TransactionOptions};
use super::pending::Pending;
use super::tracked::Tracked;
use super::transaction::Transaction;
use crate::base::error::Result;
use crate::base::sync::{Arc, Mutex};
use crate::commit::Watch;
use crate::db::Db;
use crate::locks::OpenTransaction;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often [`Db::transaction`] tries.
const ATTEMPTS: u32 = 16;

/// The longest pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_micros(200);

/// The longest pause of all.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

impl Db {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`crate::Error::Closed`].
    pub fn begin(&self, options: TransactionOptions) -> Result<Transaction> {
        let store = self.store();
        store.check_open()?;
        // First the watch, then the snapshot: what is written behind the snapshot is recorded.
        let watch = Watch::new(store.clone());
        let snapshot = self.snapshot();
        let id = store.locks.new_owner();
        let began = store.clock.source().monotonic();
        let pessimistic = options.locking == Locking::Pessimistic;
        let open = OpenTransaction { began, seq: snapshot.seq(), locks: 0, pessimistic };
        store.transactions.enter(id, open);
        Ok(Transaction {
            db: self.clone(),
            id,
            options,
            snapshot: Arc::new(snapshot),
            pending: Pending::default(),
            tracked: Mutex::new(Tracked::new(options.max_tracked, options.max_bytes / 4)),
            locked: BTreeMap::new(),
            locked_bytes: 0,
            _watch: watch,
        })
    }

    /// Runs `body` in an optimistic transaction and commits it with the store's default durability. If it
    /// meets another one (a conflict, a deadlock, a lock that is not given back), `body` is run again in a
    /// new transaction, up to 16 times, with growing random pauses of at most 20 ms. Any other error of
    /// `body` rolls it back and is returned.
    ///
    /// # Errors
    /// The last one.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let next = || db.transaction(|transaction| {
    ///     let last = transaction.get(&db, b"last")?.map_or(0, |value| value[0]);
    ///     transaction.put(&db, b"last", [last + 1])?;
    ///     Ok(last + 1)
    /// });
    /// assert_eq!((next()?, next()?), (1, 2));
    /// # Ok(()) }
    /// ```
    pub fn transaction<T>(&self, body: impl FnMut(&mut Transaction) -> Result<T>) -> Result<T> {
        self.transaction_with(TransactionOptions::default(), body)
    }

    /// As [`Db::transaction`], with options.
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub fn transaction_with<T>(
        &self,
        options: TransactionOptions,
        mut body: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let mut transaction = self.begin(options)?;
            let result = body(&mut transaction).and_then(|out| {
                transaction.commit()?;
                Ok(out)
            });
            match result {
                Err(error) if error.is_transient_conflict() && attempt < ATTEMPTS => self.pause(attempt),
                result => return result,
            }
            attempt += 1;
        }
    }

    /// Pauses for a random time, so that those who met do not meet again.
    fn pause(&self, attempt: u32) {
        let store = self.store();
        let most = (FIRST_PAUSE * (1 << attempt.min(10))).min(LONGEST_PAUSE);
        let pause = Duration::from_micros(store.random.below(most.as_micros() as u64 + 1));
        store.work.pause(pause);
    }
}
