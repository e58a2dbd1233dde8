//! Strings that are numbers.

use super::value::{self, Found};
use crate::base::error::{Error, Result};
use crate::base::number::{parse_i64, put_i64};
use crate::base::real::{MAX_TEXT_BYTES, Real};
use crate::encoding::header::{Meta, Type, flag};
use crate::store::{Key, Unit};

/// Adds to the integer that the value is, 0 if there is no such key; returns the sum. One read, one record.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::NOT_INTEGER`], [`Error::OVERFLOW`]; what the engine gives.
pub fn add_integer(unit: &mut Unit<'_>, key: Key<'_>, delta: i64) -> Result<i64> {
    let found = unit.read_of(key, Type::String, |meta, payload| (*meta, parse_i64(payload)))?;
    let value = match found {
        None => 0,
        Some((meta, value)) if !meta.records => value.ok_or(Error::NOT_INTEGER)?,
        Some(_) => return Err(Error::NOT_INTEGER),
    };
    let sum = value.checked_add(delta).ok_or(Error::OVERFLOW)?;
    let mut text = Vec::with_capacity(20);
    put_i64(&mut text, sum);
    put_number(unit, key, found.map(|found| found.0), 0, &text)?;
    Ok(sum)
}

/// Adds to the number that the value is, 0 if there is no such key; returns the sum as it is stored.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::NOT_FLOAT`]; a sum without end; what the engine gives.
pub fn add_float(unit: &mut Unit<'_>, key: Key<'_>, delta: Real) -> Result<Vec<u8>> {
    let found = unit.read_of(key, Type::String, |meta, payload| {
        (*meta, if meta.records { None } else { Real::parse(payload) })
    })?;
    let value = match found {
        None => Real::ZERO,
        // A number with very many digits.
        Some((meta, _)) if meta.records && meta.length <= MAX_TEXT_BYTES as u64 => {
            let text = value::whole(unit, key, Found { meta, inline: Vec::new() })?;
            Real::parse(&text).ok_or(Error::NOT_FLOAT)?
        }
        Some((_, value)) => value.ok_or(Error::NOT_FLOAT)?,
    };
    let sum = value.plus(delta).ok_or(Error::fixed("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_text().into_bytes();
    put_number(unit, key, found.map(|found| found.0), flag::OWN, &text)?;
    Ok(text)
}

fn put_number(unit: &mut Unit<'_>, key: Key<'_>, before: Option<Meta>, flags: u8, text: &[u8]) -> Result<()> {
    let expires_at = before.map_or(Meta::new(Type::String).expires_at, |before| before.expires_at);
    let after = Meta { flags, expires_at, ..Meta::new(Type::String) };
    value::put(unit, key, before.as_ref(), after, text)
}
