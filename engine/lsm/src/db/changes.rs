//! Options that change while a store is open.

use super::family::ColumnFamily;
use super::handle::Db;
use super::options::{FamilyOptions, Options};
use super::options_file::{self, OptionChange};
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::commit::Durability;
use crate::filter::FilterPolicy;
use crate::version::CompactionStyle;
use std::time::Duration;

/// What is to change of a store's options; `None` leaves an option as it is. See [`Options`] for what they
/// mean and [`Db::change_options`] for an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// [`Options::memory_budget`]. The block cache shrinks at once; memtables are sealed by the next writes,
    /// and what is derived from the budget follows it.
    pub memory_budget: Option<u64>,
    /// [`Options::default_durability`].
    pub default_durability: Option<Durability>,
    /// [`Options::sync_interval`], once the present one is over.
    pub sync_interval: Option<Duration>,
    /// [`Options::wal_age`].
    pub wal_age: Option<Duration>,
    /// [`field@Options::memtable_bytes`]; `Some(None)` derives it from the budget again.
    pub memtable_bytes: Option<Option<usize>>,
    /// [`field@Options::target_file_bytes`], of tables to come.
    pub target_file_bytes: Option<Option<u64>>,
    /// [`field@Options::level_base_bytes`].
    pub level_base_bytes: Option<Option<u64>>,
    /// [`Options::manifest_bytes`].
    pub manifest_bytes: Option<u64>,
    /// [`Options::lock_timeout`], of waits to come.
    pub lock_timeout: Option<Duration>,
    /// [`field@Options::recent_writes_bytes`].
    pub recent_writes_bytes: Option<Option<usize>>,
    /// [`field@Options::max_ranges`].
    pub max_ranges: Option<Option<usize>>,
    /// [`Options::time_one_in`].
    pub time_one_in: Option<u32>,
}

/// What is to change of a column family's options; `None` leaves an option as it is. See [`FamilyOptions`]
/// for what they mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyChanges {
    /// [`FamilyOptions::default_ttl`], of writes to come; `Some(None)` for none.
    pub default_ttl: Option<Option<Duration>>,
    /// [`FamilyOptions::erase_within`]; `Some(None)` for no bound.
    pub erase_within: Option<Option<Duration>>,
    /// [`FamilyOptions::zstd_level`], of tables to come, as all that follow; `Some(None)` for no compression.
    pub zstd_level: Option<Option<i32>>,
    /// [`FamilyOptions::uncompressed_levels`].
    pub uncompressed_levels: Option<usize>,
    /// [`FamilyOptions::dictionary_bytes`]; 0 for none.
    pub dictionary_bytes: Option<usize>,
    /// [`FamilyOptions::block_bytes`].
    pub block_bytes: Option<usize>,
    /// [`FamilyOptions::filter`].
    pub filter: Option<FilterPolicy>,
    /// [`FamilyOptions::filter_bits_per_key`].
    pub filter_bits_per_key: Option<u32>,
    /// [`FamilyOptions::index_partition_bytes`].
    pub index_partition_bytes: Option<usize>,
    /// [`FamilyOptions::blob_values_from`], of values that are flushed and compacted from then on;
    /// `Some(None)` for none.
    pub blob_values_from: Option<Option<usize>>,
    /// [`FamilyOptions::compaction`]; compactions work towards it from then on.
    pub compaction: Option<CompactionStyle>,
}

/// Takes a change over, if there is one.
fn set<T>(option: &mut T, change: Option<T>) {
    if let Some(change) = change {
        *option = change;
    }
}

impl Changes {
    fn apply(self, options: &mut Options) {
        set(&mut options.memory_budget, self.memory_budget);
        set(&mut options.default_durability, self.default_durability);
        set(&mut options.sync_interval, self.sync_interval);
        set(&mut options.wal_age, self.wal_age);
        set(&mut options.memtable_bytes, self.memtable_bytes);
        set(&mut options.target_file_bytes, self.target_file_bytes);
        set(&mut options.level_base_bytes, self.level_base_bytes);
        set(&mut options.manifest_bytes, self.manifest_bytes);
        set(&mut options.lock_timeout, self.lock_timeout);
        set(&mut options.recent_writes_bytes, self.recent_writes_bytes);
        set(&mut options.max_ranges, self.max_ranges);
        set(&mut options.time_one_in, self.time_one_in);
    }
}

impl FamilyChanges {
    fn apply(self, options: &mut FamilyOptions) {
        set(&mut options.default_ttl, self.default_ttl);
        set(&mut options.erase_within, self.erase_within);
        set(&mut options.zstd_level, self.zstd_level);
        set(&mut options.uncompressed_levels, self.uncompressed_levels);
        set(&mut options.dictionary_bytes, self.dictionary_bytes);
        set(&mut options.block_bytes, self.block_bytes);
        set(&mut options.filter, self.filter);
        set(&mut options.filter_bits_per_key, self.filter_bits_per_key);
        set(&mut options.index_partition_bytes, self.index_partition_bytes);
        set(&mut options.blob_values_from, self.blob_values_from);
        set(&mut options.compaction, self.compaction);
    }
}

