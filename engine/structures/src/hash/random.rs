//! Fields by chance, each with the same chance.

use super::iterate::{Pair, all};
use super::records::fields;
use crate::base::error::Result;
use crate::encoding::fields::{Field, Fields};
use crate::encoding::header::{Meta, Type};
use crate::store::{Key, Unit};

/// Distinct fields are chosen one by one if they are fewer than one in so many.
const SPARSE: u64 = 4;

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
/// As [`random`].
pub fn random_many(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Pair>> {
    let Some((meta, payload)) = unit.load_of(key, Type::Hash)? else { return Ok(Vec::new()) };
    let mut chosen = Vec::new();
    if meta.records {
        for _ in 0..count {
            chosen.push(sample(unit, key, &meta)?);
        }
        return Ok(chosen);
    }
    let fields: Result<Vec<Field<'_>>> = Fields::new(&payload).collect();
    let fields = fields?;
    for _ in 0..count {
        let at = unit.random_below(fields.len().max(1) as u64) as usize;
        chosen.extend(fields.get(at).map(|field| (field.name.to_vec(), field.value.to_vec())));
    }
    Ok(chosen)
}

/// So many different fields, or all.
///
/// # Errors
/// As [`random`].
pub fn random_distinct(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Pair>> {
    let Some(meta) = unit.meta_of(key, Type::Hash)? else { return Ok(Vec::new()) };
    if meta.records && count < meta.length / SPARSE {
        let mut chosen = std::collections::BTreeMap::new();
        while (chosen.len() as u64) < count {
            let (name, value) = sample(unit, key, &meta)?;
            chosen.insert(name, value);
        }
        return Ok(chosen.into_iter().collect());
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
