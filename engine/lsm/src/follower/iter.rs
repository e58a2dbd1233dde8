//! Iterators over a range of keys.

use super::family::ReadOnlyFamily;
use super::walk::Walk;
use crate::base::error::Result;
use crate::base::observe::ReadContext;
use crate::base::slice::Slice;
use crate::db::ScanOptions;
use crate::tree::TreeCursor;
use std::fmt;
use std::iter::FusedIterator;

/// The entries of a range of a [`ReadOnlyFamily`], in key order from the front and in reverse from the back.
/// Owned: it holds what it reads.
///
/// An error is yielded once and ends the iterator: what stands behind it is not skipped in silence.
pub struct ReadOnlyIter {
    walk: Walk,
    front: Option<TreeCursor>,
    back: Option<TreeCursor>,
    ended: bool,
}

impl fmt::Debug for ReadOnlyIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyIter").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl ReadOnlyIter {
    pub(super) fn new(family: &ReadOnlyFamily, options: ScanOptions) -> ReadOnlyIter {
        ReadOnlyIter { walk: Walk::new(family, options), front: None, back: None, ended: false }
    }

    /// Yields empty values, without reading more than the keys.
    #[must_use]
    pub fn keys_only(mut self) -> ReadOnlyIter {
        self.walk.options.set_keys_only();
        self
    }

    /// What it has cost so far; `None` without [`ScanOptions::with_context`].
    #[must_use]
    pub fn context(&self) -> Option<ReadContext> {
        let of = |cursor: &Option<TreeCursor>| {
            cursor.as_ref().map_or((0, 0), |cursor| (cursor.skipped(), cursor.operands()))
        };
        let (front, back) = (of(&self.front), of(&self.back));
        self.walk.context(front.0 + back.0, front.1 + back.1)
    }

    fn step_front(&mut self) -> Result<Option<(Slice, Slice)>> {
        match &mut self.front {
            Some(front) => front.next()?,
            None => self.front.insert(self.walk.cursor()).seek_to_first()?,
        }
        let Some(front) = &self.front else { return Ok(None) };
        let met = self.back.as_ref().is_some_and(|back| !back.valid() || front.key() >= back.key());
        Ok((front.valid() && !met).then(|| self.entry(front)))
    }

    fn step_back(&mut self) -> Result<Option<(Slice, Slice)>> {
        match &mut self.back {
            Some(back) => back.prev()?,
            None => self.back.insert(self.walk.cursor()).seek_to_last()?,
        }
        let Some(back) = &self.back else { return Ok(None) };
        let met = self.front.as_ref().is_some_and(|front| !front.valid() || back.key() <= front.key());
        Ok((back.valid() && !met).then(|| self.entry(back)))
    }

    fn entry(&self, at: &TreeCursor) -> (Slice, Slice) {
        let value = if self.walk.options.leaves_values_out() { Slice::default() } else { at.value_slice() };
        (Slice::copy(at.key()), value)
    }

    fn settle(&mut self, step: Result<Option<(Slice, Slice)>>) -> Option<Result<(Slice, Slice)>> {
        let item = step.map_err(Walk::told).transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

impl Iterator for ReadOnlyIter {
    type Item = Result<(Slice, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step_front();
        self.settle(step)
    }
}

impl DoubleEndedIterator for ReadOnlyIter {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step_back();
        self.settle(step)
    }
}

impl FusedIterator for ReadOnlyIter {}
