//! Iterators of a transaction: its own writes over its snapshot.
//!
//! Both sides are sorted. From either end the nearer key is next; of equal keys the own write decides.
//! An entry of the snapshot that was fetched and not yet given out waits at the end that it was fetched
//! from; when the snapshot has no more between the ends, what waits at the other end is next.

use super::pending::{Write, Writes};
use super::tracked::Scanned;
use crate::base::error::Result;
use crate::base::slice::Slice;
use crate::base::sync::{Arc, Mutex};
use crate::db::{ColumnFamily, Iter, ScanOptions, Snapshot, value_and_expiry};
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;

/// The entries of a range as a transaction sees them: its snapshot and what it had written when the
/// iterator was made. In key order from the front, in reverse from the back. Owned.
///
/// An error is yielded once and ends the iterator.
pub struct TransactionIter {
    below: Iter,
    /// Fetched from the front of `below`, and not yet given out.
    front: Option<(Slice, Slice)>,
    /// The same from its back.
    back: Option<(Slice, Slice)>,
    own: Own,
    scanned: Option<Arc<Mutex<Scanned>>>,
    ended: bool,
}

/// The own writes that an iterator has not come to.
pub(super) struct Own {
    writes: Arc<Writes>,
    family: ColumnFamily,
    snapshot: Arc<Snapshot>,
    /// What was there when the iterator was made, for operands of keys that are read at present. They are
    /// locked then; when the iterator comes to them, the transaction may have ended.
    present: Arc<Snapshot>,
    now_ms: u64,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    keys_only: bool,
}

impl Own {
    pub(super) fn new(
        writes: Arc<Writes>,
        family: &ColumnFamily,
        (snapshot, present): (Arc<Snapshot>, Arc<Snapshot>),
        now_ms: u64,
        options: &ScanOptions,
    ) -> Own {
        let (lower, upper) = options.bounds();
        let (lower, upper) = (lower.clone(), upper.clone());
        let (family, keys_only) = (family.clone(), options.leaves_values_out());
        Own { writes, family, snapshot, present, now_ms, lower, upper, keys_only }
    }

    /// The write that is nearest to an end.
    fn nearest(&self, end: End) -> Option<(&Vec<u8>, &Write)> {
        if is_empty(&self.lower, &self.upper) {
            return None;
        }
        let bounds = (self.lower.as_ref().map(Vec::as_slice), self.upper.as_ref().map(Vec::as_slice));
        let mut own = self.writes.keys.range::<[u8], _>(bounds);
        if end == End::Front { own.next() } else { own.next_back() }
    }

    /// What is shown of a write.
    fn shown(&self, key: &[u8], write: &Write) -> Result<Option<(Slice, Slice)>> {
        let base = match write.changes_what_was_there() {
            Some(at_present) if !self.writes.hides(key) => {
                let shows = if at_present { &self.present } else { &self.snapshot };
                value_and_expiry(&self.family, Some(shows), key)?
            }
            _ => None,
        };
        let value = write.value(&self.family, key, base, self.now_ms)?;
        let shown = |(value, _)| (Slice::copy(key), if self.keys_only { Slice::default() } else { value });
        Ok(value.map(shown))
    }

    /// Goes past a key.
    fn pass(&mut self, key: Vec<u8>, end: End) {
        match end {
            End::Front => self.lower = Bound::Excluded(key),
            End::Back => self.upper = Bound::Excluded(key),
        }
    }
}

impl fmt::Debug for TransactionIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionIter").field("below", &self.below).finish_non_exhaustive()
    }
}

/// From which end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

impl TransactionIter {
    pub(super) fn new(below: Iter, own: Own, scanned: Option<Arc<Mutex<Scanned>>>) -> TransactionIter {
        TransactionIter { below, front: None, back: None, own, scanned, ended: false }
    }

    /// Fetches the entry of the snapshot that is nearest to an end, unless it is there already.
    fn fetch(&mut self, end: End) -> Result<()> {
        let (near, far) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        while near.is_none() {
            let next = if end == End::Front { self.below.next() } else { self.below.next_back() };
            match next.transpose()? {
                Some((key, _)) if self.own.writes.hides(&key) => {}
                Some(entry) => {
                    if let Some(scanned) = &self.scanned {
                        let below = &self.below;
                        let front = end == End::Front;
                        let at = if front { below.front_expires_at() } else { below.back_expires_at() };
                        scanned.lock().expires(&entry.0, at);
                    }
                    *near = Some(entry);
                }
                None => {
                    *near = far.take();
                    break;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, end: End) -> Result<Option<(Slice, Slice)>> {
        loop {
            self.fetch(end)?;
            let near = if end == End::Front { &self.front } else { &self.back };
            let Some((key, write)) = self.own.nearest(end) else {
                return Ok(self.take(end));
            };
            let order = near.as_ref().map(|(below, _)| {
                let order = key.as_slice().cmp(below);
                if end == End::Front { order } else { order.reverse() }
            });
            if order.is_some_and(|order| order.is_gt()) {
                return Ok(self.take(end));
            }
            let (shown, key) = (self.own.shown(key, write)?, key.clone());
            if order.is_some_and(|order| order.is_eq()) {
                self.take(end);
            }
            self.own.pass(key, end);
            if shown.is_some() {
                return Ok(shown);
            }
        }
    }

    fn take(&mut self, end: End) -> Option<(Slice, Slice)> {
        if end == End::Front { self.front.take() } else { self.back.take() }
    }

    fn advance(&mut self, end: End) -> Option<Result<(Slice, Slice)>> {
        if self.ended {
            return None;
        }
        let item = self.step(end).transpose();
        if let Some(scanned) = &self.scanned {
            let mut scanned = scanned.lock();
            match (&item, end) {
                (Some(Ok((key, _))), End::Front) => scanned.came_to(key),
                (Some(Ok((key, _))), End::Back) => scanned.came_back_to(key),
                // What was passed before the error was seen, too.
                _ => scanned.came_to_the_end(),
            }
        }
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Whether no key lies between the bounds; a map must not be asked for such a range.
fn is_empty(lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
    }
}

impl Iterator for TransactionIter {
    type Item = Result<(Slice, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(End::Front)
    }
}

impl DoubleEndedIterator for TransactionIter {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.advance(End::Back)
    }
}

impl FusedIterator for TransactionIter {}
