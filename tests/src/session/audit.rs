//! What stands in a store's directory, judged without the engine's own idea of it: the manifest is read
//! edit by edit, the tables entry by entry, the log record by record, and the rules are written down here
//! once more. What must hold of blob files stands in `audit_blobs`.

use super::audit_blobs::check_blobs;
use esker::base::filename::{FileKind, FileNumber};
use esker::base::key::{EntryRef, Kind, SeqNum};
use esker::fs::Fs;
use esker::inspect::{ManifestItem, SegmentItem, TableFile, walk_manifest, walk_segment};
use esker::ranges::Range;
use esker::version::{BlobMeta, EditOp, TableMeta};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Checks a directory in which nothing is being written: `CURRENT` names a manifest; every file is one that
/// it needs, and every file that it needs is there; no manifest, table or segment is damaged; tables are
/// what the manifest says; levels are sorted and disjoint; the versions of a key are older the deeper they
/// stand.
///
/// # Errors
/// The first rule that is broken, in words.
pub fn audit(fs: &Fs, dir: &Path) -> Result<(), String> {
    let manifest = current(fs, dir)?;
    let named = Named::read(fs, &manifest.path(dir))?;
    let logs = check_names(fs, dir, manifest, &named)?;
    check_log(fs, dir, &logs)?;
    check_kept(fs, dir, &named.kept)?;
    for (family, levels) in &named.families {
        check_levels(levels).map_err(|why| format!("family {family}: {why}"))?;
        let ranges = named.ranges.get(family).map(Vec::as_slice).unwrap_or_default();
        check_tables(fs, dir, levels, ranges).map_err(|why| format!("family {family}: {why}"))?;
        let blobs = named.blobs.get(family).map(Vec::as_slice).unwrap_or_default();
        let tables: Vec<_> = levels.values().flatten().cloned().collect();
        check_blobs(fs, dir, &tables, blobs).map_err(|why| format!("family {family}: {why}"))?;
        let flushed = named.flushed.get(family).copied().unwrap_or(0);
        if let Some(range) = ranges.iter().find(|range| range.seq > flushed) {
            return Err(format!("family {family}: {range:?} is on record, but {flushed} is flushed"));
        }
    }
    Ok(())
}

pub(super) fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The manifest that `CURRENT` names.
fn current(fs: &Fs, dir: &Path) -> Result<FileKind, String> {
    let bytes = fs.read_all(&FileKind::Current.path(dir), 4096).map_err(in_words)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let manifest = text.split(' ').filter_map(FileKind::parse).find(|k| matches!(k, FileKind::Manifest(_)));
    manifest.ok_or_else(|| format!("CURRENT names no manifest: {text:?}"))
}

type Levels = BTreeMap<usize, Vec<Arc<TableMeta>>>;

/// What a manifest names.
#[derive(Default)]
struct Named {
    families: BTreeMap<u32, Levels>,
    ranges: BTreeMap<u32, Vec<Arc<Range>>>,
    flushed: BTreeMap<u32, SeqNum>,
    blobs: BTreeMap<u32, Vec<BlobMeta>>,
    oldest_log: FileNumber,
    /// Segments that are kept for readers of changes: number, last sequence number, where they end.
    kept: Vec<(FileNumber, SeqNum, u64)>,
}

impl Named {
    fn read(fs: &Fs, path: &Path) -> Result<Named, String> {
        let (mut named, mut wrong) = (Named::default(), None);
        let file = fs.open(path).map_err(in_words)?;
        let walked = walk_manifest::<esker::Error>(&file, |item| {
            match item {
                ManifestItem::Op(op) => named.apply(&op).unwrap_or_else(|why| wrong = Some(why)),
                ManifestItem::Damage(error) => wrong = Some(error.to_string()),
                ManifestItem::Header(header) if header.damage.is_some() => wrong = Some("its header".into()),
                ManifestItem::Break(place) if place.why.is_some() => wrong = Some(format!("{place:?}")),
                _ => {}
            }
            Ok(())
        });
        walked.map_err(in_words)?;
        wrong.map_or(Ok(named), |why| Err(format!("{}: {why}", path.display())))
    }

