//! The tables of a store: making them, opening them, letting go of them.

use super::piece::{TableCache, TableSource};
use super::reader::{Expected, TableReader};
use crate::base::checksum::Identity;
use crate::base::error::Result;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::SeqNum;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::cache::FilePool;
use crate::fs::{Fs, OpenFile};
use std::path::{Path, PathBuf};

/// Where the tables of a store stand, and what they share.
#[derive(Debug)]
pub struct Tables {
    fs: Fs,
    dir: PathBuf,
    random: Random,
    pool: Arc<FilePool>,
    cache: Arc<TableCache>,
}

impl Tables {
    /// Tables in `dir`, with a cache of `cache_bytes` and at most `open_files` descriptors.
    #[must_use]
    pub fn new(fs: Fs, dir: &Path, random: Random, cache_bytes: u64, open_files: usize) -> Tables {
        Tables {
            pool: Arc::new(FilePool::new(fs.clone(), dir, open_files)),
            cache: Arc::new(TableCache::new(cache_bytes)),
            fs,
            dir: dir.to_owned(),
            random,
        }
    }

    /// The block cache.
    #[must_use]
    pub fn cache(&self) -> &Arc<TableCache> {
        &self.cache
    }

    /// The pool of open files, which bounds the descriptors of blob files, too.
    #[must_use]
    pub fn pool(&self) -> &Arc<FilePool> {
        &self.pool
    }

    /// How many files of tables and blobs are open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.pool.len()
    }

    /// Creates the file of a new table, with the identity drawn for it.
    pub fn create(&self, number: FileNumber) -> Result<(OpenFile, Identity)> {
        let file = self.fs.create_new(&FileKind::Table(number).path(&self.dir))?;
        Ok((file, self.random.next_u64()))
    }

    /// Opens a table that must be the one described. `base` is the number of all its entries if they have
    /// none of their own, and otherwise 0.
    pub fn open(
        &self,
        number: FileNumber,
        identity: Identity,
        size_bytes: u64,
        base: SeqNum,
    ) -> Result<Arc<TableReader>> {
        let source = TableSource::Pool(self.pool.clone(), FileKind::Table(number));
        let expected = Expected { identity: Some(identity), size_bytes: Some(size_bytes), base };
        Ok(Arc::new(TableReader::open(source, expected, Some(self.cache.clone()))?))
    }

    /// As [`Tables::open`], with a descriptor of its own for as long as it is used: it can be read when
    /// somebody else has removed the file.
    pub fn open_held(
        &self,
        number: FileNumber,
        identity: Identity,
        size_bytes: u64,
        base: SeqNum,
    ) -> Result<Arc<TableReader>> {
        let source = TableSource::File(Arc::new(self.fs.open(&self.path(number))?));
        let expected = Expected { identity: Some(identity), size_bytes: Some(size_bytes), base };
        Ok(Arc::new(TableReader::open(source, expected, Some(self.cache.clone()))?))
    }

    /// Opens a table that was just taken in, of which nothing is known yet.
    pub fn open_unknown(&self, number: FileNumber) -> Result<TableReader> {
        let source = TableSource::Pool(self.pool.clone(), FileKind::Table(number));
        TableReader::open(source, Expected::default(), Some(self.cache.clone()))
    }

    /// The path of a table.
    #[must_use]
    pub fn path(&self, number: FileNumber) -> PathBuf {
        FileKind::Table(number).path(&self.dir)
    }

    /// Makes the directory entries of new tables durable.
    pub fn sync_dir(&self) -> Result<()> {
        self.fs.sync_dir(&self.dir)
    }

    /// Closes a table, or a blob file, and removes it.
    pub fn remove(&self, kind: FileKind) -> Result<()> {
        self.pool.forget(kind);
        self.fs.remove(&kind.path(&self.dir))
    }
}
