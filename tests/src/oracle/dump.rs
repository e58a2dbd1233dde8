//! What stands in a store, read from the outside.

use super::state::short;
use esker::batch::FamilyRef;
use std::collections::BTreeMap;
use std::fmt;

/// The visible content of every family.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// Families by name, each with its entries.
    pub families: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// The store's own time, against which entries expire, in milliseconds since the epoch.
    pub now_ms: u64,
}

impl Dump {
    /// Reads a store through its iterators.
    ///
    /// # Errors
    /// The first that a read gives.
    pub fn read(db: &esker::Db) -> esker::Result<Dump> {
        let mut families = BTreeMap::new();
        for name in db.column_families() {
            let mut entries = BTreeMap::new();
            for entry in db.open_column_family(&name)?.iter()? {
                let (key, value) = entry?;
                entries.insert(key.to_vec(), value.to_vec());
            }
            families.insert(name, entries);
        }
        Ok(Dump { families, now_ms: db.now_ms() })
    }

    /// The value of a key; `None` also if there is no such family.
    #[must_use]
    pub fn get(&self, family: &str, key: &[u8]) -> Option<&[u8]> {
        self.families.get(family)?.get(key).map(Vec::as_slice)
    }
}

impl fmt::Debug for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, entries) in &self.families {
            writeln!(f, "{name}:")?;
            for (key, value) in entries {
                writeln!(f, "  {} = {} bytes {}", key.escape_ascii(), value.len(), short(value))?;
            }
        }
        Ok(())
    }
}
