//! What stands in a store that is whole, entry by entry, and in which bytes.

use crate::history::DROPPING;
use esker::base::error::Result;
use esker::base::filename::FileKind;
use esker::base::key::Kind;
use esker::block::BlockCursor;
use esker::fs::{Fs, SimFs};
use esker::inspect::{SegmentItem, walk_segment};
use esker::ranges::{Range as KeyRange, RangeKind};
use esker::table::{Expected, TableReader, TableSource};
use esker::version::load_manifest;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The newest entry of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Its sequence number; 0 in the last level.
    pub seq: u64,
    /// Its value; `None` if it is a deletion.
    pub value: Option<Vec<u8>>,
    /// When it expires.
    pub expires_at: u64,
    /// The file that it stands in.
    pub file: String,
    /// The bytes of that file without which it cannot be read: its block or record.
    pub bytes: Range<usize>,
}

impl Newest {
    /// What a read gives.
    #[must_use]
    pub fn at(&self, now_ms: u64) -> Option<&Vec<u8>> {
        self.value.as_ref().filter(|_| now_ms < self.expires_at)
    }
}

/// A family, a key and a sequence number.
pub type Written = (u32, Vec<u8>, u64);

/// The bytes of a record of the log, what it says, and how much of that stands in no table yet.
pub type Logged = (Range<usize>, Vec<Written>, u64);

