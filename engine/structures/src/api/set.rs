//! Typed calls of sets.

use super::place::Place;
use super::run::Run;
use crate::base::error::Result;
use crate::set::{self, Algebra};
use crate::store::Store;

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
        Ok(self.remove_many(&[member])? == 1)
    }

    /// Removes members; returns how many were there.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn remove_many<M: AsRef<[u8]>>(&self, members: &[M]) -> Result<u64> {
        let members: Vec<&[u8]> = members.iter().map(AsRef::as_ref).collect();
        self.0.free(|unit, key| set::remove(unit, key, &members))
    }

    /// Moves a member to another set; says whether it was there.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn move_to(&self, target: impl AsRef<[u8]>, member: impl AsRef<[u8]>) -> Result<bool> {
        let member = member.as_ref();
        self.0.write_with(&[target], |unit, key, others| set::move_member(unit, key, others[0], member))
    }

    /// Whether there is such a member.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn contains(&self, member: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.contains_many(&[member])?.contains(&true))
    }

    /// Which of several members there are.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn contains_many<M: AsRef<[u8]>>(&self, members: &[M]) -> Result<Vec<bool>> {
        let members: Vec<&[u8]> = members.iter().map(AsRef::as_ref).collect();
        self.0.read(|unit, key| set::contains_many(unit, key, &members))
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
        Ok(self.pop_many(1)?.pop())
    }

    /// Removes up to `count` members by chance and returns them.
    ///
    /// # Errors
    /// As [`SetKey::add`]; [`crate::Error::COMMAND_TOO_LARGE`].
    pub fn pop_many(&self, count: u64) -> Result<Vec<Vec<u8>>> {
        self.0.free(|unit, key| set::pop(unit, key, count))
    }

    /// A member by chance, each with the same.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn random(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.random_repeated(1)?.pop())
    }

    /// So many members by chance, all different; all of them if there are fewer.
    ///
    /// # Errors
    /// As [`SetKey::add`]; [`crate::Error::COMMAND_TOO_LARGE`].
    pub fn random_distinct(&self, count: u64) -> Result<Vec<Vec<u8>>> {
        self.0.read(|unit, key| set::random_distinct(unit, key, count))
    }

    /// So many members by chance, each chosen from all.
    ///
    /// # Errors
    /// As [`SetKey::add`]; [`crate::Error::TOO_MANY_REPEATED`], [`crate::Error::COMMAND_TOO_LARGE`].
    pub fn random_repeated(&self, count: u64) -> Result<Vec<Vec<u8>>> {
        self.0.read(|unit, key| set::random_many(unit, key, count))
    }

    /// What this set and others have together: the members of any, those that all have, or those of this one
    /// alone.
    ///
    /// # Errors
    /// As [`SetKey::add`]; [`crate::Error::COMMAND_TOO_LARGE`].
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::set::Algebra;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.set("rust").add_many(&["ada", "bob"])?;
    /// db.set("go").add_many(&["bob", "cid"])?;
    /// assert_eq!(db.set("rust").combined(Algebra::Intersection, &["go"])?, [b"bob"]);
    /// assert_eq!(db.set("any").store(Algebra::Union, &["rust", "go"])?, 3);
    /// assert_eq!(db.set("rust").intersection_len(&["go", "any"], 0)?, 1);
    /// # store.close() }
    /// ```
    pub fn combined<O: AsRef<[u8]>>(&self, how: Algebra, others: &[O]) -> Result<Vec<Vec<u8>>> {
        self.0.read_with(others, |unit, keys| set::combined(unit, how, keys))
    }

    /// Has this key hold what sets have together, whatever it held; no members, no key. Returns how many
    /// members there are.
    ///
    /// # Errors
    /// As [`SetKey::combined`].
    pub fn store<S: AsRef<[u8]>>(&self, how: Algebra, sources: &[S]) -> Result<u64> {
        self.0.write_with(sources, |unit, key, sources| set::store(unit, key, how, sources))
    }

    /// How many members this set and others all have; it is enough to find `limit`, if that is not 0.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn intersection_len<O: AsRef<[u8]>>(&self, others: &[O], limit: u64) -> Result<u64> {
        self.0.read_with(others, |unit, keys| set::intersection_count(unit, keys, limit))
    }
}

/// Of the store alone: pages are units of work of their own, for which a transaction must not wait.
impl<K: AsRef<[u8]>> SetKey<'_, Store, K> {
    /// The members, a page of them in memory at a time; what is written meanwhile may be shown or not, what
    /// is there throughout is.
    ///
    /// # Errors
    /// As [`SetKey::add`].
    pub fn members(&self) -> Result<set::Members> {
        self.len()?;
        Ok(set::entries(self.0.run.store(), self.0.database, self.0.name.as_ref()))
    }
}
