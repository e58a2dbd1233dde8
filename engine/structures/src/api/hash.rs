//! Typed calls of hashes.

use super::place::Place;
use super::run::Run;
use crate::base::error::Result;
use crate::hash;

/// The hash under a key, which need not exist.
#[derive(Debug)]
pub struct HashKey<'r, R, K>(Place<'r, R, K>);

impl<'r, R: Run, K: AsRef<[u8]>> HashKey<'r, R, K> {
    pub(super) fn new(run: &'r R, database: u32, name: K) -> HashKey<'r, R, K> {
        HashKey(Place { run, database, name })
    }

    /// The value of a field.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`]; what the engine gives. The same goes for every call.
    pub fn get(&self, field: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let field = field.as_ref();
        self.0.read(|unit, key| hash::get(unit, key, field))
    }

    /// How many fields there are.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn len(&self) -> Result<u64> {
        self.0.read(hash::length)
    }

    /// Whether there are no fields.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Sets a field; says whether it is new.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn set(&self, field: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.set_many(&[(field, value)])? == 1)
    }

    /// Sets fields; returns how many are new.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn set_many<F: AsRef<[u8]>, V: AsRef<[u8]>>(&self, fields: &[(F, V)]) -> Result<u64> {
        let fields: Vec<(&[u8], &[u8])> =
            fields.iter().map(|(field, value)| (field.as_ref(), value.as_ref())).collect();
        self.0.write(|unit, key| hash::set(unit, key, &fields))
    }

    /// Removes a field; says whether it was there.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn delete(&self, field: impl AsRef<[u8]>) -> Result<bool> {
        let field = field.as_ref();
        self.0.free(|unit, key| Ok(hash::delete(unit, key, &[field])? == 1))
    }

    /// Adds to the integer of a field; returns the sum.
    ///
    /// # Errors
    /// As [`HashKey::get`]; [`crate::Error::OVERFLOW`]; a value that is no integer.
    pub fn increment(&self, field: impl AsRef<[u8]>, by: i64) -> Result<i64> {
        let field = field.as_ref();
        self.0.write(|unit, key| hash::add_integer(unit, key, field, by))
    }

    /// The fields with their values, a page of them in memory at a time; what is written meanwhile may be
    /// shown or not, what is there throughout is. Outside of a transaction's own writes.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn entries(&self) -> Result<hash::Entries> {
        self.len()?;
        Ok(hash::entries(self.0.run.store(), self.0.database, self.0.name.as_ref()))
    }
}
