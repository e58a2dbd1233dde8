//! Typed calls of sorted sets.

use super::place::Place;
use super::run::Run;
use crate::base::error::Result;
use crate::zset::{self, Add, Added, Entry, Range, ScoreRange};

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

    /// How many members have scores in a range. O(log n).
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn count(&self, range: impl Into<ScoreRange>) -> Result<u64> {
        let range = Range::Score(range.into());
        self.0.read(|unit, key| zset::count(unit, key, &range))
    }

    /// The members of a range in their order. All of them are in memory at once; [`SortedSetKey::entries`]
    /// is for many.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn range(&self, range: &Range<'_>) -> Result<Vec<Entry>> {
        self.0.read(|unit, key| zset::members(unit, key, range, false, 0, u64::MAX))
    }

    /// Removes a member; says whether it was there.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn remove(&self, member: impl AsRef<[u8]>) -> Result<bool> {
        let member = member.as_ref();
        self.0.free(|unit, key| Ok(zset::remove(unit, key, &[member])? == 1))
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

    /// The members whose scores are in a range, in their order, a page of them in memory at a time. A
    /// member whose score changes meanwhile may be shown twice, or not at all. Outside of a transaction's own
    /// writes.
    ///
    /// # Errors
    /// As [`SortedSetKey::add`].
    pub fn entries(&self, range: impl Into<ScoreRange>) -> Result<zset::Entries> {
        self.len()?;
        Ok(zset::entries(self.0.run.store(), self.0.database, self.0.name.as_ref(), range.into()))
    }
}
