//! What must hold of the blob files of a family: each is referred to, every reference leads to the value of
//! its key, no two to the same one, and what the manifest counts is what there is.

use super::audit::in_words;
use esker::base::blob_ref::{BlobRef, BlobShare};
use esker::base::filename::{FileKind, FileNumber};
use esker::base::key::{EntryRef, Kind};
use esker::fs::Fs;
use esker::inspect::{BlobFile, TableFile};
use esker::version::{BlobMeta, TableMeta};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A record: the bytes of it, the key, and the length of the value.
type Records = BTreeMap<u64, (u64, Vec<u8>, u64)>;

pub(super) fn check_blobs(
    fs: &Fs,
    dir: &Path,
    tables: &[Arc<TableMeta>],
    blobs: &[BlobMeta],
) -> Result<(), String> {
    let mut left: BTreeMap<FileNumber, Records> = BTreeMap::new();
    for blob in blobs {
        let records = records(fs, dir, blob).map_err(|why| format!("blob file {}: {why}", blob.number))?;
        left.insert(blob.number, records);
    }
    for table in tables {
        let named = |why: String| format!("table {}: {why}", table.number);
        check_references(fs, dir, table, &mut left).map_err(named)?;
    }
    let referred = |blob: &&BlobMeta| {
        tables.iter().any(|table| table.blobs.iter().any(|share| share.file == blob.number))
    };
    match blobs.iter().find(|blob| !referred(blob)) {
        Some(blob) => Err(format!("no table refers to blob file {}", blob.number)),
        None => Ok(()),
    }
}

fn records(fs: &Fs, dir: &Path, meta: &BlobMeta) -> Result<Records, String> {
    let file = fs.open(&FileKind::Blob(meta.number).path(dir)).map_err(in_words)?;
    let blob = BlobFile::open(file).map_err(in_words)?;
    if !blob.damage().is_empty() || blob.head().is_none_or(|head| head.identity != meta.identity) {
        return Err(format!("another identity, or damage: {:?}", blob.damage()));
    }
    let mut records = Records::new();
    let mut sums = (0, 0);
    for record in blob.records() {
        let record = record.map_err(in_words)?;
        let raw = record.value.len() as u64;
        sums = (sums.0 + record.stored, sums.1 + raw);
        records.insert(record.offset, (record.stored, record.key, raw));
    }
    let counted = (blob.size_bytes(), records.len() as u64, sums.0, sums.1);
    if counted != (meta.size, meta.entries, meta.bytes, meta.raw_bytes) {
        return Err(format!("{counted:?}, and not {meta:?}"));
    }
    Ok(records)
}

/// Takes each record that a table refers to out of those that are left.
fn check_references(
    fs: &Fs,
    dir: &Path,
    meta: &TableMeta,
    left: &mut BTreeMap<FileNumber, Records>,
) -> Result<(), String> {
    let file = fs.open(&FileKind::Table(meta.number).path(dir)).map_err(in_words)?;
    let table = TableFile::open(file).map_err(in_words)?;
    let (mut shares, mut wrong) = (BTreeMap::<FileNumber, (u64, u64)>::new(), None);
    let mut look = |entry: EntryRef<'_>| {
        if entry.kind != Kind::BlobRef {
            return;
        }
        let key = entry.key.escape_ascii();
        let Ok(at) = BlobRef::decode(entry.value) else {
            wrong.get_or_insert(format!("{key} has no reference"));
            return;
        };
        let share = shares.entry(at.file).or_default();
        *share = (share.0 + 1, share.1 + at.stored);
        match left.get_mut(&at.file).and_then(|records| records.remove(&at.offset)) {
            Some((stored, of, raw)) if (stored, of.as_slice(), raw) == (at.stored, entry.key, at.raw) => {}
            found => {
                wrong.get_or_insert(format!("{key} refers to {at:?}, where there is {found:?}"));
            }
        }
    };
    table.entries::<esker::Error>(|entry| entry.map(&mut look)).map_err(in_words)?;
    let share = |(file, (entries, bytes))| BlobShare { file, entries, bytes };
    let shares: Vec<BlobShare> = shares.into_iter().map(share).collect();
    match wrong {
        Some(why) => Err(why),
        None if shares != meta.blobs => Err(format!("it refers to {shares:?}, and not {:?}", meta.blobs)),
        None => Ok(()),
    }
}
