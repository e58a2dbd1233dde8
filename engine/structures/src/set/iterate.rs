//! Walking over a set.

use super::records::View;
use crate::base::error::Result;
use crate::store::{Key, PAGE, Pages, Store, Stretch, Unit};

/// Hands every member to `each`, until it says `false`.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn all(unit: &mut Unit<'_>, key: Key<'_>, mut each: impl FnMut(&[u8]) -> bool) -> Result<()> {
    match View::load(unit, key)? {
        Some(view) => view.all(unit, |member| Ok(each(member))),
        None => Ok(()),
    }
}

/// The records of a large set, to be read piece by piece: [`crate::store::split_scattered`] has the member.
/// `None` of a small one, and where there is none.
///
/// # Errors
/// As [`all`]; [`crate::Error::Busy`] if the unit has written something.
pub fn stretch(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Stretch>> {
    let Some(view) = View::load(unit, key)?.filter(|view| view.meta.records) else { return Ok(None) };
    view.records().stretch(unit, view.meta.length).map(Some)
}

/// About `count` members from `cursor` on, and the cursor to go on with, 0 at the end. A member that is there
/// from the first call to the last is shown. A small set is shown at once.
///
/// # Errors
/// As [`all`].
pub fn scan(unit: &mut Unit<'_>, key: Key<'_>, cursor: u64, count: u64) -> Result<(u64, Vec<Vec<u8>>)> {
    match View::load(unit, key)? {
        Some(view) => view.page(unit, cursor, count),
        None => Ok((0, Vec::new())),
    }
}

/// The members of a set, a page of them in memory at a time, with the guarantee of [`scan`].
pub type Members = Pages<u64, Vec<u8>>;

/// Walks over a set.
#[must_use]
pub fn entries(store: &Store, database: u32, name: &[u8]) -> Members {
    Pages::new(store, (database, name), 0, |unit, key, cursor| {
        let (next, members) = scan(unit, key, cursor, PAGE)?;
        Ok((members, (next != 0).then_some(next)))
    })
}
