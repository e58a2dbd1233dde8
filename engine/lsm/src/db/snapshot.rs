//! A held view of the whole store.

use super::family::ColumnFamily;
use super::inner::Inner;
use super::iter::Iter;
use super::read;
use super::scan::ScanOptions;
use crate::base::error::Result;
use crate::base::key::SeqNum;
use crate::base::observe::ReadContext;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::commit::Task;
use crate::tree::{Family, Registered, View};
use crate::tree::{Held, Pin, PinKind};
use std::ops::RangeBounds;

/// The state of all column families at one moment, time included: what had not expired when it was
/// taken does not expire in it. Owned; it keeps the store open, and keeps compactions from removing
/// what it sees, until it is dropped.
///
/// A family that was created later reads as empty; one that was dropped answers
/// [`crate::Error::FamilyDropped`].
#[derive(Debug)]
pub struct Snapshot {
    inner: Arc<Inner>,
    seq: SeqNum,
    now_ms: u64,
    /// Views of families that were being filtered when it was taken.
    views: Vec<(Arc<Family>, Arc<View>)>,
    _pin: Pin,
}

impl Snapshot {
    pub(super) fn new(inner: Arc<Inner>) -> Snapshot {
        let store = &inner.store;
        let registered = store.snapshots.register(|| store.read_seq(), || store.clock.now_ms());
        let Registered { seq, now_ms, views } = registered;
        let since = store.clock.source().monotonic();
        let pinned = views.iter().map(|(family, view)| (family.clone(), Arc::downgrade(view))).collect();
        let pin = store.pins.hold(Held { kind: PinKind::Snapshot, seq, since, view: None, pinned });
        Snapshot { inner, seq, now_ms, views, _pin: pin }
    }

    /// The view of a family that it must read instead of the present one.
    pub(super) fn pinned_view(&self, family: &Family) -> Option<&Arc<View>> {
        self.views.iter().find(|(of, _)| of.id() == family.id()).map(|(_, view)| view)
    }

    /// The view of a family to read.
    pub(super) fn view(&self, family: &Family) -> Arc<View> {
        self.pinned_view(family).cloned().unwrap_or_else(|| family.view())
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The last sequence number that it sees.
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        self.seq
    }

    /// The last sequence number that it may show now.
    pub(super) fn read_seq(&self) -> SeqNum {
        self.inner.store.readable(self.seq)
    }

    /// The time against which entries expire for it, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The value that `key` of `family` had.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`]; [`crate::Error::WrongDatabase`] for a family of another store.
    pub fn get(&self, family: &ColumnFamily, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        read::get(family, Some(self), key.as_ref(), |found| found.slice())
    }

    /// As [`Snapshot::get`], and adds what it cost to `context`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get_with_context(
        &self,
        family: &ColumnFamily,
        key: impl AsRef<[u8]>,
        context: &mut ReadContext,
    ) -> Result<Option<Slice>> {
        read::get_observed(family, Some(self), key.as_ref(), context, |found| found.slice())
    }

    /// Whether `key` of `family` was present.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn contains_key(&self, family: &ColumnFamily, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(read::look(family, Some(self), key.as_ref(), |_| ())?.is_some())
    }

    /// The values of many keys, in the order of `keys`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn multi_get<K: AsRef<[u8]>>(&self, family: &ColumnFamily, keys: &[K]) -> Result<Vec<Option<Slice>>> {
        read::multi_get(family, Some(self), keys, |found| found.slice())
    }

    /// All entries of `family`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn iter(&self, family: &ColumnFamily) -> Result<Iter> {
        self.range::<&[u8], _>(family, ..)
    }

    /// The entries of a range of keys.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"a", b"1")?;
    /// let snapshot = db.snapshot();
    /// db.put(b"b", b"2")?;
    /// assert_eq!(snapshot.range(&db, "a"..)?.count(), 1);
    /// assert_eq!(db.range("a"..)?.count(), 2);
    /// # Ok(()) }
    /// ```
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, family: &ColumnFamily, range: R) -> Result<Iter> {
        self.scan(family, ScanOptions::range(range))
    }

    /// The entries whose keys start with `prefix`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn prefix(&self, family: &ColumnFamily, prefix: impl AsRef<[u8]>) -> Result<Iter> {
        self.scan(family, ScanOptions::prefix(prefix))
    }

    /// The entries that `options` say.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn scan(&self, family: &ColumnFamily, options: ScanOptions) -> Result<Iter> {
        Iter::new(family, Some(self), options)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.inner.store.snapshots.release(self.seq) {
            // Deletions that were kept for it may go now.
            self.inner.store.work.announce(Task::Compact);
        }
    }
}
