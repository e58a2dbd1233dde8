//! Opening a store: from what is on disk to what can be written to.
//!
//! # Steps
//! 1. Take the lock, find out what the directory holds, read the manifest.
//! 2. Open the tables that it names; replay the log into memtables, or straight into tables.
//! 3. Write what was replayed into new, synced tables. Nothing unsynced is trusted from here on.
//! 4. Start a new log, then write a new manifest that names it and the new tables, and switch
//!    `CURRENT`. Until that moment a crash finds everything as it was.
//! 5. Remove what the new manifest does not name.

use super::builder::Builder;
use super::family::ColumnFamily;
use super::feed::Opened;
use super::handle::Db;
use super::inner::{Inner, LiveDurability};
use super::options::FamilyOptions;
use super::options_file::OptionChange;
use super::prepared;
use super::stored::Stored;
use super::versions::open_versions;
use crate::background::{Jobs, Scheduler};
use crate::base::clock::ExpiryClock;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{MAX_SEQ, SeqNum};
use crate::base::limits::RESERVED_SEQS;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Arc, Mutex, RwLock, unique_number};
use crate::blob::Blobs;
use crate::commit::{Drawer, Parts, Reserve, Store};
use crate::fs::{Fs, LockGuard};
use crate::hooks::{Events, FamilyHooks};
use crate::memtable::Memtable;
use crate::ranges::RangeSet;
use crate::table::Tables;
use crate::tree::Family;
use crate::version::{
    Edit, EditOp, FamilyState, History, Manifest, Purgatory, StoreState, TableFile, Version, load_manifest,
};
use crate::wal::{Cut, ManifestEnd, Wal, WalOptions};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::replay::Replayed;

/// The name of the family that every store has.
pub(crate) const DEFAULT_FAMILY: &str = "default";

/// The layer whose keys this crate's own users write.
pub(crate) const PLAIN: &str = "plain";

/// The longest name of a layer, in bytes.
const MAX_LAYER_BYTES: usize = 255;

/// What opening a store found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the store was created.
    pub created: bool,
    /// Whether the last user closed it in good order.
    pub clean: bool,
    /// Groups of the log that were replayed.
    pub replayed_groups: u64,
    /// What was cut off the end of the log: an unfinished write, or (only if asked for) damage.
    pub cut: Option<Cut>,
    /// Bytes of an unfinished edit at the end of the manifest.
    pub torn_manifest_bytes: u64,
    /// Files that nothing named any more and that were removed.
    pub removed_files: Vec<String>,
    /// What the store's own options were stored in last, if it could be read.
    pub stored_options: Option<PathBuf>,
    /// Options that differ from those that were stored. Those that are given are in force.
    pub changed_options: Vec<OptionChange>,
    /// Options that were stored by another version and that this one does not know. They are kept.
    pub unknown_options: Vec<String>,
    /// What is wrong with files of options that could not be read.
    pub damaged_options: Vec<String>,
}

