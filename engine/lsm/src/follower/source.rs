//! Where a reader reads, and what its states have in common.

use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::sync::Arc;
use crate::blob::Blobs;
use crate::db::Builder;
use crate::fs::Fs;
use crate::table::Tables;
use crate::version::{BlobFile, BlobMeta, Purgatory, TableFile, TableMeta};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Tables that are open, by number.
pub(super) type OpenTables = HashMap<FileNumber, Arc<TableFile>>;

/// Blob files that are open, by number.
pub(super) type OpenBlobs = HashMap<FileNumber, Arc<BlobFile>>;

/// Those that open tables refer to.
pub(super) fn blobs_of(tables: &OpenTables) -> OpenBlobs {
    let files = tables.values().flat_map(|table| table.blobs());
    files.map(|file| (file.meta.number, file.clone())).collect()
}

/// The directory of a store, and how it is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) builder: Builder,
    pub(super) tables: Tables,
    pub(super) blobs: Blobs,
    /// Stays empty: nobody here marks a table.
    purgatory: Arc<Purgatory>,
    /// So many tables and blob files have a descriptor of their own.
    most_held: usize,
    /// What a memtable may be expected to grow to.
    pub(super) memtable_bytes: usize,
    /// What is kept of the log may take so many bytes: the half of the budget that the cache has not.
    pub(super) most_log_bytes: u64,
}

impl Source {
    /// # Errors
    /// An option is out of its range.
    pub(super) fn new(builder: Builder) -> Result<Source> {
        let builder = builder.for_reading()?;
        let options = builder.given_options();
        let (budget, open_files) = (options.memory_budget, options.max_open_files);
        let (fs, random) = (builder.file_system().clone(), builder.random().clone());
        let pooled = open_files / 4;
        let (fs_of_blobs, random_of_blobs) = (fs.clone(), random.clone());
        let tables = Tables::new(fs, builder.dir(), random, options.cache_bytes(), pooled);
        let blobs = Blobs::new(
            fs_of_blobs,
            builder.dir(),
            random_of_blobs,
            tables.pool().clone(),
            tables.cache().clone(),
        );
        Ok(Source {
            tables,
            blobs,
            purgatory: Arc::default(),
            most_held: open_files - pooled,
            memtable_bytes: options.commit_options().memtable_bytes,
            most_log_bytes: budget - options.cache_bytes(),
            builder,
        })
    }

    pub(super) fn fs(&self) -> &Fs {
        self.builder.file_system()
    }

    /// By monotonic time.
    pub(super) fn now(&self) -> Duration {
        self.builder.given_clock().monotonic()
    }

    pub(super) fn dir(&self) -> &Path {
        self.builder.dir()
    }

    /// A table that the manifest names: one of `known`, or opened now, as the one after `before` others.
    pub(super) fn table(
        &self,
        meta: &Arc<TableMeta>,
        before: usize,
        known: &OpenTables,
        blobs: &OpenBlobs,
    ) -> Result<Arc<TableFile>> {
        // What the manifest says of it may have changed: its level is not part of that.
        if let Some(table) = known.get(&meta.number).filter(|table| table.meta == *meta) {
            return Ok(table.clone());
        }
        let TableMeta { number, identity, size, ingested_seq, .. } = **meta;
        let reader = match before < self.most_held {
            true => self.tables.open_held(number, identity, size, ingested_seq)?,
            false => self.tables.open(number, identity, size, ingested_seq)?,
        };
        // The state names no table that refers to a file which it does not name.
        let files = meta.blobs.iter().filter_map(|share| blobs.get(&share.file).cloned()).collect();
        Ok(TableFile::referring(meta.clone(), reader, self.purgatory.clone(), files))
    }

    /// A blob file that the manifest names, as [`Source::table`].
    pub(super) fn blob(&self, meta: &BlobMeta, before: usize, known: &OpenBlobs) -> Result<Arc<BlobFile>> {
        if let Some(file) = known.get(&meta.number).filter(|file| file.meta == *meta) {
            return Ok(file.clone());
        }
        let BlobMeta { number, identity, size, .. } = *meta;
        let reader = match before < self.most_held {
            true => self.blobs.open_held(number, identity, size)?,
            false => self.blobs.open(number, identity, size)?,
        };
        Ok(BlobFile::new(*meta, reader, self.purgatory.clone()))
    }
}

/// What it means that a file was not there while the manifest went on naming it.
pub(super) fn missing(error: Error) -> Error {
    match not_found(&error) {
        Some(path) => {
            let kind = path.file_name().and_then(|name| FileKind::parse(name.to_str()?));
            let expected = match kind {
                Some(FileKind::Table(_)) => "a table that the manifest names",
                Some(FileKind::Blob(_)) => "a blob file that the manifest names",
                Some(FileKind::Wal(_)) => "a segment of the log that is needed",
                _ => "a file that the store needs",
            };
            Corruption::new(path, 0, expected, "no such file").into()
        }
        None => error,
    }
}

/// What it means that a file was not there any more when it was wanted.
pub(super) fn gone(error: Error) -> Error {
    match not_found(&error) {
        Some(path) => Error::FileGone { file: path.into() },
        None => error,
    }
}

fn not_found(error: &Error) -> Option<&Path> {
    match error {
        Error::Io(failure) if error.is_not_found() => Some(&failure.path),
        _ => None,
    }
}
