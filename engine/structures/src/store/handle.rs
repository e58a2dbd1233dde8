//! The handle of an open store.

use super::cost::{Cost, Spent};
use super::counts::AllCounts;
use super::databases::Databases;
use super::headers::Key;
use super::incarnations::Incarnations;
use super::locks::Stripes;
use super::open::Builder;
use super::scans::Scans;
use super::sweep::{self, Sweep, Swept};
use super::unit::{Access, Table, Unit};
use super::watch::{Registry, Watching};
use crate::base::error::{Error, Result};
use crate::base::hash::HashKey;
use crate::encoding::header::{Meta, NEVER};
use crate::encoding::key;
use esker::base::random::Random;
use esker::{ColumnFamily, Db, Durability};
use parking_lot::Mutex;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread::JoinHandle;
use std::time::Duration;

/// A key that was removed because it had expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The number of its database.
    pub database: u32,
    /// Its name.
    pub key: Vec<u8>,
}

/// Who is told of keys that expire.
pub(super) type OnExpired = Arc<dyn Fn(&Expired) + Send + Sync>;

/// A store of structures: strings, hashes and the rest, in numbered databases. Cheap to clone, usable from
/// any thread; closed when the last clone is dropped, or by [`Store::close`].
///
/// ```
/// # fn main() -> esker_structures::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let store = esker_structures::Store::open(dir.path().join("data"))?;
/// store.db(0).string("greeting").set("hello")?; // on disk when it returns
/// store.db(0).hash("user:1").set("name", "Ada")?;
/// assert_eq!(store.db(0).hash("user:1").get("name")?.unwrap(), b"Ada");
/// store.close()
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Store(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) db: Db,
    pub(super) headers: ColumnFamily,
    pub(super) elements: ColumnFamily,
    pub(super) index: ColumnFamily,
    pub(super) databases: Databases,
    pub(super) stripes: Stripes,
    pub(super) counts: AllCounts,
    pub(super) incarnations: Incarnations,
    pub(super) watch: Registry,
    pub(super) ranks: crate::ranks::Known,
    pub(super) hash_key: HashKey,
    pub(super) random: Random,
    pub(super) durability: Durability,
    /// What a command may hold at once.
    pub(super) command_bytes: AtomicUsize,
    pub(super) on_expired: Option<OnExpired>,
    pub(super) scans: Scans,
    pub(super) spent: Spent,
    /// Whether what is mirrored here has followed a failed sync.
    pub(super) fell_back: AtomicBool,
    pub(super) sweep: Arc<Sweep>,
    pub(super) sweeper: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The sweeper holds no reference while it waits; it ends by itself.
        self.sweep.stop();
    }
}

impl Inner {
    pub(super) fn family(&self, table: Table) -> &ColumnFamily {
        match table {
            Table::Headers => &self.headers,
            Table::Elements => &self.elements,
            Table::Index => &self.index,
        }
    }

    /// Tells of keys that the write with number `seq` has removed: with [`Durability::Sync`] once a loss of
    /// power cannot bring them back.
    pub(super) fn tell_expired(&self, events: Vec<Expired>, seq: u64) {
        let Some(callback) = self.on_expired.clone().filter(|_| !events.is_empty()) else { return };
        if self.durability == Durability::Sync {
            // What will never be durable was not removed: the next one to come there tells.
            let tell = move |result: esker::Result<()>| {
                if result.is_ok() {
                    events.iter().for_each(|event| callback(event));
                }
            };
            self.db.on_durable(seq, tell);
        } else {
            events.iter().for_each(|event| callback(event));
        }
    }
}