pub(super) fn open(mut builder: Builder) -> Result<Db> {
    builder.hooks.store = unique_number();
    builder.options.validate()?;
    if builder.layer.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_LAYER_BYTES) {
        return Err(Error::invalid("layer", "the name of a layer has 1 to 255 bytes"));
    }
    let dir = builder.path.clone();
    let _span = tracing::info_span!(target: "esker", "open", path = %dir.display()).entered();
    let fs = builder.fs.clone();
    let lock = take_directory(&fs, &dir, builder.options.create_if_missing)?;
    let mut recovery = Recovery::default();
    let loaded = load_manifest(&fs, &dir)?;
    let names = fs.list(&dir)?;
    let mut manifest_path = FileKind::Current.path(&dir);
    let (mut mentioned, mut manifest_end) = (BTreeSet::new(), None);
    let state = match loaded {
        Some(loaded) => {
            manifest_path = FileKind::Manifest(loaded.number).path(&dir);
            recovery.torn_manifest_bytes = loaded.torn_bytes;
            check_layer(&builder, &loaded.state)?;
            mentioned = loaded.mentioned;
            let (offset, lsn) = loaded.end;
            manifest_end = Some((ManifestEnd { number: loaded.number, lsn }, offset));
            loaded.state
        }
        None => {
            check_vacant(&fs, &dir, &names)?;
            if !builder.options.create_if_missing {
                return Err(nothing_there(&dir));
            }
            recovery.created = true;
            new_state(&builder)
        }
    };
    let state = settle_families(&builder, &manifest_path, state)?;
    if builder.options_lost && state.feed.is_some() {
        // A file of options that is damaged is no reason to let go of what is kept for others.
        builder.options.feed.get_or_insert_default();
    }
    let reserve = Arc::new(Reserve::new(&fs, &dir, builder.options.reserve_bytes()));
    reserve.find();
    let in_doubt = Cell::new(false);
    let attempt = || {
        // What an attempt on a full disk has left behind is counted and removed by the next.
        let (names, mut recovery) = (fs.list(&dir)?, recovery.clone());
        let opening = Opening::new(&builder, &manifest_path, state.clone(), manifest_end, &names)?;
        let opened = opening.recover(&builder, &names, &mut recovery, &reserve, &in_doubt);
        opened.map(|(store, stored)| (store, stored, recovery))
    };
    let (store, stored, recovery) = match attempt() {
        // What a manifest names that may be in force stays.
        Err(error @ Error::DiskFull(_)) if !error.is_failed_sync() && !in_doubt.get() => {
            remove_never_named(&fs, &dir, &mentioned)?;
            reserve.draw(Drawer::Anybody, attempt)?
        }
        result => result?,
    };
    reserve.make()?;
    let store = Arc::new(store);
    prepared::hold_again(&store)?;
    store.balance_memory();
    store.timings.set_one_in(builder.options.time_one_in);
    let default = store.family(DEFAULT_FAMILY).ok_or_else(|| {
        Error::from(Corruption::new(&dir, 0, "a column family named default", "a manifest without it"))
    })?;
    let jobs = Arc::new(Jobs::new(store.clone()));
    let scheduler = Scheduler::start(jobs, builder.mode.clone())?;
    let (options, hooks, lock) = (builder.options, builder.hooks, Mutex::new(Some(lock)));
    let inner = Arc::new(Inner {
        store,
        scheduler,
        default_durability: LiveDurability::new(options.default_durability),
        options: RwLock::new(options),
        stored: Mutex::new(stored),
        hooks,
        recovery,
        lock,
        closing: Default::default(),
    });
    Ok(Db::new(ColumnFamily::new(inner, default)))
}

/// Removes tables and blob files that were being written when a process ended, and temporary files: they may
/// take up the very space that opening needs. No state that a loss of power may yet bring back names
/// them, as long as no manifest but the one that was read can be in force, and so they may go before
/// anything is synced.
fn remove_never_named(fs: &Fs, dir: &Path, mentioned: &BTreeSet<FileNumber>) -> Result<()> {
    for name in fs.list(dir)? {
        let never = match FileKind::parse(&name) {
            Some(FileKind::Table(number) | FileKind::Blob(number)) => !mentioned.contains(&number),
            Some(FileKind::Temp(_)) => true,
            _ => false,
        };
        if never {
            fs.remove(&dir.join(&name))?;
        }
    }
    Ok(())
}

/// Creates the directory if it may, and takes its lock.
fn take_directory(fs: &Fs, dir: &Path, create: bool) -> Result<LockGuard> {
    match fs.list(dir) {
        Ok(names) => {
            // A directory that was never a store must not even get a lock file.
            check_ours(dir, &names)?;
            if !create && !names.iter().any(|name| FileKind::parse(name).is_some()) {
                return Err(nothing_there(dir));
            }
        }
        Err(error) if error.is_not_found() && create => fs.create_dir_all(dir)?,
        Err(error) if error.is_not_found() => return Err(nothing_there(dir)),
        Err(error) => return Err(error),
    }
    let holder = format!("process {}", std::process::id());
    let lock = fs.lock(&FileKind::Lock.path(dir), &holder)?;
    lock.map_err(|holder| {
        let holder = if holder.is_empty() { "another process".into() } else { holder };
        Error::Locked { path: dir.into(), holder }
    })
}

