//! What is done with part of a family: compacting it, and reading it from both ends.

use crate::history::{Span, Step};
use esker::batch::FamilyRef;
use esker::{ColumnFamily, Iter, ScanOptions, Slice, Snapshot, WriteBatch};
use std::ops::Bound;

/// Keys with their values, in their order.
pub(crate) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Compacts part of a family; of a prefix at least what begins with it.
pub(crate) fn compact_span(handle: &ColumnFamily, span: &Span) -> esker::Result<()> {
    match span {
        Span::All => handle.compact_range::<&[u8], _>(..),
        Span::Range(from, to) => handle.compact_range((from.clone(), to.clone())),
        Span::Prefix(prefix) => handle.compact_range((Bound::Included(prefix.clone()), Bound::Unbounded)),
    }
}

/// Puts the removal of part of a family into a batch.
pub(crate) fn remove_span(batch: &mut WriteBatch, family: &impl FamilyRef, span: &Span, drop: bool) {
    match (span, drop) {
        (Span::All, false) => batch.delete_range::<&[u8], _>(family, ..),
        (Span::All, true) => batch.drop_range::<&[u8], _>(family, ..),
        (Span::Prefix(prefix), false) => batch.delete_prefix(family, prefix),
        (Span::Prefix(prefix), true) => batch.drop_prefix(family, prefix),
        (Span::Range(from, to), false) => batch.delete_range(family, (from.clone(), to.clone())),
        (Span::Range(from, to), true) => batch.drop_range(family, (from.clone(), to.clone())),
    };
}

/// What walks over part of a family.
pub(crate) fn scan_options(span: &Span) -> ScanOptions {
    match span {
        Span::All => ScanOptions::default(),
        Span::Range(from, to) => ScanOptions::range((from.clone(), to.clone())),
        Span::Prefix(prefix) => ScanOptions::prefix(prefix),
    }
}

/// An iterator over part of a family, at present or in a snapshot.
pub(crate) fn open_iter(
    handle: &ColumnFamily,
    snapshot: Option<&Snapshot>,
    span: &Span,
) -> esker::Result<Iter> {
    let bounds = |from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>| (from.clone(), to.clone());
    match (span, snapshot) {
        (Span::All, None) => handle.iter(),
        (Span::All, Some(snapshot)) => snapshot.iter(handle),
        (Span::Prefix(prefix), None) => handle.prefix(prefix),
        (Span::Prefix(prefix), Some(snapshot)) => snapshot.prefix(handle, prefix),
        (Span::Range(from, to), None) => handle.range(bounds(from, to)),
        (Span::Range(from, to), Some(snapshot)) => snapshot.range(handle, bounds(from, to)),
    }
}

/// Reads an iterator out from the chosen ends, and the end once more.
pub(crate) fn walk(mut iter: Iter, step: Step) -> esker::Result<Entries> {
    let owned = |(key, value): (Slice, Slice)| (key.to_vec(), value.to_vec());
    let (mut front, mut back) = (Vec::new(), Vec::new());
    for turn in 0.. {
        let from_front = match step {
            Step::Forward => true,
            Step::Reverse => false,
            Step::Mixed(seed) => seed.rotate_right(turn) & 1 == 0,
        };
        let entry = if from_front { iter.next() } else { iter.next_back() };
        if entry.as_ref().is_some_and(Result::is_err) {
            let (after, before) = (iter.next(), iter.next_back());
            let goes_on = [&after, &before].iter().any(|entry| matches!(entry, Some(Ok(_))));
            assert!(!goes_on, "an iterator goes on after an error");
        }
        match entry.transpose()?.map(owned) {
            Some(entry) if from_front => front.push(entry),
            Some(entry) => back.push(entry),
            None => break,
        }
    }
    assert!(iter.next().is_none() && iter.next_back().is_none(), "an iterator goes on behind its end");
    front.extend(back.into_iter().rev());
    Ok(front)
}
