//! Making a backup.
//!
//! # Steps
//! 1. What the store holds is held still, as for a checkpoint. The log is copied first, so that the store may
//!    let go of it soon.
//! 2. Each file that no earlier backup has becomes an object, and the copy of a table or a blob file is read
//!    and checked. Such a file never changes, and its identity says which one it is: it is not even read if
//!    an earlier backup has it.
//! 3. The directory of objects is synced, and only then the backup is named.

use super::copy::read_pieces;
use super::object::ObjectId;
use super::record::{Backup, Record, Stored, StoredFile};
use super::repository::{Backups, file_name};
use crate::base::checksum::Identity;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::FileKind;
use crate::base::sync::Arc;
use crate::blob::{BlobReader, BlobSource};
use crate::commit::Store;
use crate::db::Db;
use crate::fs::OpenFile;
use crate::hooks::{BackupEnded, Event};
use crate::table::{Expected, TableReader, TableSource};
use crate::version::encode_edit;
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

/// How a backup is made.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct BackupOptions {
    /// How many bytes are read from the store in a second at most, so that its users have the disk; `None`:
    /// as many as there can be.
    pub bytes_per_second: Option<NonZeroU64>,
}

impl BackupOptions {
    /// With a limit on the bytes that are read in a second.
    #[must_use]
    pub fn bytes_per_second(mut self, bytes: NonZeroU64) -> BackupOptions {
        self.bytes_per_second = Some(bytes);
        self
    }
}

/// A table or a blob file of a store: never changed, never mistaken for another.
type TableKey = (u64, u64, Identity);

/// A backup on its way.
struct Making<'b> {
    backups: &'b Backups,
    store: &'b Store,
    pace: Pace<'b>,
    there: BTreeSet<ObjectId>,
    new_bytes: u64,
    temps: u64,
}

impl Backups {
    /// Makes a backup of what a store holds now. Writers and readers go on; what was written before the call
    /// is in it. It is durable when the call returns; one that fails or is interrupted leaves the earlier
    /// ones as they are, and nothing that the next one or a prune would not remove.
    ///
    /// What is read are the files that no earlier backup has, and the log.
    ///
    /// # Errors
    /// [`Error::Locked`] while somebody else changes the directory; [`Error::NotADatabase`] if it holds
    /// something else; [`Error::DiskFull`]; [`Error::Poisoned`] if the store is read-only; [`Error::Closed`]
    /// if it is closed meanwhile; [`Error::Corruption`] if a table of the store is damaged: a backup of it
    /// would be of no use; what reading and writing gives.
    pub fn create(&self, db: &Db) -> Result<Backup> {
        self.create_with(db, BackupOptions::default())
    }

    /// As [`Backups::create`], with options.
    ///
    /// # Errors
    /// As [`Backups::create`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let slowly = esker::BackupOptions::default().bytes_per_second(10_000_000.try_into().unwrap());
    /// let backup = esker::Backups::at(dir.path().join("backups")).create_with(&db, slowly)?;
    /// assert_eq!((backup.number, backup.seq), (1, db.visible_seq()));
    /// # db.close() }
    /// ```
    pub fn create_with(&self, db: &Db, options: BackupOptions) -> Result<Backup> {
        let store = db.store();
        let clock = store.clock.source();
        let begun = clock.monotonic();
        let made = self.make(db, options);
        store.copy_counts.count_backup(made.as_ref().ok().map(|backup| backup.new_bytes));
        store.emit(|at_ms| {
            let figures = |backup: &Backup| (backup.number, backup.bytes, backup.new_bytes);
            let (number, bytes, new_bytes) = made.as_ref().map_or((0, 0, 0), figures);
            let (path, error) = (self.dir.as_path().into(), made.as_ref().err().cloned());
            let took = clock.monotonic().saturating_sub(begun);
            Event::BackupEnded(BackupEnded { at_ms, path, number, bytes, new_bytes, took, error })
        });
        made
    }

