//! Asking for a repair.

use super::catalog::{Assumed, Catalog};
use super::contents::Contents;
use super::plan::Plan;
use super::report::{FileRole, FileState, RepairReport, RepairedFamily, RepairedFile, Use};
use super::segments::Log;
use super::write::{Keys, Target};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::base::random::Random;
use crate::db::{Db, FamilyOptions, PLAIN, StoredOptions};
use crate::fs::{Fs, LockGuard};
use std::path::{Path, PathBuf};

/// A repair that is to be made.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let (old, new) = (dir.path().join("data"), dir.path().join("new"));
/// # let db = esker::Db::open(&old)?;
/// # db.put(b"k", b"v")?;
/// # db.close()?;
/// # std::fs::remove_file(old.join("CURRENT")).unwrap();
/// let report = esker::Repair::new(&old).look()?; // writes nothing
/// println!("{report}");
/// let report = esker::Repair::new(&old).write(&new)?;
/// assert_eq!(esker::Db::open(&new)?.get(b"k")?.unwrap(), b"v");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Repair {
    dir: PathBuf,
    fs: Fs,
    random: Random,
    clock: Clock,
    table_bytes: u64,
    piece_bytes: u64,
    assumed: Option<Assumed>,
}

impl Repair {
    /// Of the store in `dir`, which is only ever read.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Repair {
        Repair {
            dir: dir.as_ref().to_owned(),
            fs: Fs::default(),
            random: Random::default(),
            clock: Clock::default(),
            table_bytes: 64 << 20,
            piece_bytes: 32 << 20,
            assumed: None,
        }
    }

    /// Says what the layer above had, whose name and families stand in the manifest alone: it counts where no
    /// manifest is left that says otherwise. The first of `families` is the first that the layer creates in a
    /// new store. A layer's crate knows, as `esker_structures::Store::repair` does.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (old, new) = (dir.path().join("data"), dir.path().join("new"));
    /// let open = |path| esker::Db::builder(path).layer("graphs").open();
    /// let db = open(&old)?;
    /// let edges = db.create_column_family("edges", Default::default())?;
    /// edges.put(b"a>b", b"1")?;
    /// db.close()?;
    /// for entry in std::fs::read_dir(&old).unwrap() {
    ///     let path = entry.unwrap().path();
    ///     let name = path.file_name().unwrap().to_str().unwrap();
    ///     if name == "CURRENT" || name.starts_with("MANIFEST") {
    ///         std::fs::remove_file(&path).unwrap();
    ///     }
    /// }
    /// let families = [("edges", esker::FamilyOptions::default())];
    /// let report = esker::Repair::new(&old).layer("graphs", &families).write(&new)?;
    /// assert!(!report.layer_known && report.families[1].assumed);
    /// assert_eq!(open(&new)?.column_family("edges")?.get(b"a>b")?.unwrap(), b"1");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn layer(mut self, name: &str, families: &[(&str, FamilyOptions)]) -> Repair {
        let families = families.iter().map(|(name, options)| ((*name).to_owned(), options.clone()));
        self.assumed = Some(Assumed { layer: name.into(), families: families.collect() });
        self
    }

    /// Uses another file system, for both directories.
    #[must_use]
    pub fn fs(mut self, fs: Fs) -> Repair {
        self.fs = fs;
        self
    }

    /// The size of the tables that are written, in bytes. Default: 64 MiB.
    #[must_use]
    pub fn table_bytes(mut self, bytes: u64) -> Repair {
        self.table_bytes = bytes;
        self
    }

    /// How much of the log is sorted in memory at once, in bytes. Default: 32 MiB.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Repair {
        self.piece_bytes = bytes;
        self
    }

    /// The clock by which keys have expired, for tests. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Repair {
        self.clock = clock;
        self
    }

    /// Takes all random numbers from a seed, for tests.
    #[must_use]
    pub fn deterministic(mut self, seed: u64) -> Repair {
        self.random = Random::seeded(seed);
        self
    }

    /// Reads the whole store and says what a repair would save and lose. Writes nothing at all.
    ///
    /// # Errors
    /// As [`Db::repair`], as far as the damaged store is concerned.
    pub fn look(&self) -> Result<RepairReport> {
        self.run(None)
    }

    /// As [`Repair::look`], and refuses every directory `into` that [`Repair::write`] would refuse.
    ///
    /// # Errors
    /// As [`Db::repair`], but that nothing is written which could fail.
    pub fn look_into(&self, into: impl AsRef<Path>) -> Result<RepairReport> {
        let into = into.as_ref();
        self.check_place(into)?;
        self.target(into).check_vacant()?;
        self.run(None)
    }

    /// Writes what is left into the directory `into`, as a new store.
    ///
    /// # Errors
    /// As [`Db::repair`].
    pub fn write(&self, into: impl AsRef<Path>) -> Result<RepairReport> {
        let into = into.as_ref();
        self.check_place(into)?;
        self.run(Some(into))
    }

    /// Refuses a directory that stands inside the damaged store, whichever way leads there.
    fn check_place(&self, into: &Path) -> Result<()> {
        let inside = match (self.fs.resolve(into), self.fs.resolve(&self.dir)) {
            (Ok(into), Ok(dir)) => into.starts_with(dir),
            (Err(Error::Io(failure)), _) => return Err(Error::invalid("into", failure.source.to_string())),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        if inside {
            return Err(Error::invalid("into", "the new store cannot stand inside the damaged one"));
        }
        Ok(())
    }

    fn target<'a>(&'a self, dir: &'a Path) -> Target<'a> {
        let (fs, random, now_ms) = (&self.fs, &self.random, self.clock.wall_ms());
        let (table_bytes, piece_bytes) = (self.table_bytes, self.piece_bytes);
        let options = StoredOptions::load(fs, &self.dir).ok();
        Target { fs, dir, random, now_ms, table_bytes, piece_bytes, options }
    }

    fn run(&self, into: Option<&Path>) -> Result<RepairReport> {
        let (fs, dir) = (&self.fs, &self.dir);
        let nothing = |why: &str| Error::NotADatabase { path: dir.clone(), why: why.into() };
        let names = match fs.list(dir) {
            Err(error) if error.is_not_found() => return Err(nothing("there is no such directory")),
            names => names?,
        };
        let contents = Contents::of(fs, dir, &names)?;
        if contents.is_empty() {
            return Err(nothing("there is no table, no log and no manifest in it"));
        }
        let _lock = self.hold()?;
        let mut catalog = Catalog::read(fs, dir, &contents)?;
        let layer_known = !catalog.state.layer.is_empty();
        if let Some(assumed) = &self.assumed {
            catalog.assume(assumed);
        }
        if catalog.state.layer.is_empty() {
            catalog.state.layer = PLAIN.into();
        }
        let log = Log::read(fs, dir, &contents.logs, &catalog)?;
        catalog.note_close(log.manifest);
        let plan = Plan::make(fs, dir, &contents.tables, &catalog, &log);
        let keys = match into {
            Some(into) => Some(self.target(into).write(fs, &catalog, &log, &plan)?),
            None => None,
        };
        let layer = catalog.state.layer.clone();
        Ok(RepairReport { layer, layer_known, ..report(&names, catalog, &log, plan, keys.as_ref()) })
    }

    /// Keeps others from opening the damaged store, without writing to it.
    fn hold(&self) -> Result<Option<LockGuard>> {
        let held = self.fs.hold(&FileKind::Lock.path(&self.dir));
        match held {
            Ok(Ok(guard)) => Ok(guard),
            Ok(Err(holder)) => {
                let holder = if holder.is_empty() { "another process".into() } else { holder };
                Err(Error::Locked { path: self.dir.clone(), holder })
            }
            Err(error) => Err(error),
        }
    }
}

