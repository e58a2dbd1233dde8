//! Where a typed call runs: in a unit of its own, or in a transaction.

use super::database::Database;
use crate::base::error::Result;
use crate::store::{Key, Store, Unit};
use std::cell::RefCell;

/// What typed calls run on: a [`Store`], where each is a unit of work of its own and waits until it is
/// durable, or a [`Transaction`], of which they are parts.
pub trait Run {
    /// Runs a call that reads.
    ///
    /// # Errors
    /// Those of `body`.
    fn read<T>(&self, body: impl FnMut(&mut Unit<'_>) -> Result<T>) -> Result<T>;

    /// Runs a call that writes keys of a database, whose names are given.
    ///
    /// # Errors
    /// Those of `body`; what committing gives.
    fn write<T>(
        &self,
        database: u32,
        names: &[&[u8]],
        body: impl FnMut(&mut Unit<'_>) -> Result<T>,
    ) -> Result<T>;

    /// The store.
    fn store(&self) -> &Store;
}

fn keys<'k>(unit: &Unit<'_>, database: u32, names: &[&'k [u8]]) -> Result<Vec<Key<'k>>> {
    let keyspace = unit.keyspace(database)?;
    Ok(names.iter().map(|name| Key { keyspace, name }).collect())
}

impl Run for Store {
    fn read<T>(&self, mut body: impl FnMut(&mut Unit<'_>) -> Result<T>) -> Result<T> {
        let mut unit = self.unit();
        let result = unit.reading(|unit| body(unit))?;
        let seq = unit.depends_on();
        drop(unit);
        self.wait(seq)?;
        Ok(result)
    }

    fn write<T>(
        &self,
        database: u32,
        names: &[&[u8]],
        mut body: impl FnMut(&mut Unit<'_>) -> Result<T>,
    ) -> Result<T> {
        self.transaction(|unit| {
            let keys = keys(unit, database, names)?;
            unit.writing(&keys, |unit| body(unit))
        })
    }

    fn store(&self) -> &Store {
        self
    }
}

/// Several calls as one unit of work; see [`Store::transact`].
#[derive(Debug)]
pub struct Transaction<'t, 's> {
    store: &'t Store,
    unit: RefCell<&'t mut Unit<'s>>,
}

impl Run for Transaction<'_, '_> {
    fn read<T>(&self, mut body: impl FnMut(&mut Unit<'_>) -> Result<T>) -> Result<T> {
        self.unit.borrow_mut().reading(|unit| body(unit))
    }

    fn write<T>(
        &self,
        database: u32,
        names: &[&[u8]],
        mut body: impl FnMut(&mut Unit<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut unit = self.unit.borrow_mut();
        let keys = keys(&unit, database, names)?;
        unit.writing(&keys, |unit| body(unit))
    }

    fn store(&self) -> &Store {
        self.store
    }
}

impl<'t, 's> Transaction<'t, 's> {
    /// A database.
    #[must_use]
    pub fn db(&self, number: u32) -> Database<'_, Transaction<'t, 's>> {
        Database::new(self, number)
    }

    /// Locks keys that the transaction reads, so that nobody changes them before it is committed. Keys that
    /// it writes are locked anyway.
    ///
    /// # Errors
    /// [`crate::Error::Busy`], which `body` must hand on; [`crate::Error::DATABASE_RANGE`].
    pub fn lock(&self, database: u32, names: &[&[u8]]) -> Result<()> {
        let mut unit = self.unit.borrow_mut();
        let keys = keys(&unit, database, names)?;
        unit.lock(keys)
    }
}

impl Store {
    /// A database.
    #[must_use]
    pub fn db(&self, number: u32) -> Database<'_, Store> {
        Database::new(self, number)
    }

    /// Runs `body`, whose calls become one write, all of it or nothing. Keys are locked when they are first
    /// written, or by [`Transaction::lock`]; if that meets somebody else's in an order in which it must not
    /// wait, `body` runs again from the start. An error of `body` leaves nothing written.
    ///
    /// # Errors
    /// Those of `body`; what committing gives.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// store.db(0).string("ada").set("100")?;
    /// store.transact(|t| {
    ///     t.db(0).string("ada").increment(-30)?;
    ///     t.db(0).string("bob").increment(30)
    /// })?;
    /// assert_eq!(store.db(0).string("ada").get()?.unwrap(), b"70");
    /// # store.close() }
    /// ```
    pub fn transact<T>(&self, mut body: impl FnMut(&Transaction<'_, '_>) -> Result<T>) -> Result<T> {
        self.transaction(|unit| body(&Transaction { store: self, unit: RefCell::new(unit) }))
    }
}
