//! Typed calls of lists.

use super::place::Place;
use super::run::Run;
use crate::base::error::Result;
use crate::list::{self, Search, Side};
use crate::store::Store;

/// The list under a key, which need not exist.
#[derive(Debug)]
pub struct ListKey<'r, R, K>(Place<'r, R, K>);

impl<'r, R: Run, K: AsRef<[u8]>> ListKey<'r, R, K> {
    pub(super) fn new(run: &'r R, database: u32, name: K) -> ListKey<'r, R, K> {
        ListKey(Place { run, database, name })
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
        self.0.write(|unit, key| list::push(unit, key, side, &values))
    }

    /// As [`ListKey::push_many`], if there is such a key; otherwise does nothing and returns 0.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn push_if_exists<V: AsRef<[u8]>>(&self, side: Side, values: &[V]) -> Result<u64> {
        let values: Vec<&[u8]> = values.iter().map(AsRef::as_ref).collect();
        self.0.write(|unit, key| list::push_if_exists(unit, key, side, &values))
    }

    /// Removes up to `count` elements at an end and returns them, the outermost first.
    ///
    /// # Errors
    /// As [`ListKey::push`]; [`crate::Error::COMMAND_TOO_LARGE`].
    pub fn pop_many(&self, side: Side, count: u64) -> Result<Vec<Vec<u8>>> {
        self.0.free(|unit, key| Ok(list::pop(unit, key, side, count)?.unwrap_or_default()))
    }

    /// Moves the element at an end to an end of another list, or of this one, and returns it.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    ///
    /// ```
    /// # use esker_structures::list::Side;
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let (jobs, running) = (store.db(0).list("jobs"), store.db(0).list("running"));
    /// jobs.push(Side::Right, "first")?;
    /// let job = jobs.move_to(Side::Left, "running", Side::Right)?.unwrap();
    /// assert_eq!(running.remove(1, &job)?, 1); // when it is done
    /// # store.close() }
    /// ```
    pub fn move_to(&self, from: Side, target: impl AsRef<[u8]>, to: Side) -> Result<Option<Vec<u8>>> {
        self.0
            .write_with(&[target], |unit, key, others| list::move_element(unit, (key, from), (others[0], to)))
    }

    /// Inserts an element before the first that equals `pivot`; returns the length, `None` if there is no
    /// such element.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn insert_before(&self, pivot: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Option<u64>> {
        self.insert(true, pivot.as_ref(), value.as_ref())
    }

    /// The same behind it.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn insert_after(&self, pivot: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Option<u64>> {
        self.insert(false, pivot.as_ref(), value.as_ref())
    }

    fn insert(&self, before: bool, pivot: &[u8], value: &[u8]) -> Result<Option<u64>> {
        let length = self.0.write(|unit, key| list::insert(unit, key, before, pivot, value))?;
        Ok(u64::try_from(length).ok().filter(|length| *length > 0))
    }

    /// Removes elements that equal `value`: the first `count`, the last if `count` is negative, all if it is
    /// 0. Returns how many there were.
    ///
    /// # Errors
    /// As [`ListKey::push`]; [`crate::Error::COMMAND_TOO_LARGE`].
    pub fn remove(&self, count: i64, value: impl AsRef<[u8]>) -> Result<u64> {
        let value = value.as_ref();
        self.0.free(|unit, key| list::remove(unit, key, count, value))
    }

    /// The index of the first element that equals `value`.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn position(&self, value: impl AsRef<[u8]>) -> Result<Option<u64>> {
        Ok(self.positions(value, Search::FIRST)?.pop())
    }

    /// The indices of the elements that equal `value`, in the order in which they are met.
    ///
    /// # Errors
    /// As [`ListKey::push`]; [`crate::Error::COMMAND_TOO_LARGE`].
    pub fn positions(&self, value: impl AsRef<[u8]>, what: Search) -> Result<Vec<u64>> {
        let value = value.as_ref();
        self.0.read(|unit, key| list::search(unit, key, value, what))
    }

    /// Removes the element at an end and returns it.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn pop(&self, side: Side) -> Result<Option<Vec<u8>>> {
        self.0.free(|unit, key| Ok(list::pop(unit, key, side, 1)?.and_then(|mut values| values.pop())))
    }

    /// How many elements there are.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn len(&self) -> Result<u64> {
        self.0.read(list::length)
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
        self.0.read(|unit, key| list::get(unit, key, index))
    }

    /// Sets the element of an index, counted from the end if it is negative.
    ///
    /// # Errors
    /// As [`ListKey::push`]; [`crate::Error::NO_KEY`], [`crate::Error::INDEX_RANGE`].
    pub fn set(&self, index: i64, value: impl AsRef<[u8]>) -> Result<()> {
        let value = value.as_ref();
        self.0.write(|unit, key| list::set(unit, key, index, value))
    }

    /// The elements from one index to another, both included.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn range(&self, start: i64, stop: i64) -> Result<Vec<Vec<u8>>> {
        self.0.read(|unit, key| list::range(unit, key, start, stop))
    }

    /// Keeps the elements from one index to another, both included.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn trim(&self, start: i64, stop: i64) -> Result<()> {
        self.0.free(|unit, key| list::trim(unit, key, start, stop))
    }
}

/// Of the store alone: pages are units of work of their own, for which a transaction must not wait.
impl<K: AsRef<[u8]>> ListKey<'_, Store, K> {
    /// The elements, a page of them in memory at a time, each page of its own moment.
    ///
    /// # Errors
    /// As [`ListKey::push`].
    pub fn elements(&self) -> Result<list::Elements> {
        self.len()?;
        Ok(list::entries(self.0.run.store(), self.0.database, self.0.name.as_ref()))
    }
}
