//! Checking everything that can be checked.

use super::handle::Db;
use crate::base::cursor::Cursor;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::FileKind;
use crate::base::key::Kind;
use crate::base::sync::Arc;
use crate::blob::BlobTotals;
use crate::cache::Through;
use crate::fs::OpenFile;
use crate::iter::Merge;
use crate::record::{HEADER_BYTES, padded};
use crate::table::InternalKey;
use crate::tree::Family;
use crate::version::{KeptSegment, Source, Version, check_blobs, check_levels, check_ranges};
use crate::wal::{SegmentTail, Tailed};
use std::collections::BTreeSet;
use std::path::Path;

/// What a verification read and found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Column families.
    pub families: u64,
    /// Tables.
    pub tables: u64,
    /// Blob files.
    pub blob_files: u64,
    /// Blocks of any kind.
    pub blocks: u64,
    /// Entries, all versions counted.
    pub entries: u64,
    /// Bytes of tables and blob files, each under a checksum that was checked.
    pub bytes: u64,
    /// Segments of the log that are kept for readers of changes; their groups were checked, too.
    pub kept_segments: u64,
    /// Everything that is wrong; empty for a sound store.
    pub problems: Vec<Error>,
    /// Tables and blob files that the manifest does not name: they are being written, or about to be removed.
    pub unnamed_files: Vec<String>,
    /// Files in the directory that are not the store's.
    pub foreign_files: Vec<String>,
}

impl Db {
    /// Reads every table and blob file past the cache and checks all checksums, the order of entries, that
    /// levels are sorted and disjoint, that no two tables hold the same entry, that each reference to a
    /// separated value leads to that of its key, that tables are what the manifest says
    /// of them, and that directory and manifest name the same files. Writes may go on meanwhile.
    ///
    /// # Errors
    /// Only what keeps the check from being made; what it finds is in the report.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"v")?;
    /// db.flush()?;
    /// let report = db.verify()?;
    /// assert!(report.problems.is_empty());
    /// assert_eq!((report.tables, report.entries), (1, 1));
    /// # Ok(()) }
    /// ```
    pub fn verify(&self) -> Result<VerifyReport> {
        let store = &self.inner().store;
        store.check_open()?;
        let mut report = VerifyReport::default();
        for family in store.families() {
            self.verify_family(&family, &mut report);
        }
        self.verify_directory(&mut report)?;
        self.verify_kept(&mut report)?;
        Ok(report)
    }

