//! Members in records of their own, the step from the header to them, and a sorted set that is changed.

use super::counts::Counts;
use crate::base::error::{Error, Result};
use crate::base::hash::HashKey;
use crate::encoding::header::{Meta, Type, flag};
use crate::encoding::key::{self, INCARNATION_BYTES, kind, position_bytes};
use crate::encoding::limits::{
    COMPACT_ELEMENT_BYTES, COMPACT_SCORED, MAX_INLINE_BYTES, MAX_INLINE_ELEMENTS, MAX_NAME_BYTES,
};
use crate::encoding::score;
use crate::encoding::scored::{Members, SCORE_BYTES, Scored, State, front, level, levels, place};
use crate::store::{Key, Table, Unit};

/// The key of the record that has a member's score.
pub(super) fn member_key(hash: HashKey, keyspace: u64, incarnation: u64, member: &[u8]) -> Vec<u8> {
    key::element(keyspace, incarnation, kind::SCORED, &position_bytes(hash.hash53(member)), member)
}

/// What all records start with that stand in the order of scores.
pub(super) fn score_prefix(keyspace: u64, incarnation: u64) -> [u8; INCARNATION_BYTES + 1] {
    key::kind_prefix(keyspace, incarnation, kind::SCORE)
}

fn score_key(keyspace: u64, incarnation: u64, place: &[u8]) -> Vec<u8> {
    key::element(keyspace, incarnation, kind::SCORE, place, b"")
}

/// The score in the record of a member.
pub(super) fn read_score(record: &[u8]) -> Result<f64> {
    record.try_into().map(score::decode).map_err(|_| Error::malformed("the score of a member"))
}

/// Refuses what is too long.
pub(super) fn check(member: &[u8]) -> Result<()> {
    if member.len() > MAX_NAME_BYTES { Err(Error::MEMBER_TOO_LONG) } else { Ok(()) }
}

/// Behind everything that starts with a bound.
pub(super) fn behind(bound: &[u8]) -> Vec<u8> {
    let mut end = bound.to_vec();
    while end.pop_if(|byte| *byte == 0xff).is_some() {}
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// A sorted set that is being changed: what stands in its header is changed here and written by
/// [`Draft::finish`].
pub(super) struct Draft<'k> {
    key: Key<'k>,
    before: Option<Meta>,
    pub(super) meta: Meta,
    payload: Vec<u8>,
    /// What the header knows of records; nothing while there are none.
    state: State,
    /// The first or the last member may have gone: the bounds are to be found anew.
    lost: (bool, bool),
    changed: bool,
}

