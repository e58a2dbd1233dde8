//! Typed calls of several keys of one type.

use super::database::Database;
use super::run::{Effect, Run};
use crate::base::error::Result;
use crate::list::{self, Side};
use crate::store::Key;
use crate::string;
use crate::zset::{self, Entry};

/// The name of one of several keys, and what was taken from it.
pub type Taken<T> = Option<(Vec<u8>, Vec<T>)>;

/// The name of the key of a number.
fn named<K: AsRef<[u8]>, T>(keys: &[K], taken: Option<(usize, Vec<T>)>) -> Taken<T> {
    taken.map(|(at, taken)| (keys[at].as_ref().to_vec(), taken))
}

impl<R: Run> Database<'_, R> {
    /// The strings under several keys, as of one moment; what holds something else counts as none.
    ///
    /// # Errors
    /// [`crate::Error::COMMAND_TOO_LARGE`]; what the engine gives.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.set_many(&[("a", "1"), ("b", "2")])?; // one write
    /// assert!(!db.set_many_if_absent(&[("b", "3"), ("c", "3")])?);
    /// assert_eq!(db.get_many(&["a", "c"])?, [Some(b"1".to_vec()), None]);
    /// # store.close() }
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        self.reading_all(keys, string::get_many)
    }

    /// Sets the strings under several keys, whatever they held, in one write; they do not expire.
    ///
    /// # Errors
    /// [`crate::Error::STRING_TOO_LONG`], [`crate::Error::KEY_TOO_LONG`]; what the engine gives.
    pub fn set_many<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, entries: &[(K, V)]) -> Result<()> {
        self.set_all(entries, false).map(|_| ())
    }

    /// As [`Database::set_many`], if none of the keys exists; says whether it was done.
    ///
    /// # Errors
    /// As [`Database::set_many`].
    pub fn set_many_if_absent<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, entries: &[(K, V)]) -> Result<bool> {
        self.set_all(entries, true)
    }

    fn set_all<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, entries: &[(K, V)], if_absent: bool) -> Result<bool> {
        let names: Vec<&[u8]> = entries.iter().map(|(name, _)| name.as_ref()).collect();
        self.writing(&names, Effect::Adds, |unit, keys| {
            let values = entries.iter().map(|(_, value)| value.as_ref());
            let entries: Vec<(Key<'_>, &[u8])> = keys.iter().copied().zip(values).collect();
            string::set_many(unit, &entries, if_absent)
        })
    }

    /// Removes up to `count` elements at an end of the first of several lists that has any, and says which
    /// one that is.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`], [`crate::Error::COMMAND_TOO_LARGE`]; what the engine gives.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::list::Side;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.list("later").push(Side::Right, "job")?;
    /// let (from, jobs) = db.pop_of_lists(&["urgent", "later"], Side::Left, 10)?.unwrap();
    /// assert_eq!((&from[..], &jobs[0][..]), (&b"later"[..], &b"job"[..]));
    /// # store.close() }
    /// ```
    pub fn pop_of_lists<K: AsRef<[u8]>>(&self, keys: &[K], side: Side, count: u64) -> Result<Taken<Vec<u8>>> {
        let popped =
            self.writing(keys, Effect::Frees, |unit, keys| list::pop_first(unit, keys, side, count))?;
        Ok(named(keys, popped))
    }

    /// Removes up to `count` members with the least scores, or the greatest, of the first of several sorted
    /// sets that has any, and says which one that is.
    ///
    /// # Errors
    /// As [`Database::pop_of_lists`].
    pub fn pop_of_zsets<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        greatest: bool,
        count: u64,
    ) -> Result<Taken<Entry>> {
        let popped =
            self.writing(keys, Effect::Frees, |unit, keys| zset::pop_first(unit, keys, greatest, count))?;
        Ok(named(keys, popped))
    }
}
