//! Consumers of changes that the store remembers by name.

use super::reader::ChangeFeed;
use crate::base::error::{Error, Result};
use crate::base::position::Position;
use crate::commit::FeedConsumerInfo;
use crate::db::Db;
use std::fmt;

/// A consumer of changes that the store remembers by its name: how far it has come, over crashes and closes.
/// Made by [`Db::feed_consumer`].
///
/// What it has yet to read is kept for it, up to
/// [`FeedOptions::consumer_bytes`](crate::FeedOptions::consumer_bytes). Dropping the handle changes nothing.
#[derive(Clone)]
pub struct FeedConsumer {
    db: Db,
    name: Box<str>,
}

impl fmt::Debug for FeedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedConsumer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FeedConsumer {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All before this is done with.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`] if it was removed.
    pub fn position(&self) -> Result<Position> {
        let removed = || Error::NoSuchConsumer { name: self.name.clone() };
        self.db.store().consumer(&self.name).ok_or_else(removed)
    }

    /// Reads what it is not yet done with.
    ///
    /// # Errors
    /// As [`Db::changes`] and [`FeedConsumer::position`].
    pub fn changes(&self) -> Result<ChangeFeed> {
        self.db.changes(self.position()?)
    }

    /// All before `position` is done with; so says the store from now on, and durably when this returns.
    /// Costs one sync: who deals with small batches does it for many at once, and must expect those behind
    /// its last word again after a crash.
    ///
    /// Going back is possible, as far as changes are kept; so is going on from
    /// [`Error::FeedGap`]'s `first_available`.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`]; [`Error::FeedGap`] for a position behind which not all changes are kept;
    /// what writing the manifest gives.
    pub fn acknowledge(&self, position: Position) -> Result<()> {
        self.db.step();
        self.db.store().move_consumer(&self.name, position)
    }
}

impl Db {
    /// The consumer of changes of this name. If there is none, one is made, which begins with all that is
    /// kept; durable when it returns.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that is empty or longer than 255 bytes, for one of more than a
    /// thousand, or if the store was opened without [`Options::feed`](crate::Options::feed); what writing
    /// the manifest gives.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).feed(esker::FeedOptions::default()).open()?;
    /// let search = db.feed_consumer("search")?;
    /// db.put("page:1", "ridge")?;
    /// let mut feed = search.changes()?;
    /// while let Some(batch) = feed.next_batch()? {
    ///     // ... bring the index up to date, durably, and then:
    ///     search.acknowledge(batch.position())?;
    /// }
    /// assert_eq!(db.feed_consumers()[0].lag, 0);
    /// # Ok(()) }
    /// ```
    pub fn feed_consumer(&self, name: &str) -> Result<FeedConsumer> {
        self.enter(name, None)
    }

    /// As [`Db::feed_consumer`]; one that is made begins at `position`.
    ///
    /// # Errors
    /// As [`Db::feed_consumer`], and [`Error::FeedGap`] for a position behind which not all changes are kept.
    pub fn feed_consumer_at(&self, name: &str, position: Position) -> Result<FeedConsumer> {
        self.enter(name, Some(position))
    }

    fn enter(&self, name: &str, at: Option<Position>) -> Result<FeedConsumer> {
        self.step();
        self.store().enter_consumer(name, at)?;
        Ok(FeedConsumer { db: self.clone(), name: name.into() })
    }

    /// The consumers of changes, by name; those too that a store was left with that is opened without
    /// [`Options::feed`](crate::Options::feed).
    #[must_use]
    pub fn feed_consumers(&self) -> Vec<FeedConsumerInfo> {
        self.store().consumers()
    }

    /// Removes a consumer of changes; nothing is kept for it any more. Durable when it returns.
    ///
    /// # Errors
    /// [`Error::NoSuchConsumer`]; what writing the manifest gives.
    pub fn remove_feed_consumer(&self, name: &str) -> Result<()> {
        self.step();
        self.store().remove_consumer(name)
    }
}
