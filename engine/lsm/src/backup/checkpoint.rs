//! A second store beside the first, made in a moment: tables are linked, not copied.
//!
//! # Steps
//! 1. What the store holds is held still ([`Store::capture`]): what the manifest says, tables, and the log
//!    up to a place that is synced.
//! 2. Tables, blob files and sealed segments of the log get a second name in the new directory; nobody
//!    changes them any more. The segment that is being written is copied up to that place.
//! 3. A manifest is written there, and `CURRENT` last of all. Without it the directory is no store.

use super::copy::copy_file;
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::base::key::SeqNum;
use crate::commit::{Capture, Store};
use crate::db::{Db, options_file};
use crate::fs::Fs;
use crate::hooks::{CheckpointEnded, Event};
use crate::version::{Manifest, NotSwitched};
use std::path::{Path, PathBuf};

/// What a checkpoint is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Where it stands.
    pub path: PathBuf,
    /// The last write in it.
    pub seq: SeqNum,
    /// Tables, blob files and segments of the log in it.
    pub files: usize,
    /// Bytes that it shares with the store as long as this has them, too.
    pub linked_bytes: u64,
    /// Bytes that were copied.
    pub copied_bytes: u64,
}

impl Db {
    /// Makes a copy of the store, as it is now, in a new directory: another store, that can be opened,
    /// written to, moved and removed by itself. Writers and readers go on meanwhile.
    ///
    /// It takes a moment and hardly any space if the directory stands on the same file system: tables and
    /// blob files are linked, and only the end of the log is copied. Elsewhere everything is copied. What was
    /// written before the call is in it, in whatever mode; of what is written meanwhile, a beginning. It is
    /// durable when the call returns. When it is first opened it starts a history of its own (see
    /// docs/durability.md).
    ///
    /// A call that fails leaves no files; a process that ends amid it leaves a directory that is refused by
    /// [`Db::open`], and may be removed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the directory exists and is not empty; [`Error::DiskFull`]; what reading
    /// and writing gives; [`Error::Poisoned`] if the store is read-only, since what memory holds cannot be
    /// made durable then.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    /// let db = esker::Db::open(&data)?;
    /// db.put(b"k", b"v")?;
    /// let checkpoint = db.checkpoint(&copy)?;
    /// db.put(b"k", b"later")?;
    /// let copy = esker::Db::open(&checkpoint.path)?;
    /// assert_eq!(copy.get(b"k")?.unwrap(), b"v");
    /// # copy.close()?; db.close() }
    /// ```
    pub fn checkpoint(&self, into: impl AsRef<Path>) -> Result<Checkpoint> {
        let (store, into) = (self.store(), into.as_ref());
        let clock = store.clock.source();
        let begun = clock.monotonic();
        let made = self.make_checkpoint(into);
        store.copy_counts.count_checkpoint(made.is_ok());
        store.emit(|at_ms| {
            let (path, took) = (into.into(), clock.monotonic().saturating_sub(begun));
            let (files, bytes) = made.as_ref().map_or((0, 0), |m| (m.files, m.linked_bytes + m.copied_bytes));
            let error = made.as_ref().err().cloned();
            Event::CheckpointEnded(CheckpointEnded { at_ms, path, files, bytes, took, error })
        });
        made
    }

    fn make_checkpoint(&self, into: &Path) -> Result<Checkpoint> {
        let _span = tracing::info_span!(target: "esker", "checkpoint", into = %into.display()).entered();
        self.step();
        let store = self.store();
        let options = store.next_number();
        let capture = self.capture()?;
        make_store(&store.fs, into, |made| {
            made.files.push(FileKind::Options(options).path(into));
            options_file::write(&store.fs, into, options, &self.options_text())?;
            fill(store, &capture, into, made)
        })
    }

    /// Holds still what the store holds, in the log and in tables.
    pub(super) fn capture(&self) -> Result<Capture> {
        let store = self.store();
        store.check_writable()?;
        if store.holds_unlogged() {
            self.flush()?;
        }
        store.capture()
    }
}

/// What was made of a store.
#[derive(Default)]
pub(super) struct Made {
    pub(super) files: Vec<PathBuf>,
    /// It may be complete: then nothing of it may be missing.
    pub(super) in_doubt: bool,
}

/// Makes a store in a directory, which is created, or is empty: `fill` says which files it has made, and
/// writes `CURRENT` last. If it fails they are removed.
///
/// Until `CURRENT` stands there a mark does, so that nobody takes for a new store what a process that has
/// ended left behind.
pub(super) fn make_store<T>(fs: &Fs, dir: &Path, fill: impl FnOnce(&mut Made) -> Result<T>) -> Result<T> {
    fs.create_dir_all(dir)?;
    // The root of a file system of its own holds nothing else when it is new.
    if let Some(name) = fs.list(dir)?.into_iter().find(|name| name != "lost+found") {
        let why = format!("{} is not empty: it holds {name:?}", dir.display());
        return Err(Error::invalid("directory", why));
    }
    let (mark, mut made) = (FileKind::Unfinished.path(dir), Made::default());
    let marked = fs.create_new(&mark).and_then(|file| file.sync()).and_then(|()| fs.sync_dir(dir));
    let result = marked.and_then(|()| fill(&mut made));
    if made.in_doubt {
        return result;
    }
    let mut stays = false;
    if result.is_err() {
        for path in &made.files {
            stays |= fs.remove(path).is_err_and(|error| !error.is_not_found());
        }
    }
    // Beside a store it means nothing, and goes when that is opened; beside a part of one it has to stay.
    if !stays {
        let _ = fs.remove(&mark);
    }
    result
}

fn fill(store: &Store, capture: &Capture, into: &Path, made: &mut Made) -> Result<Checkpoint> {
    let fs = &store.fs;
    let (mut files, mut linked_bytes, mut copied_bytes) = (0, 0, 0);
    let mut place = |kind: FileKind, end: u64, may_link: bool| -> Result<()> {
        let (from, to) = (kind.path(&store.dir), kind.path(into));
        files += 1;
        if may_link && fs.link(&from, &to)? {
            linked_bytes += end;
        } else {
            copy_file(fs, &from, &to, end)?;
            copied_bytes += end;
        }
        made.files.push(to);
        Ok(())
    };
    for table in capture.state.families.values().flat_map(|family| &family.tables).flatten() {
        place(FileKind::Table(*table.0), table.1.size, true)?;
    }
    for blob in capture.state.blobs() {
        place(FileKind::Blob(blob.number), blob.size, true)?;
    }
    for segment in &capture.segments {
        place(FileKind::Wal(segment.number), segment.end, segment.is_sealed)?;
    }
    match Manifest::create(fs.clone(), into, store.random.clone(), capture.state.clone()) {
        Ok(_) => Ok(Checkpoint { path: into.into(), seq: capture.seq, files, linked_bytes, copied_bytes }),
        Err(NotSwitched { error, in_doubt }) => {
            made.in_doubt = in_doubt;
            Err(error)
        }
    }
}