    fn apply(&mut self, op: &EditOp) -> Result<(), String> {
        match op {
            EditOp::OldestWal(number) => self.oldest_log = self.oldest_log.max(*number),
            EditOp::KeepLog(segment) => self.kept.push((segment.number, segment.last_seq, segment.end)),
            EditOp::FeedFrom(from) => self.kept.retain(|(_, last_seq, _)| last_seq > from),
            EditOp::CreateFamily { id, .. } => drop(self.families.insert(*id, Levels::default())),
            EditOp::DropFamily(id) => {
                self.families.remove(id).ok_or("no family to drop")?;
                self.blobs.remove(id);
            }
            EditOp::AddBlob { family, meta } => self.blobs.entry(*family).or_default().push(*meta),
            EditOp::RemoveBlob { family, number } => {
                let blobs = self.blobs.entry(*family).or_default();
                let at = blobs.iter().position(|blob| blob.number == *number);
                blobs.remove(at.ok_or_else(|| format!("blob file {number} goes but was not there"))?);
            }
            EditOp::AddTable { family, level, meta } => {
                let levels = self.families.get_mut(family).ok_or("a table of no family")?;
                levels.entry(*level).or_default().push(meta.clone());
            }
            EditOp::RemoveTable { family, level, number } => {
                let levels = self.families.get_mut(family).ok_or("a table of no family")?;
                let tables = levels.entry(*level).or_default();
                let at = tables.iter().position(|table| table.number == *number);
                tables.swap_remove(at.ok_or_else(|| format!("table {number} goes but was not there"))?);
            }
            EditOp::Flushed { family, seq } => drop(self.flushed.insert(*family, *seq)),
            EditOp::AddRange { family, range } => {
                self.ranges.entry(*family).or_default().push(range.clone());
            }
            EditOp::RemoveRange { family, seq } => {
                let ranges = self.ranges.entry(*family).or_default();
                let at = ranges.iter().position(|range| range.seq == *seq);
                ranges.remove(at.ok_or_else(|| format!("the range at {seq} goes but was not there"))?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Compares the names in the directory with those that are needed. Returns the log segments, oldest first.
fn check_names(fs: &Fs, dir: &Path, manifest: FileKind, named: &Named) -> Result<Vec<FileNumber>, String> {
    let tables = named.families.values().flat_map(BTreeMap::values).flatten();
    let mut missing: BTreeSet<FileKind> = tables.map(|meta| FileKind::Table(meta.number)).collect();
    missing.extend(named.blobs.values().flatten().map(|meta| FileKind::Blob(meta.number)));
    missing.extend([FileKind::Current, FileKind::Lock, manifest, FileKind::Wal(named.oldest_log)]);
    missing.extend(named.kept.iter().map(|(number, ..)| FileKind::Wal(*number)));
    let (mut logs, mut options) = (Vec::new(), false);
    for name in fs.list(dir).map_err(in_words)? {
        let kind = FileKind::parse(&name).ok_or_else(|| format!("{name} is no file of a store"))?;
        match kind {
            FileKind::Wal(number) if number >= named.oldest_log => {
                missing.remove(&kind);
                logs.push(number);
            }
            // Holds nothing, and a disk may have no room for it.
            FileKind::Reserve => {}
            FileKind::Options(_) if !options => options = true,
            _ if missing.remove(&kind) => {}
            _ => return Err(format!("{name} was left behind: nothing needs it")),
        }
    }
    logs.sort_unstable();
    missing.first().map_or(Ok(logs), |kind| Err(format!("{} is missing", kind.name())))
}

/// What is kept for readers of changes is sound up to where it counts, and ends with the number that the
/// manifest says.
fn check_kept(fs: &Fs, dir: &Path, kept: &[(FileNumber, SeqNum, u64)]) -> Result<(), String> {
    for (number, last_seq, end) in kept {
        let path = FileKind::Wal(*number).path(dir);
        let file = fs.open(&path).map_err(in_words)?;
        let (mut last, mut counts, mut wrong) = (0, false, None);
        let walked = walk_segment::<esker::Error>(&file, |item| {
            match item {
                SegmentItem::Group { record, .. } => counts = record.offset < *end,
                SegmentItem::Op { seq, .. } if counts => last = last.max(seq),
                SegmentItem::Header(header) if header.damage.is_some() => wrong = Some("its header".into()),
                SegmentItem::Break(place) if place.offset < *end => wrong = Some(format!("{place:?}")),
                _ => {}
            }
            Ok(())
        });
        walked.map_err(in_words)?;
        if last != *last_seq {
            wrong = Some(format!("the last number before {end} is {last}, not {last_seq}"));
        }
        if let Some(why) = wrong {
            return Err(format!("{}, which is kept: {why}", path.display()));
        }
    }
    Ok(())
}

/// Every segment names the next one, the last none.
fn check_log(fs: &Fs, dir: &Path, logs: &[FileNumber]) -> Result<(), String> {
    for (at, number) in logs.iter().enumerate() {
        let path = FileKind::Wal(*number).path(dir);
        let file = fs.open(&path).map_err(in_words)?;
        let (mut next, mut wrong) = (None, None);
        let walked = walk_segment::<esker::Error>(&file, |item| {
            match item {
                SegmentItem::Next { number, .. } => next = Some(number),
                SegmentItem::Damage(error) => wrong = Some(error.to_string()),
                SegmentItem::Header(header) if header.damage.is_some() => wrong = Some("its header".into()),
                SegmentItem::Break(place) if place.why.is_some() => wrong = Some(format!("{place:?}")),
                _ => {}
            }
            Ok(())
        });
        walked.map_err(in_words)?;
        if next.as_ref() != logs.get(at + 1) {
            wrong = Some(format!("the next segment is {next:?}, there are {logs:?}"));
        }
        if let Some(why) = wrong {
            return Err(format!("{}: {why}", path.display()));
        }
    }
    Ok(())
}

/// Tables of level 0 hold disjoint ranges of sequence numbers, those of a lower level disjoint ranges of
/// keys.
fn check_levels(levels: &Levels) -> Result<(), String> {
    for (level, tables) in levels {
        for (at, table) in tables.iter().enumerate() {
            for other in &tables[at + 1..] {
                let apart = if *level == 0 {
                    table.max_seq < other.min_seq || other.max_seq < table.min_seq
                } else {
                    table.largest.0 < other.smallest.0 || other.largest.0 < table.smallest.0
                };
                if !apart {
                    return Err(format!(
                        "tables {} and {} of level {level} overlap",
                        table.number, other.number
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Where the versions of a key stand: the least sequence number in the levels read so far.
type Oldest = BTreeMap<Vec<u8>, SeqNum>;

fn check_tables(fs: &Fs, dir: &Path, levels: &Levels, ranges: &[Arc<Range>]) -> Result<(), String> {
    let mut oldest = Oldest::new();
    for (level, tables) in levels {
        let mut tables: Vec<&Arc<TableMeta>> = tables.iter().collect();
        // Each table of level 0 is a level of its own, the newest first.
        tables.sort_by_key(|table| std::cmp::Reverse(table.max_seq));
        let mut below = Oldest::new();
        for table in tables {
            let path = FileKind::Table(table.number).path(dir);
            let clean = |range: &&Arc<Range>| range.seq <= table.cleaned_seq;
            let clean: Vec<_> = ranges.iter().filter(clean).cloned().collect();
            check_table(fs, &path, table, &clean, &oldest, &mut below)
                .map_err(|why| format!("{} in level {level}: {why}", path.display()))?;
            if *level == 0 {
                oldest.append(&mut below);
            }
        }
        oldest.append(&mut below);
    }
    Ok(())
}

fn check_table(
    fs: &Fs,
    path: &Path,
    meta: &TableMeta,
    clean: &[Arc<Range>],
    above: &Oldest,
    found: &mut Oldest,
) -> Result<(), String> {
    let table = TableFile::open(fs.open(path).map_err(in_words)?).map_err(in_words)?;
    if table.size_bytes() != meta.size || !table.damage().is_empty() {
        return Err(format!("{} bytes, damage {:?}", table.size_bytes(), table.damage()));
    }
    let (mut entries, mut deletions, mut wrong) = (0, 0, None);
    let mut before: Option<(Vec<u8>, SeqNum)> = None;
    let mut look = |entry: EntryRef<'_>| {
        // Entries of an ingested table have the number that the manifest gives it.
        let entry = EntryRef { seq: entry.seq | meta.ingested_seq, ..entry };
        let ordered = before.as_ref().is_none_or(|(key, seq)| {
            key.as_slice() < entry.key || (key.as_slice() == entry.key && *seq > entry.seq)
        });
        if !ordered {
            wrong.get_or_insert(format!("{} is out of order", entry.key.escape_ascii()));
        }
        if above.get(entry.key).is_some_and(|above| *above <= entry.seq) {
            wrong.get_or_insert(format!("{} is newer than one above it", entry.key.escape_ascii()));
        }
        if let Some(range) = clean.iter().find(|range| range.contains(entry.key) && entry.seq < range.seq) {
            let (key, seq) = (entry.key.escape_ascii(), entry.seq);
            wrong.get_or_insert(format!("{key} @{seq} is there, though it is clean of {range:?}"));
        }
        let outside = entry.seq != 0 && !(meta.min_seq..=meta.max_seq).contains(&entry.seq);
        let first = entries == 0 && entry.key != meta.smallest.0;
        if outside || first {
            wrong.get_or_insert(format!("{} @{} is not as announced", entry.key.escape_ascii(), entry.seq));
        }
        entries += 1;
        deletions += u64::from(entry.kind == Kind::Delete);
        found.insert(entry.key.to_vec(), entry.seq);
        before = Some((entry.key.to_vec(), entry.seq));
    };
    table.entries::<esker::Error>(|entry| entry.map(&mut look)).map_err(in_words)?;
    if let Some(why) = wrong {
        return Err(why);
    }
    let last = before.map(|(key, _)| key);
    if (entries, deletions) != (meta.entries, meta.deletions) || last.as_ref() != Some(&meta.largest.0) {
        return Err(format!("{entries} entries, {deletions} deletions, last {last:?}: not as announced"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::*;
    use crate::history::{SMALLEST_OPTIONS, parse};
    use crate::session::Session;
    use esker::fs::SimFs;

    /// A closed store with tables.
    fn store() -> (SimFs, std::path::PathBuf) {
        let history = "put default a 900 sync\nput default b 900 sync\nflush\nput default a 9 os\nflush\n";
        let place = Place::fresh(1).with_options(SMALLEST_OPTIONS);
        let (disk, dir) = (place.disk.clone().unwrap(), place.path.clone());
        let mut session = Session::new(place);
        session.start().unwrap();
        parse(history).unwrap().iter().for_each(|operation| session.step(operation).unwrap());
        session.finish().unwrap();
        (disk, dir)
    }

    fn complaint(damage: impl FnOnce(&SimFs, &Path, &FileKind)) -> String {
        let (disk, dir) = store();
        let names = Fs::Sim(disk.clone()).list(&dir).unwrap();
        let mut kinds = names.iter().filter_map(|name| FileKind::parse(name));
        let table = kinds.rfind(|kind| matches!(kind, FileKind::Table(_))).unwrap();
        assert_eq!(audit(&Fs::Sim(disk.clone()), &dir), Ok(()));
        damage(&disk, &dir, &table);
        audit(&Fs::Sim(disk), &dir).unwrap_err()
    }

    #[test]
    fn files_too_many_and_files_too_few_are_told() {
        for kind in [
            FileKind::Table(900),
            FileKind::Blob(900),
            FileKind::Manifest(1),
            FileKind::Temp(9),
            FileKind::Wal(1),
        ] {
            let why = complaint(|disk, dir, _| disk.write_raw(&kind.path(dir), b"left").unwrap());
            assert!(why.contains("left behind"), "{why}");
        }
        let why = complaint(|disk, dir, table| {
            let fs = Fs::Sim(disk.clone());
            fs.remove(&table.path(dir)).unwrap();
        });
        assert!(why.contains("missing"), "{why}");
    }

    #[test]
    fn a_damaged_table_is_told() {
        let why = complaint(|disk, dir, table| disk.flip(&table.path(dir), 20, 1).unwrap());
        assert!(why.contains("checksum"), "{why}");
    }

    #[test]
    fn levels_that_overlap_are_told() {
        let table = |number, keys: [&str; 2], seqs: (u64, u64)| {
            let key = |at: usize| (keys[at].as_bytes().to_vec(), esker::base::key::Trailer(0));
            Arc::new(TableMeta {
                number,
                identity: 0,
                size: 0,
                smallest: key(0),
                largest: key(1),
                min_seq: seqs.0,
                max_seq: seqs.1,
                entries: 2,
                deletions: 0,
                earliest_expiry: 0,
                latest_expiry: 0,
                oldest_deletion_ms: 0,
                cleaned_seq: 0,
                ingested_seq: 0,
                blobs: Vec::new(),
            })
        };
        let levels = |level, a, b| Levels::from([(level, vec![a, b])]);
        let (a, b) = (table(1, ["a", "c"], (1, 5)), table(2, ["c", "d"], (5, 9)));
        assert!(check_levels(&levels(0, a.clone(), b.clone())).is_err());
        assert!(check_levels(&levels(3, a, b)).is_err());
        let (a, b) = (table(1, ["a", "c"], (1, 5)), table(2, ["b", "d"], (6, 9)));
        assert!(check_levels(&levels(0, a.clone(), b.clone())).is_ok());
        assert!(check_levels(&levels(1, a, b)).is_err());
    }
}
