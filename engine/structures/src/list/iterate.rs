//! Walking over a list, a page at a time.

use super::read::each_of_range;
use crate::store::{PAGE, Pages, Store};

/// A page ends behind so many bytes, however few elements they are.
const PAGE_BYTES: usize = 1 << 20;

/// The elements of a list, a page of them in memory at a time. Each page goes on at the index at which the
/// last one ended.
pub type Elements = Pages<i64, Vec<u8>>;

/// Walks over a list.
#[must_use]
pub fn entries(store: &Store, database: u32, name: &[u8]) -> Elements {
    Pages::new(store, (database, name), 0, |unit, key, from| {
        let (mut values, mut bytes) = (Vec::new(), 0);
        each_of_range(unit, key, from, from + PAGE as i64 - 1, |value| {
            values.push(value.to_vec());
            bytes += value.len();
            bytes <= PAGE_BYTES
        })?;
        let is_full = values.len() as u64 == PAGE || bytes > PAGE_BYTES;
        let next = is_full.then_some(from + values.len() as i64);
        Ok((values, next))
    })
}
