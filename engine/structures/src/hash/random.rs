//! Fields by chance, each with the same chance.
//!
//! Fields stand in the order of a keyed hash, so equal ranges of hashes hold about equally many. One field:
//! choose a range that should hold about 16, and a number below 64; if the range has a field of that number
//! it is the answer, otherwise choose again. Each field is met with the same chance in a round, and four
//! rounds are expected (rejection sampling; von Neumann, 1951). That a range holds more than 64 has a chance
//! below 1e-17.

use super::iterate::{Pair, all};
use super::records::{fields_prefix, split_field};
use crate::base::error::Result;
use crate::encoding::fields::{Field, Fields};
use crate::encoding::header::{Meta, Type};
use crate::encoding::key::{POSITIONS, position_bytes};
use crate::store::{Key, Table, Unit};

/// How many elements a range should hold.
const MEAN: u64 = 16;
/// How many it is taken to hold at most.
const MOST: u64 = 64;
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
    // The first `count` of a shuffle (Fisher and Yates, 1938).
    let most = pairs.len().min(usize::try_from(count).unwrap_or(usize::MAX));
    for at in 0..most {
        let other = at + unit.random_below((pairs.len() - at) as u64) as usize;
        pairs.swap(at, other);
    }
    pairs.truncate(most);
    Ok(pairs)
}

/// One field of a hash with records.
fn sample(unit: &Unit<'_>, key: Key<'_>, meta: &Meta) -> Result<Pair> {
    let ranges = (meta.length / MEAN).max(1);
    let prefix = fields_prefix(key.keyspace, meta);
    let mut cursor = unit.cursor(Table::Elements, &prefix)?;
    loop {
        let (range, index) = (unit.random_below(ranges), unit.random_below(MOST));
        // In 128 bits: a range's end is exact, whatever their number.
        let bound = |range: u64| (u128::from(POSITIONS) * u128::from(range) / u128::from(ranges)) as u64;
        let (from, to) = (bound(range), bound(range + 1));
        let mut found = cursor.seek(&[&prefix[..], &position_bytes(from)].concat())?;
        for _ in 0..index {
            if !found || split_field(cursor.key())?.0 >= to {
                break;
            }
            found = cursor.next()?;
        }
        if found {
            let (position, name) = split_field(cursor.key())?;
            if position < to {
                return Ok((name.to_vec(), Field::from_record(name, cursor.value())?.value.to_vec()));
            }
        }
    }
}
