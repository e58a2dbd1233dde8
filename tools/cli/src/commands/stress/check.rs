//! Opening what a kill left, and reading all of it.

use super::child;
use super::intents::FAMILIES;
use super::oracle::Found;
use super::value::{self, Mark};
use crate::failure::Failure;
use esker::base::filename::FileKind;
use esker::fs::Fs;
use esker::version::load_manifest;
use esker::{ColumnFamily, Db, Error, Snapshot};
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

/// One of so many keys is also read alone.
const GET_EVERY: usize = 5;

/// Why a store cannot be checked, or does not pass.
#[derive(Debug)]
pub enum Trouble {
    /// A violation: what was expected and what was found.
    Wrong(String),
    /// The disk or the system refuses something.
    Failed(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        if child::is_the_worlds_fault(&error) {
            Trouble::Failed(error.into())
        } else {
            Trouble::Wrong(error.to_string())
        }
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Wrong(what.into()))
}

/// What a check has found.
#[derive(Debug)]
pub struct Checked {
    /// All entries.
    pub found: Found,
    /// How long opening took.
    pub reopen: Duration,
    /// Whether the store had been closed in good order.
    pub clean: bool,
    /// Whether an unfinished write was cut off the log.
    pub cut: bool,
}

/// Opens a store, reads all of it in both directions, verifies its files, closes it, and compares its
/// directory with its manifest.
///
/// # Errors
/// Whatever is wrong with it by itself, a panic of the engine included; whether its content is what it must
/// be is the oracle's to say.
pub fn check(store: &Path, seed: u64, round: u32) -> Result<Checked, Trouble> {
    catch_unwind(|| check_store(store, seed, round)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        wrong(format!("a panic while the store was looked at: {text}"))
    })
}

fn check_store(store: &Path, seed: u64, round: u32) -> Result<Checked, Trouble> {
    let started = Instant::now();
    let db = child::builder(store, seed, round).create_if_missing(false).open()?;
    let reopen = started.elapsed();
    let recovery = db.recovery().clone();
    if let Some(cut) = recovery.cut.as_ref().filter(|cut| cut.damaged) {
        return wrong(format!("{}: damaged at {}: {}", cut.file.display(), cut.offset, cut.why));
    }
    let found = read(&db, seed)?;
    let report = db.verify()?;
    if let Some(problem) = report.problems.first() {
        return wrong(format!("verify finds {} problems, first {problem}", report.problems.len()));
    }
    if let Some(file) = report.foreign_files.first() {
        return wrong(format!("the directory holds {file:?}, which is no file of a store"));
    }
    db.close()?;
    check_directory(store)?;
    Ok(Checked { found, reopen, clean: recovery.clean, cut: recovery.cut.is_some() })
}

fn read(db: &Db, seed: u64) -> Result<Found, Trouble> {
    let snapshot = db.snapshot();
    let mut found = Found { now_ms: snapshot.now_ms(), ..Found::default() };
    for name in db.column_families() {
        if let Some(number) =
            (0..).zip(FAMILIES).find_map(|(number, known)| (known == name).then_some(number))
        {
            let family = db.open_column_family(&name)?;
            read_family(&snapshot, &family, seed, number, &mut found)?;
        }
        found.families.insert(name);
    }
    Ok(found)
}

fn read_family(
    snapshot: &Snapshot,
    family: &ColumnFamily,
    seed: u64,
    number: u8,
    found: &mut Found,
) -> Result<(), Trouble> {
    let mut entries: Vec<(Vec<u8>, Mark)> = Vec::new();
    for entry in snapshot.iter(family)? {
        let (key, value) = entry?;
        if entries.last().is_some_and(|(last, _)| last.as_slice() >= &*key) {
            return wrong(format!("family {:?}: {} is out of order", family.name(), key.escape_ascii()));
        }
        entries.push((key.to_vec(), value::read(seed, &key, &value)));
    }
    let mut left = entries.as_slice();
    for entry in snapshot.iter(family)?.rev() {
        let (key, value) = entry?;
        match left.split_last() {
            Some(((expected, mark), rest))
                if *expected == *key && *mark == value::read(seed, &key, &value) =>
            {
                left = rest;
            }
            _ => return wrong(format!("family {:?}: backward {}", family.name(), key.escape_ascii())),
        }
    }
    if !left.is_empty() {
        return wrong(format!("family {:?}: {} entries are missing backward", family.name(), left.len()));
    }
    for (key, mark) in entries.iter().step_by(GET_EVERY) {
        let got = snapshot.get(family, key)?.map(|value| value::read(seed, key, &value));
        if got.as_ref() != Some(mark) {
            let (name, key) = (family.name(), key.escape_ascii());
            return wrong(format!("family {name:?}: {key} is read as {mark}, got as {got:?}"));
        }
    }
    found.entries.extend(entries.into_iter().map(|(key, mark)| ((number, key), mark)));
    Ok(())
}

/// In the directory of a closed store stands what its manifest names, and nothing else.
fn check_directory(store: &Path) -> Result<(), Trouble> {
    let fs = Fs::default();
    let Some(loaded) = load_manifest(&fs, store)? else { return wrong("there is no CURRENT after a close") };
    let mut named: BTreeSet<FileKind> = loaded.state.data_files().collect();
    named.extend([FileKind::Current, FileKind::Lock, FileKind::Manifest(loaded.number)]);
    for name in fs.list(store)? {
        let accounted = match FileKind::parse(&name) {
            Some(FileKind::Wal(number)) => {
                number >= loaded.state.oldest_wal
                    || loaded.state.feed.as_ref().is_some_and(|feed| feed.keeps(number))
            }
            Some(FileKind::Reserve | FileKind::Options(_)) => true,
            Some(kind) => named.remove(&kind),
            None => false,
        };
        if !accounted {
            return wrong(format!("after a close the directory holds {name}, which nothing names"));
        }
    }
    match named.first() {
        Some(missing) => wrong(format!("after a close {} is missing", missing.name())),
        None => Ok(()),
    }
}
