//! The versions that a manifest names, with their files open.

use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::sync::Arc;
use crate::blob::Blobs;
use crate::table::Tables;
use crate::version::{
    BlobFile, BlobState, Purgatory, StoreState, TableFile, TableMeta, Version, check_blobs, check_levels,
    check_ranges,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Opens the tables and blob files of all families, and checks that levels are what they must be.
pub(super) fn open_versions(
    state: &StoreState,
    dir: &Path,
    (tables, blobs): (&Tables, &Blobs),
    purgatory: &Arc<Purgatory>,
) -> Result<Vec<(u32, Version)>> {
    let opening = Opening { dir, tables, blobs, purgatory };
    let mut versions = Vec::new();
    for (id, family) in &state.families {
        let mut files = BTreeMap::new();
        for blob in family.blobs.values() {
            files.insert(blob.meta.number, opening.blob(blob)?);
        }
        let mut added = Vec::new();
        for (level, tables) in family.tables.iter().enumerate() {
            for meta in tables.values() {
                added.push((level, opening.table(meta, &files)?));
            }
        }
        let version = Version::default().changed(&[], added);
        let blobs = check_blobs(&version, family.blobs.values().map(|blob| &blob.meta));
        let ranges = check_ranges(&version, family.ranges.values(), family.flushed);
        if let Some(problem) = check_levels(&version).into_iter().chain(blobs).chain(ranges).next() {
            let expected = format!("levels, ranges and blob files of family {:?} in order", family.name);
            return Err(Corruption::new(&FileKind::Current.path(dir), 0, expected, problem).into());
        }
        versions.push((*id, version));
    }
    Ok(versions)
}

struct Opening<'a> {
    dir: &'a Path,
    tables: &'a Tables,
    blobs: &'a Blobs,
    purgatory: &'a Arc<Purgatory>,
}

impl Opening<'_> {
    fn table(
        &self,
        meta: &Arc<TableMeta>,
        blobs: &BTreeMap<FileNumber, Arc<BlobFile>>,
    ) -> Result<Arc<TableFile>> {
        let reader = self.tables.open(meta.number, meta.identity, meta.size, meta.ingested_seq);
        let reader = reader.map_err(|error| self.missing(FileKind::Table(meta.number), error))?;
        // The state names no table that refers to a file which it does not name.
        let files = meta.blobs.iter().filter_map(|share| blobs.get(&share.file).cloned()).collect();
        Ok(TableFile::referring(meta.clone(), reader, self.purgatory.clone(), files))
    }

    fn blob(&self, blob: &BlobState) -> Result<Arc<BlobFile>> {
        let meta = blob.meta;
        let reader = self.blobs.open(meta.number, meta.identity, meta.size);
        let reader = reader.map_err(|error| self.missing(FileKind::Blob(meta.number), error))?;
        let file = BlobFile::new(meta, reader, self.purgatory.clone());
        file.set_dead_since_ms(blob.dead_since_ms);
        Ok(file)
    }

    /// An error of opening a file that the manifest names: it is damage if there is none.
    fn missing(&self, kind: FileKind, error: Error) -> Error {
        if !error.is_not_found() {
            return error;
        }
        let expected = match kind {
            FileKind::Table(_) => "a table that the manifest names",
            _ => "a blob file that the manifest names",
        };
        Corruption::new(&kind.path(self.dir), 0, expected, "no such file").into()
    }
}