/// Refuses a directory with files of somebody else's alone.
pub(super) fn check_ours(dir: &Path, names: &[String]) -> Result<()> {
    if names.iter().any(|name| FileKind::parse(name).is_some()) {
        return Ok(());
    }
    // The root of a file system of its own holds nothing else when it is new.
    match names.iter().find(|name| *name != "lost+found") {
        Some(name) => {
            let why = format!("it holds other files, such as {name:?}");
            Err(Error::NotADatabase { path: dir.into(), why })
        }
        None => Ok(()),
    }
}

pub(super) fn nothing_there(dir: &Path) -> Error {
    Error::NotADatabase { path: dir.into(), why: "there is no store".into() }
}

pub(super) fn check_layer(builder: &Builder, state: &StoreState) -> Result<()> {
    if builder.layer.as_ref().is_none_or(|layer| *layer == state.layer) {
        return Ok(());
    }
    let why = if state.layer == PLAIN {
        "it holds a plain key-value store: open it with `esker::Db::open`, or copy what is in it into a new \
         store"
            .into()
    } else {
        let layer = &state.layer;
        format!(
            "its keys belong to the layer {layer:?}: open it with the crate esker-{layer}; to look at its \
             records as they are, with `Builder::any_layer`"
        )
    };
    Err(Error::NotADatabase { path: builder.path.clone(), why })
}

/// Without `CURRENT` the directory may hold what a crash left behind while the store was created,
/// and nothing else: where there are tables or log records, `CURRENT` was lost, or never written by who was
/// to make a copy there.
pub(super) fn check_vacant(fs: &Fs, dir: &Path, names: &[String]) -> Result<()> {
    let kinds = || names.iter().map(|name| (name, FileKind::parse(name)));
    if kinds().any(|(_, kind)| kind == Some(FileKind::Unfinished)) {
        let why =
            "a checkpoint, a restore or a repair into it has not ended: remove it if that was interrupted";
        return Err(Error::NotADatabase { path: dir.into(), why: why.into() });
    }
    for (name, kind) in kinds() {
        let occupied = match kind {
            Some(FileKind::Table(_) | FileKind::Blob(_)) => true,
            Some(FileKind::Wal(_)) => super::replay::holds_records(fs, &dir.join(name))?,
            _ => false,
        };
        if occupied {
            let found = format!("there is {name} but no CURRENT, which names the manifest");
            let (path, expected) = (FileKind::Current.path(dir), "a line that names the manifest");
            return Err(Corruption::new(&path, 0, expected, found).into());
        }
    }
    Ok(())
}

fn new_state(builder: &Builder) -> StoreState {
    let layer = builder.layer.clone().unwrap_or_else(|| PLAIN.into());
    let mut state = StoreState { store: builder.random.next_u64(), layer, ..StoreState::default() };
    let options = FamilyOptions::default().encode();
    let family = FamilyState { name: DEFAULT_FAMILY.into(), options, ..FamilyState::default() };
    state.families.insert(0, family);
    state.next_family = 1;
    state
}

/// Gives families the merge operators and options that the builder says, or refuses to.
fn settle_families(builder: &Builder, manifest: &Path, mut state: StoreState) -> Result<StoreState> {
    let prepared = state.prepared_family;
    // Who speaks of a family means one of their own, whatever that of prepared transactions is called.
    for (_, family) in state.families.iter_mut().filter(|(id, _)| Some(**id) != prepared) {
        let wrong = |e: crate::base::coding::Malformed| e.in_file(manifest, 0);
        let mut options = FamilyOptions::decode(&family.options).map_err(wrong)?;
        let before = options.clone();
        builder.hooks.settle(&family.name, &mut options)?;
        if options != before {
            family.options = options.encode();
        }
    }
    Ok(state)
}