fn report(names: &[String], catalog: Catalog, log: &Log, plan: Plan, keys: Option<&Keys>) -> RepairReport {
    let holes = plan.families.values().any(|family| !family.holes.is_empty());
    let (segments, log) = log.report(holes);
    let mut files = catalog.files;
    files.extend(segments);
    files.extend(plan.files);
    files.extend(names.iter().filter_map(|name| other_file(name)));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let families = plan.families.iter().map(|(&id, family)| RepairedFamily {
        id,
        name: family.name.clone(),
        name_known: family.name_known && !catalog.assumed.contains(&id),
        options_known: family.options.is_some() && !catalog.assumed.contains(&id),
        assumed: catalog.assumed.contains(&id),
        keys: keys.and_then(|keys| keys.get(&id)).map(|count| count.shown),
        expired: keys.and_then(|keys| keys.get(&id)).map(|count| count.expired),
    });
    RepairReport {
        written: keys.is_some(),
        layer: String::new(),
        layer_known: false,
        families: families.collect(),
        basis: catalog.basis,
        files,
        log,
        doubts: plan.doubts,
        order: plan.order,
    }
}

/// A file that a repair has nothing to do with.
fn other_file(name: &str) -> Option<RepairedFile> {
    let (role, why) = match FileKind::parse(name) {
        Some(FileKind::Lock) => (FileRole::Lock, "it holds no data"),
        Some(FileKind::Reserve) => (FileRole::Reserve, "it holds no data"),
        Some(FileKind::Options(_)) => (FileRole::Options, "it holds no data; the newest is taken over"),
        Some(FileKind::Temp(_) | FileKind::Unfinished) => {
            (FileRole::Temporary, "it was being written, and nothing names it")
        }
        Some(FileKind::Blob(_)) => {
            (FileRole::Blob, "values that tables refer to; what cannot be read of it is told with them")
        }
        None => (FileRole::Foreign, "it is not the store's"),
        Some(_) => return None,
    };
    Some(RepairedFile {
        name: name.into(),
        role,
        state: FileState::NotRead,
        used: if role == FileRole::Blob { Use::Taken } else { Use::LeftOut },
        bytes: None,
        entries_saved: 0,
        entries_lost: None,
        entries_gone: 0,
        family: None,
        lost_keys: Vec::new(),
        lost_seqs: None,
        why: why.into(),
    })
}

