//! Opening a store with something else than the defaults.

use super::handle::Db;
use super::hooks::Hooks;
use super::open;
use super::options::Options;
use super::options_file::StoredOptions;
use crate::background::Mode;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::commit::{Durability, FeedOptions};
use crate::filter::PrefixExtractor;
use crate::fs::Fs;
use crate::hooks::{CompactionFilterFactory, EventListener, MergeOperator};
use crate::version::CompactionStyle;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Collects options and opens a store. See [`Options`] for what they mean.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = esker::Db::builder(dir.path().join("data"))
///     .memory_budget(64 << 20)
///     .default_durability(esker::Durability::Os)
///     .open()?;
/// # db.close() }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) path: PathBuf,
    pub(super) options: Options,
    pub(super) fs: Fs,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) mode: Mode,
    pub(super) hooks: Hooks,
    /// The layer whose keys the store must hold; `None` for any.
    pub(super) layer: Option<String>,
    /// Whether the stored options were asked for and could not be read.
    pub(super) options_lost: bool,
}

impl Builder {
    pub(super) fn new(path: &Path) -> Builder {
        Builder {
            path: path.to_owned(),
            options: Options::default(),
            fs: Fs::default(),
            clock: Clock::default(),
            random: Random::default(),
            mode: Mode::Threads,
            hooks: Hooks::default(),
            layer: Some(super::open::PLAIN.into()),
            options_lost: false,
        }
    }

    /// Says that the keys have the encoding of a layer above this crate, which a new store is marked with
    /// and an old one must be. A layer has the name of its crate behind `esker-`. Default: `plain`, none.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// esker::Db::builder(&path).layer("graphs").open()?.close()?;
    /// assert!(esker::Db::open(&path).unwrap_err().to_string().contains("esker-graphs"));
    /// esker::Db::builder(&path).any_layer().open()?.close()
    /// # }
    /// ```
    #[must_use]
    pub fn layer(mut self, name: &str) -> Builder {
        self.layer = Some(name.into());
        self
    }

    /// Opens the store whatever layer wrote it, for tools that show its records or keep house. Who writes
    /// records of his own into a layer's store breaks it.
    #[must_use]
    pub fn any_layer(mut self) -> Builder {
        self.layer = None;
        self
    }

    /// Replaces all options.
    #[must_use]
    pub fn options(mut self, options: Options) -> Builder {
        self.options = options;
        self
    }

    /// Replaces all options by those that the store was last used with, as far as they are stored and can be
    /// read: for tools, which have no options of their own. Where they cannot be read those in force are the
    /// defaults, and what a store keeps for readers of changes is kept as by default. What is set behind this
    /// call counts, and the file system ([`Builder::fs`]) is set before it.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// esker::Db::builder(&path).memory_budget(64 << 20).open()?.close()?;
    /// let db = esker::Db::builder(&path).stored_options().open()?;
    /// assert_eq!(db.memory_report().budget_bytes, 64 << 20);
    /// # db.close() }
    /// ```
    #[must_use]
    pub fn stored_options(mut self) -> Builder {
        match StoredOptions::load(&self.fs, &self.path) {
            Ok(stored) => self.options = stored.options,
            Err(_) => self.options_lost = true,
        }
        self
    }

    /// Sets [`Options::memory_budget`], in bytes.
    #[must_use]
    pub fn memory_budget(mut self, bytes: u64) -> Builder {
        self.options.memory_budget = bytes;
        self
    }

    /// Sets [`Options::create_if_missing`].
    #[must_use]
    pub fn create_if_missing(mut self, create: bool) -> Builder {
        self.options.create_if_missing = create;
        self
    }

    /// Sets [`Options::default_durability`].
    #[must_use]
    pub fn default_durability(mut self, durability: Durability) -> Builder {
        self.options.default_durability = durability;
        self
    }

    /// Sets [`Options::sync_interval`].
    #[must_use]
    pub fn sync_interval(mut self, interval: Duration) -> Builder {
        self.options.sync_interval = interval;
        self
    }

    /// Sets [`Options::max_open_files`].
    #[must_use]
    pub fn max_open_files(mut self, files: usize) -> Builder {
        self.options.max_open_files = files;
        self
    }

    /// Sets [`Options::recover_to_damage`].
    #[must_use]
    pub fn recover_to_damage(mut self, recover: bool) -> Builder {
        self.options.recover_to_damage = recover;
        self
    }

    /// Sets [`Options::wal_segment_bytes`].
    #[must_use]
    pub fn wal_segment_bytes(mut self, bytes: u64) -> Builder {
        self.options.wal_segment_bytes = bytes;
        self
    }

    /// Sets [`Options::map_log`].
    #[must_use]
    pub fn map_log(mut self, map: bool) -> Builder {
        self.options.map_log = map;
        self
    }

