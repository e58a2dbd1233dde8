//! A table.

use crate::base::error::{Corruption, Error, Result};
use crate::base::key::EntryRef;
use crate::base::sync::Arc;
use crate::block::{Block, BlockCursor};
use crate::compress::Codec;
use crate::fs::OpenFile;
use crate::table::{Footer, Handle, Properties, TableReader, TableSource};

/// A table file, as far as it can be read.
#[derive(Debug)]
pub struct TableFile {
    file: Arc<OpenFile>,
    size: u64,
    footer: Option<Footer>,
    properties: Option<Properties>,
    reader: Option<TableReader>,
    damage: Vec<Error>,
}

/// A data block, looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Where it stands.
    pub handle: Handle,
    /// How it is stored.
    pub codec: Codec,
    /// Its size in bytes, uncompressed.
    pub raw_bytes: u64,
    /// How many entries it holds.
    pub entries: u64,
    /// The user key of its first entry.
    pub first_key: Vec<u8>,
}

impl TableFile {
    /// Reads footer, properties, index and filters.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`] if a newer version wrote the file; what reading it gives. What is
    /// damaged is in [`TableFile::damage`].
    pub fn open(file: OpenFile) -> Result<TableFile> {
        let size = file.size()?;
        let file = Arc::new(file);
        let mut table =
            TableFile { file, size, footer: None, properties: None, reader: None, damage: Vec::new() };
        let footer = Footer::read(&table.file, size);
        table.footer = table.unless_damaged(footer)?;
        if table.footer.is_none() {
            return Ok(table);
        }
        let reader = TableReader::open_damaged(TableSource::File(table.file.clone()));
        table.reader = table.unless_damaged(reader)?;
        if let Some(reader) = table.reader.take() {
            table.properties = table.unless_damaged(reader.read_properties())?;
            table.damage.extend(reader.check_dictionary());
            table.damage.extend(reader.check_filters());
            table.reader = Some(reader);
        }
        Ok(table)
    }

    fn unless_damaged<T>(&mut self, found: Result<T>) -> Result<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error @ Error::Corruption(_)) => {
                self.damage.push(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The size of the file in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size
    }

    /// The footer, unless it is damaged; without it nothing can be found.
    #[must_use]
    pub fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref()
    }

    /// What the table says about itself, unless that is damaged.
    #[must_use]
    pub fn properties(&self) -> Option<&Properties> {
        self.properties.as_ref()
    }

    /// What is wrong with all that is not a data block.
    #[must_use]
    pub fn damage(&self) -> &[Error] {
        &self.damage
    }

    /// The data blocks in order; an error for each that is damaged, and the walk goes on behind it.
    pub fn blocks(&self) -> impl Iterator<Item = Result<BlockSummary>> {
        self.data().map(|(handle, block)| self.summary(handle, &block?))
    }

    fn data(&self) -> impl Iterator<Item = (Handle, Result<Arc<Block>>)> {
        self.reader.iter().flat_map(TableReader::blocks)
    }

    fn summary(&self, handle: Handle, block: &Arc<Block>) -> Result<BlockSummary> {
        let mut codec = [0];
        self.file.read_exact_at(&mut codec, handle.offset + u64::from(handle.size))?;
        let mut summary = BlockSummary {
            handle,
            codec: Codec::from_byte(codec[0]).unwrap_or_default(),
            raw_bytes: block.size_bytes() as u64,
            entries: 0,
            first_key: Vec::new(),
        };
        self.walk_block(handle, block, &mut |entry| {
            if summary.entries == 0 {
                summary.first_key = entry.key.to_vec();
            }
            summary.entries += 1;
            Ok::<_, Error>(())
        })?
        .map_or(Ok(summary), Err)
    }

    /// Visits the entries in order, all versions of a key, with what is damaged in between. An error of
    /// `visit` ends the walk and is returned.
    ///
    /// # Errors
    /// What reading the file gives. Damage is visited, not returned.
    pub fn entries<E: From<Error>>(
        &self,
        mut visit: impl FnMut(Result<EntryRef<'_>>) -> Result<(), E>,
    ) -> Result<(), E> {
        for (handle, block) in self.data() {
            let damage = match block {
                Ok(block) => self.walk_block(handle, &block, &mut |entry| visit(Ok(entry)))?,
                Err(damage @ Error::Corruption(_)) => Some(damage),
                Err(error) => return Err(error.into()),
            };
            if let Some(damage) = damage {
                visit(Err(damage))?;
            }
        }
        Ok(())
    }

    /// Visits the entries of a block; returns where it makes no sense.
    fn walk_block<E>(
        &self,
        handle: Handle,
        block: &Arc<Block>,
        visit: &mut impl FnMut(EntryRef<'_>) -> Result<(), E>,
    ) -> Result<Option<Error>, E> {
        let mut cursor = BlockCursor::new();
        cursor.set_block(block.clone());
        let mut step = cursor.seek_to_first();
        while step.is_ok() && cursor.valid() {
            visit(cursor.entry())?;
            step = cursor.next();
        }
        Ok(step.err().map(|malformed| {
            let found = format!("malformed bytes at {} of the raw block", malformed.at);
            Corruption::new(self.file.path(), handle.offset, malformed.expected, found).into()
        }))
    }
}
