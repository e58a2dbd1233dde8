//! Records of one collection as they were at one moment, read a piece at a time: for replies that are too
//! large to be made whole.
//!
//! Between two pieces a stretch holds a snapshot and a key, no cursor: a cursor would keep memtables and
//! blocks in memory for as long as a slow client takes.

use super::unit::{Table, Unit};
use crate::base::error::{Error, Result};
use esker::{ColumnFamily, ScanOptions, Snapshot};

/// A number of records behind each other. While it is held the engine keeps what it has yet to show, whatever
/// becomes of the key.
#[derive(Debug)]
pub struct Stretch {
    view: Snapshot,
    elements: ColumnFamily,
    prefix: Vec<u8>,
    /// The next record.
    at: Vec<u8>,
    backwards: bool,
    left: u64,
}

impl Stretch {
    /// How many records there are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Hands the next records to `each`, until it says `false` or there are no more.
    ///
    /// # Errors
    /// What the engine gives; those of `each`; fewer records than were counted.
    pub fn go_on(&mut self, mut each: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        let mut cursor = self.view.cursor(&self.elements, ScanOptions::prefix(&self.prefix))?;
        let mut found =
            if self.backwards { cursor.seek_for_prev(&self.at)? } else { cursor.seek(&self.at)? };
        let mut goes_on = true;
        while found && goes_on {
            goes_on = each(cursor.key(), cursor.value())?;
            self.left -= 1;
            if self.left == 0 {
                return Ok(());
            }
            found = if self.backwards { cursor.prev()? } else { cursor.next()? };
        }
        if !found {
            return Err(Error::malformed("fewer elements than were counted"));
        }
        self.at.clear();
        self.at.extend_from_slice(cursor.key());
        Ok(())
    }
}

impl Unit<'_> {
    /// So many records of what starts with `prefix`, from the one at `from` on, as the command sees them. It
    /// reads nothing else afterwards.
    ///
    /// # Errors
    /// [`Error::Busy`] if the unit has writes of its own, which the engine does not know yet: they must be
    /// committed first.
    pub fn stretch(&mut self, prefix: &[u8], from: Vec<u8>, backwards: bool, count: u64) -> Result<Stretch> {
        if !self.is_clean() {
            return Err(Error::Busy);
        }
        let elements = self.family(Table::Elements).clone();
        let view = self.take_view();
        Ok(Stretch { view, elements, prefix: prefix.to_vec(), at: from, backwards, left: count })
    }
}
