//! Strings as arrays of bits. Bit 0 is the highest of the first byte.

use super::range::{clamped_span, span};
use super::value;
use crate::base::error::{Error, Result};
use crate::encoding::header::{Meta, NEVER, Type, flag};
use crate::encoding::limits::MAX_STRING_BYTES;
use crate::store::{Key, Unit};

/// Bytes that are looked at in one go.
const WINDOW_BYTES: u64 = 64 << 10;

/// A part of a string, both ends included; negative numbers count from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitRange {
    /// Where it starts.
    pub start: i64,
    /// Where it ends.
    pub end: i64,
    /// Whether the numbers are those of bits; otherwise of bytes.
    pub in_bits: bool,
}

/// How strings are joined bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOperation {
    /// 1 where all have 1.
    And,
    /// 1 where any has.
    Or,
    /// 1 where an odd number have.
    Xor,
    /// 1 where the only one has 0.
    Not,
}

/// The bit at `offset`; 0 beyond the end. One read, and one of a chunk.
///
/// # Errors
/// [`Error::WRONG_TYPE`]; what the engine gives.
pub fn get_bit(unit: &mut Unit<'_>, key: Key<'_>, offset: u64) -> Result<bool> {
    let Some(found) = value::find(unit, key)? else { return Ok(false) };
    let byte = offset / 8;
    if byte >= found.meta.length {
        return Ok(false);
    }
    let bytes = value::part(unit, key, &found, byte..byte + 1)?;
    Ok(bytes.first().is_some_and(|byte| byte & (0x80 >> (offset % 8)) != 0))
}

/// Sets the bit at `offset`, and returns what it was. Writes one chunk, however far out.
///
/// # Errors
/// As [`get_bit`].
pub fn set_bit(unit: &mut Unit<'_>, key: Key<'_>, offset: u64, on: bool) -> Result<bool> {
    let found = value::find(unit, key)?;
    let byte = offset / 8;
    if byte >= MAX_STRING_BYTES as u64 {
        return Err(Error::BIT_OFFSET);
    }
    let old = match &found {
        Some(found) if byte < found.meta.length => {
            value::part(unit, key, found, byte..byte + 1)?.first().copied().unwrap_or(0)
        }
        _ => 0,
    };
    let mask = 0x80 >> (offset % 8);
    let new = if on { old | mask } else { old & !mask };
    if let Some(found) = found.as_ref().filter(|found| byte < found.meta.length && new == old) {
        value::unpack(unit, key, found)?;
        return Ok(on);
    }
    value::write_at(unit, key, found, flag::RAW, byte, &[new])?;
    Ok(old & mask != 0)
}

/// First and last that two numbers mean.
type Span = fn(i64, i64, u64) -> Option<(u64, u64)>;

/// The range in bits, first and last; `None` if it is empty.
fn bit_span(range: Option<BitRange>, length: u64, span: Span) -> Option<(u64, u64)> {
    match range {
        None => (length > 0).then(|| (0, length * 8 - 1)),
        Some(BitRange { start, end, in_bits: true }) => span(start, end, length * 8),
        Some(BitRange { start, end, in_bits: false }) => {
            span(start, end, length).map(|(start, end)| (start * 8, end * 8 + 7))
        }
    }
}

/// How many bits are 1. Reads the chunks concerned, a few at a time.
///
/// # Errors
/// As [`get_bit`].
pub fn bit_count(unit: &mut Unit<'_>, key: Key<'_>, range: Option<BitRange>) -> Result<u64> {
    let Some(found) = value::find(unit, key)? else { return Ok(0) };
    let Some((first, last)) = bit_span(range, found.meta.length, span) else { return Ok(0) };
    let mut count = 0;
    let (mut at, end) = (first / 8, last / 8 + 1);
    while at < end {
        let to = (at + WINDOW_BYTES).min(end);
        let mut bytes = value::part(unit, key, &found, at..to)?;
        mask_ends(&mut bytes, at, first, last);
        count += bytes.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
        at = to;
    }
    Ok(count)
}

/// Clears the bits of a window that stand outside of a range.
fn mask_ends(bytes: &mut [u8], at: u64, first: u64, last: u64) {
    if at == first / 8
        && let Some(byte) = bytes.first_mut()
    {
        *byte &= 0xff >> (first % 8);
    }
    if at + bytes.len() as u64 == last / 8 + 1
        && let Some(byte) = bytes.last_mut()
    {
        *byte &= 0xff << (7 - last % 8);
    }
}

/// Where the first bit stands that is `on`; -1 if there is none. Looking for a 0 without an `end` given, the
/// string counts as followed by zeros. Reads the chunks up to it.
///
/// # Errors
/// As [`get_bit`].
pub fn bit_position(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    on: bool,
    range: Option<BitRange>,
    has_end: bool,
) -> Result<i64> {
    let Some(found) = value::find(unit, key)? else { return Ok(if on { -1 } else { 0 }) };
    let Some((first, last)) = bit_span(range, found.meta.length, clamped_span) else { return Ok(-1) };
    let (mut at, end) = (first / 8, last / 8 + 1);
    while at < end {
        let to = (at + WINDOW_BYTES).min(end);
        let mut bytes = value::part(unit, key, &found, at..to)?;
        if !on {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        mask_ends(&mut bytes, at, first, last);
        if let Some(index) = bytes.iter().position(|byte| *byte != 0) {
            return Ok(((at + index as u64) * 8 + u64::from(bytes[index].leading_zeros())) as i64);
        }
        at = to;
    }
    Ok(if on || has_end { -1 } else { (found.meta.length * 8) as i64 })
}

/// Sets `target` to what joining `sources` gives, as long as the longest of them; an empty result removes it.
/// Returns its length. Reads all of them.
///
/// # Errors
/// As [`get_bit`].
pub fn bit_operation(
    unit: &mut Unit<'_>,
    operation: BitOperation,
    target: Key<'_>,
    sources: &[Key<'_>],
) -> Result<u64> {
    if operation == BitOperation::Not && sources.len() != 1 {
        return Err(Error::fixed("ERR BITOP NOT must be called with a single source key."));
    }
    let mut result: Vec<u8> = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let value = super::assign::get(unit, *source)?.unwrap_or_default();
        if number == 0 {
            result = value;
            continue;
        }
        // What is shorter counts as followed by zeros.
        result.resize(result.len().max(value.len()), 0);
        let (both, beyond) = result.split_at_mut(value.len());
        both.iter_mut().zip(value).for_each(|(byte, other)| match operation {
            BitOperation::And => *byte &= other,
            BitOperation::Or => *byte |= other,
            BitOperation::Xor | BitOperation::Not => *byte ^= other,
        });
        if operation == BitOperation::And {
            beyond.fill(0);
        }
    }
    if operation == BitOperation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let before = unit.meta(target)?;
    if result.is_empty() {
        if let Some(before) = before {
            unit.delete_key(target, &before);
        }
        return Ok(0);
    }
    let after = Meta { flags: flag::RAW, expires_at: NEVER, ..Meta::new(Type::String) };
    value::put(unit, target, before.as_ref(), after, &result)?;
    Ok(result.len() as u64)
}
