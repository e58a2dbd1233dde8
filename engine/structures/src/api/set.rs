//! Typed calls of sets.

use super::place::Place;
use super::run::Run;
use crate::base::error::Result;
use crate::set;

/// The set under a key, which need not exist.
#[derive(Debug)]
pub struct SetKey<'r, R, K>(Place<'r, R, K>);

impl<'r, R: Run, K: AsRef<[u8]>> SetKey<'r, R, K> {
    pub(super) fn new(run: &'r R, database: u32, name: K) -> SetKey<'r, R, K> {
        SetKey(Place { run, database, name })
    }

    /// Adds a member; says whether it is new.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`]; what the engine gives. The same goes for every call.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let seen = store.db(0).set("seen");
    /// assert!(seen.add("ada")? && !seen.add("ada")?);
    /// assert!(seen.contains("ada")?);
    /// for member in seen.members()? {
    ///     println!("{:?}", member?);
    /// }
    /// # store.close() }
    /// ```
    pub fn add(&self, member: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.add_many(&[member])? == 1)
    }

    /// Adds members; returns how many are new.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn add_many<M: AsRef<[u8]>>(&self, members: &[M]) -> Result<u64> {
        let members: Vec<&[u8]> = members.iter().map(AsRef::as_ref).collect();
        self.0.write(|unit, key| set::add(unit, key, &members))
    }

    /// Removes a member; says whether it was there.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn remove(&self, member: impl AsRef<[u8]>) -> Result<bool> {
        let member = member.as_ref();
        self.0.free(|unit, key| Ok(set::remove(unit, key, &[member])? == 1))
    }

    /// Whether there is such a member.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn contains(&self, member: impl AsRef<[u8]>) -> Result<bool> {
        let member = member.as_ref();
        self.0.read(|unit, key| Ok(set::contains_many(unit, key, &[member])?.contains(&true)))
    }

    /// How many members there are.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn len(&self) -> Result<u64> {
        self.0.read(set::length)
    }

    /// Whether there are no members.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes a member by chance and returns it.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn pop(&self) -> Result<Option<Vec<u8>>> {
        self.0.free(|unit, key| Ok(set::pop(unit, key, 1)?.pop()))
    }

    /// A member by chance, each with the same.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn random(&self) -> Result<Option<Vec<u8>>> {
        self.0.read(|unit, key| Ok(set::random_many(unit, key, 1)?.pop()))
    }

    /// The members, a page of them in memory at a time; what is written meanwhile may be shown or not, what
    /// is there throughout is. Outside of a transaction's own writes.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn members(&self) -> Result<set::Members> {
        self.len()?;
        Ok(set::entries(self.0.run.store(), self.0.database, self.0.name.as_ref()))
    }
}
