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
use crate::db::Iter;
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
    own: Arc<Writes>,
    now_ms: u64,
    /// What is left of the range for the own writes.
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    scanned: Option<Arc<Mutex<Scanned>>>,
    ended: bool,
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
    pub(super) fn new(
        below: Iter,
        own: Arc<Writes>,
        now_ms: u64,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
        scanned: Option<Arc<Mutex<Scanned>>>,
    ) -> TransactionIter {
        TransactionIter { below, front: None, back: None, own, now_ms, lower, upper, scanned, ended: false }
    }

    /// The own write that is nearest to an end.
    fn nearest_own(&self, end: End) -> Option<(&Vec<u8>, &Write)> {
        if is_empty(&self.lower, &self.upper) {
            return None;
        }
        let bounds = (self.lower.as_ref().map(Vec::as_slice), self.upper.as_ref().map(Vec::as_slice));
        let mut own = self.own.range::<[u8], _>(bounds);
        if end == End::Front { own.next() } else { own.next_back() }
    }

    /// Fetches the entry of the snapshot that is nearest to an end, unless it is there already.
    fn fetch(&mut self, end: End) -> Result<()> {
        let (near, far) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if near.is_none() {
            let next = if end == End::Front { self.below.next() } else { self.below.next_back() };
            *near = next.transpose()?.or_else(|| far.take());
        }
        Ok(())
    }

    fn step(&mut self, end: End) -> Result<Option<(Slice, Slice)>> {
        loop {
            self.fetch(end)?;
            let near = if end == End::Front { &self.front } else { &self.back };
            let Some((key, write)) = self.nearest_own(end) else {
                return Ok(self.take(end));
            };
            let order = near.as_ref().map(|(below, _)| {
                let order = key.as_slice().cmp(below);
                if end == End::Front { order } else { order.reverse() }
            });
            if order.is_some_and(|order| order.is_gt()) {
                return Ok(self.take(end));
            }
            let shown = write.value(self.now_ms).map(|value| (Slice::copy(key), value.clone()));
            let key = key.clone();
            if order.is_some_and(|order| order.is_eq()) {
                self.take(end);
            }
            match end {
                End::Front => self.lower = Bound::Excluded(key),
                End::Back => self.upper = Bound::Excluded(key),
            }
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
