//! Walking over a list, a page at a time.

use super::read::range;
use crate::base::error::Result;
use crate::store::{Access, Key, Store};

/// How many elements an iterator reads at once.
const PAGE: i64 = 128;

/// The elements of a list, a page of them in memory at a time. Each page is of its own moment, and goes on at
/// the index at which the last one ended.
#[derive(Debug)]
pub struct Elements {
    store: Store,
    database: u32,
    name: Vec<u8>,
    next: Option<i64>,
    page: std::vec::IntoIter<Vec<u8>>,
}

impl Elements {
    /// Of a list.
    #[must_use]
    pub fn new(store: &Store, database: u32, name: &[u8]) -> Elements {
        let page = Vec::new().into_iter();
        Elements { store: store.clone(), database, name: name.to_vec(), next: Some(0), page }
    }

    fn turn(&mut self, from: i64) -> Result<()> {
        let mut unit = self.store.unit();
        unit.begin(Access::Read);
        let key = Key { keyspace: unit.keyspace(self.database)?, name: &self.name };
        let values = range(&mut unit, key, from, from + PAGE - 1)?;
        self.next = (values.len() as i64 == PAGE).then_some(from + PAGE);
        self.page = values.into_iter();
        let seq = unit.depends_on();
        drop(unit);
        self.store.wait(seq)
    }
}

impl Iterator for Elements {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(value) = self.page.next() {
                return Some(Ok(value));
            }
            let from = self.next.take()?;
            if let Err(error) = self.turn(from) {
                return Some(Err(error));
            }
        }
    }
}
