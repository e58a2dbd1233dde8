//! Typed calls of strings.

use super::place::Place;
use super::run::Run;
use crate::base::error::Result;
use crate::string::{self, Condition, SetOptions};

/// The string under a key, which need not exist.
#[derive(Debug)]
pub struct StringKey<'r, R, K>(Place<'r, R, K>);

impl<'r, R: Run, K: AsRef<[u8]>> StringKey<'r, R, K> {
    pub(super) fn new(run: &'r R, database: u32, name: K) -> StringKey<'r, R, K> {
        StringKey(Place { run, database, name })
    }

    /// The value.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`]; what the engine gives. The same goes for every call.
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

    /// Adds to the integer that the value is; returns the sum.
    ///
    /// # Errors
    /// As [`StringKey::get`]; [`crate::Error::NOT_INTEGER`], [`crate::Error::OVERFLOW`].
    pub fn increment(&self, by: i64) -> Result<i64> {
        self.0.write(|unit, key| string::add_integer(unit, key, by))
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
