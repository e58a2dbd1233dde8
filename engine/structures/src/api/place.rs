//! Where a typed call finds its keys.

use super::run::{Effect, Run, keys};
use crate::base::error::Result;
use crate::store::{Key, Unit};

/// A key of a database, and what calls on it run on.
#[derive(Debug)]
pub(super) struct Place<'r, R, K> {
    pub(super) run: &'r R,
    pub(super) database: u32,
    pub(super) name: K,
}

impl<R: Run, K: AsRef<[u8]>> Place<'_, R, K> {
    /// This key, and behind it others of its database.
    fn with<'k, O: AsRef<[u8]>>(&'k self, others: &'k [O]) -> Vec<(u32, &'k [u8])> {
        let names = [self.name.as_ref()].into_iter().chain(others.iter().map(AsRef::as_ref));
        names.map(|name| (self.database, name)).collect()
    }

    pub(super) fn read<T>(&self, mut body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>) -> Result<T> {
        let name = self.name.as_ref();
        self.run.read(|unit| {
            let key = Key { keyspace: unit.keyspace(self.database)?, name };
            self.run.hold(unit, &[key])?;
            body(unit, key)
        })
    }

    /// Reads this key and others of its database.
    pub(super) fn read_with<T, O: AsRef<[u8]>>(
        &self,
        others: &[O],
        mut body: impl FnMut(&mut Unit<'_>, &[Key<'_>]) -> Result<T>,
    ) -> Result<T> {
        let names = self.with(others);
        self.run.read(|unit| {
            let keys = keys(unit, &names)?;
            self.run.hold(unit, &keys)?;
            body(unit, &keys)
        })
    }

    /// As [`Place::write`], for what makes room: it goes on on a full disk.
    pub(super) fn free<T>(&self, body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>) -> Result<T> {
        self.change(Effect::Frees, body)
    }

    pub(super) fn write<T>(&self, body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>) -> Result<T> {
        self.change(Effect::Adds, body)
    }

    fn change<T>(
        &self,
        effect: Effect,
        mut body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>,
    ) -> Result<T> {
        let name = self.name.as_ref();
        self.run.write(&[(self.database, name)], effect, |unit| {
            let key = Key { keyspace: unit.keyspace(self.database)?, name };
            body(unit, key)
        })
    }

    /// Writes this key, and writes or reads others of its database.
    pub(super) fn write_with<T, O: AsRef<[u8]>>(
        &self,
        others: &[O],
        mut body: impl FnMut(&mut Unit<'_>, Key<'_>, &[Key<'_>]) -> Result<T>,
    ) -> Result<T> {
        let names = self.with(others);
        self.run.write(&names, Effect::Adds, |unit| {
            let keys = keys(unit, &names)?;
            body(unit, keys[0], &keys[1..])
        })
    }
}
