//! Parts of strings.

use super::value;
use crate::base::error::{Error, Result};
use crate::encoding::header::flag;
use crate::encoding::limits::MAX_STRING_BYTES;
use crate::store::{Key, Unit};

/// Appends to the value; returns its length. A new key's value is what is appended.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::STRING_TOO_LONG`]; what the engine gives.
pub fn append(unit: &mut Unit<'_>, key: Key<'_>, bytes: &[u8]) -> Result<u64> {
    let found = value::find(unit, key)?;
    let (length, flags) = found.as_ref().map_or((0, 0), |found| (found.meta.length, flag::RAW));
    if length + bytes.len() as u64 > MAX_STRING_BYTES as u64 {
        return Err(Error::STRING_TOO_LONG);
    }
    value::write_at(unit, key, found, flags, length, bytes)
}

/// Writes `bytes` at `offset`; returns the length. Nothing written to a key that does not exist leaves it so.
///
/// # Errors
/// As [`append`].
pub fn set_range(unit: &mut Unit<'_>, key: Key<'_>, offset: u64, bytes: &[u8]) -> Result<u64> {
    let found = value::find(unit, key)?;
    if bytes.is_empty() {
        return Ok(found.map_or(0, |found| found.meta.length));
    }
    if offset.saturating_add(bytes.len() as u64) > MAX_STRING_BYTES as u64 {
        return Err(Error::STRING_TOO_LONG);
    }
    value::write_at(unit, key, found, flag::RAW, offset, bytes)
}

/// The bytes from `start` to `end`, both included; negative numbers count from the end. Reads the chunks
/// concerned.
///
/// # Errors
/// [`Error::WRONG_TYPE`]; what the engine gives.
pub fn get_range(unit: &mut Unit<'_>, key: Key<'_>, start: i64, end: i64) -> Result<Vec<u8>> {
    let Some(found) = value::find(unit, key)? else { return Ok(Vec::new()) };
    match span(start, end, found.meta.length) {
        Some((start, end)) => value::part(unit, key, &found, start..end + 1),
        None => Ok(Vec::new()),
    }
}

/// First and last of `length` that a range with negative numbers means; `None` if it is empty.
pub(super) fn span(start: i64, end: i64, length: u64) -> Option<(u64, u64)> {
    let backwards = start < 0 && end < 0 && start > end;
    if backwards { None } else { clamped_span(start, end, length) }
}

/// As [`span`] for who brings both ends inside first, so that before the first byte there is the first:
/// BITPOS alone does so.
pub(super) fn clamped_span(start: i64, end: i64, length: u64) -> Option<(u64, u64)> {
    let length = length as i64;
    let from_end = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(length - 1));
    (length > 0 && start <= end).then_some((start as u64, end as u64))
}
