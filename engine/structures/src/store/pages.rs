//! An iterator that reads a collection a page at a time.

use super::handle::Store;
use super::headers::Key;
use super::unit::{Access, Unit};
use crate::base::error::Result;
use std::fmt;

/// How many elements are read at once.
pub const PAGE: u64 = 128;

/// Reads the page at a place; returns it, and the place of the next one if there may be one.
type Turn<P, T> = Box<dyn Fn(&mut Unit<'_>, Key<'_>, P) -> Result<(Vec<T>, Option<P>)> + Send>;

/// The elements of a collection, [`PAGE`] of them or so in memory at a time. Each page is of its own moment,
/// and is durable, as far as the store was opened for it, before any of it is shown. Behind an error there
/// are no more.
pub struct Pages<P, T> {
    store: Store,
    database: u32,
    name: Vec<u8>,
    turn: Turn<P, T>,
    next: Option<P>,
    page: std::vec::IntoIter<T>,
}

impl<P, T> fmt::Debug for Pages<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("database", &self.database)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<P, T> Pages<P, T> {
    /// Of a key, from the page at `first` on.
    pub fn new(
        store: &Store,
        (database, name): (u32, &[u8]),
        first: P,
        turn: impl Fn(&mut Unit<'_>, Key<'_>, P) -> Result<(Vec<T>, Option<P>)> + Send + 'static,
    ) -> Pages<P, T> {
        let page = Vec::new().into_iter();
        let (name, turn) = (name.to_vec(), Box::new(turn));
        Pages { store: store.clone(), database, name, turn, next: Some(first), page }
    }

    fn turn(&mut self, place: P) -> Result<()> {
        let mut unit = self.store.unit();
        unit.begin(Access::Read);
        let key = Key { keyspace: unit.keyspace(self.database)?, name: &self.name };
        let (page, next) = (self.turn)(&mut unit, key, place)?;
        let seq = unit.depends_on();
        drop(unit);
        self.store.wait(seq)?;
        (self.page, self.next) = (page.into_iter(), next);
        Ok(())
    }
}

impl<P, T> Iterator for Pages<P, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(element) = self.page.next() {
                return Some(Ok(element));
            }
            let place = self.next.take()?;
            if let Err(error) = self.turn(place) {
                return Some(Err(error));
            }
        }
    }
}
