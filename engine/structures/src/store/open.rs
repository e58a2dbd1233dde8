//! Opening a store.

use super::counts::AllCounts;
use super::databases::Databases;
use super::handle::{Expired, Inner, OnExpired, Store};
use super::incarnations::{CEILING, Incarnations};
use super::locks::Stripes;
use super::sweep::{self, Sweep};
use super::watch::Registry;
use crate::base::error::{Error, Result};
use crate::base::hash::HashKey;
use crate::encoding::key;
use crate::encoding::limits::COMMAND_BYTES;
use esker::base::coding::{Decoder, put_varint};
use esker::base::random::Random;
use esker::hooks::Counter;
use esker::{ColumnFamily, Db, Durability, FamilyOptions, WriteBatch};
use parking_lot::Mutex;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// The mark of a store that holds structures.
const LAYER: &str = "structures";

/// The families.
const HEADERS: &str = "structures.headers";
const ELEMENTS: &str = "structures.elements";
const INDEX: &str = "structures.index";

/// Options of the families, in the order in which they are created.
fn families() -> [(&'static str, FamilyOptions); 3] {
    let of = |name, keep_versions| (name, FamilyOptions { keep_versions, ..FamilyOptions::default() });
    [of(HEADERS, true), of(ELEMENTS, false), of(INDEX, false)]
}

/// Names of records of the store itself.
const STORE: &str = "store";
pub(super) const DATABASES: &str = "databases";

/// The version of the format that docs/format/structures.md describes.
const FORMAT: u64 = 1;

/// The most databases that a store may have, and those that a new one has.
const MOST_DATABASES: u32 = 1 << 16;
const USUAL_DATABASES: u32 = 16;

/// Collects options and opens a store of structures.
///
/// ```
/// # fn main() -> esker_structures::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let store = esker_structures::Store::builder(dir.path().join("data"))
///     .durability(esker::Durability::Os)
///     .engine(|engine| engine.memory_budget(64 << 20))
///     .open()?;
/// assert_eq!(store.databases(), 16);
/// # store.close() }
/// ```
#[derive(Clone)]
pub struct Builder {
    engine: esker::Builder,
    databases: Option<u32>,
    durability: Durability,
    command_bytes: usize,
    on_expired: Option<OnExpired>,
    random: Random,
    sweeps: bool,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new(path: &Path) -> Builder {
        Builder {
            engine: Db::builder(path),
            databases: None,
            durability: Durability::Sync,
            command_bytes: COMMAND_BYTES,
            on_expired: None,
            random: Random::System,
            sweeps: true,
        }
    }

    /// Sets options of the engine.
    #[must_use]
    pub fn engine(mut self, options: impl FnOnce(esker::Builder) -> esker::Builder) -> Builder {
        self.engine = options(self.engine);
        self
    }

    /// How many databases there are: 1 to 65,536. Default: 16, or as many as the store has had. A store whose
    /// further databases hold keys is not opened with fewer.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// use esker_structures::Store;
    /// let store = Store::builder(&path).databases(32).open()?;
    /// store.db(31).string("k").set("v")?;
    /// store.close()?;
    /// assert!(Store::builder(&path).databases(31).open().is_err());
    /// assert_eq!(Store::open(&path)?.databases(), 32);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn databases(mut self, databases: u32) -> Builder {
        self.databases = Some(databases);
        self
    }

    /// What an answer must survive, reads included: [`Durability::Sync`], the default, or
    /// [`Durability::Os`]. There is no answer without a log.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Builder {
        self.durability = durability;
        self
    }

    /// About how many bytes of elements one command, or one typed call, may hold in memory at once; more is
    /// [`Error::COMMAND_TOO_LARGE`], and nothing is done. A single element may be larger. What a call reads
    /// piece by piece - the iterators, the walks of `SCAN` and its kin, streamed replies - does not count.
    /// Default: [`COMMAND_BYTES`]; `usize::MAX` for no limit.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// use esker_structures::{Error, list::Side};
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = esker_structures::Store::builder(dir.path().join("data")).command_memory(1 << 20).open()?;
    /// let jobs = store.db(0).list("jobs");
    /// for _ in 0..40 {
    ///     jobs.push(Side::Right, [0_u8; 50_000])?;
    /// }
    /// assert!(jobs.pop_many(Side::Left, 40).unwrap_err().is(&Error::COMMAND_TOO_LARGE));
    /// assert_eq!(jobs.pop_many(Side::Left, 10)?.len(), 10);
    /// assert_eq!(jobs.elements()?.count(), 30);
    /// # store.close() }
    /// ```
    #[must_use]
    pub fn command_memory(mut self, bytes: usize) -> Builder {
        self.command_bytes = bytes;
        self
    }

    /// Calls `callback` for each key that is removed because it has expired, when that is as durable as the
    /// store was opened for: with [`Durability::Sync`] on a background thread, once no loss of power brings
    /// the key back; with [`Durability::Os`] on the thread that removed it, once others see that it is gone.
    /// It must not use the store, and should return soon: others who wait for the log to be synced are told
    /// behind it.
    ///
    /// A crash between the removal and the call leaves the key untold. With [`Durability::Os`] a loss of
    /// power may take a removal back that was told; it is told again when the key is removed again.
    ///
    /// ```
    /// # fn main() -> esker_structures::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// use esker_structures::command::Connection;
    ///
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let store = esker_structures::Store::builder(dir.path().join("data"))
    ///     .on_expired(move |expired| drop(tell.send(expired.clone())))
    ///     .open()?;
    /// let mut connection = Connection::new(&store);
    /// connection.execute(&["SET", "session:1", "Ada", "PX", "1"]);
    /// let expired = told.recv().unwrap();
    /// assert_eq!((expired.database, &expired.key[..]), (0, &b"session:1"[..]));
    /// # drop(connection);
    /// # store.close() }
    /// ```
    #[must_use]
    pub fn on_expired(mut self, callback: impl Fn(&Expired) + Send + Sync + 'static) -> Builder {
        self.on_expired = Some(Arc::new(callback));
        self
    }

    /// Has everything follow from `seed`: see [`esker::Builder::deterministic`]. Nothing is swept but by
    /// [`Store::sweep`].
    #[must_use]
    pub fn deterministic(mut self, seed: u64) -> Builder {
        self.engine = self.engine.deterministic(seed);
        self.random = Random::seeded(seed);
        self.sweeps = false;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// What [`esker::Builder::open`] gives; [`esker::Error::NotADatabase`] for a store that was not written
    /// by this layer; [`esker::Error::InvalidArgument`] for an option out of its range.
    pub fn open(self) -> Result<Store> {
        if self.databases.is_some_and(|databases| databases == 0 || databases > MOST_DATABASES) {
            let why = format!("there may be 1 to {MOST_DATABASES}");
            return Err(esker::Error::InvalidArgument { what: "databases", why }.into());
        }
        if self.durability == Durability::None {
            let why = "an answer survives a kill of the process at least".into();
            return Err(esker::Error::InvalidArgument { what: "durability", why }.into());
        }
        let engine = self.engine.merge_operator(ELEMENTS, Counter).merge_operator(INDEX, Counter);
        let db = engine.layer(LAYER).open()?;
        let [headers, elements, index] = families().map(|(name, options)| family(&db, name, options));
        let (headers, elements, index) = (headers?, elements?, index?);
        let random = match self.random {
            // The store's own choices need no more than this, and a lock in the process is cheaper than the
            // system's numbers.
            Random::System => Random::seeded(Random::System.next_u64()),
            seeded => seeded,
        };
        let hash_key = load_store(&db, &index, &random)?;
        let databases = load_databases(&db, &index, self.databases)?;
        let ceiling = index.get(key::system(CEILING))?.map_or(Ok(1), |bytes| fixed64(&bytes))?;
        let counts = load_counts(&index, &databases.all().0)?;
        check_unopened(&databases, &counts)?;
        let sweep = Arc::new(Sweep::new());
        let inner = Arc::new(Inner {
            db,
            headers,
            elements,
            index,
            databases,
            stripes: Stripes::new(),
            counts,
            incarnations: Incarnations::new(ceiling),
            watch: Registry::new(),
            ranks: crate::ranks::Known::default(),
            hash_key,
            random,
            durability: self.durability,
            command_bytes: AtomicUsize::new(self.command_bytes),
            on_expired: self.on_expired,
            scans: super::scans::Scans::default(),
            spent: super::cost::Spent::default(),
            fell_back: AtomicBool::new(false),
            sweep,
            sweeper: Mutex::new(None),
        });
        if self.sweeps {
            *inner.sweeper.lock() = sweep::spawn(&inner);
        }
        Ok(Store(inner))
    }
}

