//! The pieces of a table as they are loaded: where from, into what, through which cache.

use super::format::{Handle, MAX_DATA_BYTES, MAX_META_BYTES, damaged, read_block};
use super::index::Index;
use crate::base::checksum::Identity;
use crate::base::coding::Malformed;
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::base::memory::{Account, Charge};
use crate::base::observe::Observe;
use crate::base::sync::{Arc, Mutex, Weak};
use crate::block::Block;
use crate::cache::{BlockCache, Counted, FilePool, Slots, Through, Weigh};
use crate::compress::{Dictionary, MAX_DICTIONARY_BYTES};
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

/// An index in memory, and a slot for each of the blocks that it names.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) index: Index,
    /// Outlives the partition while the cache holds one of the blocks: see [`Known`].
    pub(super) blocks: Arc<Slots<Arc<Block>>>,
    _charge: Charge,
}

/// The slots of a partition's blocks, for as long as somebody holds them: a partition that was evicted and is
/// loaded again finds the blocks that were not.
pub(super) type Known = Mutex<Weak<Slots<Arc<Block>>>>;

impl Weigh for Arc<Block> {
    fn size_bytes(&self) -> usize {
        Block::size_bytes(self)
    }
}

impl Weigh for Arc<Partition> {
    fn size_bytes(&self) -> usize {
        self.index.size_bytes() + self.blocks.size_bytes()
    }
}

impl Weigh for Arc<Filter> {
    fn size_bytes(&self) -> usize {
        Filter::size_bytes(self)
    }
}

/// The cache that tables read through.
pub type TableCache = BlockCache;

/// Loads pieces.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) source: TableSource,
    pub(super) identity: Identity,
    /// Where the footer begins: no block reaches beyond.
    pub(super) end: u64,
    pub(super) cache: Option<Arc<TableCache>>,
    /// What its data blocks were compressed with, if that is more than zstd alone.
    pub(super) dictionary: Option<Dictionary>,
}

impl Loader {
    /// Reads a block from the file, checked and uncompressed.
    pub(super) fn read(&self, handle: Handle, limit: usize) -> Result<Box<[u8]>> {
        let file = self.source.file()?;
        let dictionary = self.dictionary.as_ref();
        Ok(read_block(&file, self.identity, handle, limit, dictionary)?.into_boxed_slice())
    }

    /// The dictionary at a handle, from the file.
    pub(super) fn read_dictionary(&self, handle: Handle) -> Result<Dictionary> {
        if !handle.within(self.end) {
            let expected = "a handle within the file for the dictionary";
            return Err(self.damaged(handle, Malformed { at: 0, expected }));
        }
        let bytes = self.read(handle, MAX_DICTIONARY_BYTES).map_err(|error| match error {
            Error::Corruption(mut damage) => {
                damage.expected.insert_str(0, "a dictionary: ");
                Error::Corruption(damage)
            }
            error => error,
        })?;
        Dictionary::new(&bytes, self.account()).map_err(|m| self.damaged(handle, m))
    }

    pub(super) fn account(&self) -> Option<&Arc<Account>> {
        self.cache.as_ref().map(|cache| cache.account())
    }

    /// Slots for pieces of the table; none if there is no cache.
    pub(super) fn slots<P: Counted>(&self, count: usize) -> Arc<Slots<P>> {
        Arc::new(Slots::new(if self.cache.is_some() { count } else { 0 }))
    }

    /// The data block of an entry of an index; `None` behind the last.
    #[inline]
    pub(super) fn data(
        &self,
        of: &Partition,
        at: usize,
        through: Through,
        observe: &mut impl Observe,
    ) -> Result<Option<Arc<Block>>> {
        match self.cached(&of.blocks, at, through) {
            Some(block) => {
                observe.cached();
                Ok(Some(block))
            }
            None => self.load_data(of, at, through, observe),
        }
    }

    #[cold]
    fn load_data(
        &self,
        of: &Partition,
        at: usize,
        through: Through,
        observe: &mut impl Observe,
    ) -> Result<Option<Arc<Block>>> {
        let Some(handle) = of.index.handle(at) else { return Ok(None) };
        let block = self.read_data(handle)?;
        observe.read(handle.stored_bytes(), block.size_bytes());
        self.fill(&of.blocks, at, through, &block);
        Ok(Some(block))
    }

    /// The data block at a handle, from the file.
    pub(super) fn read_data(&self, handle: Handle) -> Result<Arc<Block>> {
        let block = Block::new(self.read(handle, MAX_DATA_BYTES)?, self.account());
        Ok(Arc::new(block.map_err(|m| self.damaged(handle, m))?))
    }

    /// An index, whose blocks must lie before itself, from the file.
    pub(super) fn read_index(&self, handle: Handle) -> Result<Index> {
        let index = Index::new(self.read(handle, MAX_META_BYTES)?, handle.offset, self.account());
        index.map_err(|m| self.damaged(handle, m))
    }

    /// An index with slots for its blocks, from the file.
    pub(super) fn read_partition(&self, handle: Handle, known: Option<&Known>) -> Result<Arc<Partition>> {
        let index = self.read_index(handle)?;
        let blocks = match known {
            None => self.slots(index.len()),
            Some(known) => {
                let mut known = known.lock();
                known.upgrade().unwrap_or_else(|| {
                    let blocks = self.slots(index.len());
                    *known = Arc::downgrade(&blocks);
                    blocks
                })
            }
        };
        let charge = self.account().map_or_else(Charge::none, |account| account.charge(blocks.size_bytes()));
        Ok(Arc::new(Partition { index, blocks, _charge: charge }))
    }

    /// A filter, from the file.
    pub(super) fn read_filter(&self, handle: Handle) -> Result<Arc<Filter>> {
        let filter = Filter::decode(&self.read(handle, MAX_META_BYTES)?, self.account());
        Ok(Arc::new(filter.map_err(|m| self.damaged(handle, m))?))
    }

    #[inline]
    pub(super) fn cached<P: Counted>(&self, slots: &Slots<P>, at: usize, through: Through) -> Option<P> {
        match (&self.cache, through) {
            (Some(cache), Through::Cache) => cache.get(slots, at),
            (Some(cache), Through::Peek) => cache.peek(slots, at),
            _ => None,
        }
    }

    pub(super) fn fill<P: Counted>(&self, slots: &Arc<Slots<P>>, at: usize, through: Through, piece: &P) {
        if let (Some(cache), Through::Cache) = (&self.cache, through) {
            cache.insert(slots, at, piece.clone());
        }
    }

    /// Lets go of what the cache holds in `slots`, which nobody will look into again.
    pub(super) fn forget<P: Counted>(&self, slots: &Slots<P>) {
        if let Some(cache) = &self.cache {
            cache.forget(slots);
        }
    }

    /// Asks the system to have a part of the file ready soon.
    pub(super) fn ask_ahead(&self, offset: u64, bytes: u64) {
        // Nothing depends on it: what is wrong with the file, reading it will tell.
        let bytes = bytes.min(self.end.saturating_sub(offset));
        // Of 0 bytes the system makes all that follow.
        if let (1.., Ok(file)) = (bytes, self.source.file()) {
            file.will_read(offset, bytes);
        }
    }

    /// Malformed bytes as an error of this table.
    #[cold]
    pub(super) fn damaged(&self, handle: Handle, malformed: Malformed) -> Error {
        damaged(&self.source.path(), handle, malformed)
    }
}
