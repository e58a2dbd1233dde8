//! The handle of an open store.

use super::builder::Builder;
use super::family::ColumnFamily;
use super::inner::Inner;
use super::open::Recovery;
use super::options::FamilyOptions;
use super::snapshot::Snapshot;
use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::base::limits::MAX_FAMILY_NAME_BYTES;
use crate::base::sync::Arc;
use crate::batch::{FamilyRef, WriteBatch};
use crate::commit::{Durability, Store, Ticket};
use crate::tree::Family;
use std::ops::Deref;
use std::path::Path;
use std::task::{Context, Poll};

/// An open store: owned, cheap to clone, usable from any thread.
///
/// A `Db` is at the same time its default column family: all that [`ColumnFamily`] offers (`get`,
/// `put`, `range`, ...) can be called on it directly.
///
/// The store is closed when the last handle to it - clones, families, snapshots and iterators - is
/// dropped, or by [`Db::close`], which also says whether it went well.
#[derive(Clone, Debug)]
pub struct Db {
    default: ColumnFamily,
}

impl Deref for Db {
    type Target = ColumnFamily;

    fn deref(&self) -> &ColumnFamily {
        &self.default
    }
}

impl FamilyRef for Db {
    fn family_id(&self) -> u32 {
        self.default.family_id()
    }
    fn store_id(&self) -> u64 {
        self.default.store_id()
    }
    fn now_ms(&self) -> u64 {
        self.default.now_ms()
    }
    fn merges(&self) -> bool {
        self.default.merges()
    }

    fn default_ttl_ms(&self) -> Option<u64> {
        self.default.default_ttl_ms()
    }
}

impl Db {
    pub(super) fn new(default: ColumnFamily) -> Db {
        Db { default }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        self.default.inner()
    }

