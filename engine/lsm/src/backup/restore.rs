//! Making a store of a backup.
//!
//! # Steps
//! 1. Each object becomes a file of a new directory, and is checked against its name meanwhile.
//! 2. A manifest is written there, and `CURRENT` last of all: without it the directory is no store.

use super::checkpoint::{Made, make_store};
use super::record::{Record, Stored, StoredFile};
use super::repository::Backups;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::FileKind;
use crate::base::random::Random;
use crate::version::{Manifest, StoreState, decode_edit};
use std::collections::BTreeSet;
use std::path::Path;

/// The longest description of a store: some million tables with the longest keys there may be.
const MOST_STATE_BYTES: u64 = 1 << 30;

/// The family that every store has.
const DEFAULT_FAMILY: &str = "default";

impl Backups {
    /// Makes a store of a backup in a new directory, as it was when the backup was made. It is durable when
    /// the call returns. When it is first opened it starts a history of its own (see docs/durability.md).
    ///
    /// Every byte is checked on the way. A call that fails leaves no files; a process that ends amid it
    /// leaves a directory that is refused by [`crate::Db::open`], and may be removed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there is no such backup, or the directory is not empty;
    /// [`Error::Corruption`] if an object is missing or damaged; what reading and writing gives.
    pub fn restore(&self, number: u64, into: impl AsRef<Path>) -> Result<()> {
        let record = self.sound_record(number)?;
        let state = self.state(&record)?;
        self.make_store(&record, state, into.as_ref())
    }

    /// As [`Backups::restore`], of some column families alone. The default family is there in any case,
    /// empty if it was not asked for. Prepared transactions are left out, since they may concern others.
    ///
    /// # Errors
    /// As [`Backups::restore`]; [`Error::NoSuchFamily`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"v")?;
    /// db.column_family("tokens")?.put(b"t", b"w")?;
    /// let backups = esker::Backups::at(dir.path().join("backups"));
    /// let backup = backups.create(&db)?;
    /// backups.restore_families(backup.number, dir.path().join("tokens"), &["tokens"])?;
    /// let restored = esker::Db::open(dir.path().join("tokens"))?;
    /// assert_eq!(restored.column_family("tokens")?.get(b"t")?.unwrap(), b"w");
    /// assert!(restored.get(b"k")?.is_none());
    /// # restored.close()?; db.close() }
    /// ```
    pub fn restore_families(&self, number: u64, into: impl AsRef<Path>, names: &[&str]) -> Result<()> {
        let record = self.sound_record(number)?;
        let mut state = self.state(&record)?;
        let prepared = state.prepared_family;
        let there = |name: &str| {
            state.families.iter().any(|(id, family)| Some(*id) != prepared && family.name == name)
        };
        if let Some(name) = names.iter().find(|name| !there(name)) {
            return Err(Error::NoSuchFamily { name: (*name).into() });
        }
        leave_out(&mut state, |name| names.contains(&name));
        self.make_store(&record, state, into.as_ref())
    }

    fn sound_record(&self, number: u64) -> Result<Record> {
        self.check_format()?;
        self.record(number)
    }

    fn make_store(&self, record: &Record, state: StoreState, into: &Path) -> Result<()> {
        make_store(&self.fs, into, |made| self.fill(record, state, into, made))
    }

    fn fill(&self, record: &Record, state: StoreState, into: &Path, made: &mut Made) -> Result<()> {
        let needed: BTreeSet<FileKind> = state.data_files().collect();
        for file in &record.files {
            let (kind, length) = match *file {
                StoredFile::Table { number, .. } if !needed.contains(&FileKind::Table(number)) => continue,
                StoredFile::Blob { number, .. } if !needed.contains(&FileKind::Blob(number)) => continue,
                StoredFile::Table { number, object, .. } => (FileKind::Table(number), object.bytes),
                StoredFile::Blob { number, object, .. } => (FileKind::Blob(number), object.bytes),
                StoredFile::Log { number, length, .. } => (FileKind::Wal(number), length),
                StoredFile::Options { number, object } => (FileKind::Options(number), object.bytes),
            };
            let path = kind.path(into);
            let target = self.fs.create_new(&path)?;
            made.files.push(path);
            self.read_object(file.object(), |piece, at| target.write_all_at(piece, at))?;
            if length > file.object().bytes {
                target.truncate(length)?;
            }
            target.sync()?;
        }
        match Manifest::create(self.fs.clone(), into, Random::System, state) {
            Ok(_) => Ok(()),
            Err(error) => {
                made.in_doubt = error.in_doubt;
                Err(error.error)
            }
        }
    }

    /// What the manifest said when the backup was made.
    pub(super) fn state(&self, record: &Record) -> Result<StoreState> {
        let Stored { id, bytes } = record.state;
        let path = self.object(id);
        if bytes > MOST_STATE_BYTES {
            let expected = format!("a description of at most {MOST_STATE_BYTES} bytes");
            return Err(Corruption::new(&path, 0, expected, bytes.to_string()).into());
        }
        let mut encoded = Vec::new();
        self.read_object(record.state, |piece, _| {
            encoded.extend_from_slice(piece);
            Ok(())
        })?;
        let edit = decode_edit(&encoded).map_err(|malformed| malformed.in_file(&path, 0))?;
        let mut state = StoreState::default();
        state.apply(&edit).map_err(|why| Corruption::new(&path, 0, "a state that fits together", why))?;
        let stored: BTreeSet<FileKind> = record
            .files
            .iter()
            .filter_map(|file| match file {
                StoredFile::Table { number, .. } => Some(FileKind::Table(*number)),
                StoredFile::Blob { number, .. } => Some(FileKind::Blob(*number)),
                StoredFile::Log { .. } | StoredFile::Options { .. } => None,
            })
            .collect();
        let missing = state.data_files().find(|kind| !stored.contains(kind));
        let Some(kind) = missing else { return Ok(state) };
        let expected = format!("{}, which the backup's state names", kind.name());
        Err(Corruption::new(&path, 0, expected, "no such file in the backup").into())
    }
}

/// Takes families out of a state, as if they had been dropped; of the default one only what is in it.
fn leave_out(state: &mut StoreState, chosen: impl Fn(&str) -> bool) {
    // What is prepared may concern families that are left out: it is left out with them, whatever a family of
    // the user's is called.
    let prepared = state.prepared_family.take();
    let stays = |name: &str| name == DEFAULT_FAMILY || chosen(name);
    state.families.retain(|id, family| Some(*id) != prepared && stays(&family.name));
    let ceiling = state.seq_ceiling;
    for family in state.families.values_mut().filter(|family| !chosen(&family.name)) {
        family.tables = Default::default();
        family.blobs.clear();
        family.ranges.clear();
        // Nothing that the log holds of it is replayed.
        family.flushed = ceiling;
    }
}
