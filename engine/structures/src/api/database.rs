//! A database: its keys.

use super::hash::HashKey;
use super::list::ListKey;
use super::run::Run;
use super::set::SetKey;
use super::string::StringKey;
use super::zset::SortedSetKey;
use crate::base::error::Result;
use crate::encoding::header::Type;
use crate::keys::{self, Limit, Remaining};
use crate::store::Key;
use std::time::Duration;

/// One of a store's databases, or of a transaction's.
#[derive(Debug)]
pub struct Database<'r, R> {
    run: &'r R,
    number: u32,
}

impl<R> Clone for Database<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Database<'_, R> {}

impl<'r, R: Run> Database<'r, R> {
    pub(super) fn new(run: &'r R, number: u32) -> Database<'r, R> {
        Database { run, number }
    }

    /// The string under a key.
    #[must_use]
    pub fn string<K: AsRef<[u8]>>(&self, key: K) -> StringKey<'r, R, K> {
        StringKey::new(self.run, self.number, key)
    }

    /// The hash under a key.
    #[must_use]
    pub fn hash<K: AsRef<[u8]>>(&self, key: K) -> HashKey<'r, R, K> {
        HashKey::new(self.run, self.number, key)
    }

    /// The list under a key.
    #[must_use]
    pub fn list<K: AsRef<[u8]>>(&self, key: K) -> ListKey<'r, R, K> {
        ListKey::new(self.run, self.number, key)
    }

    /// The set under a key.
    #[must_use]
    pub fn set<K: AsRef<[u8]>>(&self, key: K) -> SetKey<'r, R, K> {
        SetKey::new(self.run, self.number, key)
    }

    /// The sorted set under a key.
    #[must_use]
    pub fn zset<K: AsRef<[u8]>>(&self, key: K) -> SortedSetKey<'r, R, K> {
        SortedSetKey::new(self.run, self.number, key)
    }

    /// How many keys there are; those that have expired count until they are removed.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`].
    pub fn len(&self) -> Result<u64> {
        self.run.read(|unit| unit.count_keys(self.number))
    }

    /// Whether there are no keys.
    ///
    /// # Errors
    /// As [`Database::len`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// What a key holds.
    ///
    /// # Errors
    /// What the engine gives.
    pub fn kind(&self, key: impl AsRef<[u8]>) -> Result<Option<Type>> {
        let name = key.as_ref();
        self.run.read(|unit| {
            let keyspace = unit.keyspace(self.number)?;
            keys::kind(unit, Key { keyspace, name })
        })
    }

    /// Whether a key exists.
    ///
    /// # Errors
    /// What the engine gives.
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.kind(key)?.is_some())
    }

    /// Removes a key; says whether it existed. One write, whatever it holds.
    ///
    /// # Errors
    /// What the engine gives.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let name = key.as_ref();
        self.run.write(self.number, &[name], |unit| {
            unit.frees();
            let keyspace = unit.keyspace(self.number)?;
            keys::delete(unit, Key { keyspace, name })
        })
    }

    /// Gives a key another name; what the other held is gone. Says whether the key existed.
    ///
    /// # Errors
    /// What the engine gives.
    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<bool> {
        let (from, to) = (from.as_ref(), to.as_ref());
        self.run.write(self.number, &[from, to], |unit| {
            let keyspace = unit.keyspace(self.number)?;
            let (from, to) = (Key { keyspace, name: from }, Key { keyspace, name: to });
            Ok(keys::rename(unit, from, to, false)?.is_some())
        })
    }

    /// Has a key expire `ttl` from now. Says whether it exists.
    ///
    /// # Errors
    /// What the engine gives.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.string("session").set("ada")?;
    /// assert!(db.expire("session", Duration::from_secs(60))?);
    /// assert!(db.ttl("session")?.unwrap() > Duration::from_secs(50));
    /// # store.close() }
    /// ```
    pub fn expire(&self, key: impl AsRef<[u8]>, ttl: Duration) -> Result<bool> {
        let name = key.as_ref();
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.run.write(self.number, &[name], |unit| {
            let keyspace = unit.keyspace(self.number)?;
            let at = unit.now_ms().saturating_add(ttl_ms).min(crate::encoding::header::NEVER - 1);
            keys::expire_at(unit, Key { keyspace, name }, at, Limit::default())
        })
    }

    /// Has a key not expire. Says whether it did before.
    ///
    /// # Errors
    /// What the engine gives.
    pub fn persist(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let name = key.as_ref();
        self.run.write(self.number, &[name], |unit| {
            let keyspace = unit.keyspace(self.number)?;
            keys::persist(unit, Key { keyspace, name })
        })
    }

    /// How long a key has left to live; `None` if it does not expire or does not exist.
    ///
    /// # Errors
    /// What the engine gives.
    pub fn ttl(&self, key: impl AsRef<[u8]>) -> Result<Option<Duration>> {
        let name = key.as_ref();
        self.run.read(|unit| {
            let keyspace = unit.keyspace(self.number)?;
            Ok(match keys::remaining(unit, Key { keyspace, name })? {
                Remaining::Until(_, left) => Some(Duration::from_millis(left)),
                Remaining::Absent | Remaining::Forever => None,
            })
        })
    }
}
