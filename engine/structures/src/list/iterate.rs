//! Walking over a list, a page at a time.

use super::read::range;
use crate::store::{PAGE, Pages, Store};

/// The elements of a list, a page of them in memory at a time. Each page goes on at the index at which the
/// last one ended.
pub type Elements = Pages<i64, Vec<u8>>;

/// Walks over a list.
#[must_use]
pub fn entries(store: &Store, database: u32, name: &[u8]) -> Elements {
    const COUNT: i64 = PAGE as i64;
    Pages::new(store, (database, name), 0, |unit, key, from| {
        let values = range(unit, key, from, from + COUNT - 1)?;
        let next = (values.len() as u64 == PAGE).then_some(from + COUNT);
        Ok((values, next))
    })
}
