//! The pieces of a table as they are loaded: where from, into what, through which cache.

use super::format::{Handle, MAX_DATA_BYTES, MAX_META_BYTES, damaged, read_block};
use super::index::Index;
use crate::base::checksum::Identity;
use crate::base::coding::Malformed;
use crate::base::error::Result;
use crate::base::filename::FileKind;
use crate::base::memory::Account;
use crate::base::sync::Arc;
use crate::block::Block;
use crate::cache::{BlockCache, BlockKey, FilePool, Weigh};
use crate::filter::Filter;
use crate::fs::OpenFile;
use std::path::PathBuf;

/// Where the bytes of a table come from.
#[derive(Clone, Debug)]
pub enum TableSource {
    /// A file that stays open.
    File(Arc<OpenFile>),
    /// A file of a pool, opened when it is needed.
    Pool(Arc<FilePool>, FileKind),
}

impl TableSource {
    /// The open file.
    ///
    /// # Errors
    /// What opening it gives.
    pub fn file(&self) -> Result<Arc<OpenFile>> {
        match self {
            TableSource::File(file) => Ok(file.clone()),
            TableSource::Pool(pool, kind) => pool.get(*kind),
        }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            TableSource::File(file) => file.path().to_owned(),
            TableSource::Pool(pool, kind) => pool.path(*kind),
        }
    }
}

/// A decoded block of a table, of any kind.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A data block.
    Data(Arc<Block>),
    /// An index partition.
    Index(Arc<Index>),
    /// The filter of a partition.
    Filter(Arc<Filter>),
}

impl Weigh for Piece {
    fn size_bytes(&self) -> usize {
        match self {
            Piece::Data(block) => block.size_bytes(),
            Piece::Index(index) => index.size_bytes(),
            Piece::Filter(filter) => filter.size_bytes(),
        }
    }
}

/// The cache that tables read through.
pub type TableCache = BlockCache<Piece>;

/// How far a load goes: whether it looks into the cache, and whether it fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// Look and fill.
    Cache,
    /// Look, but leave no trace.
    Peek,
    /// Read the file.
    File,
}

/// Loads pieces.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) source: TableSource,
    pub(super) identity: Identity,
    /// Where the footer begins: no block reaches beyond.
    pub(super) end: u64,
    pub(super) cache: Option<Arc<TableCache>>,
}

impl Loader {
    /// Reads a block from the file, checked and uncompressed.
    pub(super) fn read(&self, handle: Handle, limit: usize) -> Result<Box<[u8]>> {
        let file = self.source.file()?;
        Ok(read_block(&file, self.identity, handle, limit)?.into_boxed_slice())
    }

    pub(super) fn account(&self) -> Option<&Arc<Account>> {
        self.cache.as_ref().map(|cache| cache.account())
    }

    /// A data block.
    #[inline]
    pub(super) fn data(&self, handle: Handle, through: Through) -> Result<Arc<Block>> {
        match self.cached(handle, through) {
            Some(Piece::Data(block)) => Ok(block),
            Some(other) => Err(self.mistaken(handle, "a data block", &other)),
            None => self.load_data(handle, through),
        }
    }

    #[cold]
    fn load_data(&self, handle: Handle, through: Through) -> Result<Arc<Block>> {
        let block = Block::new(self.read(handle, MAX_DATA_BYTES)?, self.account());
        let block = Arc::new(block.map_err(|m| self.damaged(handle, m))?);
        self.fill(handle, through, || Piece::Data(block.clone()));
        Ok(block)
    }

    /// An index partition, whose blocks must lie before itself.
    pub(super) fn index(&self, handle: Handle, through: Through) -> Result<Arc<Index>> {
        match self.cached(handle, through) {
            Some(Piece::Index(index)) => return Ok(index),
            Some(other) => return Err(self.mistaken(handle, "an index", &other)),
            None => {}
        }
        let index = Index::new(self.read(handle, MAX_META_BYTES)?, handle.offset, self.account());
        let index = Arc::new(index.map_err(|m| self.damaged(handle, m))?);
        self.fill(handle, through, || Piece::Index(index.clone()));
        Ok(index)
    }

    /// A filter.
    pub(super) fn filter(&self, handle: Handle, through: Through) -> Result<Arc<Filter>> {
        match self.cached(handle, through) {
            Some(Piece::Filter(filter)) => return Ok(filter),
            Some(other) => return Err(self.mistaken(handle, "a filter", &other)),
            None => {}
        }
        let filter = Filter::decode(&self.read(handle, MAX_META_BYTES)?, self.account());
        let filter = Arc::new(filter.map_err(|m| self.damaged(handle, m))?);
        self.fill(handle, through, || Piece::Filter(filter.clone()));
        Ok(filter)
    }

    #[inline]
    fn cached(&self, handle: Handle, through: Through) -> Option<Piece> {
        let key = BlockKey { table: self.identity, offset: handle.offset };
        match (&self.cache, through) {
            (Some(cache), Through::Cache) => cache.get(&key),
            (Some(cache), Through::Peek) => cache.peek(&key),
            _ => None,
        }
    }

    fn fill(&self, handle: Handle, through: Through, piece: impl FnOnce() -> Piece) {
        if let (Some(cache), Through::Cache) = (&self.cache, through) {
            cache.insert(BlockKey { table: self.identity, offset: handle.offset }, piece());
        }
    }

    /// Asks the system to have a part of the file ready soon.
    pub(super) fn ask_ahead(&self, offset: u64, bytes: u64) {
        // Nothing depends on it: what is wrong with the file, reading it will tell.
        if let Ok(file) = self.source.file() {
            file.will_read(offset, bytes.min(self.end.saturating_sub(offset)));
        }
    }

    /// Malformed bytes as an error of this table.
    #[cold]
    pub(super) fn damaged(&self, handle: Handle, malformed: Malformed) -> crate::base::error::Error {
        damaged(&self.source.path(), handle, malformed)
    }

    /// Two handles of different kinds point at one block.
    #[cold]
    fn mistaken(&self, handle: Handle, expected: &str, found: &Piece) -> crate::base::error::Error {
        let found = match found {
            Piece::Data(_) => "a data block",
            Piece::Index(_) => "an index",
            Piece::Filter(_) => "a filter",
        };
        let path = self.source.path();
        crate::base::error::Corruption::new(&path, handle.offset, expected, found).into()
    }
}