    /// Reads the segments that are kept for readers of changes.
    fn verify_kept(&self, report: &mut VerifyReport) -> Result<()> {
        let store = &self.inner().store;
        let (id, kept) = store.with_manifest(|manifest| {
            let state = manifest.state();
            (state.store, state.feed.as_ref().map_or_else(Vec::new, |feed| feed.segments.clone()))
        });
        for segment in kept {
            let path = FileKind::Wal(segment.number).path(&store.dir);
            let opened = store.fs.open(&path);
            let read = opened.and_then(|file| verify_segment(file, id, segment));
            // It may be let go at any moment.
            let is_kept = || {
                store.with_manifest(|manifest| {
                    manifest.state().feed.as_ref().is_some_and(|feed| feed.keeps(segment.number))
                })
            };
            match read {
                Ok(()) => report.kept_segments += 1,
                Err(error) if error.is_not_found() && !is_kept() => {}
                Err(error) if error.is_not_found() => {
                    let expected = "a file that readers of changes need";
                    report.problems.push(Corruption::new(&path, 0, expected, "no such file").into());
                }
                Err(error @ Error::Corruption(_)) => report.problems.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn verify_family(&self, family: &Family, report: &mut VerifyReport) {
        let view = family.view();
        report.families += 1;
        let manifest = FileKind::Current.path(self.path());
        let ranges = check_ranges(&view.version, view.ranges.ranges(), view.flushed);
        let blobs = check_blobs(&view.version, []);
        for problem in check_levels(&view.version).into_iter().chain(ranges).chain(blobs) {
            let expected = format!("levels, ranges and blob files of family {:?} in order", family.name());
            report.problems.push(Corruption::new(&manifest, 0, expected, problem).into());
        }
        let sound = report.problems.len();
        for (level, table) in view.version.tables() {
            report.tables += 1;
            match table.reader.verify() {
                Ok(verified) => {
                    report.blocks += verified.blocks;
                    report.entries += verified.entries;
                    report.bytes += verified.bytes;
                }
                Err(error) => report.problems.push(error),
            }
            let (meta, properties) = (&table.meta, table.reader.properties());
            let key = |key: &InternalKey| (key.user_key.clone(), key.trailer);
            let same = meta.entries == properties.entries
                && meta.deletions == properties.deletions
                && (meta.min_seq, meta.max_seq) == (properties.min_seq, properties.max_seq)
                && (meta.earliest_expiry, meta.latest_expiry)
                    == (properties.earliest_expiry, properties.latest_expiry)
                && meta.oldest_deletion_ms == properties.oldest_deletion_ms
                && (&meta.smallest, &meta.largest) == (&key(&properties.smallest), &key(&properties.largest));
            if !same {
                let expected = format!("the table that the manifest has in level {level}");
                let path = table.reader.path();
                report.problems.push(Corruption::new(&path, 0, expected, "other properties").into());
            }
        }
        for of in view.version.blobs().files() {
            report.blob_files += 1;
            let verified = of.file.reader().verify();
            let same = |found: &BlobTotals| {
                let meta = &of.file.meta;
                (found.entries, found.record_bytes, found.raw_bytes)
                    == (meta.entries, meta.bytes, meta.raw_bytes)
            };
            match verified {
                Ok(found) if same(&found) => report.bytes += of.file.meta.size,
                Ok(_) => {
                    let path = of.file.reader().path();
                    let expected = "the blob file that the manifest names";
                    report.problems.push(Corruption::new(&path, 0, expected, "other totals").into());
                }
                Err(error) => report.problems.push(error),
            }
        }
        // What is damaged or out of order by itself need not be put together.
        if report.problems.len() == sound
            && let Err(error) = check_together(&view.version, &manifest)
        {
            report.problems.push(error);
        }
    }

    /// Compares the directory with the manifest. Files that are being written or about to be removed
    /// are not named by the manifest: only those that it does name must be there.
    fn verify_directory(&self, report: &mut VerifyReport) -> Result<()> {
        let store = &self.inner().store;
        let (named, names) = store.with_manifest(|manifest| {
            let mut named: BTreeSet<FileKind> = manifest.state().data_files().collect();
            named.extend([FileKind::Current, FileKind::Manifest(manifest.number())]);
            store.fs.list(&store.dir).map(|names| (named, names))
        })?;
        let mut present = BTreeSet::new();
        for name in names {
            match FileKind::parse(&name) {
                Some(kind) => {
                    if matches!(kind, FileKind::Table(_) | FileKind::Blob(_)) && !named.contains(&kind) {
                        report.unnamed_files.push(name);
                    }
                    present.insert(kind);
                }
                None => report.foreign_files.push(name),
            }
        }
        for missing in named.difference(&present) {
            let path = missing.path(&store.dir);
            let expected = "a file that the store needs";
            report.problems.push(Corruption::new(&path, 0, expected, "no such file").into());
        }
        Ok(())
    }
}

/// Reads all groups of a segment up to where it counts.
fn verify_segment(file: OpenFile, store: u64, segment: KeptSegment) -> Result<()> {
    let mut tail = SegmentTail::open(file, store, segment.number, Some(segment.identity))?;
    let mut last = HEADER_BYTES;
    loop {
        match tail.next(segment.end)? {
            Tailed::Group { payload, base } => last = base + padded(payload.len() as u64),
            Tailed::Long { base, len } => last = base + padded(len),
            Tailed::Next(_) | Tailed::End => break,
        }
    }
    if last == segment.end {
        return Ok(());
    }
    let expected = format!("groups up to offset {}", segment.end);
    Err(Corruption::new(tail.file().path(), last, expected, "their end").into())
}

/// Reads all runs of tables as one, and checks that each key and number is there once, and that references
/// lead to the values of their keys.
fn check_together(version: &Arc<Version>, manifest: &Path) -> Result<()> {
    let runs = Source::of_tables(version);
    let blobs = version.blobs();
    if runs.len() < 2 && blobs.is_empty() {
        return Ok(());
    }
    let mut merged = Merge::new(runs);
    let (mut last, mut seq) = (Vec::new(), None);
    merged.seek_to_first()?;
    while merged.valid() {
        let entry = merged.entry();
        if seq.is_some_and(|seq| seq <= entry.seq) && last == entry.key {
            let expected = format!("tables of which one alone has {:?} with number {}", entry.key, entry.seq);
            return Err(Corruption::new(manifest, 0, expected, "two that have it").into());
        }
        if entry.kind == Kind::BlobRef {
            blobs.load_at(entry.key, &blobs.place(entry.value)?, Through::File, &mut ())?;
        }
        last.clear();
        last.extend_from_slice(entry.key);
        seq = Some(entry.seq);
        merged.next()?;
    }
    Ok(())
}