    /// Sets [`field@Options::memtable_bytes`].
    #[must_use]
    pub fn memtable_bytes(mut self, bytes: usize) -> Builder {
        self.options.memtable_bytes = Some(bytes);
        self
    }

    /// Sets [`field@Options::target_file_bytes`].
    #[must_use]
    pub fn target_file_bytes(mut self, bytes: u64) -> Builder {
        self.options.target_file_bytes = Some(bytes);
        self
    }

    /// Sets [`field@Options::level_base_bytes`].
    #[must_use]
    pub fn level_base_bytes(mut self, bytes: u64) -> Builder {
        self.options.level_base_bytes = Some(bytes);
        self
    }

    /// Sets [`field@Options::reserve_bytes`].
    #[must_use]
    pub fn reserve_bytes(mut self, bytes: u64) -> Builder {
        self.options.reserve_bytes = Some(bytes);
        self
    }

    /// Sets [`field@Options::max_ranges`].
    #[must_use]
    pub fn max_ranges(mut self, ranges: usize) -> Builder {
        self.options.max_ranges = Some(ranges);
        self
    }

    /// Sets [`Options::manifest_bytes`].
    #[must_use]
    pub fn manifest_bytes(mut self, bytes: u64) -> Builder {
        self.options.manifest_bytes = bytes;
        self
    }

    /// Sets [`Options::lock_timeout`].
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Builder {
        self.options.lock_timeout = timeout;
        self
    }

    /// Sets [`Options::max_prepared`].
    #[must_use]
    pub fn max_prepared(mut self, transactions: usize) -> Builder {
        self.options.max_prepared = transactions;
        self
    }

    /// Sets [`Options::max_prepared_bytes`].
    #[must_use]
    pub fn max_prepared_bytes(mut self, bytes: u64) -> Builder {
        self.options.max_prepared_bytes = bytes;
        self
    }

    /// Sets [`field@Options::recent_writes_bytes`].
    #[must_use]
    pub fn recent_writes_bytes(mut self, bytes: usize) -> Builder {
        self.options.recent_writes_bytes = Some(bytes);
        self
    }

    /// Sets [`Options::feed`]: changes are kept for those who read them.
    #[must_use]
    pub fn feed(mut self, options: FeedOptions) -> Builder {
        self.options.feed = Some(options);
        self
    }

    /// Sets [`Options::time_one_in`].
    #[must_use]
    pub fn time_one_in(mut self, one_in: u32) -> Builder {
        self.options.time_one_in = one_in;
        self
    }

    /// Uses another file system: a simulated one, or your own.
    #[must_use]
    pub fn fs(mut self, fs: Fs) -> Builder {
        self.fs = fs;
        self
    }

