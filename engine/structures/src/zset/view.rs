//! A sorted set that is read: by index, by score, by member.

use super::Entry;
use super::counts::Counts;
use super::range::{LexBound, Range, Window};
use super::records::{behind, member_key, read_score, score_prefix};
use crate::base::error::Result;
use crate::encoding::header::{Meta, Type};
use crate::encoding::scored::{Members, SCORE_BYTES, Scored, State, place, score_edge, split_place};
use crate::store::{Budget, Key, Stretch, Table, Unit, UnitCursor};

/// Up to so many members from an end, or of a LIMIT's offset, are walked over; more are found by the counts.
const NEAR: u64 = 64;

/// A sorted set as its header has it.
pub(super) struct View {
    keyspace: u64,
    pub(super) meta: Meta,
    payload: Vec<u8>,
    state: State,
}

/// Which members a range is.
enum Span {
    /// From one index up to another.
    Indexes(u64, u64),
    /// From one place up to another.
    Places(Vec<u8>, Vec<u8>),
}

impl View {
    /// The sorted set under a key.
    pub(super) fn open(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<View>> {
        let Some((meta, payload)) = unit.load_of(key, Type::SortedSet)? else { return Ok(None) };
        let state = if meta.records { State::decode(&payload)? } else { State::default() };
        Ok(Some(View { keyspace: key.keyspace, meta, payload, state }))
    }

    /// The score of a member.
    pub(super) fn score(&self, unit: &Unit<'_>, member: &[u8]) -> Result<Option<f64>> {
        if !self.meta.records {
            return Ok(Members::new(&self.payload).find(member)?.map(|(score, _)| score));
        }
        let record = member_key(unit.hash_key(), self.keyspace, self.meta.incarnation, member);
        unit.get_with(Table::Elements, &record, read_score)?.transpose()
    }

    /// The scores of several members, read together.
    pub(super) fn scores(&self, unit: &Unit<'_>, members: &[&[u8]]) -> Result<Vec<Option<f64>>> {
        if !self.meta.records {
            return members.iter().map(|member| self.score(unit, member)).collect();
        }
        let hash = unit.hash_key();
        let record = |member: &&[u8]| member_key(hash, self.keyspace, self.meta.incarnation, member);
        let records: Vec<Vec<u8>> = members.iter().map(record).collect();
        let found = unit.multi_get(Table::Elements, &records)?;
        found.into_iter().map(|record| record.map(|record| read_score(&record)).transpose()).collect()
    }

    fn inline(&self) -> Result<Vec<Scored<'_>>> {
        Members::new(&self.payload).collect()
    }

    fn counts(&self) -> Counts {
        let (keyspace, incarnation) = (self.keyspace, self.meta.incarnation);
        Counts { keyspace, incarnation, levels: self.state.levels }
    }

    fn prefix(&self) -> [u8; 17] {
        score_prefix(self.keyspace, self.meta.incarnation)
    }

    /// How many members stand before a place.
    fn rank_of(&self, unit: &Unit<'_>, place: &[u8]) -> Result<u64> {
        self.counts().rank(unit, &self.state.low, place)
    }

    /// How many members stand before one that is there.
    pub(super) fn rank(&self, unit: &Unit<'_>, score: f64, member: &[u8]) -> Result<u64> {
        if self.meta.records {
            return self.rank_of(unit, &place(score, member));
        }
        let members = self.inline()?;
        Ok(members.iter().take_while(|other| other.is_before(score, member)).count() as u64)
    }

    /// How many members a range has.
    pub(super) fn count(&self, unit: &Unit<'_>, range: &Range<'_>) -> Result<u64> {
        if !self.meta.records {
            let (from, to) = range.of_inline(&self.inline()?, false);
            return Ok((to - from) as u64);
        }
        match self.span(unit, range, false)? {
            Span::Indexes(from, to) => Ok(to - from),
            Span::Places(from, to) if from >= to => Ok(0),
            Span::Places(from, to) => {
                let before = self.rank_of(unit, &from)?;
                Ok(self.rank_of(unit, &to)?.saturating_sub(before))
            }
        }
    }