    fn make(&self, db: &Db, options: BackupOptions) -> Result<Backup> {
        let _span = tracing::info_span!(target: "esker", "backup", into = %self.dir.display()).entered();
        db.step();
        let store = db.store();
        store.check_writable()?;
        self.take_directory()?;
        let _lock = self.lock()?;
        self.prepare()?;
        let earlier = self.records()?;
        let marked = self.marked()?;
        let there: BTreeSet<ObjectId> = self.object_names()?.difference(&marked).copied().collect();
        let tables = known_tables(earlier.sound.values(), &there);
        let numbers = self.numbers()?;
        let options_number = store.next_number();
        let mut capture = db.capture()?;
        let pace = Pace { store, options, since: store.clock.source().monotonic(), bytes: 0 };
        let mut making = Making { backups: self, store, pace, there, new_bytes: 0, temps: 0 };

        let mut files = Vec::new();
        for segment in &capture.segments {
            let path = FileKind::Wal(segment.number).path(&store.dir);
            let object = making.store_file(&path, segment.end, |_| Ok(()))?;
            let length = store.fs.open(&path)?.size()?.max(segment.end);
            files.push(StoredFile::Log { number: segment.number, length, object });
        }
        capture.let_go_of_log();
        let all = capture.state.families.values().flat_map(|family| &family.tables).flatten();
        for (&number, meta) in all {
            let identity = meta.identity;
            let object = match making.known(tables.get(&(capture.state.store, number, identity)))? {
                Some(object) => object,
                None => {
                    let path = FileKind::Table(number).path(&store.dir);
                    let (size_bytes, base) = (Some(meta.size), meta.ingested_seq);
                    let expected = Expected { identity: Some(identity), size_bytes, base };
                    making.store_file(&path, meta.size, |copy| check_table(copy, expected))?
                }
            };
            files.push(StoredFile::Table { number, identity, object });
        }
        for meta in capture.state.blobs() {
            let (number, identity) = (meta.number, meta.identity);
            let object = match making.known(tables.get(&(capture.state.store, number, identity)))? {
                Some(object) => object,
                None => {
                    let path = FileKind::Blob(number).path(&store.dir);
                    let expected = Some((identity, meta.size));
                    making.store_file(&path, meta.size, |copy| check_blob(copy, expected))?
                }
            };
            files.push(StoredFile::Blob { number, identity, object });
        }
        let object = making.store_bytes(db.options_text().as_bytes())?;
        files.push(StoredFile::Options { number: options_number, object });
        let mut edit = Vec::new();
        encode_edit(&mut edit, &capture.state.to_edit());
        let state = making.store_bytes(&edit)?;
        let new_bytes = making.new_bytes;
        self.fs.sync_dir(&self.objects())?;
        self.unmark(marked.intersection(&making.there).copied());

        let backup = Backup {
            number: numbers.last().map_or(1, |last| last + 1),
            created_ms: self.clock.wall_ms(),
            store: capture.state.store,
            history: capture.state.history.id,
            seq: capture.seq,
            files: files.len(),
            bytes: files.iter().map(|file| file.object().bytes).sum::<u64>() + state.bytes,
            new_bytes,
        };
        let record = Record { backup, state, files };
        let temp = self.staging().join("record");
        self.write_new(&temp, record.encode().as_bytes())?;
        let named = self.fs.dir(&self.named())?;
        self.fs.rename(&temp, &self.named().join(file_name(record.backup.number)))?;
        named.sync()?;
        Ok(record.backup)
    }
}

/// Reads a copy of a table as `Db::verify` does: what is damaged in the store, or was misread, is not to
/// be relied on one day.
fn check_table(copy: OpenFile, expected: Expected) -> Result<()> {
    TableReader::open(TableSource::File(Arc::new(copy)), expected, None)?.verify().map(drop)
}

/// The same of a copy of a blob file.
fn check_blob(copy: OpenFile, expected: Option<(Identity, u64)>) -> Result<()> {
    BlobReader::open(BlobSource::File(Arc::new(copy)), expected, Arc::default())?.verify().map(drop)
}

