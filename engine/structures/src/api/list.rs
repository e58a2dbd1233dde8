//! Typed calls of lists.

use super::run::Run;
use crate::base::error::Result;
use crate::list::{self, Side};
use crate::store::{Key, Unit};

/// The list under a key, which need not exist.
#[derive(Debug)]
pub struct ListKey<'r, R, K> {
    run: &'r R,
    database: u32,
    name: K,
}

impl<'r, R: Run, K: AsRef<[u8]>> ListKey<'r, R, K> {
    pub(super) fn new(run: &'r R, database: u32, name: K) -> ListKey<'r, R, K> {
        ListKey { run, database, name }
    }

    fn read<T>(&self, mut body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>) -> Result<T> {
        let name = self.name.as_ref();
        self.run.read(|unit| {
            let key = Key { keyspace: unit.keyspace(self.database)?, name };
            body(unit, key)
        })
    }

    fn write<T>(&self, mut body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>) -> Result<T> {
        let name = self.name.as_ref();
        self.run.write(self.database, &[name], |unit| {
            let key = Key { keyspace: unit.keyspace(self.database)?, name };
            body(unit, key)
        })
    }

    /// Adds an element at an end; returns the length.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`]; what the engine gives. The same goes for every call.
    ///
    /// ```
    /// # use esker_structures::list::Side;
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let jobs = store.db(0).list("jobs");
    /// jobs.push(Side::Right, "first")?;
    /// jobs.push(Side::Right, "second")?;
    /// assert_eq!(jobs.pop(Side::Left)?.unwrap(), b"first");
    /// assert_eq!(jobs.get(-1)?.unwrap(), b"second");
    /// # store.close() }
    /// ```
    pub fn push(&self, side: Side, value: impl AsRef<[u8]>) -> Result<u64> {
        self.push_many(side, &[value])
    }

    /// Adds elements at an end, one after the other; returns the length.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn push_many<V: AsRef<[u8]>>(&self, side: Side, values: &[V]) -> Result<u64> {
        let values: Vec<&[u8]> = values.iter().map(AsRef::as_ref).collect();
        self.write(|unit, key| list::push(unit, key, side, &values))
    }

    /// Removes the element at an end and returns it.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn pop(&self, side: Side) -> Result<Option<Vec<u8>>> {
        self.write(|unit, key| Ok(list::pop(unit, key, side, 1)?.and_then(|mut values| values.pop())))
    }

    /// How many elements there are.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn len(&self) -> Result<u64> {
        self.read(list::length)
    }

    /// Whether there are no elements.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The element of an index, counted from the end if it is negative.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn get(&self, index: i64) -> Result<Option<Vec<u8>>> {
        self.read(|unit, key| list::get(unit, key, index))
    }

    /// Sets the element of an index, counted from the end if it is negative.
    ///
    /// # Errors
    /// As [`ListKey::push`]; [`crate::Error::NO_KEY`], [`crate::Error::INDEX_RANGE`].
    pub fn set(&self, index: i64, value: impl AsRef<[u8]>) -> Result<()> {
        let value = value.as_ref();
        self.write(|unit, key| list::set(unit, key, index, value))
    }

    /// The elements from one index to another, both included.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn range(&self, start: i64, stop: i64) -> Result<Vec<Vec<u8>>> {
        self.read(|unit, key| list::range(unit, key, start, stop))
    }

    /// Keeps the elements from one index to another, both included.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn trim(&self, start: i64, stop: i64) -> Result<()> {
        self.write(|unit, key| list::trim(unit, key, start, stop))
    }

    /// The elements, a page of them in memory at a time, each page of its own moment. Outside of a
    /// transaction's own writes.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn elements(&self) -> Result<list::Elements> {
        self.len()?;
        Ok(list::Elements::new(self.run.store(), self.database, self.name.as_ref()))
    }
}