impl Db {
    /// Changes options of the open store, all of them or none. They are in force, and stored durably, when
    /// the call returns; which ones differ from before is returned.
    ///
    /// A later opening is given its options anew: [`Builder::stored_options`](crate::Builder::stored_options)
    /// goes on with these.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the field for a value that opening would refuse, alone or together
    /// with the others; what writing the file gives, and then nothing has changed; [`Error::Closed`],
    /// [`Error::Poisoned`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let changes = esker::Changes { memory_budget: Some(64 << 20), ..Default::default() };
    /// let changed = db.change_options(changes)?;
    /// assert_eq!((changed[0].name.as_str(), changed[0].given.as_str()), ("memory_budget", "67108864"));
    /// assert_eq!(db.options().memory_budget, 64 << 20);
    /// # db.close() }
    /// ```
    pub fn change_options(&self, changes: Changes) -> Result<Vec<OptionChange>> {
        let inner = self.inner();
        let store = &inner.store;
        store.check_writable()?;
        // One after the other: what is stored last is in force.
        let mut stored = inner.stored.lock();
        let before = inner.options.read().clone();
        let mut options = before.clone();
        changes.apply(&mut options);
        options.validate()?;
        let changed = options_file::changes(&before, &options);
        if changed.is_empty() {
            return Ok(changed);
        }
        let id = store.with_manifest(|manifest| manifest.state().store);
        let text = options_file::encode(id, &options, &stored.unknown);
        let number = store.next_number();
        options_file::write(&store.fs, &store.dir, number, &text)?;
        if let Err(error) = store.fs.sync_dir(&store.dir) {
            // Whether its name is on disk nobody knows, and other names may be in doubt with it.
            store.latch(error.to_string(), error.clone());
            return Err(error);
        }
        if let Some(old) = stored.number.replace(number) {
            // What cannot be removed is removed when the store is next opened.
            let _ = store.fs.remove(&FileKind::Options(old).path(&store.dir));
        }
        stored.failure = None;
        store.set_options(options.commit_options());
        store.with_manifest(|manifest| manifest.set_least_bytes(options.manifest_bytes));
        store.timings.set_one_in(options.time_one_in);
        inner.default_durability.set(options.default_durability);
        *inner.options.write() = options;
        drop(stored);
        inner.scheduler.step();
        Ok(changed)
    }

    /// The options in force.
    #[must_use]
    pub fn options(&self) -> Options {
        self.inner().options.read().clone()
    }
}

impl ColumnFamily {
    /// Changes options of the family, all of them or none. They are in force, and durable, when the call
    /// returns. What was written before stays as it is until it is compacted; times to live of what stands
    /// there do not change.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the field for a value that creating the family would refuse;
    /// [`Error::FamilyDropped`]; what writing the manifest gives, and then nothing has changed.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// # use std::time::Duration;
    /// let sessions = db.column_family("sessions")?;
    /// let ttl = Some(Duration::from_secs(1800));
    /// sessions.change_options(esker::FamilyChanges { default_ttl: Some(ttl), ..Default::default() })?;
    /// sessions.put("s1", "..")?;
    /// assert!(matches!(sessions.ttl("s1")?, Some(esker::Ttl::Remaining(_))));
    /// # db.close() }
    /// ```
    pub fn change_options(&self, changes: FamilyChanges) -> Result<()> {
        self.check()?;
        let (inner, family) = (self.inner(), self.family());
        let changed = inner.store.change_family(family, |encoded| {
            let manifest = FileKind::Current.path(&inner.store.dir);
            let mut options = FamilyOptions::decode(encoded).map_err(|e| e.in_file(&manifest, 0))?;
            changes.apply(&mut options);
            options.validate()?;
            Ok((options.encode(), options.rules()))
        });
        inner.scheduler.step();
        changed
    }

    /// The options in force.
    ///
    /// # Errors
    /// [`Error::FamilyDropped`].
    pub fn options(&self) -> Result<FamilyOptions> {
        self.check()?;
        let manifest = FileKind::Current.path(&self.inner().store.dir);
        let dropped = || Error::FamilyDropped { name: self.name().into() };
        let encoded = self.inner().store.with_manifest(|manifest| {
            manifest.state().families.get(&self.family().id()).map(|family| family.options.clone())
        });
        FamilyOptions::decode(&encoded.ok_or_else(dropped)?).map_err(|e| e.in_file(&manifest, 0))
    }
}