/// The objects of tables and blob files that earlier backups have.
fn known_tables<'r>(
    records: impl Iterator<Item = &'r Record>,
    there: &BTreeSet<ObjectId>,
) -> HashMap<TableKey, Stored> {
    let mut known = HashMap::new();
    for record in records {
        for file in &record.files {
            if let StoredFile::Table { number, identity, object }
            | StoredFile::Blob { number, identity, object } = file
                && there.contains(&object.id)
            {
                known.insert((record.backup.store, *number, *identity), *object);
            }
        }
    }
    known
}

impl Making<'_> {
    fn temp(&mut self) -> std::path::PathBuf {
        self.temps += 1;
        self.backups.staging().join(format!("object-{}", self.temps))
    }

    /// Makes an object of the first `end` bytes of a file, if `check` finds nothing wrong with the copy.
    fn store_file(
        &mut self,
        path: &Path,
        end: u64,
        check: impl FnOnce(OpenFile) -> Result<()>,
    ) -> Result<Stored> {
        let temp = self.temp();
        let (fs, source) = (&self.backups.fs, self.store.fs.open(path)?);
        let target = fs.create_new(&temp)?;
        let mut hasher = blake3::Hasher::new();
        let copied = read_pieces(&source, end, |piece, at| {
            self.pace.wait(piece.len() as u64)?;
            hasher.update(piece);
            target.write_all_at(piece, at)
        });
        let synced = copied.and_then(|()| target.sync());
        let checked = synced.and_then(|()| {
            check(target).map_err(|error| match error {
                // The copy is of no interest to anybody.
                Error::Corruption(damage) => Corruption { file: path.into(), ..*damage }.into(),
                error => error,
            })
        });
        checked.inspect_err(|_| drop(fs.remove(&temp)))?;
        self.name(&temp, Stored { id: ObjectId::seen(&hasher), bytes: end })
    }

    fn store_bytes(&mut self, bytes: &[u8]) -> Result<Stored> {
        let temp = self.temp();
        self.backups.write_new(&temp, bytes)?;
        self.name(&temp, Stored { id: ObjectId::of(bytes), bytes: bytes.len() as u64 })
    }

    /// An object that an earlier backup has, if it is there as long as it was: what is inside is read by
    /// those who check backups, and who has found damage there has marked it.
    fn known(&mut self, object: Option<&Stored>) -> Result<Option<Stored>> {
        let Some(object) = object.filter(|object| self.there.contains(&object.id)) else { return Ok(None) };
        let size = match self.backups.fs.open(&self.backups.object(object.id)) {
            Err(error) if error.is_not_found() => None,
            file => Some(file?.size()?),
        };
        if size == Some(object.bytes) {
            return Ok(Some(*object));
        }
        self.there.remove(&object.id);
        Ok(None)
    }

    /// Gives an object its name, unless there is one like it.
    fn name(&mut self, temp: &Path, object: Stored) -> Result<Stored> {
        if self.known(Some(&object))?.is_some() {
            self.backups.fs.remove(temp)?;
        } else {
            self.backups.fs.rename(temp, &self.backups.object(object.id))?;
            self.there.insert(object.id);
            self.new_bytes += object.bytes;
        }
        Ok(object)
    }
}

/// Keeps a backup from reading faster than it may.
struct Pace<'s> {
    store: &'s Store,
    options: BackupOptions,
    since: Duration,
    bytes: u64,
}

impl Pace<'_> {
    /// Waits until so many bytes more may have been read; ends when the store is closed.
    fn wait(&mut self, bytes: u64) -> Result<()> {
        self.bytes += bytes;
        let work = &self.store.work;
        if work.is_stopping() {
            return Err(Error::Closed);
        }
        let Some(rate) = self.options.bytes_per_second else { return Ok(()) };
        let due = self.since + Duration::from_secs_f64(self.bytes as f64 / rate.get() as f64);
        let early = due.saturating_sub(self.store.clock.source().monotonic());
        if !early.is_zero() {
            work.pause(early);
        }
        Ok(())
    }
}
