//! Where a typed call finds its key.

use super::run::Run;
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
    pub(super) fn read<T>(&self, mut body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>) -> Result<T> {
        let name = self.name.as_ref();
        self.run.read(|unit| {
            let key = Key { keyspace: unit.keyspace(self.database)?, name };
            body(unit, key)
        })
    }

    /// As [`Place::write`], for what makes room: it goes on on a full disk.
    pub(super) fn free<T>(&self, mut body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>) -> Result<T> {
        self.write(|unit, key| {
            unit.frees();
            body(unit, key)
        })
    }

    pub(super) fn write<T>(&self, mut body: impl FnMut(&mut Unit<'_>, Key<'_>) -> Result<T>) -> Result<T> {
        let name = self.name.as_ref();
        self.run.write(self.database, &[name], |unit| {
            let key = Key { keyspace: unit.keyspace(self.database)?, name };
            body(unit, key)
        })
    }
}
