//! Typed calls of sorted sets.

use super::place::Place;
use super::run::Run;
use crate::base::error::Result;
use crate::store::Store;
use crate::zset::{self, Add, Added, Algebra, Entry, Range, ScoreRange, Window};

/// The sorted set under a key, which need not exist.
#[derive(Debug)]
pub struct SortedSetKey<'r, R, K>(Place<'r, R, K>);

impl<'r, R: Run, K: AsRef<[u8]>> SortedSetKey<'r, R, K> {
    pub(super) fn new(run: &'r R, database: u32, name: K) -> SortedSetKey<'r, R, K> {
        SortedSetKey(Place { run, database, name })
    }

    /// Gives a member a score; says whether the member is new.
    ///
    /// # Errors
    /// [`crate::Error::WRONG_TYPE`]; a score that is no number; what the engine gives. The same goes for
    /// every call.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let board = store.db(0);
    /// let board = board.zset("board");
    /// board.add("ada", 30.0)?;
    /// board.add("bob", 20.0)?;
    /// assert_eq!(board.increment("bob", 15.0)?, 35.0);
    /// assert_eq!(board.rank("bob")?, Some(1));
    /// assert_eq!(board.count(0.0..=31.0)?, 1);
    /// assert_eq!(board.pop_first(1)?, [(b"ada".to_vec(), 30.0)]);
    /// # store.close() }
    /// ```
    pub fn add(&self, member: impl AsRef<[u8]>, score: f64) -> Result<bool> {
        Ok(self.add_many(&[(member, score)], Add::default())?.added == 1)
    }

    /// Gives members scores, under conditions; says what was done.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn add_many<M: AsRef<[u8]>>(&self, members: &[(M, f64)], options: Add) -> Result<Added> {
        let members: Vec<(f64, &[u8])> =
            members.iter().map(|(member, score)| (*score, member.as_ref())).collect();
        self.0.write(|unit, key| zset::add(unit, key, &members, options))
    }

