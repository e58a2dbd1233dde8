//! Taking tables in that were written outside of the store.

use super::family::ColumnFamily;
use super::handle::Db;
use super::inner::Inner;
use crate::background::Taken;
use crate::base::checksum::Identity;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{NEVER, SeqNum};
use crate::base::refusal::IngestRefusal;
use crate::base::sync::Arc;
use crate::commit::Store;
use crate::hooks::{Event, IngestEnded};
use crate::table::{Expected, Properties, TableReader, TableSource};
use std::path::{Path, PathBuf};

/// So much of a file is copied at once, in bytes, before it is asked whether the disk has room for more.
const COPY_BYTES: usize = 64 << 10;

/// Files to be ingested together, each into a family.
#[derive(Clone, Debug, Default)]
pub struct IngestBatch {
    files: Vec<(ColumnFamily, PathBuf)>,
}

impl IngestBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> IngestBatch {
        IngestBatch::default()
    }

    /// Adds the file `path` for `family`. Files for one family must not share keys.
    pub fn add(&mut self, family: &ColumnFamily, path: impl AsRef<Path>) -> &mut IngestBatch {
        self.files.push((family.clone(), path.as_ref().to_owned()));
        self
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// How files are ingested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestOptions {
    /// Whether the files are moved rather than copied: they are gone from where they were when the call has
    /// returned, and still there after an error. Where the store is on another file system, they are copied
    /// and then removed. Default: false.
    pub move_files: bool,
}

/// What was ingested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ingested {
    /// The files, in the order of the batch.
    pub files: Vec<IngestedFile>,
    /// Files that were moved but could not be removed from where they were: they are copies now.
    pub left: Vec<PathBuf>,
}

/// A file that was ingested.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestedFile {
    /// Where it came from.
    pub path: PathBuf,
    /// The name of its family.
    pub family: String,
    /// The sequence number that all its entries have.
    pub seq: SeqNum,
    /// The level that it stands in.
    pub level: usize,
    /// Its entries.
    pub entries: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl Ingested {
    /// The sequence number of the last file; 0 without any.
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        self.files.last().map_or(0, |file| file.seq)
    }
}

impl Db {
    /// Takes in tables that were written by a [`SstWriter`](super::SstWriter), all or none, without writing
    /// their entries again: as one commit, durable and visible when the call returns. All of a file's entries
    /// have one sequence number. Every file is read and checked whole before anybody is held up.
    ///
    /// # Errors
    /// Each names the file that is wrong: [`Error::IngestRefused`], [`Error::Corruption`],
    /// [`Error::UnsupportedVersion`], [`Error::Io`]; [`Error::DiskFull`]; [`Error::LockTimeout`] if a
    /// transaction holds a key in the range of a file; [`Error::FamilyDropped`], [`Error::WrongDatabase`];
    /// otherwise as [`Db::write`]. Nothing was ingested then, and all files are where they were.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let path = dir.path().join("users.sst");
    /// let mut writer = esker::SstWriter::create(&path, &esker::FamilyOptions::default())?;
    /// for n in 0..1000 {
    ///     writer.put(format!("user:{n:04}"), b"imported")?;
    /// }
    /// writer.finish()?;
    ///
    /// let mut batch = esker::IngestBatch::new();
    /// batch.add(&db, &path);
    /// let done = db.ingest(&batch, esker::IngestOptions { move_files: true })?;
    /// assert_eq!((done.files[0].entries, done.seq()), (1000, db.durable_seq()));
    /// assert_eq!(db.get(b"user:0042")?.unwrap(), b"imported");
    /// assert!(!path.exists());
    /// # Ok(()) }
    /// ```
    pub fn ingest(&self, batch: &IngestBatch, options: IngestOptions) -> Result<Ingested> {
        let inner = self.inner();
        inner.scheduler.step();
        let (store, clock) = (&inner.store, inner.store.clock.source());
        let begun = clock.monotonic();
        let ingested = Ingest::new(inner).run(batch, options);
        store.copy_counts.count_ingest(ingested.is_ok());
        store.emit(|at_ms| {
            let bytes = |done: &Ingested| done.files.iter().map(|file| file.bytes).sum();
            let (files, bytes) = (batch.len(), ingested.as_ref().map_or(0, bytes));
            let (took, error) = (clock.monotonic().saturating_sub(begun), ingested.as_ref().err().cloned());
            Event::IngestEnded(IngestEnded { at_ms, files, bytes, took, error })
        });
        inner.scheduler.step();
        ingested
    }
}

