//! Walking over a set.

use super::records::View;
use crate::base::error::Result;
use crate::store::{Access, Key, Store, Unit};

/// Hands every member to `each`, until it says `false`.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn all(unit: &mut Unit<'_>, key: Key<'_>, mut each: impl FnMut(&[u8]) -> bool) -> Result<()> {
    match View::load(unit, key)? {
        Some(view) => view.all(unit, |member| Ok(each(member))),
        None => Ok(()),
    }
}

/// About `count` members from `cursor` on, and the cursor to go on with, 0 at the end. A member that is there
/// from the first call to the last is shown. A small set is shown at once.
///
/// # Errors
/// As [`all`].
pub fn scan(unit: &mut Unit<'_>, key: Key<'_>, cursor: u64, count: u64) -> Result<(u64, Vec<Vec<u8>>)> {
    match View::load(unit, key)? {
        Some(view) => view.page(unit, cursor, count),
        None => Ok((0, Vec::new())),
    }
}

/// How many members an iterator reads at once.
const PAGE: u64 = 128;

/// The members of a set, a page of them in memory at a time. Each page is of its own moment, with the
/// guarantee of [`scan`].
#[derive(Debug)]
pub struct Members {
    store: Store,
    database: u32,
    name: Vec<u8>,
    cursor: Option<u64>,
    page: std::vec::IntoIter<Vec<u8>>,
}

impl Members {
    /// Of a set.
    #[must_use]
    pub fn new(store: &Store, database: u32, name: &[u8]) -> Members {
        let page = Vec::new().into_iter();
        Members { store: store.clone(), database, name: name.to_vec(), cursor: Some(0), page }
    }

    fn turn(&mut self, cursor: u64) -> Result<()> {
        let mut unit = self.store.unit();
        unit.begin(Access::Read);
        let key = Key { keyspace: unit.keyspace(self.database)?, name: &self.name };
        let (next, members) = scan(&mut unit, key, cursor, PAGE)?;
        self.cursor = (next != 0).then_some(next);
        self.page = members.into_iter();
        let seq = unit.depends_on();
        drop(unit);
        self.store.wait(seq)
    }
}

impl Iterator for Members {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(member) = self.page.next() {
                return Some(Ok(member));
            }
            let cursor = self.cursor.take()?;
            if let Err(error) = self.turn(cursor) {
                return Some(Err(error));
            }
        }
    }
}
