//! What a handler works with.

use super::session::Session;
use crate::base::error::Result;
use crate::store::{Key, MOST_AHEAD, Unit};

/// A command that is carried out: its unit of work, and the connection it came from.
#[derive(Debug)]
pub struct Context<'c, 's> {
    /// What is read and written through. The keys that the table names are locked.
    pub unit: &'c mut Unit<'s>,
    /// The connection.
    pub session: &'c mut Session,
}

impl Context<'_, '_> {
    /// Shows all of `names` to `each`, as of one moment, and has their headers read together.
    ///
    /// # Errors
    /// Those of `each`; [`crate::Error::DATABASE_RANGE`].
    pub fn each_of(
        &mut self,
        names: &[&[u8]],
        mut each: impl FnMut(&mut Self, Key<'_>) -> Result<()>,
    ) -> Result<()> {
        let keyspace = self.unit.keyspace(self.session.database)?;
        if names.len() > 1 {
            self.unit.pin();
        }
        for names in names.chunks(MOST_AHEAD) {
            let mut keys = names.iter().map(|name| Key { keyspace, name });
            if names.len() > 1 {
                self.unit.read_ahead(keys.clone());
            }
            keys.try_for_each(|key| each(self, key))?;
        }
        Ok(())
    }

    /// A key of the selected database.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`].
    pub fn key<'k>(&self, name: &'k [u8]) -> Result<Key<'k>> {
        Ok(Key { keyspace: self.unit.keyspace(self.session.database)?, name })
    }
}
