//! Fields by chance, each with the same chance.

use super::iterate::{Pair, walk};
use super::records::fields;
use crate::base::error::{Error, Result};
use crate::encoding::fields::{Field, Fields};
use crate::encoding::header::{Meta, Type};
use crate::store::{Key, SPARSE, Selection, Unit, distinct, repeated};

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
    let memory = &mut unit.memory();
    if meta.records {
        return repeated(count, memory, bytes, || sample(unit, key, &meta));
    }
    let fields: Result<Vec<Field<'_>>> = Fields::new(&payload).collect();
    let fields = fields?;
    repeated(count, memory, bytes, || {
        let at = unit.random_below(fields.len().max(1) as u64) as usize;
        let field = fields.get(at).ok_or_else(|| Error::malformed("an empty hash"))?;
        Ok((field.name.to_vec(), field.value.to_vec()))
    })
}

fn bytes((name, value): &Pair) -> usize {
    name.len() + value.len()
}

/// So many different fields, or all.
///
/// # Errors
/// As [`random`]; [`Error::COMMAND_TOO_LARGE`].
pub fn random_distinct(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Pair>> {
    let Some((meta, payload)) = unit.load_of(key, Type::Hash)? else { return Ok(Vec::new()) };
    let mut memory = unit.memory();
    if meta.records && count < meta.length / SPARSE {
        let pairs = distinct(count, &mut memory, bytes, || sample(unit, key, &meta))?;
        return Ok(pairs.into_iter().collect());
    }
    let (mut pairs, mut selection) = (Vec::new(), Selection::new(count, meta.length));
    walk(unit, key, (&meta, &payload), |name, value| {
        if selection.takes(unit) {
            pairs.push((name.to_vec(), value.to_vec()));
            memory.take(name.len() + value.len())?;
        }
        Ok(!selection.is_done())
    })?;
    unit.shuffle(&mut pairs);
    Ok(pairs)
}

/// One field of a hash with records.
fn sample(unit: &Unit<'_>, key: Key<'_>, meta: &Meta) -> Result<Pair> {
    fields(key.keyspace, meta).sample(unit, meta.length, |name, value| {
        Ok((name.to_vec(), Field::from_record(name, value)?.value.to_vec()))
    })
}
