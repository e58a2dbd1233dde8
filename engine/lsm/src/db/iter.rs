//! Iterators over a range of keys.

use super::family::ColumnFamily;
use super::inner::Inner;
use super::read;
use super::snapshot::Snapshot;
use crate::base::error::Result;
use crate::base::key::SeqNum;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::tree::{Bounds, TreeCursor, View, scan};
use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};

/// The entries of a range, in key order from the front and in reverse from the back, as of the
/// moment at which the iterator was made. Owned: it holds what it reads, and keeps the store open.
///
/// An error is yielded once and ends the iterator: what stands behind it is not skipped in silence.
pub struct Iter {
    front: Option<TreeCursor>,
    back: Option<TreeCursor>,
    ended: bool,
    view: Arc<View>,
    seq: SeqNum,
    now_ms: u64,
    bounds: Bounds,
    keys_only: bool,
    /// Keeps the store open.
    inner: Arc<Inner>,
}

impl fmt::Debug for Iter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("seq", &self.seq).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Iter {
    pub(super) fn over<K: AsRef<[u8]>>(
        family: &ColumnFamily,
        snapshot: Option<&Snapshot>,
        range: &impl RangeBounds<K>,
    ) -> Result<Iter> {
        let own = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        Iter::new(family, snapshot, own(range.start_bound()), own(range.end_bound()))
    }

    pub(super) fn with_prefix(
        family: &ColumnFamily,
        snapshot: Option<&Snapshot>,
        prefix: &[u8],
    ) -> Result<Iter> {
        Iter::new(family, snapshot, Bound::Included(prefix.to_vec()), after_prefix(prefix))
    }

    fn new(
        family: &ColumnFamily,
        snapshot: Option<&Snapshot>,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
    ) -> Result<Iter> {
        read::check(family, snapshot)?;
        family.inner().scheduler.step();
        // The view is pinned before the sequence number is loaded: see `tree::View`.
        let view = match snapshot {
            Some(snapshot) => snapshot.view(family.family()),
            None => family.family().view(),
        };
        let (seq, now_ms) = match snapshot {
            Some(snapshot) => (snapshot.read_seq(), snapshot.now_ms()),
            None => (family.read_seq(), family.inner().store.clock.now_ms()),
        };
        Ok(Iter {
            front: None,
            back: None,
            ended: false,
            view,
            seq,
            now_ms,
            bounds: Bounds { lower, upper },
            keys_only: false,
            inner: family.inner().clone(),
        })
    }

    /// Yields empty values, without reading more than the keys.
    #[must_use]
    pub fn keys_only(mut self) -> Iter {
        self.keys_only = true;
        self
    }

    fn cursor(&self) -> TreeCursor {
        scan(&self.view, self.seq, self.now_ms, self.bounds.clone(), true)
    }

    /// After a failed sync goes on with what is durable, from where it stands: what was published
    /// and never reached the disk is not served any more.
    fn keep_to_durable(&mut self) -> Result<()> {
        let readable = self.inner.store.readable(self.seq);
        if readable >= self.seq {
            return Ok(());
        }
        self.seq = readable;
        if let Some(front) = self.front.take() {
            let mut cursor = self.cursor();
            cursor.seek_for_prev(front.key())?;
            self.front = cursor.valid().then_some(cursor);
        }
        if let Some(back) = self.back.take() {
            let mut cursor = self.cursor();
            cursor.seek(back.key())?;
            self.back = cursor.valid().then_some(cursor);
        }
        Ok(())
    }

    fn step_front(&mut self) -> Result<Option<(Slice, Slice)>> {
        // The cursor is large: it is moved in its place, not taken out.
        if let Some(front) = &mut self.front {
            front.next()?;
        } else {
            let mut front = self.cursor();
            front.seek_to_first()?;
            self.front = Some(front);
        }
        let Some(front) = &self.front else { return Ok(None) };
        let met = self.back.as_ref().is_some_and(|back| !back.valid() || front.key() >= back.key());
        if !front.valid() || met {
            return Ok(None);
        }
        Ok(Some(entry(front, self.keys_only)))
    }

    fn step_back(&mut self) -> Result<Option<(Slice, Slice)>> {
        // The cursor is large: it is moved in its place, not taken out.
        if let Some(back) = &mut self.back {
            back.prev()?;
        } else {
            let mut back = self.cursor();
            back.seek_to_last()?;
            self.back = Some(back);
        }
        let Some(back) = &self.back else { return Ok(None) };
        let met = self.front.as_ref().is_some_and(|front| !front.valid() || back.key() <= front.key());
        if !back.valid() || met {
            return Ok(None);
        }
        Ok(Some(entry(back, self.keys_only)))
    }

    fn settle(&mut self, step: Result<Option<(Slice, Slice)>>) -> Option<Result<(Slice, Slice)>> {
        let item = step.transpose();
        if !matches!(item, Some(Ok(_))) {
            self.ended = true;
            self.front = None;
            self.back = None;
        }
        item
    }
}

fn entry(cursor: &TreeCursor, keys_only: bool) -> (Slice, Slice) {
    let value = if keys_only { Slice::default() } else { cursor.value_slice() };
    (Slice::copy(cursor.key()), value)
}

/// The bound behind all keys that start with `prefix`.
fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    match prefix.iter().rposition(|byte| *byte != 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    }
}

impl Iterator for Iter {
    type Item = Result<(Slice, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.keep_to_durable().and_then(|()| self.step_front());
        self.settle(step)
    }
}

impl DoubleEndedIterator for Iter {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.keep_to_durable().and_then(|()| self.step_back());
        self.settle(step)
    }
}

impl FusedIterator for Iter {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_exact() {
        assert_eq!(after_prefix(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xff\xff"), Bound::Excluded(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff"), Bound::Unbounded);
        assert_eq!(after_prefix(b""), Bound::Unbounded);
    }
}
