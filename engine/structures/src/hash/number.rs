//! Fields that are numbers.

use super::records::{Draft, check};
use crate::base::error::{Error, Result};
use crate::base::number::{parse_i64, put_i64};
use crate::base::real::Real;
use crate::store::{Key, Unit};

/// Adds to the integer of a field, 0 if it is not there; returns the sum.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::OVERFLOW`]; a value that is no integer; what the engine gives.
pub fn add_integer(unit: &mut Unit<'_>, key: Key<'_>, name: &[u8], delta: i64) -> Result<i64> {
    key.check()?;
    check(name, b"")?;
    let mut draft = Draft::open(unit, key)?;
    let value = match draft.get(unit, name)? {
        Some(value) => parse_i64(&value).ok_or(Error::fixed("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = value.checked_add(delta).ok_or(Error::OVERFLOW)?;
    let mut text = Vec::with_capacity(20);
    put_i64(&mut text, sum);
    draft.set(unit, name, &text)?;
    draft.finish(unit)?;
    Ok(sum)
}

/// Adds to the number of a field, 0 if it is not there; returns the sum as it is stored.
///
/// # Errors
/// [`Error::WRONG_TYPE`]; a value that is no number; a number or a sum without end; what the engine gives.
pub fn add_float(unit: &mut Unit<'_>, key: Key<'_>, name: &[u8], delta: Real) -> Result<Vec<u8>> {
    if delta.is_infinite() {
        return Err(Error::fixed("ERR value is NaN or Infinity"));
    }
    key.check()?;
    check(name, b"")?;
    let mut draft = Draft::open(unit, key)?;
    let value = match draft.get(unit, name)? {
        Some(value) => Real::parse(&value).ok_or(Error::fixed("ERR hash value is not a float"))?,
        None => Real::ZERO,
    };
    let sum = value.plus(delta).ok_or(Error::fixed("ERR increment would produce NaN or Infinity"))?;
    let text = sum.to_text().into_bytes();
    draft.set(unit, name, &text)?;
    draft.finish(unit)?;
    Ok(text)
}
