//! Typed calls of strings.

use super::place::Place;
use super::run::Run;
use crate::base::error::{Error, Result};
use crate::base::number::parse_f64;
use crate::base::real::Real;
use crate::string::{self, Condition, Expiry, SetOptions};
use std::time::Duration;

/// The string under a key, which need not exist.
#[derive(Debug)]
pub struct StringKey<'r, R, K>(pub(super) Place<'r, R, K>);

impl<'r, R: Run, K: AsRef<[u8]>> StringKey<'r, R, K> {
    pub(super) fn new(run: &'r R, database: u32, name: K) -> StringKey<'r, R, K> {
        StringKey(Place { run, database, name })
    }

    /// The value.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`]; what the engine gives. The same goes for every call.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let token = store.db(0).string("token");
    /// token.set_for("abc", Duration::from_secs(60))?;
    /// assert_eq!(token.append("def")?, 6);
    /// assert_eq!(token.get_range(-3, -1)?, b"def");
    /// assert_eq!(token.take()?.unwrap(), b"abcdef");
    /// assert_eq!(token.get()?, None);
    /// # store.close() }
    /// ```
    pub fn get(&self) -> Result<Option<Vec<u8>>> {
        self.0.read(string::get)
    }

    /// The length in bytes; 0 if there is no such key.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn len(&self) -> Result<u64> {
        self.0.read(string::length)
    }

    /// Whether the value is empty, or there is none.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Sets the value, whatever the key held; it does not expire.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn set(&self, value: impl AsRef<[u8]>) -> Result<()> {
        self.set_with(value, SetOptions::default()).map(|_| ())
    }

    /// Sets the value if there is none; says whether it was set.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn set_if_absent(&self, value: impl AsRef<[u8]>) -> Result<bool> {
        let options = SetOptions { condition: Condition::IfAbsent, ..SetOptions::default() };
        Ok(self.set_with(value, options)?.is_set)
    }

    /// Sets the value in any way that SET knows.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn set_with(&self, value: impl AsRef<[u8]>, options: SetOptions) -> Result<string::SetOutcome> {
        let value = value.as_ref();
        self.0.write(|unit, key| string::set(unit, key, value, options))
    }

    /// Sets the value, which expires so long from now.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn set_for(&self, value: impl AsRef<[u8]>, lifetime: Duration) -> Result<()> {
        let options = SetOptions { expiry: Expiry::In(lifetime), ..SetOptions::default() };
        self.set_with(value, options).map(|_| ())
    }

    /// Sets the value and returns what it was; it does not expire.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn replace(&self, value: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        Ok(self.set_with(value, SetOptions { get: true, ..SetOptions::default() })?.old)
    }

    /// The value, and removes the key.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn take(&self) -> Result<Option<Vec<u8>>> {
        self.0.free(string::get_delete)
    }

    /// The value, and has the key expire otherwise than before.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn get_expiring(&self, expiry: Expiry) -> Result<Option<Vec<u8>>> {
        self.0.write(|unit, key| string::get_expiring(unit, key, expiry))
    }

    /// Adds to the integer that the value is; returns the sum.
    ///
    /// # Errors
    /// As [`StringKey::get`]; [`crate::Error::NOT_INTEGER`], [`crate::Error::OVERFLOW`].
    pub fn increment(&self, by: i64) -> Result<i64> {
        self.0.write(|unit, key| string::add_integer(unit, key, by))
    }

    /// Adds to the number that the value is; returns the sum, to the nearest double. What is stored has the
    /// digits that Redis stores: `by` counts as the decimal number as which it is written.
    ///
    /// # Errors
    /// As [`StringKey::get`]; [`crate::Error::NOT_FLOAT`]; a sum without end.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let price = store.db(0).string("price");
    /// price.set("10.50")?;
    /// assert_eq!(price.increment_float(0.1)?, 10.6);
    /// assert_eq!(price.get()?.unwrap(), b"10.6");
    /// # store.close() }
    /// ```
    pub fn increment_float(&self, by: f64) -> Result<f64> {
        let by = Real::of(by).ok_or(Error::NOT_FLOAT)?;
        self.0.write(|unit, key| number(&string::add_float(unit, key, by)?))
    }

    /// Appends to the value; returns its length.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn append(&self, bytes: impl AsRef<[u8]>) -> Result<u64> {
        let bytes = bytes.as_ref();
        self.0.write(|unit, key| string::append(unit, key, bytes))
    }

    /// The bytes from `start` to `end`, both included; negative numbers count from the end.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn get_range(&self, start: i64, end: i64) -> Result<Vec<u8>> {
        self.0.read(|unit, key| string::get_range(unit, key, start, end))
    }

    /// Writes `bytes` at `offset`; returns the length.
    ///
    /// # Errors
    /// As [`StringKey::get`].
    pub fn set_range(&self, offset: u64, bytes: impl AsRef<[u8]>) -> Result<u64> {
        let bytes = bytes.as_ref();
        self.0.write(|unit, key| string::set_range(unit, key, offset, bytes))
    }
}

/// The number that a sum was stored as.
pub(super) fn number(text: &[u8]) -> Result<f64> {
    parse_f64(text).ok_or_else(|| Error::malformed("a sum"))
}