/// An ingest under way. What it has made is removed when it is dropped, unless something may name it.
struct Ingest<'i> {
    inner: &'i Inner,
    store: &'i Store,
    made: Vec<FileNumber>,
}

/// What a file says before it is read whole.
struct Offered {
    identity: Identity,
    properties: Properties,
    bytes: u64,
}

impl Drop for Ingest<'_> {
    fn drop(&mut self) {
        // If the manifest is in doubt it may name them after all, and they stay until the store is opened.
        if !self.store.poison.is_set() {
            for number in self.made.drain(..) {
                let _ = self.store.tables.remove(FileKind::Table(number));
            }
        }
    }
}

impl<'i> Ingest<'i> {
    fn new(inner: &'i Arc<Inner>) -> Ingest<'i> {
        Ingest { inner, store: &inner.store, made: Vec::new() }
    }

    fn run(mut self, batch: &IngestBatch, options: IngestOptions) -> Result<Ingested> {
        self.store.check_writable()?;
        for (family, _) in &batch.files {
            if !std::ptr::eq(&**family.inner(), self.inner) {
                return Err(Error::WrongDatabase);
            }
            family.check()?;
        }
        if batch.is_empty() {
            return Ok(Ingested::default());
        }
        self.store.check_room_to_ingest()?;
        let offered = self.offered(batch)?;
        let tables = self.take(batch, options, &offered);
        if let Err(error) = &tables
            && error.is_failed_sync()
        {
            self.store.latch(error.to_string(), error.clone());
        }
        let done = self.inner.scheduler.take_in(tables?)?;
        self.made.clear();
        let files = batch.files.iter().zip(&offered).zip(done).map(|(((family, path), offered), taken)| {
            let (path, family) = (path.clone(), family.name().to_owned());
            let (entries, bytes) = (offered.properties.entries, offered.bytes);
            IngestedFile { path, family, seq: taken.seq, level: taken.level, entries, bytes }
        });
        let mut ingested = Ingested { files: files.collect(), left: Vec::new() };
        if options.move_files {
            for (_, path) in &batch.files {
                if self.store.fs.remove(path).is_err() {
                    ingested.left.push(path.clone());
                }
            }
        }
        Ok(ingested)
    }

    /// Looks at what can be seen of the files without reading them whole.
    fn offered(&self, batch: &IngestBatch) -> Result<Vec<Offered>> {
        let mut offered: Vec<Offered> = Vec::with_capacity(batch.len());
        for (at, (family, path)) in batch.files.iter().enumerate() {
            let refused = |why| Err(refused(path, why));
            let file = Arc::new(self.store.fs.open(path)?);
            let table = TableReader::open(TableSource::File(file), Expected::default(), None)?;
            let (identity, bytes) = (table.identity(), table.size_bytes());
            let properties = table.properties().clone();
            if let Some(why) = unfit(&properties) {
                return refused(why);
            }
            let range = |p: &Properties| (p.smallest.user_key.clone(), p.largest.user_key.clone());
            let own = range(&properties);
            for ((other, other_path), earlier) in batch.files[..at].iter().zip(&offered) {
                if earlier.identity == identity {
                    return refused(IngestRefusal::CopyOf(other_path.clone().into()));
                }
                let (first, last) = range(&earlier.properties);
                if Arc::ptr_eq(other.family(), family.family()) && first <= own.1 && own.0 <= last {
                    return refused(IngestRefusal::Overlaps(other_path.clone().into()));
                }
            }
            let known = self.store.with_manifest(|manifest| manifest.state().table_with(identity));
            if let Some(number) = known {
                return refused(IngestRefusal::KnownAs(number));
            }
            offered.push(Offered { identity, properties, bytes });
        }
        Ok(offered)
    }

    /// Brings the files into the store's directory, synced, and checks every byte of what stands there then.
    fn take(
        &mut self,
        batch: &IngestBatch,
        options: IngestOptions,
        offered: &[Offered],
    ) -> Result<Vec<Taken>> {
        let store = self.store;
        let mut numbers = Vec::with_capacity(batch.len());
        for (_, path) in &batch.files {
            let number = store.next_number();
            self.made.push(number);
            bring(store, path, &store.tables.path(number), options.move_files)?;
            numbers.push(number);
        }
        store.tables.sync_dir()?;
        let mut tables = Vec::with_capacity(batch.len());
        for (((family, path), offered), number) in batch.files.iter().zip(offered).zip(numbers) {
            // Who is told of damage knows the file by the name that it came with.
            let taken = store.tables.path(number);
            let named = |error| named_as(error, &taken, path);
            let reader = store.tables.open_unknown(number).map_err(named)?;
            if reader.identity() != offered.identity || *reader.properties() != offered.properties {
                let expected = "the table that stood there when the ingest began";
                return Err(Corruption::new(path, 0, expected, "another one").into());
            }
            reader.verify().map_err(named)?;
            let (family, source) = (family.family().clone(), path.clone());
            tables.push(Taken { family, number, reader, source });
        }
        Ok(tables)
    }
}

fn refused(path: &Path, why: IngestRefusal) -> Error {
    Error::IngestRefused { file: path.into(), why }
}

/// Why a table cannot be ingested, by what it says about itself.
fn unfit(properties: &Properties) -> Option<IngestRefusal> {
    if !properties.outside || properties.max_seq != 0 && properties.entries > 0 {
        return Some(IngestRefusal::NotFromOutside);
    }
    if properties.entries == 0 {
        return Some(IngestRefusal::Empty);
    }
    // They count from when they are committed, and would have had to be written then.
    (properties.oldest_operand_ms != NEVER).then_some(IngestRefusal::HoldsOperands)
}

/// Gives a file a second name, or copies it, and syncs what has the new one. A file that is not to be `moved`
/// is copied: its owner may go on to write to it.
fn bring(store: &Store, from: &Path, to: &Path, moved: bool) -> Result<()> {
    if moved && store.fs.link(from, to)? {
        return store.fs.open(to)?.sync();
    }
    copy(store, from, to)
}

/// Copies a file and syncs the copy.
fn copy(store: &Store, from: &Path, to: &Path) -> Result<()> {
    let source = store.fs.open(from)?;
    let copy = store.fs.create_new(to)?;
    let (mut buffer, mut at) = (vec![0; COPY_BYTES], 0);
    loop {
        store.reserve.leave_some()?;
        store.check_writable()?;
        let read = source.read_at(&mut buffer, at)?;
        if read == 0 {
            return copy.sync();
        }
        copy.write_all_at(&buffer[..read], at)?;
        at += read as u64;
    }
}

/// What is wrong with the file `taken`, told of the file that it was made from.
fn named_as(error: Error, taken: &Path, source: &Path) -> Error {
    match error {
        Error::Corruption(mut corruption) if corruption.file == taken => {
            corruption.file = source.to_owned();
            Error::Corruption(corruption)
        }
        Error::UnsupportedVersion { file, found, supported } if file == taken => {
            Error::UnsupportedVersion { file: source.to_owned(), found, supported }
        }
        error => error,
    }
}
