//! What a handler works with.

use super::reply::Reply;
use super::session::Session;
use crate::base::error::{Error, Result};
use crate::store::{Budget, Key, Unit};

/// A command that is carried out: its unit of work, and the connection it came from.
#[derive(Debug)]
pub struct Context<'c, 's> {
    /// What is read and written through. The keys that the table names are locked.
    pub unit: &'c mut Unit<'s>,
    /// The connection.
    pub session: &'c mut Session,
}

impl Context<'_, '_> {
    /// Keys of the selected database.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`].
    pub fn keys<'k>(&self, names: &[&'k [u8]]) -> Result<Vec<Key<'k>>> {
        let keyspace = self.unit.keyspace(self.session.database)?;
        Ok(names.iter().map(|name| Key { keyspace, name }).collect())
    }

    /// What a reply that shows all of something may have, and the command hold for it.
    pub(super) fn budget(&self) -> Budget {
        self.unit.memory().in_reply(self.session.left_bytes())
    }

    /// The reply of a command that only reads, or an error in place of one with more bytes than it may have.
    pub(super) fn fitting(&self, reply: Reply) -> Result<Reply> {
        if reply.size_bytes() > self.session.left_bytes() { Err(Error::REPLY_TOO_LARGE) } else { Ok(reply) }
    }

    /// A key of the selected database.
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`].
    pub fn key<'k>(&self, name: &'k [u8]) -> Result<Key<'k>> {
        Ok(Key { keyspace: self.unit.keyspace(self.session.database)?, name })
    }
}