/// What stands ready when the new manifest is written.
struct Rebuilt {
    families: Vec<Arc<Family>>,
    wal: Wal,
    last_seq: SeqNum,
    clock: ExpiryClock,
    stored: Stored,
}

/// A store on its way up.
struct Opening {
    state: StoreState,
    /// Where the manifest ends in its stream, and at which offset in its file.
    manifest_end: Option<(ManifestEnd, u64)>,
    tables: Arc<Tables>,
    blobs: Arc<Blobs>,
    purgatory: Arc<Purgatory>,
    numbers: Arc<AtomicU64>,
    options: Vec<(u32, FamilyOptions)>,
    memtable_bytes: usize,
}

impl Opening {
    fn new(
        builder: &Builder,
        manifest: &Path,
        state: StoreState,
        manifest_end: Option<(ManifestEnd, u64)>,
        names: &[String],
    ) -> Result<Opening> {
        let greatest = names.iter().filter_map(|name| FileKind::parse(name)?.number()).max().unwrap_or(0);
        let next = state.next_file.max(greatest + 1);
        let options = &builder.options;
        let (fs, dir, random) = (builder.fs.clone(), &builder.path, builder.random.clone());
        // Two runs of a simulated store must not draw the same identities from the same seed.
        random.stir(next);
        let (cache_bytes, open_files) = (options.cache_bytes(), options.max_open_files);
        let tables = Tables::new(fs.clone(), dir, random.clone(), cache_bytes, open_files);
        let blobs = Blobs::new(fs, dir, random, tables.pool().clone(), tables.cache().clone());
        let decode = |(id, family): (&u32, &FamilyState)| {
            let options = FamilyOptions::decode(&family.options);
            let wrong = |e: crate::base::coding::Malformed| e.in_file(manifest, 0);
            Ok((*id, options.map_err(wrong)?))
        };
        Ok(Opening {
            options: state.families.iter().map(decode).collect::<Result<_>>()?,
            state,
            manifest_end,
            tables: Arc::new(tables),
            blobs: Arc::new(blobs),
            purgatory: Arc::new(Purgatory::default()),
            numbers: Arc::new(AtomicU64::new(next)),
            memtable_bytes: options.commit_options().memtable_bytes,
        })
    }