impl<'k> Draft<'k> {
    /// The sorted set under a key, or a new one.
    pub(super) fn open(unit: &mut Unit<'_>, key: Key<'k>) -> Result<Draft<'k>> {
        let found = unit.load_of(key, Type::SortedSet)?;
        let before = found.as_ref().map(|(meta, _)| *meta);
        let (meta, payload) = found.unwrap_or_else(|| (Meta::new(Type::SortedSet), Vec::new()));
        let state = if meta.records { State::decode(&payload)? } else { State::default() };
        Ok(Draft { key, before, meta, payload, state, lost: (false, false), changed: false })
    }

    fn counts(&self) -> Counts {
        let (keyspace, incarnation) = (self.key.keyspace, self.meta.incarnation);
        Counts { keyspace, incarnation, levels: self.state.levels }
    }

    /// The score of a member.
    pub(super) fn get(&self, unit: &Unit<'_>, member: &[u8]) -> Result<Option<f64>> {
        if !self.meta.records {
            return Ok(Members::new(&self.payload).find(member)?.map(|(score, _)| score));
        }
        let record = member_key(unit.hash_key(), self.key.keyspace, self.meta.incarnation, member);
        unit.get_with(Table::Elements, &record, read_score)?.transpose()
    }

    /// Reads the scores of these members together, which are looked at one by one next.
    pub(super) fn fetch<'m>(
        &self,
        unit: &mut Unit<'_>,
        members: impl ExactSizeIterator<Item = &'m [u8]>,
    ) -> Result<()> {
        if !self.meta.records || members.len() < 2 {
            return Ok(());
        }
        let (hash, keyspace, incarnation) = (unit.hash_key(), self.key.keyspace, self.meta.incarnation);
        unit.fetch(members.map(|member| member_key(hash, keyspace, incarnation, member)).collect())
    }

    /// Gives a member a score; `old` is the one that it has. What `check` refuses must have been refused.
    pub(super) fn set(
        &mut self,
        unit: &mut Unit<'_>,
        member: &[u8],
        old: Option<f64>,
        score: f64,
    ) -> Result<()> {
        self.changed = true;
        match old {
            Some(old) if old == score => return Ok(()),
            Some(old) => self.take_out(unit, member, old)?,
            None => {
                self.meta.length += 1;
                if self.meta.length > COMPACT_SCORED || member.len() > COMPACT_ELEMENT_BYTES {
                    self.meta.flags |= flag::WIDE;
                }
            }
        }
        if !self.meta.records {
            let at = Members::new(&self.payload).place_of(score, member)?;
            let mut entry = Vec::with_capacity(member.len() + 11);
            Scored { score, member }.put_inline(&mut entry);
            self.payload.splice(at..at, entry);
            return if self.is_small() { Ok(()) } else { self.split(unit) };
        }
        let (keyspace, incarnation) = (self.key.keyspace, self.meta.incarnation);
        let (place, hash) = (place(score, member), unit.hash_key());
        let record = member_key(hash, keyspace, incarnation, member);
        unit.put(Table::Elements, record, score::encode(score).to_vec());
        self.counts().insert(unit, &self.state.low, &place, level(hash.hash(member)))?;
        unit.put(Table::Elements, score_key(keyspace, incarnation, &place), Vec::new());
        let front = front(&place);
        if front < self.state.low.as_slice() {
            self.state.low = front.to_vec();
        }
        if front > self.state.high.as_slice() {
            self.state.high = front.to_vec();
        }
        if levels(self.meta.length) > self.state.levels {
            let mut counts = self.counts();
            counts.grow(unit, |place| level(hash.hash(place.get(SCORE_BYTES..).unwrap_or_default())))?;
            self.state.levels = counts.levels;
        }
        Ok(())
    }

    /// Removes a member, whose score is known.
    pub(super) fn remove(&mut self, unit: &mut Unit<'_>, member: &[u8], score: f64) -> Result<()> {
        self.changed = true;
        self.take_out(unit, member, score)?;
        if self.meta.records {
            let hash = unit.hash_key();
            let record = member_key(hash, self.key.keyspace, self.meta.incarnation, member);
            unit.delete(Table::Elements, record);
        }
        self.meta.length = self.meta.length.saturating_sub(1);
        Ok(())
    }

    /// Removes members that stand side by side, from `first` to `last`; there are others. A record for
    /// each, and ranges for their places and counts.
    pub(super) fn remove_run(
        &mut self,
        unit: &mut Unit<'_>,
        entries: &[super::Entry],
        first: &super::Entry,
        last: &super::Entry,
    ) -> Result<()> {
        self.changed = true;
        let (keyspace, incarnation, hash) = (self.key.keyspace, self.meta.incarnation, unit.hash_key());
        let (from, to) = (place(first.1, &first.0), [&place(last.1, &last.0)[..], &[0]].concat());
        self.counts().remove_run(unit, &from, &to, entries.len() as u64)?;
        let (start, end) = (score_key(keyspace, incarnation, &from), score_key(keyspace, incarnation, &to));
        unit.delete_range(Table::Elements, start, end);
        for (member, _) in entries {
            unit.delete(Table::Elements, member_key(hash, keyspace, incarnation, member));
        }
        self.lost.0 |= front(&from) <= self.state.low.as_slice();
        self.lost.1 |= front(&to) >= self.state.high.as_slice();
        self.meta.length = self.meta.length.saturating_sub(entries.len() as u64);
        Ok(())
    }

    /// Removes all members at once.
    pub(super) fn clear(&mut self) {
        self.changed = true;
        self.meta.length = 0;
    }

    /// Takes a member from its place in the order of scores.
    fn take_out(&mut self, unit: &mut Unit<'_>, member: &[u8], score: f64) -> Result<()> {
        if !self.meta.records {
            let range = Members::new(&self.payload).find(member)?.map(|(_, range)| range);
            self.payload.drain(range.unwrap_or(0..0));
            return Ok(());
        }
        let place = place(score, member);
        unit.delete(Table::Elements, score_key(self.key.keyspace, self.meta.incarnation, &place));
        self.counts().remove(unit, &place, level(unit.hash_key().hash(member)))?;
        self.lost.0 |= front(&place) <= self.state.low.as_slice();
        self.lost.1 |= front(&place) >= self.state.high.as_slice();
        Ok(())
    }

    fn is_small(&self) -> bool {
        self.payload.len() <= MAX_INLINE_BYTES && self.meta.length <= MAX_INLINE_ELEMENTS as u64
    }

    /// Gives each member records of its own.
    fn split(&mut self, unit: &mut Unit<'_>) -> Result<()> {
        let payload = std::mem::take(&mut self.payload);
        let members: Result<Vec<Scored<'_>>> = Members::new(&payload).collect();
        self.write_records(unit, &members?)
    }

    /// Writes the records of members that come in their order. The header has none yet.
    fn write_records(&mut self, unit: &mut Unit<'_>, members: &[Scored<'_>]) -> Result<()> {
        self.key.check()?;
        self.meta.incarnation = unit.new_incarnation(self.key)?;
        self.meta.records = true;
        let (keyspace, incarnation, hash) = (self.key.keyspace, self.meta.incarnation, unit.hash_key());
        let mut places = Vec::with_capacity(members.len());
        for Scored { score, member } in members {
            let place = place(*score, member);
            let record = member_key(hash, keyspace, incarnation, member);
            unit.put(Table::Elements, record, score::encode(*score).to_vec());
            unit.put(Table::Elements, score_key(keyspace, incarnation, &place), Vec::new());
            places.push((place, level(hash.hash(member))));
        }
        let bound = |place: Option<&(Vec<u8>, u8)>| place.map_or_else(Vec::new, |(p, _)| front(p).to_vec());
        self.state = State {
            levels: levels(members.len() as u64),
            low: bound(places.first()),
            high: bound(places.last()),
        };
        self.counts().build(unit, places.iter().map(|(place, level)| (&place[..], *level)));
        Ok(())
    }

    /// Finds the bounds anew where they were lost. The walk starts where the old ones stood, so it meets what
    /// this unit has removed and nothing older.
    fn find_bounds(&mut self, unit: &Unit<'_>) -> Result<()> {
        let prefix = score_prefix(self.key.keyspace, self.meta.incarnation);
        let mut cursor = unit.cursor(Table::Elements, &prefix)?;
        let place = |key: &[u8]| front(key.get(prefix.len()..).unwrap_or_default()).to_vec();
        if self.lost.0 && cursor.seek(&[&prefix[..], &self.state.low].concat())? {
            self.state.low = place(cursor.key());
        }
        if self.lost.1 && cursor.seek_for_prev(&[&prefix[..], &behind(&self.state.high)].concat())? {
            self.state.high = place(cursor.key());
        }
        Ok(())
    }

    /// Writes the header, or removes the key if nothing is left.
    pub(super) fn finish(mut self, unit: &mut Unit<'_>) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        if self.meta.length == 0 {
            if let Some(before) = &self.before {
                unit.delete_key(self.key, before);
            }
            return Ok(());
        }
        if self.meta.records {
            if self.lost != (false, false) {
                self.find_bounds(unit)?;
            }
            self.payload = self.state.encode();
        }
        unit.put_header(self.key, self.before.as_ref(), &mut self.meta, &self.payload)
    }

    /// Has a key hold these members, which come in their order, whatever it held. Without members it is
    /// removed.
    pub(super) fn replace(unit: &mut Unit<'_>, key: Key<'k>, members: &[Scored<'_>]) -> Result<()> {
        key.check()?;
        if let Some(before) = unit.meta(key)? {
            unit.delete_key(key, &before);
        }
        if members.is_empty() {
            return Ok(());
        }
        let meta = Meta { length: members.len() as u64, ..Meta::new(Type::SortedSet) };
        let (payload, state) = (Vec::new(), State::default());
        let mut draft =
            Draft { key, before: None, meta, payload, state, lost: (false, false), changed: true };
        if members.len() > MAX_INLINE_ELEMENTS {
            draft.write_records(unit, members)?;
        } else {
            members.iter().for_each(|member| member.put_inline(&mut draft.payload));
            if !draft.is_small() {
                draft.payload.clear();
                draft.write_records(unit, members)?;
            }
        }
        let compact = |member: &Scored<'_>| member.member.len() <= COMPACT_ELEMENT_BYTES;
        if draft.meta.length > COMPACT_SCORED || !members.iter().all(compact) {
            draft.meta.flags |= flag::WIDE;
        }
        draft.finish(unit)
    }
}
