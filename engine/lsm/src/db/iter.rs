//! Iterators over a range of keys.

use super::family::ColumnFamily;
use super::scan::{Scan, ScanOptions};
use super::snapshot::Snapshot;
use crate::base::error::Result;
use crate::base::key::NEVER;
use crate::base::observe::ReadContext;
use crate::base::slice::Slice;
use crate::tree::TreeCursor;
use std::fmt;
use std::iter::FusedIterator;

/// The entries of a range, in key order from the front and in reverse from the back, as of the
/// moment at which the iterator was made. Owned: it holds what it reads, and keeps the store open.
///
/// An error is yielded once and ends the iterator: what stands behind it is not skipped in silence.
pub struct Iter {
    front: Option<TreeCursor>,
    back: Option<TreeCursor>,
    ended: bool,
    scan: Scan,
    /// Entries that were not shown by cursors that are gone.
    skipped: u64,
}

impl fmt::Debug for Iter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("seq", &self.scan.seq()).finish_non_exhaustive()
    }
}

impl Iter {
    pub(super) fn new(
        family: &ColumnFamily,
        snapshot: Option<&Snapshot>,
        options: ScanOptions,
    ) -> Result<Iter> {
        let scan = Scan::new(family, snapshot, options)?;
        Ok(Iter { front: None, back: None, ended: false, scan, skipped: 0 })
    }

    /// Yields empty values, without reading more than the keys.
    #[must_use]
    pub fn keys_only(mut self) -> Iter {
        self.scan.options.set_keys_only();
        self
    }

    /// How many entries were met so far and not shown: deleted, expired, shadowed by newer ones, or too new.
    /// What a deleted range lets the iterator pass over in one step is not met.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let of = |cursor: &Option<TreeCursor>| cursor.as_ref().map_or(0, TreeCursor::skipped);
        self.skipped + of(&self.front) + of(&self.back)
    }

    /// What it has cost so far; `None` without [`ScanOptions::with_context`].
    #[must_use]
    pub fn context(&self) -> Option<ReadContext> {
        let of =
            |cursor: &Option<TreeCursor>| cursor.as_ref().map_or((0, 0), |c| (c.skipped(), c.operands()));
        let (front, back) = (of(&self.front), of(&self.back));
        self.scan.context(front.0 + back.0, front.1 + back.1)
    }

    /// When the entry that was yielded last from the front expires, in milliseconds since the epoch.
    pub(crate) fn front_expires_at(&self) -> u64 {
        self.front.as_ref().filter(|cursor| cursor.valid()).map_or(NEVER, TreeCursor::expires_at)
    }

    /// The same from the back.
    pub(crate) fn back_expires_at(&self) -> u64 {
        self.back.as_ref().filter(|cursor| cursor.valid()).map_or(NEVER, TreeCursor::expires_at)
    }

    /// After a failed sync goes on with what is durable, from where it stands: what was published
    /// and never reached the disk is not served any more.
    fn keep_to_durable(&mut self) -> Result<()> {
        if !self.scan.keeps_to_durable()? {
            return Ok(());
        }
        if let Some(front) = self.front.take() {
            self.scan.keep_context(&front);
            let mut cursor = self.scan.cursor();
            cursor.seek_for_prev(front.key())?;
            self.front = cursor.valid().then_some(cursor);
        }
        if let Some(back) = self.back.take() {
            self.scan.keep_context(&back);
            let mut cursor = self.scan.cursor();
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
            let timed = self.scan.begin_seek();
            self.front.insert(self.scan.cursor()).seek_to_first()?;
            self.scan.end_seek(timed);
        }
        let Some(front) = &self.front else { return Ok(None) };
        let met = self.back.as_ref().is_some_and(|back| !back.valid() || front.key() >= back.key());
        if !front.valid() || met {
            return Ok(None);
        }
        Ok(Some(entry(front, self.scan.options.leaves_values_out())))
    }

    fn step_back(&mut self) -> Result<Option<(Slice, Slice)>> {
        // The cursor is large: it is moved in its place, not taken out.
        if let Some(back) = &mut self.back {
            back.prev()?;
        } else {
            let timed = self.scan.begin_seek();
            self.back.insert(self.scan.cursor()).seek_to_last()?;
            self.scan.end_seek(timed);
        }
        let Some(back) = &self.back else { return Ok(None) };
        let met = self.front.as_ref().is_some_and(|front| !front.valid() || back.key() <= front.key());
        if !back.valid() || met {
            return Ok(None);
        }
        Ok(Some(entry(back, self.scan.options.leaves_values_out())))
    }

    fn settle(&mut self, step: Result<Option<(Slice, Slice)>>) -> Option<Result<(Slice, Slice)>> {
        let item = step.transpose();
        if !matches!(item, Some(Ok(_))) {
            self.ended = true;
            self.skipped = self.skipped();
            for gone in [self.front.take(), self.back.take()].iter().flatten() {
                self.scan.keep_context(gone);
            }
        }
        item
    }
}

fn entry(cursor: &TreeCursor, keys_only: bool) -> (Slice, Slice) {
    let value = if keys_only { Slice::default() } else { cursor.value_slice() };
    (Slice::copy(cursor.key()), value)
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