    /// Uses another clock, for tests of expiry.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = clock;
        self
    }

    /// Runs background work on the calling threads, as random numbers from `seed` decide, and takes
    /// all other random numbers from it, too. With a simulated file system, a manual clock and one
    /// thread, everything that happens follows from the seed.
    #[must_use]
    pub fn deterministic(mut self, seed: u64) -> Builder {
        let random = Random::seeded(seed);
        self.mode = Mode::Seeded(random.clone());
        self.random = random;
        self
    }

    /// Gives the column family `family` a merge operator, whether it exists already or is created later;
    /// `default` is the one that every store has. The operator's name is kept beside the data.
    ///
    /// A family that has had none takes it from now on. Opening a store is refused if the family's
    /// operands were written for an operator of another name.
    ///
    /// ```
    /// use esker::hooks::Counter;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).merge_operator("hits", Counter).open()?;
    /// let hits = db.column_family("hits")?;
    /// hits.merge(b"/index.html", 1i64.to_le_bytes())?;
    /// hits.merge(b"/index.html", 1i64.to_le_bytes())?;
    /// assert_eq!(hits.get(b"/index.html")?.unwrap(), 2i64.to_le_bytes());
    /// # db.close() }
    /// ```
    #[must_use]
    pub fn merge_operator(mut self, family: &str, operator: impl MergeOperator) -> Builder {
        let operator: Arc<dyn MergeOperator> = Arc::new(operator);
        self.hooks.of_family.insert(family.into(), operator.name().into());
        self.hooks.register(operator);
        self
    }

    /// Makes a merge operator known under its name, for families whose options name it. Those in
    /// [`crate::hooks`] that need no argument are known without it.
    ///
    /// A store may be opened without an operator that its families need. Then everything works but
    /// reading and merging keys that have operands.
    #[must_use]
    pub fn register_merge_operator(mut self, operator: impl MergeOperator) -> Builder {
        self.hooks.register(Arc::new(operator));
        self
    }

    /// Has the values of the column family `family` filtered while they are compacted. See
    /// [`crate::hooks::CompactionFilter`] for what a filter sees and may do. Nothing of it is kept beside
    /// the data. A family with [`FamilyOptions::keep_versions`](crate::FamilyOptions::keep_versions) can
    /// have none: opening, or creating it, is refused.
    ///
    /// ```
    /// use esker::hooks::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
    ///
    /// #[derive(Debug)]
    /// struct NoGuests;
    ///
    /// impl CompactionFilterFactory for NoGuests {
    ///     fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
    ///         Box::new(|key: &[u8], _: &[u8], _: u64| {
    ///             if key.starts_with(b"guest:") { Verdict::Remove } else { Verdict::Keep }
    ///         })
    ///     }
    /// }
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).compaction_filter("default", NoGuests).open()?;
    /// db.put(b"guest:1", b"")?;
    /// db.put(b"user:1", b"")?;
    /// db.compact()?;
    /// assert!(!db.contains_key(b"guest:1")? && db.contains_key(b"user:1")?);
    /// # db.close() }
    /// ```
    #[must_use]
    pub fn compaction_filter(mut self, family: &str, factory: impl CompactionFilterFactory) -> Builder {
        self.hooks.filters.insert(family.into(), Arc::new(factory));
        self
    }

    /// Gives the column family `family` another prefix extractor, or none, whether it exists already or is
    /// created later: [`FamilyOptions::prefix`](crate::FamilyOptions::prefix), kept beside the data. Any
    /// change is right at any time: a table of which the filter holds the prefixes of another extractor is
    /// read as if it held none, until it is written anew.
    ///
    /// ```
    /// use esker::PrefixExtractor;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let rooms = PrefixExtractor::Delimited { delimiter: b':', nth: 2 };
    /// let db = esker::Db::builder(path).prefix_extractor("default", rooms).open()?;
    /// db.put("room:17:ada", "")?;
    /// db.put("room:19:bob", "")?;
    /// db.flush()?;
    /// assert_eq!(db.prefix("room:18:")?.count(), 0); // without a look into the table
    /// assert_eq!(db.stats().families[0].prefix_filters.denied, 1);
    /// # db.close() }
    /// ```
    #[must_use]
    pub fn prefix_extractor(
        mut self,
        family: &str,
        extractor: impl Into<Option<PrefixExtractor>>,
    ) -> Builder {
        self.hooks.wishes.prefix.insert(family.into(), extractor.into());
        self
    }

    /// Gives the column family `family` another compaction style, whether it exists already or is created
    /// later: [`FamilyOptions::compaction`](crate::FamilyOptions::compaction), kept beside the data. Opening
    /// writes no table for it; compactions work towards the new shape from then on.
    ///
    /// ```
    /// use esker::{CompactionStyle, Tiered};
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let events = CompactionStyle::Tiered(Tiered { runs: 8, ..Tiered::default() });
    /// let db = esker::Db::builder(path).compaction_style("events", events).open()?;
    /// db.column_family("events")?.put("2024-05-01/1", "login")?;
    /// # db.close() }
    /// ```
    #[must_use]
    pub fn compaction_style(mut self, family: &str, style: CompactionStyle) -> Builder {
        self.hooks.wishes.style.insert(family.into(), style);
        self
    }

    /// Has the column family `family`, whether it exists already or is created later, keep values of `bytes`
    /// or more apart from their keys:
    /// [`FamilyOptions::blob_values_from`](crate::FamilyOptions::blob_values_from), kept beside the data.
    /// `None` keeps them beside their keys from then on.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).blob_values_from("default", Some(4 << 10)).open()?;
    /// db.put("picture", vec![7; 100_000])?;
    /// db.flush()?;
    /// assert_eq!(db.get("picture")?.unwrap().len(), 100_000);
    /// assert_eq!(db.stats().families[0].blobs.files, 1);
    /// # db.close() }
    /// ```
    #[must_use]
    pub fn blob_values_from(mut self, family: &str, bytes: Option<usize>) -> Builder {
        self.hooks.wishes.blob_values_from.insert(family.into(), bytes);
        self
    }

    /// Has `listener` told of what happens in the store: flushes, compactions, stalls, failures, files.
    /// Several may listen. See [`EventListener`] for when and from where it is called, and for an example.
    #[must_use]
    pub fn listener(mut self, listener: Arc<dyn EventListener>) -> Builder {
        self.hooks.listeners.push(listener);
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// [`crate::Error::NotADatabase`] if there is none and none may be created, or if the directory
    /// holds something else; [`crate::Error::Locked`] if it is in use; [`crate::Error::Corruption`]
    /// and [`crate::Error::UnsupportedVersion`] with the file; [`crate::Error::InvalidArgument`] for
    /// an option out of its range, and for a merge operator of another name than a family's operands
    /// were written for.
    pub fn open(self) -> Result<Db> {
        open::open(self)
    }
}