    /// What stands below the handles, for the layers above this one.
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.inner().store
    }

    /// Gives background work its turn where it runs on the calling threads.
    pub(crate) fn step(&self) {
        self.inner().scheduler.step();
    }

    /// What `put`, `delete` and the like use.
    pub(crate) fn default_durability(&self) -> Durability {
        self.inner().default_durability.get()
    }

    /// Has the log synced in the background.
    pub(crate) fn request_sync(&self) {
        self.inner().scheduler.request_sync();
    }

    /// Opens the store in the directory `path` with default options; creates it if there is none.
    ///
    /// # Errors
    /// See [`Builder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Db> {
        Db::builder(path).open()
    }

    /// Opens a store with other options.
    #[must_use]
    pub fn builder(path: impl AsRef<Path>) -> Builder {
        Builder::new(path.as_ref())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner().store.dir
    }

    /// What opening the store found and did.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// assert!(db.recovery().created);
    /// db.put(b"k", b"v")?;
    /// db.close()?;
    /// let db = esker::Db::open(dir.path().join("data"))?;
    /// assert!(db.recovery().clean && db.recovery().cut.is_none());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.inner().recovery
    }

    /// Writes a batch, all of it or nothing, and returns when it is as durable as asked for.
    ///
    /// # Errors
    /// An operation out of range is refused with the whole batch; [`Error::DiskFull`] if the log
    /// cannot grow (nothing was written); [`Error::Poisoned`] after a failed sync. If this very
    /// write's sync fails, the write may or may not survive.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.put(&db, b"from", b"90").put(&db, b"to", b"110");
    /// db.write(batch, esker::Durability::Sync)?;
    /// # db.close() }
    /// ```
    pub fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.inner().write(batch, durability)
    }

    /// Writes a batch and returns when it is published: visible to all, and safe from a kill of the
    /// process unless its durability is [`Durability::None`]. With [`Durability::Sync`] a sync of
    /// the log is asked for in the background; [`Db::wait_durable`] or [`Db::on_durable`] tell when
    /// it is done. So many writes can be under way on one thread.
    ///
    /// # Errors
    /// As [`Db::write`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.put(&db, b"k", b"v");
    /// let ticket = db.commit(batch, esker::Durability::Sync)?;
    /// // ... prepare the next batch ...
    /// db.wait_durable(ticket.seq())?;
    /// # db.close() }
    /// ```
    pub fn commit(&self, batch: WriteBatch, durability: Durability) -> Result<Ticket> {
        let inner = self.inner();
        let ticket = inner.commit(batch, durability)?;
        if durability == Durability::Sync {
            inner.scheduler.request_sync();
        }
        Ok(ticket)
    }

    /// Waits until every logged write up to the sequence number `seq` survives a loss of power.
    ///
    /// # Errors
    /// The failure of the sync; after one, always.
    pub fn wait_durable(&self, seq: SeqNum) -> Result<()> {
        self.inner().store.check_open()?;
        if seq > self.inner().store.visible_seq() {
            return Err(Error::invalid("seq", "no write has this sequence number yet"));
        }
        self.inner().store.wait_durable(seq)
    }

    /// Calls `callback` once every logged write up to `seq` survives a loss of power, or never will;
    /// at once if that is known. It runs on a background thread, one
    /// callback after another, and may use the store; a panic in it shows in [`Db::health`]. Nothing but
    /// other callbacks, and closing the store, waits for it.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.put(&db, b"k", b"v");
    /// let ticket = db.commit(batch, esker::Durability::Os)?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// db.on_durable(ticket.seq(), move |result| drop(sender.send(result)));
    /// receiver.recv().unwrap()?;
    /// assert!(db.durable_seq() >= ticket.seq());
    /// # Ok(()) }
    /// ```
    pub fn on_durable(&self, seq: SeqNum, callback: impl FnOnce(Result<()>) + Send + 'static) {
        self.inner().store.durable.on_durable(seq, Box::new(callback));
        self.inner().scheduler.request_sync();
    }

    /// As [`Db::on_durable`], for those that wait in an event loop or a `Future`: whether `seq` survives a
    /// loss of power, or never will; if that is not known yet, the waker of `context` is woken when it is
    /// worth asking again. The thread that syncs wakes it, so that it must neither wait nor use the store;
    /// and each waker waits for the least number that it was given with. Cheaper than a callback by a switch
    /// of threads.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// # fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// #     struct Unpark(std::thread::Thread);
    /// #     impl std::task::Wake for Unpark {
    /// #         fn wake(self: std::sync::Arc<Self>) { self.0.unpark() }
    /// #     }
    /// #     let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    /// #     let mut context = std::task::Context::from_waker(&waker);
    /// #     let mut future = std::pin::pin!(future);
    /// #     loop {
    /// #         if let std::task::Poll::Ready(result) = future.as_mut().poll(&mut context) { return result }
    /// #         std::thread::park();
    /// #     }
    /// # }
    /// async fn store(db: &esker::Db) -> esker::Result<()> {
    ///     let mut batch = esker::WriteBatch::new();
    ///     batch.put(db, b"k", b"v");
    ///     let ticket = db.commit(batch, esker::Durability::Sync)?;
    ///     std::future::poll_fn(|context| db.poll_durable(ticket.seq(), context)).await
    /// }
    /// block_on(store(&db))?;
    /// assert_eq!(db.durable_seq(), db.visible_seq());
    /// # db.close() }
    /// ```
    pub fn poll_durable(&self, seq: SeqNum, context: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = self.inner().store.durable.poll(seq, context.waker());
        if polled.is_pending() {
            self.inner().scheduler.request_sync();
        }
        polled
    }

    /// Makes every logged write so far durable.
    ///
    /// # Errors
    /// As [`Db::wait_durable`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.put(&db, b"k", b"v");
    /// db.write(batch, esker::Durability::Os)?; // survives a kill of the process ...
    /// db.sync()?; // ... and now a loss of power
    /// assert_eq!(db.durable_seq(), db.visible_seq());
    /// # Ok(()) }
    /// ```
    pub fn sync(&self) -> Result<()> {
        let store = &self.inner().store;
        store.check_open()?;
        store.wait_durable(store.visible_seq())
    }

    /// The sequence number of the last write that reads see.
    #[must_use]
    pub fn visible_seq(&self) -> SeqNum {
        self.inner().store.read_seq()
    }

    /// The sequence number up to which every logged write survives a loss of power.
    #[must_use]
    pub fn durable_seq(&self) -> SeqNum {
        self.inner().store.durable.seq()
    }

    /// The present state of all families, held still for as long as the snapshot lives.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"old")?;
    /// let snapshot = db.snapshot();
    /// db.put(b"k", b"new")?;
    /// assert_eq!(snapshot.get(&db, b"k")?.unwrap(), b"old");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner().clone())
    }

    /// The default column family, which every store has.
    #[must_use]
    pub fn default_family(&self) -> ColumnFamily {
        self.default.clone()
    }

    /// Opens the column family `name`; creates it with default options if there is none.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that is empty or longer than 255 bytes; what writing
    /// the manifest gives.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let tokens = db.column_family("tokens")?;
    /// tokens.put(b"k", b"a token")?;
    /// assert!(db.get(b"k")?.is_none(), "each family is a key space of its own");
    /// assert_eq!(db.column_families(), ["default", "tokens"]);
    /// # Ok(()) }
    /// ```
    pub fn column_family(&self, name: &str) -> Result<ColumnFamily> {
        match self.open_column_family(name) {
            Err(Error::NoSuchFamily { .. }) => {}
            opened => return opened,
        }
        match self.create_column_family(name, FamilyOptions::default()) {
            // Somebody else was faster.
            Err(Error::FamilyExists { .. }) => self.open_column_family(name),
            created => created,
        }
    }

    /// Creates a column family. It exists durably when the call returns.
    ///
    /// # Errors
    /// [`Error::FamilyExists`]; [`Error::InvalidArgument`] for an option out of its range or a merge
    /// operator that is not known; otherwise as [`Db::column_family`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let options = esker::FamilyOptions { zstd_level: None, ..Default::default() };
    /// let images = db.create_column_family("images", options)?;
    /// images.put(b"1", b"...")?;
    /// let again = db.create_column_family("images", Default::default());
    /// assert!(matches!(again, Err(esker::Error::FamilyExists { .. })));
    /// # Ok(()) }
    /// ```
    pub fn create_column_family(&self, name: &str, mut options: FamilyOptions) -> Result<ColumnFamily> {
        if name.is_empty() || name.len() > MAX_FAMILY_NAME_BYTES {
            return Err(Error::invalid("name", "a column family's name has 1 to 255 bytes"));
        }
        options.validate()?;
        let hooks = &self.inner().hooks;
        hooks.settle(name, &mut options)?;
        hooks.check_known(&options)?;
        let (hooks, store) = (hooks.of(name, &options), &self.inner().store);
        let created = store.create_family(name, options.encode(), options.rules(), hooks);
        self.inner().scheduler.step();
        Ok(self.handle_of(created?))
    }

    /// Opens an existing column family.
    ///
    /// # Errors
    /// [`Error::NoSuchFamily`].
    pub fn open_column_family(&self, name: &str) -> Result<ColumnFamily> {
        self.inner().store.check_open()?;
        let family = self.inner().store.family(name);
        family.map(|f| self.handle_of(f)).ok_or_else(|| Error::NoSuchFamily { name: name.into() })
    }

    fn handle_of(&self, family: Arc<Family>) -> ColumnFamily {
        ColumnFamily::new(self.inner().clone(), family)
    }

    /// Drops a column family with all that is in it, durably. Handles to it answer
    /// [`Error::FamilyDropped`] from then on; iterators and snapshots that are being read go on.
    ///
    /// # Errors
    /// [`Error::NoSuchFamily`]; [`Error::InvalidArgument`] for the default family;
    /// [`Error::FamilyPrepared`] if a prepared transaction writes to it or relies on it.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let old = db.column_family("old")?;
    /// old.put(b"k", b"v")?;
    /// db.drop_column_family("old")?;
    /// assert!(matches!(old.get(b"k"), Err(esker::Error::FamilyDropped { .. })));
    /// # Ok(()) }
    /// ```
    pub fn drop_column_family(&self, name: &str) -> Result<()> {
        if name == super::open::DEFAULT_FAMILY {
            return Err(Error::invalid("name", "the default column family cannot be dropped"));
        }
        let dropped = self.inner().store.drop_family(name);
        self.inner().scheduler.step();
        dropped
    }

    /// The names of all column families, in the order of their creation.
    #[must_use]
    pub fn column_families(&self) -> Vec<String> {
        let store = &self.inner().store;
        let families = store.families().into_iter().filter(|family| !store.is_of_prepared(family.id()));
        families.map(|family| family.name().to_owned()).collect()
    }

    /// Closes the store: waits for what is under way, flushes what is not in the log, syncs the log
    /// and lets go of the directory. Other handles answer [`Error::Closed`] from then on.
    ///
    /// # Errors
    /// What could not be made durable; [`Error::CalledFromHook`], and then it stays open.
    pub fn close(self) -> Result<()> {
        self.inner().store.check_caller()?;
        self.inner().close()
    }
}
