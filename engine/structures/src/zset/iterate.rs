//! Walking over a sorted set: in the order of a keyed hash by a number, in the order of scores by a place.

use super::Entry;
use super::range::{Range, ScoreRange};
use super::records::read_score;
use super::view::View;
use crate::base::error::Result;
use crate::encoding::key::{INCARNATION_BYTES, POSITIONS, kind, kind_prefix, position_bytes, split_position};
use crate::store::{Access, Key, Store, Table, Unit};

/// About `count` members from `cursor` on, and the cursor to go on with, 0 at the end. A member that is there
/// from the first call to the last is shown. A small set is shown at once.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn scan(unit: &mut Unit<'_>, key: Key<'_>, cursor: u64, count: u64) -> Result<(u64, Vec<Entry>)> {
    let Some(view) = View::open(unit, key)? else { return Ok((0, Vec::new())) };
    if !view.meta.records {
        let entry = |found: Result<_>| {
            found.map(|found: crate::encoding::scored::Scored<'_>| (found.member.to_vec(), found.score))
        };
        return Ok((0, view.members().map(entry).collect::<Result<_>>()?));
    }
    let mut entries = Vec::new();
    if cursor >= POSITIONS {
        return Ok((0, entries));
    }
    let prefix = kind_prefix(key.keyspace, view.meta.incarnation, kind::SCORED);
    let mut at = unit.cursor(Table::Elements, &prefix)?;
    let mut found = at.seek(&[&prefix[..], &position_bytes(cursor)].concat())?;
    let mut last = None;
    while found {
        let (position, member) = split_position(at.key().get(INCARNATION_BYTES + 1..).unwrap_or_default())?;
        // Members of one position are shown together: a cursor cannot tell them apart.
        if entries.len() as u64 >= count && last != Some(position) {
            return Ok((last.map_or(0, |last| last + 1), entries));
        }
        entries.push((member.to_vec(), read_score(at.value())?));
        last = Some(position);
        found = at.next()?;
    }
    Ok((0, entries))
}

/// How many members an iterator reads at once.
const PAGE: u64 = 128;

/// The members of a sorted set in the order of their scores, a page of them in memory at a time. Each page is
/// of its own moment: a member whose score changes meanwhile may be shown twice, or not at all.
#[derive(Debug)]
pub struct Entries {
    store: Store,
    database: u32,
    name: Vec<u8>,
    range: ScoreRange,
    /// Who was shown last, until there is no more.
    last: Option<Option<Entry>>,
    page: std::vec::IntoIter<Entry>,
}

impl Entries {
    /// Of a sorted set, those in a range of scores.
    #[must_use]
    pub fn new(store: &Store, database: u32, name: &[u8], range: ScoreRange) -> Entries {
        let page = Vec::new().into_iter();
        Entries { store: store.clone(), database, name: name.to_vec(), range, last: Some(None), page }
    }

    fn turn(&mut self, last: Option<Entry>) -> Result<()> {
        let mut unit = self.store.unit();
        unit.begin(Access::Read);
        let key = Key { keyspace: unit.keyspace(self.database)?, name: &self.name };
        if let Some(view) = View::open(&mut unit, key)? {
            let mut page: Vec<Entry> = Vec::new();
            let each = |member: &[u8], score: f64| {
                page.push((member.to_vec(), score));
                (page.len() as u64) < PAGE
            };
            let whole = Range::Score(self.range);
            match &last {
                None => view.walk(&unit, &whole, false, 0, each)?,
                Some((member, score)) => view.walk_behind(&unit, &whole, (*score, member), each)?,
            }
            self.last = page.last().cloned().filter(|_| page.len() as u64 == PAGE).map(Some);
            self.page = page.into_iter();
        }
        let seq = unit.depends_on();
        drop(unit);
        self.store.wait(seq)
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            let last = self.last.take()?;
            if let Err(error) = self.turn(last) {
                return Some(Err(error));
            }
        }
    }
}
