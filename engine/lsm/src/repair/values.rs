//! Separated values, as far as they can be read.

use crate::base::blob_ref::BlobRef;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{EntryRef, Kind};
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::blob::{BlobCounts, BlobReader, BlobSource};
use crate::cache::Through;
use crate::fs::Fs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// So many blob files are kept open.
const MOST_OPEN: usize = 16;

/// The blob files beside a table.
#[derive(Debug)]
pub(super) struct SeparateValues {
    fs: Fs,
    dir: PathBuf,
    /// The random number of the store whose files they must be; 0 if nothing tells it.
    store: u64,
    open: BTreeMap<FileNumber, Result<BlobReader>>,
}

impl SeparateValues {
    pub(super) fn new(fs: &Fs, dir: &Path, store: u64) -> SeparateValues {
        SeparateValues { fs: fs.clone(), dir: dir.to_owned(), store, open: BTreeMap::new() }
    }

    /// The value of an entry, wherever it stands; `None` if it stands in the entry.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    pub(super) fn load(&mut self, entry: &EntryRef<'_>) -> Result<Option<Slice>> {
        if entry.kind != Kind::BlobRef {
            return Ok(None);
        }
        let at = BlobRef::decode(entry.value)
            .map_err(|malformed| Error::invalid("reference to a blob", malformed.expected))?;
        if !self.open.contains_key(&at.file) {
            if self.open.len() >= MOST_OPEN {
                self.open.pop_first();
            }
            let reader = self.reader(at.file);
            self.open.insert(at.file, reader);
        }
        match self.open.get(&at.file) {
            Some(Ok(reader)) => reader.load(entry.key, &at, Through::File, &mut ()).map(Some),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(None),
        }
    }

    fn reader(&self, number: FileNumber) -> Result<BlobReader> {
        let file = Arc::new(self.fs.open(&FileKind::Blob(number).path(&self.dir))?);
        let reader = BlobReader::open_damaged(BlobSource::File(file.clone()), Arc::<BlobCounts>::default())?;
        let store = reader.head().store;
        if self.store != 0 && store != self.store {
            let (expected, found) = (format!("a file of store {:016x}", self.store), format!("{store:016x}"));
            return Err(Corruption::new(file.path(), 0, expected, found).into());
        }
        Ok(reader)
    }
}