fn family(db: &Db, name: &str, options: FamilyOptions) -> Result<ColumnFamily> {
    match db.open_column_family(name) {
        Err(esker::Error::NoSuchFamily { .. }) => Ok(db.create_column_family(name, options)?),
        opened => Ok(opened?),
    }
}

impl Store {
    /// The repair of a damaged store of structures ([`esker::Repair`]), also where no manifest is left that
    /// says that it is one. Without a manifest nobody knows which keys were removed: what
    /// [`Store::verify`] finds in the new store is to be looked at.
    #[must_use]
    pub fn repair(dir: impl AsRef<Path>) -> esker::Repair {
        esker::Repair::new(dir).layer(LAYER, &families())
    }
}

fn fixed64(bytes: &[u8]) -> Result<u64> {
    let bytes = bytes.try_into().map_err(|_| Error::malformed("a record of the store"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Format and secret of the store, made when there is none yet.
fn load_store(db: &Db, index: &ColumnFamily, random: &Random) -> Result<HashKey> {
    if let Some(bytes) = index.get(key::system(STORE))? {
        let mut decoder = Decoder::new(&bytes);
        let found = decoder.varint("the version of the format")?;
        if found != FORMAT {
            let file = db.path().to_owned();
            return Err(esker::Error::UnsupportedVersion { file, found, supported: FORMAT }.into());
        }
        let secret = decoder.take(16, "the secret of the store")?;
        let secret = secret.try_into().map_err(|_| Error::malformed("the secret of the store"))?;
        return Ok(HashKey::new(secret));
    }
    // It is the first that is written: whoever has others has lost it, or is older than this format.
    if index.cursor(esker::ScanOptions::default().keys_only())?.seek_to_first()? {
        return Err(Error::malformed("a store without its secret, or from before format 1 was settled,"));
    }
    let mut secret = [0; 16];
    secret[..8].copy_from_slice(&random.next_u64().to_le_bytes());
    secret[8..].copy_from_slice(&random.next_u64().to_le_bytes());
    let mut record = Vec::new();
    put_varint(&mut record, FORMAT);
    record.extend_from_slice(&secret);
    let mut batch = WriteBatch::new();
    batch.put(index, key::system(STORE), record);
    db.write(batch, Durability::Sync)?;
    Ok(HashKey::new(secret))
}

/// The record of the databases' keyspaces.
pub(super) fn encode_databases(keyspaces: &[u64], next: u64) -> Vec<u8> {
    let mut record = Vec::new();
    put_varint(&mut record, next);
    put_varint(&mut record, keyspaces.len() as u64);
    keyspaces.iter().for_each(|id| put_varint(&mut record, *id));
    record
}

fn decode_databases(bytes: &[u8]) -> Result<(Vec<u64>, u64)> {
    let mut decoder = Decoder::new(bytes);
    let next = decoder.varint("the next keyspace")?;
    let count = decoder.varint("how many databases there are")?;
    if count > u64::from(MOST_DATABASES) {
        return Err(Error::malformed("the databases"));
    }
    let keyspaces: Result<Vec<u64>> = (0..count).map(|_| Ok(decoder.varint("a keyspace")?)).collect();
    Ok((keyspaces?, next))
}

/// The keyspaces of the databases and the next free one, as they are on record.
pub(super) fn read_databases(index: &ColumnFamily) -> Result<(Vec<u64>, u64)> {
    let record = index.get(key::system(DATABASES))?;
    record.map_or(Ok((Vec::new(), 1)), |bytes| decode_databases(&bytes))
}

fn load_databases(db: &Db, index: &ColumnFamily, asked: Option<u32>) -> Result<Databases> {
    let (mut keyspaces, mut next) = read_databases(index)?;
    let wanted = asked.unwrap_or_else(|| (keyspaces.len() as u32).max(USUAL_DATABASES));
    if keyspaces.len() < wanted as usize {
        while keyspaces.len() < wanted as usize {
            keyspaces.push(next);
            next += 1;
        }
        let mut batch = WriteBatch::new();
        batch.put(index, key::system(DATABASES), encode_databases(&keyspaces, next));
        db.write(batch, Durability::Sync)?;
    }
    Ok(Databases::new(&keyspaces, wanted as usize, next))
}

/// Refuses to leave databases out that hold keys.
fn check_unopened(databases: &Databases, counts: &AllCounts) -> Result<()> {
    let (keyspaces, _) = databases.all();
    let used = keyspaces.iter().rposition(|keyspace| counts.total(*keyspace) != 0);
    match used.filter(|used| *used >= databases.len()) {
        None => Ok(()),
        Some(used) => {
            let why = format!("database {used} holds keys: there must be {} at least", used + 1);
            Err(esker::Error::InvalidArgument { what: "databases", why }.into())
        }
    }
}

pub(super) fn load_counts(index: &ColumnFamily, keyspaces: &[u64]) -> Result<AllCounts> {
    let counts = AllCounts::default();
    for keyspace in keyspaces {
        let prefix = key::index_prefix(key::table::COUNT, *keyspace);
        let mut cursor = index.cursor(esker::ScanOptions::prefix(prefix))?;
        let mut found = cursor.seek_to_first()?;
        while found {
            let wrong = || Error::malformed("a count of keys");
            let slot =
                cursor.key().get(prefix.len()..).and_then(|slot| slot.try_into().ok()).ok_or_else(wrong)?;
            let count = fixed64(cursor.value())? as i64;
            if count != 0 {
                counts.of_or_new(*keyspace).add(u16::from_be_bytes(slot), count);
            }
            found = cursor.next()?;
        }
    }
    Ok(counts)
}
