//! Strings as arrays of small integers.

use super::value;
use crate::base::error::{Error, Result};
use crate::encoding::header::flag;
use crate::encoding::limits::MAX_STRING_BYTES;
use crate::store::{Key, Unit};

/// The width of an integer: up to 64 bits signed, up to 63 unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Whether it has a sign.
    pub signed: bool,
    /// Its bits.
    pub bits: u32,
}

/// What becomes of a result that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Its lower bits are kept.
    #[default]
    Wrap,
    /// The nearest number that fits.
    Saturate,
    /// Nothing is written, and the answer is none.
    Fail,
}

/// What is done with one integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOp {
    /// Its value.
    Get,
    /// Sets it; the answer is what it was.
    Set(i64),
    /// Adds to it; the answer is the sum.
    Increment(i64),
}

/// One integer, and what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its width.
    pub width: Width,
    /// Its first bit.
    pub offset: u64,
    /// What is done with it.
    pub operation: FieldOp,
    /// What becomes of a result that does not fit.
    pub overflow: Overflow,
}

impl Width {
    /// A width of integers that there is.
    ///
    /// # Errors
    /// [`Error::BIT_WIDTH`].
    pub fn new(signed: bool, bits: u32) -> Result<Width> {
        let width = Width { signed, bits };
        width.check()?;
        Ok(width)
    }

    fn check(self) -> Result<()> {
        let most = if self.signed { 64 } else { 63 };
        if (1..=most).contains(&self.bits) { Ok(()) } else { Err(Error::BIT_WIDTH) }
    }

    fn least(self) -> i128 {
        if self.signed { -(1i128 << (self.bits - 1)) } else { 0 }
    }

    fn greatest(self) -> i128 {
        (1i128 << (self.bits - u32::from(self.signed))) - 1
    }

    /// The number that the lower bits of `bits` are.
    fn of_bits(self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed { ((bits << unused) as i64) >> unused } else { ((bits << unused) >> unused) as i64 }
    }

    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        if (self.least()..=self.greatest()).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.of_bits(value as u64)),
            Overflow::Saturate => Some(value.clamp(self.least(), self.greatest()) as i64),
            Overflow::Fail => None,
        }
    }
}

/// Does all of it in order; an answer for each. Writes the bytes concerned. An integer begins within the
/// longest string that can be set, and may end a few bytes behind it.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::BIT_OFFSET`], [`Error::BIT_WIDTH`]; what the engine gives.
pub fn bit_field(unit: &mut Unit<'_>, key: Key<'_>, fields: &[Field]) -> Result<Vec<Option<i64>>> {
    for field in fields {
        field.width.check()?;
        if field.offset / 8 >= MAX_STRING_BYTES as u64 {
            return Err(Error::BIT_OFFSET);
        }
    }
    let mut answers = Vec::with_capacity(fields.len());
    // Like Redis, a command that writes makes the string as long as it needs, whatever becomes of it.
    let writing = fields.iter().filter(|field| field.operation != FieldOp::Get);
    let needed = writing.map(|field| (field.offset + u64::from(field.width.bits) - 1) / 8 + 1).max();
    let found = value::find(unit, key)?;
    if let Some(needed) = needed {
        match found {
            Some(found) if needed <= found.meta.length => value::unpack(unit, key, &found)?,
            found => _ = value::write_at(unit, key, found, flag::RAW, needed - 1, &[0])?,
        }
    }
    for field in fields {
        let (first, bits) = (field.offset / 8, (field.offset % 8) as u32);
        let last = (field.offset + u64::from(field.width.bits) - 1) / 8;
        let mut bytes = [0; 9];
        let found = value::find(unit, key)?;
        if let Some(found) = &found {
            let end = (last + 1).min(found.meta.length);
            if first < end {
                let part = value::part(unit, key, found, first..end)?;
                bytes[..part.len()].copy_from_slice(&part);
            }
        }
        let mut window = [0; 16];
        window[..9].copy_from_slice(&bytes);
        let mut window = u128::from_be_bytes(window);
        let shift = 128 - bits - field.width.bits;
        let mask = ((1u128 << field.width.bits) - 1) << shift;
        let old = field.width.of_bits(((window & mask) >> shift) as u64);
        let new = match field.operation {
            FieldOp::Get => {
                answers.push(Some(old));
                continue;
            }
            FieldOp::Set(value) => field.width.fit(unsigned(field.width, value), field.overflow),
            FieldOp::Increment(by) => field.width.fit(i128::from(old) + i128::from(by), field.overflow),
        };
        let Some(new) = new else {
            answers.push(None);
            continue;
        };
        // What stays as it is modifies nothing.
        if new != old {
            window = (window & !mask) | ((u128::from(new as u64) << shift) & mask);
            let bytes = window.to_be_bytes();
            value::write_at(unit, key, found, flag::RAW, first, &bytes[..(last - first + 1) as usize])?;
        }
        answers.push(Some(if matches!(field.operation, FieldOp::Set(_)) { old } else { new }));
    }
    Ok(answers)
}

/// For fields without a sign Redis takes a negative value as the great number with the same bits.
fn unsigned(width: Width, value: i64) -> i128 {
    if width.signed { i128::from(value) } else { i128::from(value as u64) }
}
