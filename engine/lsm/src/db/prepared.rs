//! The family in which prepared transactions stand, and those that are found there.

use super::family::ColumnFamily;
use super::inner::Inner;
use super::options::FamilyOptions;
use crate::base::error::{Corruption, Result};
use crate::base::filename::FileKind;
use crate::base::sync::Arc;
use crate::commit::Store;

/// The family in which prepared transactions stand; made if there is none.
///
/// # Errors
/// Those of making a family.
pub(crate) fn family(store: &Store) -> Result<u32> {
    let options = FamilyOptions::default();
    store.prepared_family(options.encode(), options.rules())
}

/// Holds again what the transactions hold that are found, before anybody writes.
pub(super) fn hold_again(inner: &Arc<Inner>) -> Result<()> {
    let store = &inner.store;
    let Some(family) = store.prepared.family().and_then(|id| store.family_by_id(id)) else { return Ok(()) };
    let id = family.id();
    for entry in ColumnFamily::new(inner.clone(), family).iter()? {
        let (name, stored) = entry?;
        let wrong = |expected: &str, found: &str| {
            let found = format!("{found} in {:?}", name.escape_ascii().to_string());
            Corruption::new(&FileKind::Current.path(&store.dir), 0, expected, found)
        };
        let text = std::str::from_utf8(&name).map_err(|_| wrong("the name of a transaction", "other bytes"))?;
        let held = store.hold_again(id, text, &stored);
        held.map_err(|e| wrong(e.expected, "something else"))?;
    }
    Ok(())
}
