//! The repair as a whole.

use super::build::Build;
use super::log::{self, Expected};
use super::report::{Comeback, FamilyReport, RepairReport};
use super::survey::{Survey, survey};
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::base::random::Random;
use crate::batch::Op;
use crate::db::{Db, FamilyOptions};
use crate::fs::{Fs, LockGuard};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A repair: [`Db::repair`] with more to choose.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let (data, repaired) = (dir.path().join("data"), dir.path().join("repaired"));
/// # let db = esker::Db::open(&data)?;
/// # db.put(b"k", b"v")?;
/// # db.close()?;
/// std::fs::remove_file(data.join("CURRENT")).unwrap();
/// let report = esker::Repair::new(&data, &repaired).dry_run(true).run()?;
/// assert!(report.is_lossless() && !repaired.exists(), "{report}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Repair {
    dir: PathBuf,
    into: PathBuf,
    fs: Fs,
    random: Random,
    dry_run: bool,
}

impl Db {
    /// Makes a new store in `into` from what is left of the one in `dir`, and tells what was lost.
    ///
    /// It works without `CURRENT` and manifest, with tables and segments of the log that are missing,
    /// truncated or damaged; what is intact is saved. Nothing in `dir` is changed. `into` must be missing
    /// or empty. It holds a store when this returns, and one that was verified; an interrupted repair
    /// leaves a directory that cannot be opened, and that another repair may go into.
    ///
    /// Takes about as long as copying the store and reading it twice; memory stays at a few dozen MiB.
    ///
    /// # Errors
    /// [`Error::NotADatabase`] if there is nothing of a store in `dir`, [`Error::Locked`] if it is open,
    /// [`Error::InvalidArgument`] if `into` is not empty, [`Error::DiskFull`], and I/O errors. Damage is
    /// not an error: it is in the report.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (data, repaired) = (dir.path().join("data"), dir.path().join("repaired"));
    /// let db = esker::Db::open(&data)?;
    /// db.put(b"user:1", b"Ada")?;
    /// db.close()?;
    /// # std::fs::write(data.join("CURRENT"), b"scribble").unwrap();
    /// // ... something happens to the files ...
    /// assert!(esker::Db::open(&data).is_err());
    /// let report = esker::Db::repair(&data, &repaired)?;
    /// assert!(report.is_lossless(), "{report}");
    /// assert_eq!(esker::Db::open(&repaired)?.get(b"user:1")?.unwrap(), b"Ada");
    /// # Ok(()) }
    /// ```
    pub fn repair(dir: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<RepairReport> {
        Repair::new(dir, into).run()
    }
}

impl Repair {
    /// A repair of `dir` into `into`.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>, into: impl AsRef<Path>) -> Repair {
        Repair {
            dir: dir.as_ref().to_owned(),
            into: into.as_ref().to_owned(),
            fs: Fs::default(),
            random: Random::default(),
            dry_run: false,
        }
    }

    /// The file system with both directories.
    #[must_use]
    pub fn fs(mut self, fs: Fs) -> Repair {
        self.fs = fs;
        self
    }