    /// Adds to the score of a member, 0 if it is not there; returns the sum.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn increment(&self, member: impl AsRef<[u8]>, by: f64) -> Result<f64> {
        let options = Add { increment: true, ..Add::default() };
        Ok(self.add_many(&[(member, by)], options)?.score.unwrap_or(by))
    }

    /// The score of a member.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn score(&self, member: impl AsRef<[u8]>) -> Result<Option<f64>> {
        let member = member.as_ref();
        self.0.read(|unit, key| zset::score(unit, key, member))
    }

    /// The scores of several members.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn scores<M: AsRef<[u8]>>(&self, members: &[M]) -> Result<Vec<Option<f64>>> {
        let members: Vec<&[u8]> = members.iter().map(AsRef::as_ref).collect();
        self.0.read(|unit, key| zset::scores(unit, key, &members))
    }

    /// How many members there are.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn len(&self) -> Result<u64> {
        self.0.read(zset::length)
    }

    /// Whether there are no members.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The index of a member in the order of scores. O(log n).
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn rank(&self, member: impl AsRef<[u8]>) -> Result<Option<u64>> {
        let member = member.as_ref();
        self.0.read(|unit, key| Ok(zset::rank(unit, key, member, false)?.map(|(rank, _)| rank)))
    }

    /// The index of a member counted from the greatest score. O(log n).
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn reverse_rank(&self, member: impl AsRef<[u8]>) -> Result<Option<u64>> {
        let member = member.as_ref();
        self.0.read(|unit, key| Ok(zset::rank(unit, key, member, true)?.map(|(rank, _)| rank)))
    }

    /// How many members a range has: of scores (`1.0..=2.0`), or any other. O(log n).
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn count<'a>(&self, range: impl Into<Range<'a>>) -> Result<u64> {
        let range = range.into();
        self.0.read(|unit, key| zset::count(unit, key, &range))
    }

    /// The members of a range in their order. All of them are in memory at once; [`SortedSetKey::entries`]
    /// is for many.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`]; [`crate::Error::COMMAND_TOO_LARGE`].
    pub fn range(&self, range: &Range<'_>) -> Result<Vec<Entry>> {
        self.range_in(range, Window::ALL)
    }

    /// A part of the members of a range, from either end.
    ///
    /// # Errors
    /// As [`SortedSetKey::range`].
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::zset::{Range, Window};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let board = store.db(0).zset("board");
    /// board.add_many(&[("ada", 30.0), ("bob", 20.0), ("cid", 10.0)], Default::default())?;
    /// let best = board.range_in(&Range::ALL, Window { limit: 2, ..Window::REVERSED })?;
    /// assert_eq!(best, [(b"ada".to_vec(), 30.0), (b"bob".to_vec(), 20.0)]);
    /// # store.close() }
    /// ```
    pub fn range_in(&self, range: &Range<'_>, window: Window) -> Result<Vec<Entry>> {
        self.0.read(|unit, key| zset::members(unit, key, range, window))
    }

    /// Has this key hold a part of a range of another, whatever it held; returns how many members that are.
    ///
    /// # Errors
    /// As [`SortedSetKey::range`].
    pub fn store_range(&self, source: impl AsRef<[u8]>, range: &Range<'_>, window: Window) -> Result<u64> {
        self.0
            .write_with(&[source], |unit, key, others| zset::store_range(unit, key, others[0], range, window))
    }

    /// A member by chance, each with the same.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn random(&self) -> Result<Option<Entry>> {
        self.0.read(zset::random)
    }

    /// So many members by chance, all different; all of them if there are fewer.
    ///
    /// # Errors
    /// As [`SortedSetKey::range`].
    pub fn random_distinct(&self, count: u64) -> Result<Vec<Entry>> {
        self.0.read(|unit, key| zset::random_distinct(unit, key, count))
    }

    /// So many members by chance, each chosen from all.
    ///
    /// # Errors
    /// As [`SortedSetKey::range`]; [`crate::Error::TOO_MANY_REPEATED`].
    pub fn random_repeated(&self, count: u64) -> Result<Vec<Entry>> {
        self.0.read(|unit, key| zset::random_many(unit, key, count))
    }

    /// What this key and others have together, in the order of the scores. The others may be sets, whose
    /// members count as ones of score 1.
    ///
    /// # Errors
    /// As [`SortedSetKey::range`].
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::zset::{Aggregate, Algebra};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = esker_structures::Store::open(dir.path().join("data"))?;
    /// let db = store.db(0);
    /// db.zset("may").add("ada", 3.0)?;
    /// db.zset("june").add_many(&[("ada", 4.0), ("bob", 1.0)], Default::default())?;
    /// let both = Algebra::Union { weights: &[1.0, 2.0], aggregate: Aggregate::Sum };
    /// assert_eq!(db.zset("total").store(both, &["may", "june"])?, 2);
    /// assert_eq!(db.zset("total").score("ada")?, Some(11.0));
    /// let new = db.zset("june").combined(Algebra::Difference, &["may"])?;
    /// assert_eq!(new, [(b"bob".to_vec(), 1.0)]);
    /// # store.close() }
    /// ```
    pub fn combined<O: AsRef<[u8]>>(&self, how: Algebra<'_>, others: &[O]) -> Result<Vec<Entry>> {
        self.0.read_with(others, |unit, keys| zset::combined(unit, how, keys))
    }

    /// Has this key hold what keys have together, whatever it held; no members, no key. Returns how many
    /// members there are.
    ///
    /// # Errors
    /// As [`SortedSetKey::combined`].
    pub fn store<S: AsRef<[u8]>>(&self, how: Algebra<'_>, sources: &[S]) -> Result<u64> {
        self.0.write_with(sources, |unit, key, sources| zset::store(unit, key, how, sources))
    }

    /// How many members this key and others all have; it is enough to find `limit`, if that is not 0.
    ///
    /// # Errors
    /// As [`SortedSetKey::range`].
    pub fn intersection_len<O: AsRef<[u8]>>(&self, others: &[O], limit: u64) -> Result<u64> {
        self.0.read_with(others, |unit, keys| zset::intersection_count(unit, keys, limit))
    }

    /// Removes a member; says whether it was there.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn remove(&self, member: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.remove_many(&[member])? == 1)
    }

    /// Removes members; returns how many were there.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn remove_many<M: AsRef<[u8]>>(&self, members: &[M]) -> Result<u64> {
        let members: Vec<&[u8]> = members.iter().map(AsRef::as_ref).collect();
        self.0.free(|unit, key| zset::remove(unit, key, &members))
    }

    /// Removes the members of a range; returns how many they were.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn remove_range(&self, range: &Range<'_>) -> Result<u64> {
        self.0.free(|unit, key| zset::remove_range(unit, key, range))
    }

    /// Removes up to `count` members with the least scores, and returns them.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn pop_first(&self, count: u64) -> Result<Vec<Entry>> {
        self.0.free(|unit, key| zset::pop(unit, key, false, count))
    }

    /// Removes up to `count` members with the greatest scores, and returns them.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn pop_last(&self, count: u64) -> Result<Vec<Entry>> {
        self.0.free(|unit, key| zset::pop(unit, key, true, count))
    }
}

/// Of the store alone: pages are units of work of their own, for which a transaction must not wait.
impl<K: AsRef<[u8]>> SortedSetKey<'_, Store, K> {
    /// The members whose scores are in a range, in their order, a page of them in memory at a time. A
    /// member whose score changes meanwhile may be shown twice, or not at all.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn entries(&self, range: impl Into<ScoreRange>) -> Result<zset::Entries> {
        self.len()?;
        Ok(zset::entries(self.0.run.store(), self.0.database, self.0.name.as_ref(), range.into()))
    }
}
