//! Fields by chance, each with the same chance.

use super::iterate::{Pair, all};
use super::records::fields;
use crate::base::error::{Error, Result};
use crate::encoding::fields::{Field, Fields};
use crate::encoding::header::{Meta, Type};
use crate::store::{Key, SPARSE, Unit, distinct, repeated};

/// One field.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn random(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Pair>> {
    Ok(random_many(unit, key, 1)?.pop())
}

/// So many fields, the same one perhaps more than once.
///
/// # Errors
/// As [`random`]; [`Error::TOO_MANY_REPEATED`].
pub fn random_many(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Pair>> {
    let Some((meta, payload)) = unit.load_of(key, Type::Hash)? else { return Ok(Vec::new()) };
    let bytes = |(name, value): &Pair| name.len() + value.len();
    if meta.records {
        return repeated(count, bytes, || sample(unit, key, &meta));
    }
    let fields: Result<Vec<Field<'_>>> = Fields::new(&payload).collect();
    let fields = fields?;
    repeated(count, bytes, || {
        let at = unit.random_below(fields.len().max(1) as u64) as usize;
        let field = fields.get(at).ok_or_else(|| Error::malformed("an empty hash"))?;
        Ok((field.name.to_vec(), field.value.to_vec()))
    })
}

/// So many different fields, or all.
///
/// # Errors
/// As [`random`].
pub fn random_distinct(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Pair>> {
    let Some(meta) = unit.meta_of(key, Type::Hash)? else { return Ok(Vec::new()) };
    if meta.records && count < meta.length / SPARSE {
        return Ok(distinct(count, || sample(unit, key, &meta))?.into_iter().collect());
    }
    let mut pairs = Vec::new();
    all(unit, key, |name, value| {
        pairs.push((name.to_vec(), value.to_vec()));
        true
    })?;
    unit.choose(&mut pairs, count);
    Ok(pairs)
}

/// One field of a hash with records.
fn sample(unit: &Unit<'_>, key: Key<'_>, meta: &Meta) -> Result<Pair> {
    fields(key.keyspace, meta).sample(unit, meta.length, |name, value| {
        Ok((name.to_vec(), Field::from_record(name, value)?.value.to_vec()))
    })
}