    /// Makes identities follow from `seed`, for tests.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Repair {
        self.random = Random::seeded(seed);
        self
    }

    /// Only looks: nothing is written, and `into` is not touched.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Repair {
        self.dry_run = dry_run;
        self
    }

    /// Carries it out.
    ///
    /// # Errors
    /// As [`Db::repair`].
    pub fn run(&self) -> Result<RepairReport> {
        let _lock = self.lock()?;
        let mut report = RepairReport { dry_run: self.dry_run, ..RepairReport::default() };
        let survey = survey(&self.fs, &self.dir, &mut report)?;
        if survey.tables.is_empty() && survey.segments.is_empty() && survey.state.is_none() {
            let why = "there is nothing of a store: no manifest, no table, no log".to_owned();
            return Err(Error::NotADatabase { path: self.dir.clone(), why });
        }
        if self.dry_run {
            let mut families = known(&survey);
            self.replay(&survey, &mut report, &mut families, &mut |_, _, _| Ok(()))?;
            name_families(&survey, &families, &mut report);
            return Ok(report);
        }
        let mut build = Build::begin(&self.fs, &self.into, self.random.clone(), &survey)?;
        let mut families = known(&survey);
        if survey.state.is_some() {
            for placed in &survey.tables {
                build.table(placed, placed.level.unwrap_or(0))?;
            }
        }
        let mut take = |seq, clock, op: &Op<'_>| build.apply(seq, clock, op);
        let last_seq = self.replay(&survey, &mut report, &mut families, &mut take)?;
        build.write_memtables()?;
        if survey.state.is_none() {
            build.merge_all(&survey)?;
        }
        let named = name_families(&survey, &families, &mut report);
        for family in &mut report.families {
            family.entries = Some(build.entries(family.id));
        }
        build.finish(&survey, &named, last_seq)?;
        self.check()?;
        Ok(report)
    }

    /// Keeps others from opening the damaged store meanwhile, without writing to it.
    fn lock(&self) -> Result<Option<LockGuard>> {
        match self.fs.lock(&FileKind::Lock.path(&self.dir), "") {
            Ok(Ok(guard)) => Ok(Some(guard)),
            Ok(Err(holder)) => {
                let holder = if holder.is_empty() { "another process".into() } else { holder };
                Err(Error::Locked { path: self.dir.clone(), holder })
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the log; what stands in tables already is passed over.
    fn replay(
        &self,
        survey: &Survey,
        report: &mut RepairReport,
        families: &mut BTreeMap<u32, ()>,
        take: &mut log::Apply<'_>,
    ) -> Result<u64> {
        let state = survey.state.as_ref();
        let expected =
            Expected { store: state.map(|state| state.store), oldest: state.map(|state| state.oldest_wal) };
        let mut apply = |seq, clock_ms, op: &Op<'_>| {
            let known = state.and_then(|state| state.families.get(&op.family));
            let dropped = state.is_some_and(|state| known.is_none() && op.family < state.next_family);
            if dropped || known.is_some_and(|family| seq <= family.flushed) {
                return Ok(());
            }
            families.insert(op.family, ());
            take(seq, clock_ms, op)
        };
        let log = log::read(&self.fs, &self.dir, &survey.segments, &expected, &mut apply)?;
        report.files.extend(log.files);
        report.files.sort_by(|a, b| a.name.cmp(&b.name));
        for gap in &log.gaps {
            let why = format!("writes are missing from the log, behind sequence number {}", gap.after);
            report.comebacks.push(Comeback { family: None, from: None, to: None, why });
        }
        report.gaps = log.gaps;
        Ok(log.last_seq)
    }

    /// Opens the new store and reads all of it.
    fn check(&self) -> Result<()> {
        let db =
            Db::builder(&self.into).fs(self.fs.clone()).deterministic(1).create_if_missing(false).open()?;
        let report = db.verify()?;
        db.close()?;
        report.problems.into_iter().next().map_or(Ok(()), Err)
    }
}

/// The families that are known to exist.
fn known(survey: &Survey) -> BTreeMap<u32, ()> {
    let mut families: BTreeMap<u32, ()> = survey.tables.iter().map(|placed| (placed.family, ())).collect();
    if let Some(state) = &survey.state {
        families.extend(state.families.keys().map(|id| (*id, ())));
    }
    // Every store has this one.
    families.insert(0, ());
    families
}

/// Gives every family its name, or one that is made up.
fn name_families(
    survey: &Survey,
    families: &BTreeMap<u32, ()>,
    report: &mut RepairReport,
) -> BTreeMap<u32, (String, Vec<u8>)> {
    let mut named: BTreeMap<u32, (String, Vec<u8>)> = BTreeMap::new();
    for &id in families.keys() {
        let told = match survey.families.get(&id) {
            None if id == 0 => Some(("default".to_owned(), FamilyOptions::default().encode())),
            told => told.cloned(),
        };
        let name_known = told.is_some();
        let (mut name, options) =
            told.unwrap_or_else(|| (format!("family-{id}"), FamilyOptions::default().encode()));
        while named.values().any(|(other, _)| *other == name) {
            // Without a manifest a dropped family may be found beside a later one of its name.
            name = format!("{name}-{id}");
        }
        report.families.push(FamilyReport { id, name: name.clone(), name_known, entries: None });
        named.insert(id, (name, options));
    }
    named
}
