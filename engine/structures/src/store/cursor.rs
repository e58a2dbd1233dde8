//! A cursor over the records of a prefix as a unit of work sees them: the store's, and its own on top.

use super::cost::Tally;
use super::overlay::{Overlay, Own, Write, integer};
use super::unit::prefix_end;
use crate::base::error::Result;
use esker::Cursor;
use std::ops::Bound;

/// Moves both ways over the records of a prefix. Every movement says whether the cursor now stands on a
/// record. While a unit has written nothing there, it is the engine's cursor and nothing else.
#[derive(Debug)]
pub struct UnitCursor<'u> {
    below: Cursor,
    /// The unit's writes, if any concern the prefix.
    own: Option<&'u Overlay>,
    tally: &'u Tally,
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    at: At<'u>,
}

/// Where a cursor with own writes stands.
#[derive(Debug)]
enum At<'u> {
    Nowhere,
    /// On the engine's record.
    Below,
    /// On a record of the unit's.
    Own(&'u [u8], &'u [u8]),
    /// On a counter to which the unit adds.
    Sum(&'u [u8], [u8; 8]),
}

impl<'u> UnitCursor<'u> {
    pub(super) fn new(below: Cursor, own: &'u Overlay, tally: &'u Tally, prefix: &[u8]) -> UnitCursor<'u> {
        let to = prefix_end(prefix);
        let own = (!own.is_empty() && own.touches(prefix, to.as_deref())).then_some(own);
        UnitCursor { below, own, tally, from: prefix.to_vec(), to, at: At::Nowhere }
    }

    /// Whether it stands on a record.
    #[must_use]
    pub fn valid(&self) -> bool {
        if self.own.is_none() { self.below.valid() } else { !matches!(self.at, At::Nowhere) }
    }

    /// Counts a movement, and says whether it ended on a record.
    fn moved(&self) -> bool {
        self.tally.read(1, self.key().len() + self.value().len());
        self.valid()
    }

    /// The key. Empty while the cursor stands nowhere.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match &self.at {
            _ if self.own.is_none() => self.below.key(),
            At::Nowhere => b"",
            At::Below => self.below.key(),
            At::Own(key, _) | At::Sum(key, _) => key,
        }
    }

    /// The value. Empty while the cursor stands nowhere.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        match &self.at {
            _ if self.own.is_none() => self.below.value(),
            At::Nowhere => b"",
            At::Below => self.below.value(),
            At::Own(_, value) => value,
            At::Sum(_, value) => value,
        }
    }

    /// Moves to the first record.
    ///
    /// # Errors
    /// What the engine's cursor gives. The same goes for every movement.
    pub fn seek_to_first(&mut self) -> Result<bool> {
        let from = self.from.clone();
        self.seek(&from)
    }

    /// Moves to the first record at or after `key`.
    ///
    /// # Errors
    /// As [`UnitCursor::seek_to_first`].
    pub fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.below.seek(key)?;
        let Some(own) = self.own else { return Ok(self.moved()) };
        let key = key.max(&self.from).to_vec();
        self.settle_forward(own, Bound::Included(&key))
    }

    /// Moves to the next record. A cursor that stands nowhere stays there.
    ///
    /// # Errors
    /// As [`UnitCursor::seek_to_first`].
    #[allow(clippy::should_implement_trait, reason = "a cursor, which can also go back and fail")]
    pub fn next(&mut self) -> Result<bool> {
        let Some(own) = self.own else {
            self.below.next()?;
            return Ok(self.moved());
        };
        if !self.valid() {
            return Ok(false);
        }
        let stood = self.key().to_vec();
        if !self.below.valid() || self.below.key() < stood.as_slice() {
            self.below.seek(&stood)?;
        }
        if self.below.valid() && self.below.key() == stood {
            self.below.next()?;
        }
        self.settle_forward(own, Bound::Excluded(&stood))
    }

    /// Moves to the last record.
    ///
    /// # Errors
    /// As [`UnitCursor::seek_to_first`].
    pub fn seek_to_last(&mut self) -> Result<bool> {
        self.below.seek_to_last()?;
        let Some(own) = self.own else { return Ok(self.moved()) };
        let to = self.to.clone();
        self.settle_backward(own, to.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// Moves to the last record at or before `key`.
    ///
    /// # Errors
    /// As [`UnitCursor::seek_to_first`].
    pub fn seek_for_prev(&mut self, key: &[u8]) -> Result<bool> {
        self.below.seek_for_prev(key)?;
        let Some(own) = self.own else { return Ok(self.moved()) };
        if self.to.as_deref().is_some_and(|to| key >= to) {
            return self.seek_to_last();
        }
        self.settle_backward(own, Bound::Included(key))
    }

    /// Moves to the previous record. A cursor that stands nowhere stays there.
    ///
    /// # Errors
    /// As [`UnitCursor::seek_to_first`].
    pub fn prev(&mut self) -> Result<bool> {
        let Some(own) = self.own else {
            self.below.prev()?;
            return Ok(self.moved());
        };
        if !self.valid() {
            return Ok(false);
        }
        let stood = self.key().to_vec();
        if !self.below.valid() || self.below.key() > stood.as_slice() {
            self.below.seek_for_prev(&stood)?;
        }
        if self.below.valid() && self.below.key() == stood {
            self.below.prev()?;
        }
        self.settle_backward(own, Bound::Excluded(&stood))
    }

    /// Stands on the first record from `from` on, the engine's cursor being there or behind.
    fn settle_forward(&mut self, own: &'u Overlay, from: Bound<&[u8]>) -> Result<bool> {
        while self.below.valid() && hidden(own, self.below.key()) {
            self.below.next()?;
        }
        let upper = self.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let empty =
            matches!((from, upper), (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b)) if a >= b);
        let mut writes = (!empty).then(|| own.writes.range::<[u8], _>((from, upper))).into_iter().flatten();
        let write = writes.find(|(_, write)| **write != Write::Delete);
        let below = self.below.valid().then(|| self.below.key());
        let takes_own = |key: &[u8]| below.is_none_or(|below| key <= below);
        self.at = stand(write.filter(|(key, _)| takes_own(key)), &self.below);
        Ok(self.moved())
    }

    /// Stands on the last record up to `to`, the engine's cursor being there or before.
    fn settle_backward(&mut self, own: &'u Overlay, to: Bound<&[u8]>) -> Result<bool> {
        while self.below.valid() && hidden(own, self.below.key()) {
            self.below.prev()?;
        }
        let lower = Bound::Included(self.from.as_slice());
        let empty = match to {
            Bound::Included(to) => to < self.from.as_slice(),
            Bound::Excluded(to) => to <= self.from.as_slice(),
            Bound::Unbounded => false,
        };
        let mut writes =
            (!empty).then(|| own.writes.range::<[u8], _>((lower, to)).rev()).into_iter().flatten();
        let write = writes.find(|(_, write)| **write != Write::Delete);
        let below = self.below.valid().then(|| self.below.key());
        let takes_own = |key: &[u8]| below.is_none_or(|below| key >= below);
        self.at = stand(write.filter(|(key, _)| takes_own(key)), &self.below);
        Ok(self.moved())
    }
}

/// Whether the engine's record under a key does not show: counters do, with what is added.
fn hidden(own: &Overlay, key: &[u8]) -> bool {
    !matches!(own.look(key), Own::Below | Own::Add(_))
}

fn stand<'u>(write: Option<(&'u Vec<u8>, &'u Write)>, below: &Cursor) -> At<'u> {
    match write {
        Some((key, Write::Put(value))) => At::Own(key, value),
        Some((key, Write::Add(delta))) => {
            let same = below.valid() && below.key() == key.as_slice();
            let base = if same { integer(below.value()) } else { 0 };
            At::Sum(key, base.wrapping_add(*delta).to_le_bytes())
        }
        _ if below.valid() => At::Below,
        _ => At::Nowhere,
    }
}
