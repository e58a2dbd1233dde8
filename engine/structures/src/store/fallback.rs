//! What is left when the log could not be synced: reads of the engine fall back to what is durable, and what
//! memory mirrors of it falls back with them.

use super::handle::Inner;
use super::open::{load_counts, read_databases};
use crate::base::error::Result;
use std::sync::atomic::Ordering;

impl Inner {
    /// Called before each unit of work, by whoever holds none.
    pub(super) fn keep_to_what_is_durable(&self) {
        if self.db.is_read_only() && !self.fell_back.load(Ordering::Acquire) {
            // What cannot be read now is read before the next unit of work; nothing can be written meanwhile.
            let _ = self.fall_back();
        }
    }

    /// Reads the keyspaces and their counts anew. Units under way come to their end before: they may have
    /// written, and make the mirrors follow.
    fn fall_back(&self) -> Result<()> {
        let _alone = self.databases.alone();
        if self.fell_back.load(Ordering::Acquire) {
            return Ok(());
        }
        let (keyspaces, next) = read_databases(&self.index)?;
        self.counts.replace(load_counts(&self.index, &keyspaces)?);
        self.databases.set(&keyspaces, next);
        // Records that were removed from the index of what ends may be there again.
        self.sweep.take_back(0);
        self.fell_back.store(true, Ordering::Release);
        Ok(())
    }
}
