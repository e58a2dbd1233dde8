//! Headers that are read together before the commands that ask for them one by one.
//!
//! They are taken in the order in which they were read. Whatever else a unit reads shows a later moment: from
//! there on what was read ahead would be the past of what has been told already, and is forgotten.

use super::headers::Key;
use super::unit::{Access, Table, Unit};
use crate::base::error::Result;
use crate::encoding::key;
use esker::batch::Versioned;
use std::cell::Cell;

/// The most that is read together.
const MOST_AHEAD: usize = 64;

/// What was read ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    found: Vec<(Vec<u8>, Option<Versioned>)>,
    /// How many have been taken.
    taken: Cell<usize>,
    /// Whether they show the state that the command sees, not the present.
    pinned: bool,
}

impl Ahead {
    /// The record of `key`, if it is the one that was to be asked for next.
    pub(super) fn take(&self, key: &[u8], pinned: bool) -> Option<&Option<Versioned>> {
        let at = self.taken.get();
        let (name, found) = self.found.get(at).filter(|_| self.pinned == pinned)?;
        if name != key {
            return None;
        }
        self.taken.set(at + 1);
        Some(found)
    }

    /// Something else is read.
    pub(super) fn forget(&self) {
        self.taken.set(usize::MAX);
    }
}

impl Unit<'_> {
    /// Shows keys to `each` one after the other, as of one moment, and has their headers read together.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn one_by_one(
        &mut self,
        keys: &[Key<'_>],
        mut each: impl FnMut(&mut Self, Key<'_>) -> Result<()>,
    ) -> Result<()> {
        if keys.len() > 1 {
            self.pin();
        }
        for keys in keys.chunks(MOST_AHEAD) {
            if keys.len() > 1 {
                self.read_ahead(keys.iter().copied());
            }
            keys.iter().try_for_each(|key| each(self, *key))?;
        }
        Ok(())
    }

    /// Reads the headers of keys that the commands which come next ask for one by one, in this order: in
    /// step, which takes a third of the time. Of a command that sees a fixed state: as it is there. If that
    /// meets an error, so will each that is concerned.
    pub fn read_ahead<'k>(&mut self, keys: impl IntoIterator<Item = Key<'k>>) {
        let names: Vec<Vec<u8>> =
            keys.into_iter().take(MOST_AHEAD).map(|key| key::header(key.keyspace, key.name)).collect();
        let family = self.family(Table::Headers);
        let found = match &self.view {
            Some(view) => view.multi_get_versioned(family, &names),
            None => family.multi_get_versioned(&names),
        };
        let found = names.into_iter().zip(found.unwrap_or_default()).collect();
        self.ahead = Ahead { found, taken: Cell::new(0), pinned: self.view.is_some() };
    }

    /// The header `key` as it was read ahead, if it was, for a command that writes nothing.
    pub(super) fn taken_ahead(&self, table: Table, key: &[u8]) -> Option<&Option<Versioned>> {
        if table == Table::Headers
            && self.access == Access::Read
            && let Some(found) = self.ahead.take(key, self.view.is_some())
        {
            return Some(found);
        }
        self.ahead.forget();
        None
    }
}
