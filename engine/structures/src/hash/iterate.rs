//! Walking over a hash.

use super::records::fields;
use crate::base::error::Result;
use crate::encoding::fields::{Field, Fields};
use crate::encoding::header::Type;
use crate::store::{Access, Key, Store, Unit};

/// A field with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Hands every field to `each`, until it says `false`.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn all(unit: &mut Unit<'_>, key: Key<'_>, mut each: impl FnMut(&[u8], &[u8]) -> bool) -> Result<()> {
    let Some((meta, payload)) = unit.load_of(key, Type::Hash)? else { return Ok(()) };
    if !meta.records {
        for field in Fields::new(&payload) {
            let field = field?;
            if !each(field.name, field.value) {
                break;
            }
        }
        return Ok(());
    }
    fields(key.keyspace, &meta)
        .walk(unit, |name, value| Ok(each(name, Field::from_record(name, value)?.value)))
}

/// About `count` fields from `cursor` on, and the cursor to go on with, 0 at the end. A field that is there
/// from the first call to the last is shown. A small hash is shown at once.
///
/// # Errors
/// As [`all`].
pub fn scan(unit: &mut Unit<'_>, key: Key<'_>, cursor: u64, count: u64) -> Result<(u64, Vec<Pair>)> {
    let Some((meta, payload)) = unit.load_of(key, Type::Hash)? else { return Ok((0, Vec::new())) };
    let mut pairs = Vec::new();
    if !meta.records {
        for field in Fields::new(&payload) {
            let field = field?;
            pairs.push((field.name.to_vec(), field.value.to_vec()));
        }
        return Ok((0, pairs));
    }
    let next = fields(key.keyspace, &meta).page(unit, cursor, count, |name, value| {
        pairs.push((name.to_vec(), Field::from_record(name, value)?.value.to_vec()));
        Ok(())
    })?;
    Ok((next, pairs))
}

/// How many fields an iterator reads at once.
const PAGE: u64 = 128;

/// The fields of a hash, a page of them in memory at a time. Each page is of its own moment, with the
/// guarantee of [`scan`].
#[derive(Debug)]
pub struct Entries {
    store: Store,
    database: u32,
    name: Vec<u8>,
    cursor: Option<u64>,
    page: std::vec::IntoIter<Pair>,
}

impl Entries {
    /// Of a hash.
    #[must_use]
    pub fn new(store: &Store, database: u32, name: &[u8]) -> Entries {
        let page = Vec::new().into_iter();
        Entries { store: store.clone(), database, name: name.to_vec(), cursor: Some(0), page }
    }

    fn turn(&mut self, cursor: u64) -> Result<()> {
        let mut unit = self.store.unit();
        unit.begin(Access::Read);
        let key = Key { keyspace: unit.keyspace(self.database)?, name: &self.name };
        let (next, pairs) = scan(&mut unit, key, cursor, PAGE)?;
        self.cursor = (next != 0).then_some(next);
        self.page = pairs.into_iter();
        let seq = unit.depends_on();
        drop(unit);
        self.store.wait(seq)
    }
}

impl Iterator for Entries {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.page.next() {
                return Some(Ok(pair));
            }
            let cursor = self.cursor.take()?;
            if let Err(error) = self.turn(cursor) {
                return Some(Err(error));
            }
        }
    }
}
