//! Point reads.

use super::family::ColumnFamily;
use super::snapshot::Snapshot;
use crate::base::error::{Error, Result};
use crate::base::observe::{Observe, WithoutValues};
use crate::base::sync::Arc;
use crate::tree::{Found, lookup_many, lookup_observed};

/// Looks `key` up at a snapshot, or in the present.
// Each caller has one of the two, and its copy has nothing of the other: a get pays 70 instructions for a
// function that can do both.
#[inline(always)]
pub(super) fn get<R>(
    family: &ColumnFamily,
    snapshot: Option<&Snapshot>,
    key: &[u8],
    read: impl FnOnce(Found<'_>) -> R,
) -> Result<Option<R>> {
    get_observed(family, snapshot, key, &mut (), read)
}

/// The same without the value, where that stands apart: for who asks only for what is known of it.
pub(super) fn look<R>(
    family: &ColumnFamily,
    snapshot: Option<&Snapshot>,
    key: &[u8],
    read: impl FnOnce(Found<'_>) -> R,
) -> Result<Option<R>> {
    get_observed(family, snapshot, key, &mut WithoutValues, read)
}

/// The same, and tells `observe` of its way.
#[inline(always)]
pub(super) fn get_observed<R>(
    family: &ColumnFamily,
    snapshot: Option<&Snapshot>,
    key: &[u8],
    observe: &mut impl Observe,
    read: impl FnOnce(Found<'_>) -> R,
) -> Result<Option<R>> {
    check(family, snapshot)?;
    family.inner().scheduler.step();
    let store = &family.inner().store;
    let (clock, timings) = (&store.clock, &store.timings);
    let _ends = timings.get.ends(timings.begin(clock.source()), clock.source());
    // The view is pinned before the sequence number is loaded: see `tree::View`.
    let view = family.family().pin();
    match snapshot {
        Some(snapshot) => {
            let view = snapshot.pinned_view(family.family()).unwrap_or(&view);
            lookup_observed(view, key, snapshot.read_seq(), || snapshot.now_ms(), observe, read)
        }
        None => lookup_observed(&view, key, family.read_seq(), || clock.now_ms(), observe, read),
    }
}

/// Looks many keys up in one view, at one sequence number and time.
pub(super) fn multi_get<K: AsRef<[u8]>, R>(
    family: &ColumnFamily,
    snapshot: Option<&Snapshot>,
    keys: &[K],
    show: impl Fn(Found<'_>) -> R,
) -> Result<Vec<Option<R>>> {
    check(family, snapshot)?;
    family.inner().scheduler.step();
    let store = &family.inner().store;
    let timed = store.timings.begin(store.clock.source());
    let view = match snapshot {
        Some(snapshot) => snapshot.view(family.family()),
        None => family.family().view(),
    };
    let (seq, now_ms) = match snapshot {
        Some(snapshot) => (snapshot.read_seq(), snapshot.now_ms()),
        None => (family.read_seq(), store.clock.now_ms()),
    };
    let mut values: Vec<Option<R>> = keys.iter().map(|_| None).collect();
    let bytes = keys.iter().map(AsRef::as_ref);
    lookup_many(&view, bytes, seq, now_ms, |at, found| values[at] = Some(show(found)))?;
    store.timings.multi_get.end(timed, store.clock.source());
    Ok(values)
}

/// The family must be there, and of the snapshot's store.
pub(super) fn check(family: &ColumnFamily, snapshot: Option<&Snapshot>) -> Result<()> {
    family.check()?;
    if snapshot.is_some_and(|s| !Arc::ptr_eq(s.inner(), family.inner())) {
        return Err(Error::WrongDatabase);
    }
    Ok(())
}
