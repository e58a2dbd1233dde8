//! The transactions that are prepared.

use super::read_only::ReadOnlyDb;
use super::source::gone;
use crate::base::error::{Corruption, Result};
use crate::base::filename::FileKind;
use crate::commit::Hold;
use crate::table::Access;
use crate::tree::{Bounds, scan};
use std::ops::Bound;

/// A transaction that was [prepared](crate::Transaction::prepare) and neither committed nor rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOnlyPrepared {
    /// The name under which it was prepared.
    pub name: String,
    /// When it was prepared, by the store's expiry clock, in milliseconds since the epoch.
    pub prepared_ms: u64,
    /// How many operations it writes.
    pub writes: usize,
    /// The keys that it holds, each with the name of its column family, in order.
    pub keys: Vec<(String, Vec<u8>)>,
    /// What it is stored in, in bytes: names, keys and values.
    pub bytes: u64,
}

impl ReadOnlyDb {
    /// The transactions that are prepared, in the order of their names.
    ///
    /// # Errors
    /// As [`get`](crate::ReadOnlyFamily::get); [`Error::Corruption`](crate::Error::Corruption) for a stored
    /// form that is none.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// # let db = esker::Db::open(&path)?;
    /// let mut transaction = db.begin(Default::default())?;
    /// transaction.put(&db, b"k", b"v")?;
    /// transaction.prepare("transfer 17", esker::Durability::Sync)?;
    /// let prepared = esker::Db::open_read_only(&path)?.prepared()?;
    /// assert_eq!(prepared[0].name, "transfer 17");
    /// assert_eq!(prepared[0].keys, [("default".to_owned(), b"k".to_vec())]);
    /// # Ok(()) }
    /// ```
    pub fn prepared(&self) -> Result<Vec<ReadOnlyPrepared>> {
        let all = self.all();
        let family = all.prepared.and_then(|id| all.families.iter().find(|family| family.id == id));
        let Some(family) = family else { return Ok(Vec::new()) };
        let bounds = Bounds { lower: Bound::Unbounded, upper: Bound::Unbounded };
        let mut cursor =
            scan(&family.view, all.seq, all.clock.now_ms(), bounds, Access::plain(true), None, true);
        let mut found = Vec::new();
        cursor.seek_to_first().map_err(gone)?;
        while cursor.valid() {
            let wrong = |expected: &str| {
                let found = format!("something else as {:?}", cursor.key().escape_ascii().to_string());
                Corruption::new(&FileKind::Current.path(all.source.dir()), 0, expected, found)
            };
            let name = std::str::from_utf8(cursor.key());
            let name = name.map_err(|_| wrong("the name of a prepared transaction"))?.to_owned();
            let hold = Hold::decode(0, family.id, &name, cursor.value());
            let hold = hold.map_err(|malformed| wrong(malformed.expected))?;
            let family_name = |id: u32| {
                let family = all.families.iter().find(|family| family.id == id);
                family.map_or_else(|| id.to_string(), |family| family.name.to_string())
            };
            let keys = hold.keys().iter().map(|held| (family_name(held.family), held.key.clone()));
            let (prepared_ms, writes, bytes) = (hold.prepared_ms(), hold.writes(), hold.bytes());
            found.push(ReadOnlyPrepared { prepared_ms, writes, keys: keys.collect(), bytes, name });
            cursor.next().map_err(gone)?;
        }
        Ok(found)
    }
}
