//! The family in which prepared transactions stand, and those that are found there.

use super::options::FamilyOptions;
use crate::base::error::{Corruption, Result};
use crate::base::filename::FileKind;
use crate::commit::Store;
use crate::table::Access;
use crate::tree::{Bounds, scan};
use std::ops::Bound;

/// The family in which prepared transactions stand; made if there is none.
///
/// # Errors
/// Those of making a family.
pub(crate) fn family(store: &Store) -> Result<u32> {
    let options = FamilyOptions::default();
    store.prepared_family(options.encode(), options.rules())
}

/// Holds again what the transactions hold that are found, before anybody can write.
pub(super) fn hold_again(store: &Store) -> Result<()> {
    let Some(family) = store.prepared.family().and_then(|id| store.family_by_id(id)) else { return Ok(()) };
    let (id, view) = (family.id(), family.view());
    let bounds = Bounds { lower: Bound::Unbounded, upper: Bound::Unbounded };
    let (seq, now_ms) = (store.read_seq(), store.clock.now_ms());
    let mut cursor = scan(&view, seq, now_ms, bounds, Access::plain(true), None, true);
    cursor.seek_to_first()?;
    while cursor.valid() {
        let wrong = |expected: &str| {
            let found = format!("something else as {:?}", cursor.key().escape_ascii().to_string());
            Corruption::new(&FileKind::Current.path(&store.dir), 0, expected, found)
        };
        let name = std::str::from_utf8(cursor.key());
        let name = name.map_err(|_| wrong("the name of a prepared transaction"))?;
        store.hold_again(id, name, &cursor.value_slice()).map_err(|malformed| wrong(malformed.expected))?;
        cursor.next()?;
    }
    Ok(())
}
