//! Where a typed call runs: in a unit of its own, or in a transaction.

use super::database::Database;
use crate::base::error::Result;
use crate::store::{Key, Store, Unit};
use std::cell::RefCell;

/// What a call does to the room that there is: one that makes room goes on on a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It adds something.
    Adds,
    /// It only removes.
    Frees,
}

impl Effect {
    fn note(self, unit: &mut Unit<'_>) {
        match self {
            Effect::Adds => unit.adds(),
            Effect::Frees => unit.frees(),
        }
    }
}

/// What typed calls run on: a [`Store`], where each is a unit of work of its own and waits until it is
/// durable, or a [`Transaction`], of which they are parts.
pub trait Run {
    /// Runs a call that reads.
    ///
    /// # Errors
    /// Those of `body`.
    fn read<T>(&self, body: impl FnMut(&mut Unit<'_>) -> Result<T>) -> Result<T>;

    /// Has what a call is about to read of these keys be true to the end of the unit of work. A call that is
    /// one by itself needs nothing.
    ///
    /// # Errors
    /// [`crate::Error::Busy`].
    fn hold(&self, _unit: &mut Unit<'_>, _keys: &[Key<'_>]) -> Result<()> {
        Ok(())
    }

    /// Runs a call that writes keys, whose databases and names are given.
    ///
    /// # Errors
    /// Those of `body`; what committing gives.
    fn write<T>(
        &self,
        names: &[(u32, &[u8])],
        effect: Effect,
        body: impl FnMut(&mut Unit<'_>) -> Result<T>,
    ) -> Result<T>;

    /// The store.
    fn store(&self) -> &Store;
}

/// Keys by their databases and names.
pub(super) fn keys<'k>(unit: &Unit<'_>, names: &[(u32, &'k [u8])]) -> Result<Vec<Key<'k>>> {
    names.iter().map(|(database, name)| Ok(Key { keyspace: unit.keyspace(*database)?, name })).collect()
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
        names: &[(u32, &[u8])],
        effect: Effect,
        mut body: impl FnMut(&mut Unit<'_>) -> Result<T>,
    ) -> Result<T> {
        self.transaction(|unit| {
            let keys = keys(unit, names)?;
            effect.note(unit);
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

    fn hold(&self, unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<()> {
        unit.lock(keys.iter().copied())
    }

    fn write<T>(
        &self,
        names: &[(u32, &[u8])],
        effect: Effect,
        mut body: impl FnMut(&mut Unit<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut unit = self.unit.borrow_mut();
        let keys = keys(&unit, names)?;
        effect.note(&mut unit);
        let result = unit.writing(&keys, |unit| body(unit))?;
        unit.check_size()?;
        Ok(result)
    }

    fn store(&self) -> &Store {
        self.store
    }
}

impl<'t, 's> Transaction<'t, 's> {
    pub(super) fn new(store: &'t Store, unit: &'t mut Unit<'s>) -> Transaction<'t, 's> {
        Transaction { store, unit: RefCell::new(unit) }
    }

    /// A database.
    #[must_use]
    pub fn db(&self, number: u32) -> Database<'_, Transaction<'t, 's>> {
        Database::new(self, number)
    }

    /// Locks keys before the transaction comes to them, so that it need not run again where others lock the
    /// same in another order. Keys that it reads or writes are locked anyway.
    ///
    /// # Errors
    /// [`crate::Error::Busy`], which `body` must hand on; [`crate::Error::DATABASE_RANGE`].
    pub fn lock(&self, database: u32, names: &[&[u8]]) -> Result<()> {
        let names: Vec<(u32, &[u8])> = names.iter().map(|name| (database, *name)).collect();
        let mut unit = self.unit.borrow_mut();
        let keys = keys(&unit, &names)?;
        unit.lock(keys)
    }
}

impl Store {
    /// A database.
    #[must_use]
    pub fn db(&self, number: u32) -> Database<'_, Store> {
        Database::new(self, number)
    }

    /// Runs `body`, whose calls become one write, all of it or nothing, and nobody changes meanwhile what
    /// it has read. Keys are locked when they are first read or written, or by [`Transaction::lock`]; if
    /// that meets somebody else's in an order in which it must not wait, `body` runs again from the start.
    /// An error of `body` leaves nothing written. Calls that name no key, such as counts of a database, show
    /// a moment and hold nobody; nor is held what a sort finds by its patterns.
    ///
    /// Within `body` the transaction's own calls are to be used alone: one on the store itself would be a
    /// second unit of work of the same thread, and could wait for the first for ever.
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
        self.transaction(|unit| body(&Transaction::new(self, unit)))
    }

    /// Removes all keys of all databases, in one write. Waits for whoever works on the store; so not from
    /// within a transaction.
    ///
    /// # Errors
    /// What the engine gives.
    pub fn flush_all(&self) -> Result<()> {
        self.alone(Effect::Frees, |unit| unit.flush_all())
    }

    /// Exchanges two databases, in one write. Waits for whoever works on the store; so not from within a
    /// transaction.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`]; what the engine gives.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// store.db(1).string("prices").set("new")?;
    /// store.swap_databases(0, 1)?;
    /// store.db(1).flush()?;
    /// assert_eq!(store.db(0).string("prices").get()?.unwrap(), b"new");
    /// # store.close() }
    /// ```
    pub fn swap_databases(&self, a: u32, b: u32) -> Result<()> {
        self.alone(Effect::Adds, |unit| unit.swap_databases(a, b))
    }

    /// Runs what needs the store alone.
    pub(super) fn alone<T>(
        &self,
        effect: Effect,
        body: impl FnOnce(&mut Unit<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut unit = self.unit_alone();
        effect.note(&mut unit);
        let result = unit.reading(body)?;
        let seq = unit.commit()?;
        drop(unit);
        self.wait(seq)?;
        Ok(result)
    }
}
