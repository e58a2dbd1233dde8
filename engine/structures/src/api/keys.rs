//! Typed calls of keys, whatever they hold.

use super::database::Database;
use super::run::{Effect, Run, keys as located};
use crate::base::error::Result;
use crate::encoding::header::Type;
use crate::keys::{self, Filter, Limit, Remaining};
use crate::sort::{self, Row, SortOptions};
use crate::store::Store;
use std::time::Duration;

impl<R: Run> Database<'_, R> {
    /// What a key holds.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`]; what the engine gives. The same goes for every call.
    pub fn kind(&self, key: impl AsRef<[u8]>) -> Result<Option<Type>> {
        self.reading(key.as_ref(), keys::kind)
    }

    /// How a key is kept, in the words of Redis' `OBJECT ENCODING`.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn encoding(&self, key: impl AsRef<[u8]>) -> Result<Option<&'static str>> {
        self.reading(key.as_ref(), keys::encoding_name)
    }

    /// Whether a key exists.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.kind(key)?.is_some())
    }

    /// How many of the keys exist, one that is named twice counting twice.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn count_existing<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64> {
        self.reading_all(keys, keys::count_existing)
    }

    /// Removes a key; says whether it existed. One write, whatever it holds.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.delete_many(&[key])? == 1)
    }

    /// Removes keys, in one write; returns how many existed.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn delete_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64> {
        self.writing(keys, Effect::Frees, keys::delete_many)
    }

    /// Gives a key another name; what the other held is gone. Says whether the key existed.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.give_name(from.as_ref(), to.as_ref(), false)?.is_some())
    }

    /// Gives a key a name that is free. Says whether it was done: the key existed, and no other had the name.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn rename_if_absent(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.give_name(from.as_ref(), to.as_ref(), true)? == Some(true))
    }

    fn give_name(&self, from: &[u8], to: &[u8], only_new: bool) -> Result<Option<bool>> {
        self.writing(&[from, to], Effect::Adds, |unit, keys| keys::rename(unit, keys[0], keys[1], only_new))
    }

    /// Copies what a key holds to another, which loses what it held if `replace`. Says whether it was done:
    /// the key existed, and the other did not or might be replaced. O(n).
    ///
    /// # Errors
    /// As [`Database::kind`]; [`crate::Error::SAME_OBJECT`]; [`esker::Error::BatchTooLarge`] beyond 2 GiB.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.set("draft").add_many(&["a", "b"])?;
    /// assert!(db.copy("draft", "kept", false)? && !db.copy("draft", "kept", false)?);
    /// assert!(db.move_to("draft", 1)?);
    /// assert_eq!((db.exists("draft")?, store.db(1).set("draft").len()?), (false, 2));
    /// # store.close() }
    /// ```
    pub fn copy(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>, replace: bool) -> Result<bool> {
        self.copy_to(from, self.number, to, replace)
    }

    /// As [`Database::copy`], to a key of another database.
    ///
    /// # Errors
    /// As [`Database::copy`].
    pub fn copy_to(
        &self,
        from: impl AsRef<[u8]>,
        database: u32,
        to: impl AsRef<[u8]>,
        replace: bool,
    ) -> Result<bool> {
        self.transfer(from.as_ref(), (database, to.as_ref()), replace, false)
    }

    /// Moves a key to another database. Says whether it was done: the key existed here, and not there. O(n).
    ///
    /// # Errors
    /// As [`Database::copy`].
    pub fn move_to(&self, key: impl AsRef<[u8]>, database: u32) -> Result<bool> {
        let name = key.as_ref();
        self.transfer(name, (database, name), false, true)
    }

    fn transfer(&self, from: &[u8], to: (u32, &[u8]), replace: bool, removing: bool) -> Result<bool> {
        let names = [(self.number, from), to];
        self.run.write(&names, Effect::Adds, |unit| {
            let keys = located(unit, &names)?;
            keys::copy(unit, keys[0], keys[1], replace, removing)
        })
    }

    /// Has a key expire `ttl` from now. Says whether it exists.
    ///
    /// # Errors
    /// As [`Database::kind`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::keys::Limit;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.string("session").set("ada")?;
    /// assert!(db.expire("session", Duration::from_secs(60))?);
    /// assert!(db.ttl("session")?.unwrap() > Duration::from_secs(50));
    /// let later = Limit { greater: true, ..Limit::default() };
    /// assert!(!db.expire_if("session", Duration::from_secs(30), later)?);
    /// # store.close() }
    /// ```
    pub fn expire(&self, key: impl AsRef<[u8]>, ttl: Duration) -> Result<bool> {
        self.expire_if(key, ttl, Limit::default())
    }

    /// As [`Database::expire`], under conditions. Says whether it was done.
    ///
    /// # Errors
    /// As [`Database::kind`]; conditions that do not go together.
    pub fn expire_if(&self, key: impl AsRef<[u8]>, ttl: Duration, limit: Limit) -> Result<bool> {
        self.writing(&[key], Effect::Adds, |unit, keys| {
            let at_ms = unit.moment_in(ttl);
            keys::expire_at(unit, keys[0], at_ms, limit)
        })
    }

    /// Has a key expire at a time, in ms since the epoch, under conditions; one that has come removes it.
    /// Says whether it was done.
    ///
    /// # Errors
    /// As [`Database::expire_if`].
    pub fn expire_at(&self, key: impl AsRef<[u8]>, at_ms: u64, limit: Limit) -> Result<bool> {
        let at_ms = at_ms.min(crate::encoding::header::NEVER - 1);
        self.writing(&[key], Effect::Adds, |unit, keys| keys::expire_at(unit, keys[0], at_ms, limit))
    }

    /// Has a key not expire. Says whether it did before.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn persist(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.writing(&[key], Effect::Adds, |unit, keys| keys::persist(unit, keys[0]))
    }

    /// How long a key has left to live; `None` if it does not expire or does not exist.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn ttl(&self, key: impl AsRef<[u8]>) -> Result<Option<Duration>> {
        Ok(match self.remaining(key)? {
            Remaining::Until(_, left) => Some(Duration::from_millis(left)),
            Remaining::Absent | Remaining::Forever => None,
        })
    }

    /// Whether and when a key expires, and how long that is away.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn remaining(&self, key: impl AsRef<[u8]>) -> Result<Remaining> {
        self.reading(key.as_ref(), keys::remaining)
    }

    /// A key by chance, each with the same; `None` if there are none.
    ///
    /// # Errors
    /// As [`Database::kind`].
    pub fn random_key(&self) -> Result<Option<Vec<u8>>> {
        self.reading(b"", |unit, key| keys::random(unit, key.keyspace))
    }

    /// The names of all keys that match a pattern, in their order. All of them are in memory at once;
    /// [`Database::keys`] is for many.
    ///
    /// # Errors
    /// As [`Database::kind`]; [`crate::Error::COMMAND_TOO_LARGE`].
    pub fn matching(&self, pattern: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>> {
        let pattern = pattern.as_ref();
        self.reading(b"", |unit, key| keys::matching(unit, key.keyspace, pattern))
    }

    /// The elements of a list, a set or a sorted set in an order: a row for each, or for each pattern that
    /// takes its place.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`], [`crate::Error::COMMAND_TOO_LARGE`]; an element that is no number; what
    /// the engine gives.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::sort::SortOptions;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.set("team").add_many(&["ada", "bob"])?;
    /// db.hash("user:ada").set("age", "36")?;
    /// db.hash("user:bob").set("age", "23")?;
    /// let by_age = SortOptions { by: Some(b"user:*->age"), ..SortOptions::default() };
    /// assert_eq!(db.sort("team", &by_age)?, [Some(b"bob".to_vec()), Some(b"ada".to_vec())]);
    /// assert_eq!(db.sort_into("team", "by age", &by_age)?, 2);
    /// assert_eq!(db.list("by age").get(0)?.unwrap(), b"bob");
    /// # store.close() }
    /// ```
    pub fn sort(&self, key: impl AsRef<[u8]>, options: &SortOptions<'_>) -> Result<Vec<Row>> {
        self.reading(key.as_ref(), |unit, key| sort::rows(unit, key, options))
    }

    /// Has `target` be the list of what [`Database::sort`] gives, whatever it held; nothing of that removes
    /// it. What does not exist is an empty element. Returns the length.
    ///
    /// # Errors
    /// As [`Database::sort`].
    pub fn sort_into(
        &self,
        key: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
        options: &SortOptions<'_>,
    ) -> Result<u64> {
        self.writing(&[key.as_ref(), target.as_ref()], Effect::Adds, |unit, keys| {
            sort::store(unit, keys[0], keys[1], options)
        })
    }
}

/// Of the store alone: pages are units of work of their own, for which a transaction must not wait.
impl Database<'_, Store> {
    /// The names of keys, a page of them in memory at a time; what is written meanwhile may be shown or not,
    /// what is there throughout is.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`].
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::keys::Filter;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.set_many(&[("user:1", "ada"), ("user:2", "bob"), ("visits", "7")])?;
    /// let users = Filter { pattern: Some(b"user:*"), kind: None };
    /// for name in db.keys(users)? {
    ///     db.delete(name?)?;
    /// }
    /// assert_eq!(db.len()?, 1);
    /// # store.close() }
    /// ```
    pub fn keys(&self, filter: Filter<'_>) -> Result<keys::Names> {
        self.len()?;
        Ok(keys::names(self.run.store(), self.number, filter))
    }
}