/// A whole store.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The families by number.
    pub families: BTreeMap<u32, String>,
    /// The newest entry of each key.
    pub newest: BTreeMap<(u32, Vec<u8>), Newest>,
    /// The tables that count: by name, the bytes of each data block with its entries.
    pub tables: BTreeMap<String, Vec<(Range<usize>, u64)>>,
    /// The ranges that were deleted or dropped, by family.
    pub ranges: Vec<(u32, Arc<KeyRange>)>,
    /// The last sequence number in the log.
    pub last_logged: Option<u64>,
    /// The segments of the log that count, by name.
    pub segments: BTreeMap<String, Vec<Logged>>,
    /// Of each table that counts the entries of each of its blocks.
    pub entries: BTreeMap<String, Vec<Vec<Written>>>,
    /// The names of the files, with their bytes.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Truth {
    /// Reads the store in `dir`.
    ///
    /// # Errors
    /// The store is not whole.
    pub fn read(disk: &SimFs, dir: &Path) -> Result<Truth> {
        let fs = Fs::Sim(disk.clone());
        let loaded = load_manifest(&fs, dir)?.expect("a manifest");
        let mut truth = Truth::default();
        for (id, family) in &loaded.state.families {
            truth.families.insert(*id, family.name.clone());
            truth.ranges.extend(family.ranges.values().map(|range| (*id, range.clone())));
            for meta in family.tables.iter().flat_map(BTreeMap::values) {
                truth.table(&fs, dir, *id, meta.number)?;
            }
        }
        for name in fs.list(dir)? {
            if let Ok(bytes) = disk.read_raw(&dir.join(&name)) {
                truth.files.insert(name.clone(), bytes);
            }
            match FileKind::parse(&name) {
                Some(FileKind::Wal(number)) if number >= loaded.state.oldest_wal => {
                    let flushed = loaded.state.families.iter().map(|(id, f)| (*id, f.flushed)).collect();
                    truth.segment(&fs, dir, &name, &flushed)?;
                }
                _ => {}
            }
        }
        let Truth { newest, ranges, .. } = &mut truth;
        newest.retain(|(id, key), newest| {
            !ranges.iter().any(|(of, range)| of == id && range.seq > newest.seq && range.contains(key))
        });
        Ok(truth)
    }

    fn see(&mut self, family: u32, key: &[u8], newest: Newest) {
        let held = self.newest.entry((family, key.to_vec())).or_insert_with(|| newest.clone());
        if held.seq < newest.seq {
            *held = newest;
        }
    }

    fn table(&mut self, fs: &Fs, dir: &Path, family: u32, number: u64) -> Result<()> {
        let file = FileKind::Table(number).name();
        let source = TableSource::File(Arc::new(fs.open(&dir.join(&file))?));
        let reader = TableReader::open(source, Expected::default(), None)?;
        let (mut blocks, mut all) = (Vec::new(), Vec::new());
        for (handle, block) in reader.blocks() {
            let at = handle.offset as usize;
            let bytes = at..at + handle.stored_bytes() as usize;
            let mut cursor = BlockCursor::new();
            cursor.set_block(block?);
            cursor.seek_to_first().expect("a whole block");
            let (mut entries, mut written) = (0, Vec::new());
            while cursor.valid() {
                let entry = cursor.entry();
                let value = (entry.kind == Kind::Put).then(|| entry.value.to_vec());
                let (seq, expires_at) = (entry.seq, entry.expires_at);
                let newest = Newest { seq, value, expires_at, file: file.clone(), bytes: bytes.clone() };
                self.see(family, entry.key, newest);
                written.push((family, entry.key.to_vec(), seq));
                entries += 1;
                cursor.next().expect("a whole block");
            }
            blocks.push((bytes, entries));
            all.push(written);
        }
        self.entries.insert(file.clone(), all);
        self.tables.insert(file, blocks);
        Ok(())
    }

    fn segment(&mut self, fs: &Fs, dir: &Path, file: &str, flushed: &BTreeMap<u32, u64>) -> Result<()> {
        let mut bytes = 0..0;
        let mut records: Vec<Logged> = Vec::new();
        walk_segment(&fs.open(&dir.join(file))?, |item| {
            match item {
                SegmentItem::Group { record, .. } if !record.beyond => {
                    let end = record.payload_offset() + record.header.len;
                    bytes = record.offset as usize..end as usize;
                    records.push((bytes.clone(), Vec::new(), 0));
                }
                SegmentItem::Group { .. } => bytes = 0..0,
                SegmentItem::Op { seq, op } if !bytes.is_empty() => {
                    self.last_logged = self.last_logged.max(Some(seq));
                    let counts = flushed.get(&op.family).is_some_and(|flushed| seq > *flushed);
                    if let Some((_, written, saved)) = records.last_mut() {
                        if RangeKind::of(op.kind).is_none() {
                            written.push((op.family, op.key.to_vec(), seq));
                            if !counts {
                                // The last level has forgotten its number.
                                written.push((op.family, op.key.to_vec(), 0));
                            }
                        }
                        *saved += u64::from(counts);
                    }
                    if !counts {
                        return Ok(());
                    }
                    if let Some(kind) = RangeKind::of(op.kind) {
                        let range = KeyRange::new(kind, seq, op.key, op.value, 0);
                        self.ranges.push((op.family, Arc::new(range)));
                        return Ok(());
                    }
                    let value = (op.kind == Kind::Put).then(|| op.value.to_vec());
                    let (expires_at, bytes) = (op.expires_at, bytes.clone());
                    self.see(op.family, op.key, Newest { seq, value, expires_at, file: file.into(), bytes });
                }
                _ => {}
            }
            Ok::<_, esker::Error>(())
        })?;
        self.segments.insert(file.to_owned(), records);
        Ok(())
    }

    /// How many entries of a table stood in bytes that have changed and do stand in the log. The last
    /// level has forgotten its numbers: there a record with the same key is enough, unless it is that of
    /// another entry that was lost.
    #[must_use]
    pub fn also_logged(&self, file: &str, damaged: &BTreeMap<String, Vec<u8>>) -> u64 {
        let (Some(blocks), Some(entries)) = (self.tables.get(file), self.entries.get(file)) else { return 0 };
        let (was, is) = (&self.files[file], damaged.get(file));
        let mut logged: BTreeMap<&Written, u64> = BTreeMap::new();
        for (name, records) in &self.segments {
            let (Some(was), Some(is)) = (self.files.get(name), damaged.get(name)) else { continue };
            let intact = |range: &Range<usize>| {
                was.get(..64) == is.get(..64) && was.get(range.clone()) == is.get(range.clone())
            };
            for written in records.iter().filter(|(range, ..)| intact(range)).flat_map(|(_, all, _)| all) {
                *logged.entry(written).or_default() += 1;
            }
        }
        let changed =
            |range: &Range<usize>| is.is_none_or(|is| was.get(range.clone()) != is.get(range.clone()));
        let lost = blocks.iter().zip(entries).filter(|((range, _), _)| changed(range));
        let lost: Vec<&Written> = lost.flat_map(|(_, entries)| entries).collect();
        let named = |entry: &Written| entry.2 > 0 && logged.contains_key(entry);
        let found = |entry: &&&Written| match entry.2 {
            0 => {
                let (family, key, _) = entry;
                let others = lost.iter().filter(|o| (o.0, &o.1) == (*family, key) && named(o)).count() as u64;
                logged.get(*entry).is_some_and(|records| *records > others)
            }
            _ => named(entry),
        };
        lost.iter().filter(found).count() as u64
    }

    /// What a read of every key gives, by family.
    #[must_use]
    pub fn visible(&self, now_ms: u64) -> BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> {
        let empty = self.families.values().map(|name| (name.clone(), BTreeMap::new()));
        let mut families: BTreeMap<String, BTreeMap<_, _>> = empty.collect();
        for ((id, key), newest) in &self.newest {
            // As a dump does: what was dropped must not be read.
            let name = self.families.get(id).filter(|name| *name != DROPPING);
            if let (Some(name), Some(value)) = (name, newest.at(now_ms)) {
                families.entry(name.clone()).or_default().insert(key.clone(), value.clone());
            }
        }
        families
    }

    /// Whether everything that leads to an entry is as it was: its own bytes, and for a table
    /// everything that is no data block, for a segment its header.
    #[must_use]
    pub fn is_untouched(&self, newest: &Newest, damaged: &BTreeMap<String, Vec<u8>>) -> bool {
        let Some(before) = self.files.get(&newest.file) else { return false };
        // A file may have another name now.
        damaged.values().any(|after| {
            let same = |range: Range<usize>| before.get(range.clone()) == after.get(range);
            let Some(blocks) = self.tables.get(&newest.file) else {
                return same(0..64) && same(newest.bytes.clone());
            };
            let mut others = 0;
            after.len() == before.len()
                && same(newest.bytes.clone())
                && blocks
                    .iter()
                    .all(|(block, _)| same(std::mem::replace(&mut others, block.end)..block.start))
                && same(others..before.len())
        })
    }

    /// How many entries of a table stand in blocks that are as they were.
    #[must_use]
    pub fn untouched_entries(&self, file: &str, after: &[u8]) -> Option<(u64, u64)> {
        let (before, blocks) = (self.files.get(file)?, self.tables.get(file)?);
        let same = |range: &Range<usize>| before.get(range.clone()) == after.get(range.clone());
        let intact = blocks.iter().filter(|(range, _)| same(range)).map(|(_, entries)| entries).sum();
        Some((intact, blocks.iter().map(|(_, entries)| entries).sum()))
    }
}
