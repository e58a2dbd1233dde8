//! Typed calls of strings as arrays of bits.

use super::run::Run;
use super::string::StringKey;
use crate::base::error::Result;
use crate::string::{self, BitOperation, BitRange, Field, FieldOp, Overflow, Width};

impl<'r, R: Run, K: AsRef<[u8]>> StringKey<'r, R, K> {
    /// The bit at an offset, 0 beyond the end. Bit 0 is the highest of the first byte.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`]; what the engine gives. The same goes for every call.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let days = store.db(0).string("active:ada");
    /// days.set_bit(3, true)?;
    /// days.set_bit(1_000_000, true)?; // one chunk is written, however far out
    /// assert!(days.get_bit(3)? && !days.get_bit(4)?);
    /// assert_eq!(days.bit_count(None)?, 2);
    /// assert_eq!(days.bit_position(true, None)?, Some(3));
    /// # store.close() }
    /// ```
    pub fn get_bit(&self, offset: u64) -> Result<bool> {
        self.0.read(|unit, key| string::get_bit(unit, key, offset))
    }

    /// Sets the bit at an offset; returns what it was.
    ///
    /// # Errors
    /// As [`StringKey::get_bit`]; [`crate::Error::BIT_OFFSET`].
    pub fn set_bit(&self, offset: u64, on: bool) -> Result<bool> {
        self.0.write(|unit, key| string::set_bit(unit, key, offset, on))
    }

    /// How many bits are 1, in all or in a range.
    ///
    /// # Errors
    /// As [`StringKey::get_bit`].
    pub fn bit_count(&self, range: Option<BitRange>) -> Result<u64> {
        self.0.read(|unit, key| string::bit_count(unit, key, range))
    }

    /// The offset of the first bit that is `on`, in all or in a range. Looking for a 0 without a range, the
    /// string counts as followed by zeros.
    ///
    /// # Errors
    /// As [`StringKey::get_bit`].
    pub fn bit_position(&self, on: bool, range: Option<BitRange>) -> Result<Option<u64>> {
        let position =
            self.0.read(|unit, key| string::bit_position(unit, key, on, range, range.is_some()))?;
        Ok(u64::try_from(position).ok())
    }

    /// Reads and writes integers of any width in the string, in order; an answer for each.
    ///
    /// # Errors
    /// As [`StringKey::get_bit`]; [`crate::Error::BIT_OFFSET`], [`crate::Error::BIT_WIDTH`].
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::string::{Field, FieldOp, Overflow, Width};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let counters = store.db(0).string("counters");
    /// let width = Width::new(false, 12)?;
    /// let operation = FieldOp::Increment(4000);
    /// let field = Field { width, offset: 24, operation, overflow: Overflow::Saturate };
    /// assert_eq!(counters.bit_field(&[field, field])?, [Some(4000), Some(4095)]);
    /// assert_eq!(counters.read_bit_field(&[(width, 24)])?, [4095]);
    /// # store.close() }
    /// ```
    pub fn bit_field(&self, fields: &[Field]) -> Result<Vec<Option<i64>>> {
        self.0.write(|unit, key| string::bit_field(unit, key, fields))
    }

    /// Integers in the string, by their widths and their first bits.
    ///
    /// # Errors
    /// As [`StringKey::bit_field`].
    pub fn read_bit_field(&self, fields: &[(Width, u64)]) -> Result<Vec<i64>> {
        let field = |(width, offset): &(Width, u64)| {
            let (width, offset, overflow) = (*width, *offset, Overflow::Wrap);
            Field { width, offset, operation: FieldOp::Get, overflow }
        };
        let fields: Vec<Field> = fields.iter().map(field).collect();
        let answers = self.0.read(|unit, key| string::bit_field(unit, key, &fields))?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Has this key hold what joining strings bit by bit gives, whatever it held; returns the length. An
    /// empty result removes it.
    ///
    /// # Errors
    /// As [`StringKey::get_bit`]; not one source for [`BitOperation::Not`].
    pub fn store_bits<S: AsRef<[u8]>>(&self, operation: BitOperation, sources: &[S]) -> Result<u64> {
        self.0.write_with(sources, |unit, key, sources| string::bit_operation(unit, operation, key, sources))
    }

    /// The longest common subsequence of this string and another, and where it stands in both.
    ///
    /// # Errors
    /// As [`StringKey::get_bit`], in other words; [`string::longest_common`] has the limit.
    pub fn longest_common(&self, other: impl AsRef<[u8]>) -> Result<string::Common> {
        self.0.read_with(&[other], |unit, keys| {
            unit.pin();
            string::longest_common(unit, keys[0], keys[1])
        })
    }
}