impl Store {
    /// Opens the store in the directory `path` with default options; creates it if there is none.
    ///
    /// # Errors
    /// See [`Builder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Store> {
        Store::builder(path).open()
    }

    /// Opens a store with other options.
    #[must_use]
    pub fn builder(path: impl AsRef<Path>) -> Builder {
        Builder::new(path.as_ref())
    }

    /// The engine below. What is written past this layer breaks it; statistics, backups and waiting for
    /// durability are what it is for.
    #[must_use]
    pub fn engine(&self) -> &Db {
        &self.0.db
    }

    /// How many databases there are.
    #[must_use]
    pub fn databases(&self) -> u32 {
        self.0.databases.len() as u32
    }

    /// Begins a unit of work. It holds back whoever empties or swaps databases, to its end; so a thread that
    /// has one must not begin another.
    #[must_use]
    pub fn unit(&self) -> Unit<'_> {
        Unit::new(&self.0, false)
    }

    /// Begins a unit of work when no other is under way, and has all others wait for it.
    #[must_use]
    pub fn unit_alone(&self) -> Unit<'_> {
        Unit::new(&self.0, true)
    }

    /// Waits until `seq` is as durable as the store was opened for.
    ///
    /// # Errors
    /// What [`Db::wait_durable`] gives.
    pub fn wait(&self, seq: u64) -> Result<()> {
        if self.0.durability == Durability::Sync && seq > self.0.db.durable_seq() {
            self.0.db.wait_durable(seq)?;
        }
        Ok(())
    }

    /// Whether what is answered must survive a loss of power ([`Durability::Sync`]) or a kill of the
    /// process.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.0.durability
    }

    /// Whether the disk is full, so that what adds anything is refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.db.is_full()
    }

    /// Runs `body` on a unit of its own, commits it, and waits as [`Store::wait`] does. If the unit meets
    /// locks in an order in which it must not wait, it is rolled back and `body` runs again with all of them
    /// held.
    ///
    /// # Errors
    /// Those of `body`, which leave nothing written; what committing gives.
    pub fn transaction<T>(&self, mut body: impl FnMut(&mut Unit<'_>) -> Result<T>) -> Result<T> {
        let mut unit = self.unit();
        let mut known: Vec<u16> = Vec::new();
        let (result, seq) = loop {
            unit.lock_stripes(known.clone())?;
            let result = body(&mut unit);
            // Also where `body` has kept the error to itself: what it read was not locked.
            let missing = unit.take_missing();
            if matches!(result, Err(Error::Busy)) || (result.is_ok() && !missing.is_empty()) {
                // The next attempt takes in order what this one held and what it lacked.
                known = unit.stripes();
                known.extend(missing);
                unit.roll_back();
            } else {
                break (result?, unit.commit()?);
            }
        };
        drop(unit);
        self.wait(seq)?;
        Ok(result)
    }

    /// Removes up to `limit` keys that have expired, from the oldest on, each by one write. The store does so
    /// by itself in the background unless it is deterministic. What is damaged is passed over.
    ///
    /// # Errors
    /// What reading and writing give.
    pub fn sweep(&self, limit: usize) -> Result<Swept> {
        sweep::sweep(&self.0, limit)
    }

    /// How many keys that have expired the last sweep could not remove, since their headers are damaged. They
    /// read as damaged, not as absent, and hold nothing else up; [`Store::verify`] names them.
    #[must_use]
    pub fn unreadable_expired(&self) -> u64 {
        self.0.sweep.unreadable()
    }

    /// Has `watching` know of every modification of a key from now on.
    ///
    /// # Errors
    /// [`Error::DATABASE_RANGE`], [`Error::KEY_TOO_LONG`]; what reading gives.
    pub fn watch(&self, watching: &mut Watching, database: u32, name: &[u8]) -> Result<()> {
        let mut unit = self.unit();
        let key = Key { keyspace: unit.keyspace(database)?, name };
        key.check()?;
        unit.lock([key])?;
        let now_ms = unit.now_ms();
        let meta = self
            .0
            .headers
            .get_with(key::header(key.keyspace, name), |bytes| Meta::decode(bytes).map(|d| d.0))?;
        let expired = meta.transpose()?.is_some_and(|meta| meta.is_expired(now_ms));
        self.0.watch.register(watching, database, name, expired);
        Ok(())
    }

    /// Ends what [`Store::watch`] began, for all keys.
    pub fn unwatch(&self, watching: &mut Watching) {
        if !watching.is_empty() {
            self.0.watch.unregister(watching);
        }
    }

    /// What the units of work that have ended have read and written so far. All zeros unless the feature
    /// `invariants` is on.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.0.spent.get()
    }

    /// Closes the store. Other handles answer [`esker::Error::Closed`] from then on.
    ///
    /// # Errors
    /// What could not be made durable.
    pub fn close(self) -> Result<()> {
        self.0.sweep.stop();
        let sweeper = self.0.sweeper.lock().take();
        if let Some(sweeper) = sweeper {
            // A panic in it has been told by the standard library.
            drop(sweeper.join());
        }
        Ok(self.0.db.clone().close()?)
    }
}

impl Unit<'_> {
    /// Locks the keys that are watched and says whether any was modified, or has expired, since it was.
    ///
    /// # Errors
    /// [`Error::Busy`]; what reading gives.
    pub fn check_watched(&mut self, watching: &Watching) -> Result<bool> {
        for (database, name, was_expired) in watching.keys() {
            let key = Key { keyspace: self.keyspace(database)?, name };
            if was_expired {
                continue;
            }
            let name = key::header(key.keyspace, name);
            let meta = self.get_with(Table::Headers, &name, |bytes| Meta::decode(bytes).map(|d| d.0))?;
            if meta.transpose()?.is_some_and(|meta| meta.is_expired(self.now_ms())) {
                return Ok(false);
            }
        }
        Ok(!watching.is_touched())
    }

    /// The keys that are watched.
    ///
    /// # Errors
    /// [`Error::DATABASE_RANGE`].
    pub fn watched<'w>(&self, watching: &'w Watching) -> Result<Vec<Key<'w>>> {
        watching.keys().map(|(db, name, _)| Ok(Key { keyspace: self.keyspace(db)?, name })).collect()
    }

    /// The time so long from now, in the form of a header: in ms since the epoch.
    #[must_use]
    pub fn moment_in(&self, left: Duration) -> u64 {
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        self.now_ms().saturating_add(left_ms).min(NEVER - 1)
    }

    /// Runs a command that reads.
    ///
    /// # Errors
    /// Those of `body`.
    pub fn reading<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin(Access::Read);
        body(self)
    }

    /// Runs a command that writes `keys`, which are locked.
    ///
    /// # Errors
    /// Those of `body`; [`Error::Busy`].
    pub fn writing<T>(&mut self, keys: &[Key<'_>], body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin(Access::Write);
        self.lock(keys.iter().copied())?;
        body(self)
    }
}