    /// Whether a range has all members: in a large set the first and the last are looked at, and nothing is
    /// counted.
    pub(super) fn is_all(&self, unit: &Unit<'_>, range: &Range<'_>) -> Result<bool> {
        if !self.meta.records || matches!(range, Range::Rank(..)) {
            return Ok(self.count(unit, range)? == self.meta.length);
        }
        for reverse in [false, true] {
            let mut ends = [None, None];
            for (range, end) in [range, &Range::ALL].into_iter().zip(&mut ends) {
                self.walk(unit, range, reverse, 0, |member, score| {
                    *end = Some((member.to_vec(), score));
                    false
                })?;
            }
            if ends[0] != ends[1] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands the members of a range to `each` in their order, or from the last to the first, until it says
    /// `false`; the first `offset` are left out.
    pub(super) fn walk(
        &self,
        unit: &Unit<'_>,
        range: &Range<'_>,
        reverse: bool,
        offset: u64,
        mut each: impl FnMut(&[u8], f64) -> bool,
    ) -> Result<()> {
        if !self.meta.records {
            let members = self.inline()?;
            let (from, to) = range.of_inline(&members, reverse);
            let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
            let found = members.get(from..to).unwrap_or_default().iter();
            let mut goes_on = |member: &Scored<'_>| each(member.member, member.score);
            if reverse {
                found.rev().skip(skipped).all(&mut goes_on);
            } else {
                found.skip(skipped).all(&mut goes_on);
            }
            return Ok(());
        }
        let span = self.span(unit, range, reverse)?;
        self.walk_span(unit, span, reverse, offset, each)
    }

    /// Hands the members of a range that stand behind one, which need not be there, to `each`.
    pub(super) fn walk_behind(
        &self,
        unit: &Unit<'_>,
        range: &Range<'_>,
        (score, member): (f64, &[u8]),
        mut each: impl FnMut(&[u8], f64) -> bool,
    ) -> Result<()> {
        let behind = [&place(score, member)[..], &[0]].concat();
        if self.meta.records {
            return match self.span(unit, range, false)? {
                Span::Places(from, to) => {
                    self.walk_span(unit, Span::Places(from.max(behind), to), false, 0, each)
                }
                Span::Indexes(..) => Ok(()),
            };
        }
        let members = self.inline()?;
        let (from, to) = range.of_inline(&members, false);
        let found = members.get(from..to).unwrap_or_default().iter();
        found.filter(|other| place(other.score, other.member) >= behind).all(|m| each(m.member, m.score));
        Ok(())
    }

    fn walk_span(
        &self,
        unit: &Unit<'_>,
        span: Span,
        reverse: bool,
        offset: u64,
        mut each: impl FnMut(&[u8], f64) -> bool,
    ) -> Result<()> {
        let prefix = self.prefix();
        let mut cursor = unit.cursor(Table::Elements, &prefix)?;
        let (mut found, mut left, from, to) = match span {
            Span::Indexes(from, to) if to.saturating_sub(from) <= offset => return Ok(()),
            Span::Indexes(from, to) => {
                let first = if reverse { to - 1 - offset } else { from + offset };
                let found = self.seek_index(unit, &mut cursor, first)?;
                (found, to - from - offset, Vec::new(), None)
            }
            Span::Places(from, to) if from >= to => return Ok(()),
            Span::Places(from, to) => {
                let found = self.seek_place(unit, &mut cursor, (&from, &to), reverse, offset)?;
                (found, u64::MAX, from, Some(to))
            }
        };
        while found && left > 0 {
            let place = cursor.key().get(prefix.len()..).unwrap_or_default();
            if place < from.as_slice() || to.as_deref().is_some_and(|to| place >= to) {
                break;
            }
            let (score, member) = split_place(place)?;
            if !each(member, score) {
                break;
            }
            left -= 1;
            found = if reverse { cursor.prev()? } else { cursor.next()? };
        }
        Ok(())
    }

    /// The members of a range; if there are more than `memory` takes, some of them.
    pub(super) fn entries(
        &self,
        unit: &Unit<'_>,
        range: &Range<'_>,
        window: Window,
        memory: &mut Budget,
    ) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if window.limit > 0 {
            self.walk(unit, range, window.reverse, window.offset, |member, score| {
                entries.push((member.to_vec(), score));
                memory.takes(member.len()) && (entries.len() as u64) < window.limit
            })?;
        }
        Ok(entries)
    }

    /// Which records a range is.
    fn span(&self, unit: &Unit<'_>, range: &Range<'_>, reverse: bool) -> Result<Span> {
        Ok(match range {
            Range::Rank(start, stop) => {
                let (from, to) = super::range::indexes(*start, *stop, self.meta.length, reverse);
                Span::Indexes(from, to)
            }
            Range::Score(range) => {
                Span::Places(score_edge(range.min, range.min_open), score_edge(range.max, !range.max_open))
            }
            Range::Lex(min, max) => {
                // All members have one score; if not, those of the first and the last bound the range.
                let mut cursor = unit.cursor(Table::Elements, &self.prefix())?;
                let from = if self.seek_index(unit, &mut cursor, 0)? { self.score_at(&cursor)? } else { 0.0 };
                let last = self.meta.length.saturating_sub(1);
                let to =
                    if self.seek_index(unit, &mut cursor, last)? { self.score_at(&cursor)? } else { 0.0 };
                Span::Places(lex_edge(from, min, true), lex_edge(to, max, false))
            }
        })
    }

    fn score_at(&self, cursor: &UnitCursor<'_>) -> Result<f64> {
        Ok(split_place(cursor.key().get(self.prefix().len()..).unwrap_or_default())?.0)
    }

    /// Puts a cursor on the n-th member.
    pub(super) fn seek_index(
        &self,
        unit: &Unit<'_>,
        cursor: &mut UnitCursor<'_>,
        index: u64,
    ) -> Result<bool> {
        let prefix = self.prefix();
        let from_end = self.meta.length.saturating_sub(1).saturating_sub(index);
        if from_end < NEAR && index >= NEAR {
            let mut found = cursor.seek_for_prev(&[&prefix[..], &behind(&self.state.high)].concat())?;
            for _ in 0..from_end {
                found = found && cursor.prev()?;
            }
            return Ok(found);
        }
        let (start, steps) =
            if index < NEAR { (Vec::new(), index) } else { self.counts().select(unit, index)? };
        let mut found = cursor.seek(&[&prefix[..], start.as_slice().max(&self.state.low)].concat())?;
        for _ in 0..steps {
            found = found && cursor.next()?;
        }
        Ok(found)
    }

    /// Puts a cursor on the first (or the last) member between two places, or `offset` further.
    fn seek_place(
        &self,
        unit: &Unit<'_>,
        cursor: &mut UnitCursor<'_>,
        (from, to): (&[u8], &[u8]),
        reverse: bool,
        offset: u64,
    ) -> Result<bool> {
        let prefix = self.prefix();
        if offset > NEAR {
            let before = self.rank_of(unit, if reverse { to } else { from })?;
            let index = if reverse { before.checked_sub(1 + offset) } else { before.checked_add(offset) };
            return match index.filter(|index| *index < self.meta.length) {
                Some(index) => self.seek_index(unit, cursor, index),
                None => Ok(false),
            };
        }
        let mut found = if reverse {
            let end = behind(&self.state.high);
            let end = [&prefix[..], to.min(&end)].concat();
            let found = cursor.seek_for_prev(&end)?;
            // `to` itself is outside.
            if found && cursor.key() == end { cursor.prev()? } else { found }
        } else {
            cursor.seek(&[&prefix[..], from.max(&self.state.low)].concat())?
        };
        for _ in 0..offset {
            found = found && if reverse { cursor.prev()? } else { cursor.next()? };
        }
        Ok(found)
    }

    /// The records of the members of a range, the first of which is known, to be read piece by piece. `None`
    /// of a small set.
    pub(super) fn stretch(
        &self,
        unit: &mut Unit<'_>,
        range: &Range<'_>,
        Window { reverse, offset, limit }: Window,
        first: &Entry,
    ) -> Result<Option<Stretch>> {
        if !self.meta.records {
            return Ok(None);
        }
        let count = self.count(unit, range)?.saturating_sub(offset).min(limit);
        let prefix = self.prefix();
        let from = [&prefix[..], &place(first.1, &first.0)].concat();
        unit.stretch(&prefix, from, reverse, count).map(Some)
    }

    /// The entries of a small set; nothing of others.
    pub(super) fn members(&self) -> Members<'_> {
        Members::new(if self.meta.records { b"" } else { &self.payload })
    }
}

/// Where members of a score begin to be behind a bound, or end to be before it.
fn lex_edge(score: f64, bound: &LexBound<'_>, is_min: bool) -> Vec<u8> {
    match bound {
        LexBound::Lowest => score_edge(score, false),
        LexBound::Highest => score_edge(score, true),
        LexBound::At { member, open } => {
            let mut edge = place(score, member);
            debug_assert!(edge.len() >= SCORE_BYTES);
            // An open minimum and a closed maximum stand behind the member.
            if *open == is_min {
                edge.push(0);
            }
            edge
        }
    }
}
