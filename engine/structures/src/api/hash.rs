//! Typed calls of hashes.

use super::place::Place;
use super::run::Run;
use super::string::number;
use crate::base::error::{Error, Result};
use crate::base::real::Real;
use crate::hash::{self, Pair};
use crate::store::Store;

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
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let user = store.db(0).hash("user:1");
    /// assert_eq!(user.set_many(&[("name", "Ada"), ("visits", "1")])?, 2);
    /// assert_eq!(user.increment("visits", 1)?, 2);
    /// assert_eq!(user.get_many(&["name", "email"])?, [Some(b"Ada".to_vec()), None]);
    /// assert!(user.contains("visits")? && user.delete("visits")?);
    /// # store.close() }
    /// ```
    pub fn get(&self, field: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let field = field.as_ref();
        self.0.read(|unit, key| hash::get(unit, key, field))
    }

    /// The values of several fields.
    ///
    /// # Errors
    /// As [`HashKey::get`]; [`Error::COMMAND_TOO_LARGE`].
    pub fn get_many<F: AsRef<[u8]>>(&self, fields: &[F]) -> Result<Vec<Option<Vec<u8>>>> {
        let fields: Vec<&[u8]> = fields.iter().map(AsRef::as_ref).collect();
        self.0.read(|unit, key| hash::get_many(unit, key, &fields))
    }

    /// Whether there is such a field.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn contains(&self, field: impl AsRef<[u8]>) -> Result<bool> {
        let field = field.as_ref();
        self.0.read(|unit, key| hash::contains(unit, key, field))
    }

    /// The length of a field's value in bytes; 0 if there is no such field.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn value_len(&self, field: impl AsRef<[u8]>) -> Result<u64> {
        let field = field.as_ref();
        self.0.read(|unit, key| hash::value_length(unit, key, field))
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

    /// Sets a field that is not there; says whether it was set.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn set_if_absent(&self, field: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        let (field, value) = (field.as_ref(), value.as_ref());
        self.0.write(|unit, key| hash::set_if_absent(unit, key, field, value))
    }

    /// Removes a field; says whether it was there.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn delete(&self, field: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.delete_many(&[field])? == 1)
    }

    /// Removes fields; returns how many were there.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn delete_many<F: AsRef<[u8]>>(&self, fields: &[F]) -> Result<u64> {
        let fields: Vec<&[u8]> = fields.iter().map(AsRef::as_ref).collect();
        self.0.free(|unit, key| hash::delete(unit, key, &fields))
    }

    /// Adds to the integer of a field; returns the sum.
    ///
    /// # Errors
    /// As [`HashKey::get`]; [`crate::Error::OVERFLOW`]; a value that is no integer.
    pub fn increment(&self, field: impl AsRef<[u8]>, by: i64) -> Result<i64> {
        let field = field.as_ref();
        self.0.write(|unit, key| hash::add_integer(unit, key, field, by))
    }

    /// Adds to the number of a field; returns the sum. The digits are as for
    /// [`super::StringKey::increment_float`].
    ///
    /// # Errors
    /// As [`HashKey::get`]; a value that is no number; a number or a sum without end.
    pub fn increment_float(&self, field: impl AsRef<[u8]>, by: f64) -> Result<f64> {
        let field = field.as_ref();
        let by = Real::of(by).ok_or(Error::NOT_FLOAT)?;
        self.0.write(|unit, key| number(&hash::add_float(unit, key, field, by)?))
    }

    /// A field by chance with its value, each with the same.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn random(&self) -> Result<Option<Pair>> {
        self.0.read(hash::random)
    }

    /// So many fields by chance, all different; all of them if there are fewer.
    ///
    /// # Errors
    /// As [`HashKey::get`]; [`Error::COMMAND_TOO_LARGE`].
    pub fn random_distinct(&self, count: u64) -> Result<Vec<Pair>> {
        self.0.read(|unit, key| hash::random_distinct(unit, key, count))
    }

    /// So many fields by chance, each chosen from all.
    ///
    /// # Errors
    /// As [`HashKey::get`]; [`Error::TOO_MANY_REPEATED`], [`Error::COMMAND_TOO_LARGE`].
    pub fn random_repeated(&self, count: u64) -> Result<Vec<Pair>> {
        self.0.read(|unit, key| hash::random_many(unit, key, count))
    }
}

/// Of the store alone: pages are units of work of their own, for which a transaction must not wait.
impl<K: AsRef<[u8]>> HashKey<'_, Store, K> {
    /// The fields with their values, a page of them in memory at a time; what is written meanwhile may be
    /// shown or not, what is there throughout is.
    ///
    /// # Errors
    /// As [`HashKey::get`].
    pub fn entries(&self) -> Result<hash::Entries> {
        self.len()?;
        Ok(hash::entries(self.0.run.store(), self.0.database, self.0.name.as_ref()))
    }
}
