//! A column family at one moment.

use super::cursor::ReadOnlyCursor;
use super::iter::ReadOnlyIter;
use super::source::gone;
use super::state::{FamilyState, State};
use crate::base::error::Result;
use crate::base::key::SeqNum;
use crate::base::observe::{Observe, ReadContext, WithoutValues};
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::db::ScanOptions;
use crate::db::explain::{Explanation, explain_at};
use crate::tree::{Found, lookup_many, lookup_observed};
use std::ops::RangeBounds;

/// A column family of a [`ReadOnlyDb`](crate::ReadOnlyDb). Owned, cheap to clone, usable from any thread; it
/// holds what it reads.
#[derive(Clone, Debug)]
pub struct ReadOnlyFamily {
    all: Arc<State>,
    place: usize,
    /// The time at which entries expire, if it stands still.
    frozen_ms: Option<u64>,
}

impl ReadOnlyFamily {
    pub(super) fn new(all: Arc<State>, place: usize, frozen_ms: Option<u64>) -> ReadOnlyFamily {
        ReadOnlyFamily { all, place, frozen_ms }
    }

    pub(super) fn all(&self) -> &Arc<State> {
        &self.all
    }

    pub(super) fn place(&self) -> usize {
        self.place
    }

    pub(super) fn frozen_ms(&self) -> Option<u64> {
        self.frozen_ms
    }

    pub(super) fn state(&self) -> &FamilyState {
        &self.all.families[self.place]
    }

    /// The time that decides what has ended, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.frozen_ms.unwrap_or_else(|| self.all.clock.now_ms())
    }

    /// The family's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state().name
    }

    /// The sequence number of the last write that it shows.
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        self.all.seq
    }

    fn read<R>(
        &self,
        key: &[u8],
        observe: &mut impl Observe,
        read: impl FnOnce(Found<'_>) -> R,
    ) -> Result<Option<R>> {
        let view = &self.state().view;
        lookup_observed(view, key, self.seq(), || self.now_ms(), observe, read).map_err(gone)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Error::Corruption`](crate::Error::Corruption) if a block on the way is damaged;
    /// [`Error::MergeFailed`](crate::Error::MergeFailed) if operands of the key cannot be merged;
    /// [`Error::FileGone`](crate::Error::FileGone); I/O errors.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        self.read(key.as_ref(), &mut (), |found| found.slice())
    }

    /// As [`ReadOnlyFamily::get`], and adds what it cost to `context`.
    ///
    /// # Errors
    /// As [`ReadOnlyFamily::get`].
    pub fn get_with_context(
        &self,
        key: impl AsRef<[u8]>,
        context: &mut ReadContext,
    ) -> Result<Option<Slice>> {
        self.read(key.as_ref(), context, |found| found.slice())
    }

    /// Hands the value of `key` to `read` where it stands, without copying or pinning it.
    ///
    /// # Errors
    /// As [`ReadOnlyFamily::get`].
    pub fn get_with<R>(&self, key: impl AsRef<[u8]>, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        self.read(key.as_ref(), &mut (), |found| read(found.bytes()))
    }

    /// Whether `key` is present.
    ///
    /// # Errors
    /// As [`ReadOnlyFamily::get`].
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.read(key.as_ref(), &mut WithoutValues, |_| ())?.is_some())
    }

    /// The values of many keys, in the order of `keys`.
    ///
    /// # Errors
    /// As [`ReadOnlyFamily::get`]; the first one met.
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Slice>>> {
        let mut values = vec![None; keys.len()];
        let (view, bytes) = (&self.state().view, keys.iter().map(AsRef::as_ref));
        let read = lookup_many(view, bytes, self.seq(), self.now_ms(), |at, found| {
            values[at] = Some(found.slice());
        });
        read.map_err(gone)?;
        Ok(values)
    }

    /// All entries in key order, from both ends.
    #[must_use]
    pub fn iter(&self) -> ReadOnlyIter {
        self.range::<&[u8], _>(..)
    }

    /// The entries of a range of keys, from both ends.
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> ReadOnlyIter {
        self.scan(ScanOptions::range(range))
    }

    /// The entries whose keys start with `prefix`, from both ends.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> ReadOnlyIter {
        self.scan(ScanOptions::prefix(prefix))
    }

    /// The entries that `options` say.
    #[must_use]
    pub fn scan(&self, options: ScanOptions) -> ReadOnlyIter {
        ReadOnlyIter::new(self, options)
    }

    /// A cursor over what `options` say, which stands nowhere yet.
    #[must_use]
    pub fn cursor(&self, options: ScanOptions) -> ReadOnlyCursor {
        ReadOnlyCursor::new(self, options)
    }

    /// Where `key` stands, what a get of it answers, and why, as
    /// [`ColumnFamily::explain`](crate::ColumnFamily::explain) says it of an open store.
    #[must_use]
    pub fn explain(&self, key: impl AsRef<[u8]>) -> Explanation {
        explain_at(self.name(), &self.state().view, key.as_ref(), self.seq(), self.now_ms())
    }
}
