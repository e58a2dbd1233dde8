//! Transactions that depend on keys which nobody else may have modified since they were looked at.

use super::run::Transaction;
use crate::base::error::Result;
use crate::store::{Store, Watching};

/// Keys that are watched: whether somebody modifies them is known without reading or locking them. Dropped,
/// it watches no longer.
///
/// ```
/// use esker_structures::Store;
///
/// /// Takes one off the stock, as long as there is any.
/// fn take(store: &Store) -> esker_structures::Result<bool> {
///     loop {
///         let watched = store.watched(0, &["stock"])?;
///         // Whatever is read from here on, and whoever is asked, others go on meanwhile.
///         let stock = store.db(0).string("stock").get()?.unwrap_or_default();
///         if stock.is_empty() || stock == b"0" {
///             return Ok(false);
///         }
///         let taken = watched.transact(|t| {
///             t.db(0).string("stock").increment(-1)?;
///             t.db(0).string("sold").increment(1)
///         })?;
///         if taken.is_some() {
///             return Ok(true);
///         }
///     }
/// }
/// # fn main() -> esker_structures::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::open(dir.path().join("data"))?;
/// store.db(0).string("stock").set("1")?;
/// assert!(take(&store)? && !take(&store)?);
///
/// let watched = store.watched(0, &["stock"])?;
/// store.db(0).string("stock").set("5")?;
/// assert!(watched.is_touched());
/// assert!(watched.transact(|t| t.db(0).string("sold").set("0"))?.is_none());
/// assert_eq!(store.db(0).string("sold").get()?.unwrap(), b"1");
/// # store.close() }
/// ```
#[derive(Debug)]
pub struct Watched {
    store: Store,
    watching: Watching,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.store.unwatch(&mut self.watching);
    }
}

impl Watched {
    /// Watches another key from now on.
    ///
    /// # Errors
    /// As [`Store::watched`].
    pub fn add(&mut self, database: u32, name: impl AsRef<[u8]>) -> Result<()> {
        self.store.watch(&mut self.watching, database, name.as_ref())
    }

    /// Whether one of the keys was modified, written with what it held, removed, or emptied with its database
    /// since it was added. That one has expired [`Watched::transact`] finds out.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.watching.is_touched()
    }

    /// As [`Store::transact`], if none of the keys was modified or has expired; otherwise `None`, and nothing
    /// is done. The keys are locked from the check to the end.
    ///
    /// # Errors
    /// As [`Store::transact`].
    pub fn transact<T>(self, mut body: impl FnMut(&Transaction<'_, '_>) -> Result<T>) -> Result<Option<T>> {
        self.store.transaction(|unit| {
            let keys = unit.watched(&self.watching)?;
            unit.lock(keys)?;
            if !unit.check_watched(&self.watching)? {
                // The answer tells of somebody's write.
                unit.depends_on_all();
                return Ok(None);
            }
            body(&Transaction::new(&self.store, unit)).map(Some)
        })
    }
}

impl Store {
    /// Watches keys, for a transaction that is done only if nobody modifies them meanwhile: see [`Watched`].
    ///
    /// # Errors
    /// [`crate::Error::DATABASE_RANGE`], [`crate::Error::KEY_TOO_LONG`]; what reading gives.
    pub fn watched<K: AsRef<[u8]>>(&self, database: u32, names: &[K]) -> Result<Watched> {
        let mut watched = Watched { store: self.clone(), watching: Watching::default() };
        for name in names {
            watched.add(database, name)?;
        }
        Ok(watched)
    }
}
