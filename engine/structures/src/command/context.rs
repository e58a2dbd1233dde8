//! What a handler works with.

use super::session::Session;
use crate::base::error::Result;
use crate::store::{Key, Unit};

/// A command that is carried out: its unit of work, and the connection it came from.
#[derive(Debug)]
pub struct Context<'c, 's> {
    /// What is read and written through. The keys that the table names are locked.
    pub unit: &'c mut Unit<'s>,
    /// The connection.
    pub session: &'c mut Session,
}

impl Context<'_, '_> {
    /// A key of the selected database.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`].
    pub fn key<'k>(&self, name: &'k [u8]) -> Result<Key<'k>> {
        Ok(Key { keyspace: self.unit.keyspace(self.session.database)?, name })
    }
}