impl Db {
    /// Makes a new store in `into` from whatever is left of the one in `dir`, and says what was saved,
    /// what was lost and what is in doubt. `dir` is only ever read; a read-only medium will do.
    ///
    /// The new store has the newest version of every key that can be read, with its sequence number and
    /// its time of expiry, in families of the same names and with the same options as far as a manifest
    /// still says them. Snapshots and older versions are not kept. It takes the time to read the old store
    /// twice, and the space of its data; memory is bounded, see [`Repair`].
    ///
    /// A store that opens needs no repair. For one whose log alone is damaged,
    /// [`crate::db::Options::recover_to_damage`] keeps the order of commits instead of as much as possible.
    ///
    /// # Errors
    /// [`Error::NotADatabase`] if there is nothing of a store in `dir`; [`Error::Locked`] if it is in
    /// use; [`Error::UnsupportedVersion`] if a newer version wrote its manifest or log; [`Error::Io`] if
    /// this process may not read one of its files, which is no damage;
    /// [`Error::InvalidArgument`] if `into` holds anything or lies inside `dir`; [`Error::DiskFull`] and
    /// [`Error::Io`] if the new store cannot be written, in which case nothing of it is left, or a
    /// directory that says that it is unfinished.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (old, new) = (dir.path().join("data"), dir.path().join("new"));
    /// # let db = esker::Db::open(&old)?;
    /// # db.put(b"k", b"v")?;
    /// # db.close()?;
    /// # std::fs::remove_file(old.join("CURRENT")).unwrap();
    /// assert!(esker::Db::open(&old).is_err());
    /// let report = esker::Db::repair(&old, &new)?;
    /// println!("{report}");
    /// assert_eq!(esker::Db::open(&new)?.get(b"k")?.unwrap(), b"v");
    /// # Ok(()) }
    /// ```
    pub fn repair(dir: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<RepairReport> {
        Repair::new(dir).write(into)
    }
}
