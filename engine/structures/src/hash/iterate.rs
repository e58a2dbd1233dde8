//! Walking over a hash.

use super::records::fields;
use crate::base::error::Result;
use crate::encoding::fields::{Field, Fields};
use crate::encoding::header::{Meta, Type};
use crate::store::{Key, PAGE, Pages, Store, Stretch, Unit};

/// A field with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Hands every field to `each`, until it says `false`.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn all(unit: &mut Unit<'_>, key: Key<'_>, mut each: impl FnMut(&[u8], &[u8]) -> bool) -> Result<()> {
    let Some((meta, payload)) = unit.load_of(key, Type::Hash)? else { return Ok(()) };
    walk(unit, key, (&meta, &payload), |name, value| Ok(each(name, value)))
}

/// As [`all`], of a hash whose header is known.
pub(super) fn walk(
    unit: &Unit<'_>,
    key: Key<'_>,
    (meta, payload): (&Meta, &[u8]),
    mut each: impl FnMut(&[u8], &[u8]) -> Result<bool>,
) -> Result<()> {
    if meta.records {
        return fields(key.keyspace, meta)
            .walk(unit, |name, value| each(name, Field::from_record(name, value)?.value));
    }
    for field in Fields::new(payload) {
        let field = field?;
        if !each(field.name, field.value)? {
            break;
        }
    }
    Ok(())
}

/// The records of a large hash, to be read piece by piece: [`Field::from_record`] takes them apart. `None`
/// of a small one, and where there is none.
///
/// # Errors
/// As [`all`]; [`crate::Error::Busy`] if the unit has written something.
pub fn stretch(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Stretch>> {
    let Some(meta) = unit.meta_of(key, Type::Hash)?.filter(|meta| meta.records) else { return Ok(None) };
    fields(key.keyspace, &meta).stretch(unit, meta.length).map(Some)
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

/// The fields of a hash, a page of them in memory at a time, with the guarantee of [`scan`].
pub type Entries = Pages<u64, Pair>;

/// Walks over a hash.
#[must_use]
pub fn entries(store: &Store, database: u32, name: &[u8]) -> Entries {
    Pages::new(store, (database, name), 0, |unit, key, cursor| {
        let (next, pairs) = scan(unit, key, cursor, PAGE)?;
        Ok((pairs, (next != 0).then_some(next)))
    })
}
