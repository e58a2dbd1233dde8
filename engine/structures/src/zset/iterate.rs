//! Walking over a sorted set: in the order of a keyed hash by a number, in the order of scores by a place.

use super::Entry;
use super::range::{Range, ScoreRange};
use super::records::read_score;
use super::view::View;
use crate::base::error::Result;
use crate::encoding::key::{kind, kind_prefix};
use crate::store::{Key, PAGE, Pages, Scattered, Store, Unit};

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
    let members = Scattered::new(kind_prefix(key.keyspace, view.meta.incarnation, kind::SCORED));
    let next = members.page(unit, cursor, count, |member, record| {
        entries.push((member.to_vec(), read_score(record)?));
        Ok(())
    })?;
    Ok((next, entries))
}

/// The members of a sorted set in the order of their scores, a page of them in memory at a time. A member
/// whose score changes meanwhile may be shown twice, or not at all.
pub type Entries = Pages<Option<Entry>, Entry>;

/// Walks over the members of a sorted set in a range of scores.
#[must_use]
pub fn entries(store: &Store, database: u32, name: &[u8], range: ScoreRange) -> Entries {
    Pages::new(store, (database, name), None, move |unit, key, last: Option<Entry>| {
        let Some(view) = View::open(unit, key)? else { return Ok((Vec::new(), None)) };
        let (mut page, whole) = (Vec::new(), Range::Score(range));
        let each = |member: &[u8], score: f64| {
            page.push((member.to_vec(), score));
            (page.len() as u64) < PAGE
        };
        match &last {
            None => view.walk(unit, &whole, false, 0, each)?,
            Some((member, score)) => view.walk_behind(unit, &whole, (*score, member), each)?,
        }
        let next = page.last().cloned().filter(|_| page.len() as u64 == PAGE);
        Ok((page, next.map(Some)))
    })
}