    fn next_number(&self) -> FileNumber {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn recover(
        mut self,
        builder: &Builder,
        names: &[String],
        recovery: &mut Recovery,
        reserve: &Arc<Reserve>,
        in_doubt: &Cell<bool>,
    ) -> Result<(Store, Stored)> {
        let (fs, dir) = (&builder.fs, &builder.path);
        let first = self.numbers.load(Ordering::Relaxed);
        let rebuilt = match self.rebuild(builder, names, recovery) {
            Ok(rebuilt) => rebuilt,
            Err(error) => {
                self.remove_made(builder, first);
                return Err(error);
            }
        };
        let Rebuilt { families, wal, last_seq, clock, stored } = rebuilt;
        let created = Manifest::create(fs.clone(), dir, builder.random.clone(), self.state.clone());
        let mut manifest = match created {
            Ok(manifest) => manifest,
            Err(failed) => {
                // A manifest that may be in force names what was made.
                in_doubt.set(failed.in_doubt);
                if !failed.in_doubt {
                    self.remove_made(builder, first);
                }
                return Err(failed.error);
            }
        };
        manifest.set_least_bytes(builder.options.manifest_bytes);
        self.numbers.fetch_max(manifest.state().next_file, Ordering::Relaxed);
        let reserved = builder.options.reserve_bytes() > 0;
        recovery.removed_files =
            remove_unnamed(fs, dir, names, &manifest, wal.current(), stored.number, reserved);
        let store = Store::new(Parts {
            fs: fs.clone(),
            dir: dir.clone(),
            handle: builder.hooks.store,
            random: builder.random.clone(),
            clock,
            options: builder.options.commit_options(),
            tables: self.tables,
            blobs: self.blobs,
            purgatory: self.purgatory,
            families,
            manifest,
            wal,
            reserve: reserve.clone(),
            events: Arc::new(Events::new(builder.hooks.listeners.clone(), builder.clock.clone())),
            next_number: self.numbers.load(Ordering::Relaxed),
            last_seq,
        });
        Ok((store, stored))
    }

    /// Makes everything that the new manifest will name.
    fn rebuild(&mut self, builder: &Builder, names: &[String], recovery: &mut Recovery) -> Result<Rebuilt> {
        let dir = &builder.path;
        let _span = tracing::info_span!(target: "esker", "recovery", path = %dir.display()).entered();
        let versions = open_versions(&self.state, dir, (&self.tables, &self.blobs), &self.purgatory)?;
        let mut replayed = Replayed::new(builder, &self.state, &self.tables, &self.numbers, &self.options);
        let found = replayed.run(names)?;
        let replayed_seq = replayed.last_seq;
        if found.closed.is_some() {
            self.check_manifest_end(dir, found.manifest)?;
        }
        let last_seq = found.closed.unwrap_or(self.state.seq_ceiling).max(replayed.last_seq);
        let clock = ExpiryClock::new(builder.clock.clone(), self.state.clock_ms.max(found.clock_ms));
        let edit = replayed.finish(last_seq, clock.now_ms())?;
        let families = self.families(builder, versions, &edit, last_seq)?;
        let options = WalOptions {
            fs: builder.fs.clone(),
            dir: dir.clone(),
            store: self.state.store,
            random: builder.random.clone(),
            segment_bytes: builder.options.wal_segment_bytes,
            least_bytes: builder.options.wal_least_bytes(),
            mapped: builder.options.map_log,
        };
        let opened = Opened {
            state: &self.state,
            found: &found,
            last_seqs: (replayed_seq, last_seq),
            now_ms: clock.now_ms(),
            families: &self.options,
        };
        let feed = opened.carry_over(builder.options.feed, &options, || self.next_number())?;
        recovery.clean = found.closed.is_some();
        recovery.replayed_groups = found.groups;
        recovery.cut = found.cut;
        let wal = Wal::create(options, self.next_number())?;
        // Its name becomes durable with the manifest's.
        let number = || self.next_number();
        let stored = Stored::settle(builder, self.state.store, names, recovery, number)?;
        // Positions of a time before the one that is kept are of another history.
        let goes_on = recovery.clean && (feed.is_none() || self.state.feed.is_some());
        self.state.feed = feed;
        self.next_state(builder, &edit, last_seq, wal.current(), goes_on, clock.now_ms());
        Ok(Rebuilt { families, wal, last_seq, clock, stored })
    }

    /// Refuses a manifest that was cut between two edits, which nothing in itself tells: the log, if it was
    /// closed in good order, knows where the manifest ended.
    fn check_manifest_end(&self, dir: &Path, closed: Option<ManifestEnd>) -> Result<()> {
        let (Some(closed), Some((own, offset))) = (closed, self.manifest_end) else { return Ok(()) };
        if closed.number == own.number && closed.lsn <= own.lsn {
            return Ok(());
        }
        let path = FileKind::Manifest(own.number).path(dir);
        let expected = match closed.number == own.number {
            true => format!("edits up to position {}, where the store was closed", closed.lsn),
            false => {
                format!("{} in force, as when the store was closed", FileKind::Manifest(closed.number).name())
            }
        };
        Err(Corruption::new(&path, offset, expected, "the end of the manifest").into())
    }

    /// Removes the tables and the log that a failed attempt has made: nothing names them.
    fn remove_made(&self, builder: &Builder, first: FileNumber) {
        for number in first..self.numbers.load(Ordering::Relaxed) {
            // What cannot be removed now is removed when the store is opened.
            // Replaying separates no values.
            for kind in [FileKind::Table(number), FileKind::Wal(number), FileKind::Options(number)] {
                let _ = builder.fs.remove(&kind.path(&builder.path));
            }
        }
    }

    /// The families with the tables that replay wrote and the ranges that it met.
    fn families(
        &self,
        builder: &Builder,
        versions: Vec<(u32, Version)>,
        edit: &Edit,
        last_seq: SeqNum,
    ) -> Result<Vec<Arc<Family>>> {
        let mut families = Vec::new();
        for ((id, version), (_, options)) in versions.into_iter().zip(&self.options) {
            let mut added = Vec::new();
            let state = self.state.families.get(&id);
            let mut ranges: Vec<_> = state.iter().flat_map(|f| f.ranges.values().cloned()).collect();
            for op in &edit.0 {
                match op {
                    EditOp::AddTable { family, level, meta } if *family == id => {
                        let reader = self.tables.open(meta.number, meta.identity, meta.size, 0)?;
                        added.push((*level, TableFile::new(meta.clone(), reader, self.purgatory.clone())));
                    }
                    EditOp::AddRange { family, range } if *family == id => ranges.push(range.clone()),
                    _ => {}
                }
            }
            let version = version.changed(&[], added);
            let name = state.map(|f| f.name.clone()).unwrap_or_default();
            let active = Memtable::new(self.next_number(), version.common_prefix(), self.memtable_bytes);
            let (rules, active, ranges) = (options.rules(), Arc::new(active), RangeSet::new(ranges));
            let family = Family::new(id, &name, rules, active, version, ranges, last_seq);
            let hooks = match self.state.prepared_family == Some(id) {
                true => FamilyHooks::default(),
                false => builder.hooks.of(&name, options),
            };
            families.push(Arc::new(family.with_hooks(hooks)));
        }
        Ok(families)
    }

    /// Makes the state that the new manifest starts with.
    fn next_state(
        &mut self,
        builder: &Builder,
        edit: &Edit,
        last_seq: SeqNum,
        wal: FileNumber,
        goes_on: bool,
        now_ms: u64,
    ) {
        // What replay made fits by construction: new numbers, existing families.
        let applied = self.state.apply(edit);
        debug_assert_eq!(applied, Ok(()));
        if !goes_on {
            self.state.history =
                History { id: builder.random.next_u64(), first_seq: (last_seq + 1).min(MAX_SEQ) };
        }
        for family in self.state.families.values_mut() {
            family.flushed = last_seq;
        }
        self.state.seq_ceiling = (last_seq + RESERVED_SEQS).min(MAX_SEQ);
        self.state.oldest_wal = wal;
        self.state.synced_log = 0;
        self.state.clock_ms = self.state.clock_ms.max(now_ms);
        self.state.next_file = self.numbers.load(Ordering::Relaxed);
    }
}

/// Removes the files of ours that the manifest does not name. Foreign files are left alone.
fn remove_unnamed(
    fs: &Fs,
    dir: &Path,
    names: &[String],
    manifest: &Manifest,
    wal: FileNumber,
    options: Option<FileNumber>,
    reserved: bool,
) -> Vec<String> {
    let named: std::collections::HashSet<FileKind> = manifest.state().data_files().collect();
    let kept = manifest.state().feed.as_ref();
    let mut removed = Vec::new();
    for name in names {
        let keep = match FileKind::parse(name) {
            None | Some(FileKind::Current | FileKind::Lock) => true,
            Some(FileKind::Reserve) => reserved,
            Some(kind @ (FileKind::Table(_) | FileKind::Blob(_))) => named.contains(&kind),
            Some(FileKind::Wal(number)) => number >= wal || kept.is_some_and(|feed| feed.keeps(number)),
            Some(FileKind::Manifest(number)) => number == manifest.number(),
            Some(FileKind::Options(number)) => Some(number) == options,
            Some(FileKind::Temp(_) | FileKind::Unfinished) => false,
        };
        // What cannot be removed now is tried again when the store is next opened.
        if !keep && fs.remove(&dir.join(name)).is_ok() {
            removed.push(name.clone());
        }
    }
    removed
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "open_tests.rs"]
mod tests;
