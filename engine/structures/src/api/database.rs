//! A database, and the keys in it by what they hold.

use super::hash::HashKey;
use super::list::ListKey;
use super::run::{Effect, Run, keys};
use super::set::SetKey;
use super::string::StringKey;
use super::zset::SortedSetKey;
use crate::base::error::Result;
use crate::store::{Key, Store, Unit};

/// One of a store's databases, or of a transaction's.
#[derive(Debug)]
pub struct Database<'r, R> {
    pub(super) run: &'r R,
    pub(super) number: u32,
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

    /// Runs a call that reads a key.
    pub(super) fn reading<T>(
        &self,
        name: &[u8],
        mut body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>,
    ) -> Result<T> {
        self.run.read(|unit| {
            let key = Key { keyspace: unit.keyspace(self.number)?, name };
            self.run.hold(unit, &[key])?;
            body(unit, key)
        })
    }

    /// Runs a call that reads several keys.
    pub(super) fn reading_all<T, K: AsRef<[u8]>>(
        &self,
        names: &[K],
        mut body: impl FnMut(&mut Unit<'_>, &[Key<'_>]) -> Result<T>,
    ) -> Result<T> {
        self.run.read(|unit| {
            let keyspace = unit.keyspace(self.number)?;
            let keys: Vec<Key<'_>> = names.iter().map(|name| Key { keyspace, name: name.as_ref() }).collect();
            self.run.hold(unit, &keys)?;
            body(unit, &keys)
        })
    }

    /// Runs a call that writes several keys.
    pub(super) fn writing<T, K: AsRef<[u8]>>(
        &self,
        names: &[K],
        effect: Effect,
        mut body: impl FnMut(&mut Unit<'_>, &[Key<'_>]) -> Result<T>,
    ) -> Result<T> {
        let names: Vec<(u32, &[u8])> = names.iter().map(|name| (self.number, name.as_ref())).collect();
        self.run.write(&names, effect, |unit| {
            let keys = keys(unit, &names)?;
            body(unit, &keys)
        })
    }
}

impl Database<'_, Store> {
    /// Removes all keys, in one write, whatever they hold. Waits for whoever works on the store; so not from
    /// within a transaction.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`]; what the engine gives.
    pub fn flush(&self) -> Result<()> {
        self.run.alone(Effect::Frees, |unit| unit.flush_database(self.number))
    }
}
