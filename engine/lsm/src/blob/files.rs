//! The blob files of a store: making them, opening them, letting go of them.

use super::reader::BlobReader;
use crate::base::checksum::Identity;
use crate::base::error::Result;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::memory::Account;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::base::sync::quiet::{AtomicU64, Ordering};
use crate::cache::{BlockCache, FilePool};
use crate::fs::{Fs, OpenFile};
use std::path::{Path, PathBuf};

/// Where the bytes of a blob file come from.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// A file that stays open.
    File(Arc<OpenFile>),
    /// A file of a pool, opened when it is needed.
    Pool(Arc<FilePool>, FileKind),
}

impl BlobSource {
    pub(super) fn file(&self) -> Result<Arc<OpenFile>> {
        match self {
            BlobSource::File(file) => Ok(file.clone()),
            BlobSource::Pool(pool, kind) => pool.get(*kind),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        match self {
            BlobSource::File(file) => file.path().to_owned(),
            BlobSource::Pool(pool, kind) => pool.path(*kind),
        }
    }
}

/// What was read of separated values, and what of it is still in memory.
#[derive(Debug, Default)]
pub struct BlobCounts {
    pub(super) reads: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    /// Values that somebody holds.
    pub(super) held: Arc<Account>,
    /// The places in the cache of the values of all files.
    pub(super) slots: Arc<Account>,
}

impl BlobCounts {
    /// Values that were read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The stored bytes of these.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// The bytes of values in memory that the cache does not know: iterators stand on them, or
    /// [`Slice`](crate::base::slice::Slice)s hold them.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.held.bytes()
    }
}

/// Where the blob files of a store stand, and what they share.
#[derive(Debug)]
pub struct Blobs {
    fs: Fs,
    dir: PathBuf,
    random: Random,
    pool: Arc<FilePool>,
    cache: Arc<BlockCache>,
    counts: Arc<BlobCounts>,
}

impl Blobs {
    /// Blob files in `dir`, opened through `pool`, which bounds the descriptors of tables, too; what is read
    /// of them stays in `cache`.
    #[must_use]
    pub fn new(fs: Fs, dir: &Path, random: Random, pool: Arc<FilePool>, cache: Arc<BlockCache>) -> Blobs {
        Blobs { fs, dir: dir.to_owned(), random, pool, cache, counts: Arc::default() }
    }

    /// What was read.
    #[must_use]
    pub fn counts(&self) -> &BlobCounts {
        &self.counts
    }

    /// Creates a blob file, with the identity drawn for it.
    ///
    /// # Errors
    /// What creating the file gives.
    pub fn create(&self, number: FileNumber) -> Result<(OpenFile, Identity)> {
        let file = self.fs.create_new(&FileKind::Blob(number).path(&self.dir))?;
        Ok((file, self.random.next_u64()))
    }

    /// Opens a blob file that must be the one described.
    ///
    /// # Errors
    /// As [`BlobReader::open`].
    pub fn open(&self, number: FileNumber, identity: Identity, size_bytes: u64) -> Result<Arc<BlobReader>> {
        let source = BlobSource::Pool(self.pool.clone(), FileKind::Blob(number));
        self.reader(source, (identity, size_bytes))
    }

    fn reader(&self, source: BlobSource, expected: (Identity, u64)) -> Result<Arc<BlobReader>> {
        let reader = BlobReader::open(source, Some(expected), self.counts.clone())?;
        Ok(Arc::new(reader.with_cache(&self.cache)))
    }

    /// As [`Blobs::open`], with a descriptor of its own: it can be read after it was removed.
    ///
    /// # Errors
    /// As [`BlobReader::open`].
    pub fn open_held(
        &self,
        number: FileNumber,
        identity: Identity,
        size_bytes: u64,
    ) -> Result<Arc<BlobReader>> {
        let file = self.fs.open(&FileKind::Blob(number).path(&self.dir))?;
        self.reader(BlobSource::File(Arc::new(file)), (identity, size_bytes))
    }
}
