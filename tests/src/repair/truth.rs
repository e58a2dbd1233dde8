//! What stands in a store that is whole, entry by entry, and in which bytes.

use crate::history::DROPPING;
use crate::oracle::Dump;
use crate::session::Place;
use esker::base::blob_ref::BlobRef;
use esker::base::error::Result;
use esker::base::filename::FileKind;
use esker::base::key::{Kind, NEVER};
use esker::blob::{BlobReader, BlobSource, HEADER_BYTES as BLOB_HEADER_BYTES};
use esker::block::BlockCursor;
use esker::cache::Through;
use esker::fs::sim::Image;
use esker::fs::{Fs, SimFs};
use esker::inspect::{SegmentItem, walk_segment};
use esker::ranges::{Range as KeyRange, RangeKind};
use esker::table::{Expected, TableReader, TableSource};
use esker::version::{TableMeta, load_manifest};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// An entry of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Its sequence number; 0 in the last level.
    pub seq: u64,
    /// Its value; `None` if it is a deletion. Of an operand, what all of them come to.
    pub value: Option<Vec<u8>>,
    /// When it expires. What operands come to is there, or not.
    pub expires_at: u64,
    /// The file that it stands in.
    pub file: String,
    /// The bytes of that file without which it cannot be read: its block or record.
    pub bytes: Range<usize>,
    /// The blob file that its value stands in, and the bytes of the record there.
    pub apart: Option<(String, Range<usize>)>,
    /// Whether it is an operand.
    pub operand: bool,
    /// Whether it was ingested: its file does not know its number, nor its family.
    pub ingested: bool,
    /// Of an operand, the older entries that it changes, down to the first that is none, newest first; and
    /// the logged deletions of ranges without which it would change others.
    pub below: Vec<Newest>,
}

impl Newest {
    /// What a read gives.
    #[must_use]
    pub fn at(&self, now_ms: u64) -> Option<&Vec<u8>> {
        self.value.as_ref().filter(|_| now_ms < self.expires_at)
    }

    /// The numbers of all entries that it takes to read the key.
    pub fn seqs(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.seq).chain(self.below.iter().map(|older| older.seq))
    }
}

/// All entries of each key of each family.
type Versions = BTreeMap<(u32, Vec<u8>), Vec<Newest>>;

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
    /// Those of them that stand in the log, and where.
    logged_ranges: Vec<(u32, Arc<KeyRange>, Newest)>,
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
    /// Reads the store in `dir`, as it is at a time.
    ///
    /// # Errors
    /// The store is not whole.
    pub fn read(disk: &SimFs, dir: &Path, now_ms: u64) -> Result<Truth> {
        let fs = Fs::Sim(disk.clone());
        let loaded = load_manifest(&fs, dir)?.expect("a manifest");
        let mut truth = Truth::default();
        let mut seen = Versions::new();
        for (id, family) in &loaded.state.families {
            truth.families.insert(*id, family.name.clone());
            truth.ranges.extend(family.ranges.values().map(|range| (*id, range.clone())));
            for meta in family.tables.iter().flat_map(BTreeMap::values) {
                truth.table(&fs, dir, (*id, meta), &mut seen)?;
            }
        }
        for name in fs.list(dir)? {
            if let Ok(bytes) = disk.read_raw(&dir.join(&name)) {
                truth.files.insert(name.clone(), bytes);
            }
            match FileKind::parse(&name) {
                Some(FileKind::Wal(number)) if number >= loaded.state.oldest_wal => {
                    let flushed = loaded.state.families.iter().map(|(id, f)| (*id, f.flushed)).collect();
                    truth.segment((&fs, dir), &name, &flushed, &mut seen)?;
                }
                _ => {}
            }
        }
        truth.settle(seen, disk, dir, now_ms)?;
        Ok(truth)
    }

    /// Works out what the versions of each key come to.
    fn settle(&mut self, seen: Versions, disk: &SimFs, dir: &Path, now_ms: u64) -> Result<()> {
        for ((id, key), mut versions) in seen {
            versions.sort_by_key(|version| Reverse(version.seq));
            versions.dedup_by_key(|version| version.seq);
            let covers = |range: &KeyRange, seq: u64| range.seq > seq && range.contains(&key);
            let gone = |seq| self.ranges.iter().any(|(of, range)| *of == id && covers(range, seq));
            let hidden: Vec<u64> =
                versions.iter().map(|version| version.seq).filter(|seq| gone(*seq)).collect();
            versions.retain(|version| !gone(version.seq));
            let whole = versions.iter().take_while(|version| version.operand).count() + 1;
            versions.truncate(whole);
            let mut versions = versions.into_iter();
            if let Some(newest) = versions.next() {
                let mut below: Vec<_> = versions.collect();
                if newest.operand {
                    let hides = |(of, range, _): &&(u32, Arc<KeyRange>, Newest)| {
                        *of == id && hidden.iter().any(|seq| covers(range, *seq))
                    };
                    below.extend(self.logged_ranges.iter().filter(hides).map(|(.., place)| place.clone()));
                }
                self.newest.insert((id, key), Newest { below, ..newest });
            }
        }
        // What operands come to is the operator's affair: other runs see to it that the store is right.
        if self.newest.values().any(|newest| newest.operand) {
            let mut place = Place::simulated(disk.image(Image::All, 0), now_ms, 1);
            place.path = dir.into();
            let shown = Dump::read(&place.open()?).expect("a whole store");
            for ((id, key), newest) in self.newest.iter_mut().filter(|(_, newest)| newest.operand) {
                let name = self.families.get(id).map(String::as_str).unwrap_or_default();
                newest.value = shown.get(name, key).map(<[u8]>::to_vec);
                newest.expires_at = u64::MAX;
            }
        }
        Ok(())
    }

    fn table(
        &mut self,
        fs: &Fs,
        dir: &Path,
        (family, meta): (u32, &TableMeta),
        seen: &mut Versions,
    ) -> Result<()> {
        let file = FileKind::Table(meta.number).name();
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
                let mut value = (entry.kind == Kind::Put).then(|| entry.value.to_vec());
                let mut apart = None;
                if entry.kind == Kind::BlobRef {
                    let at = BlobRef::decode(entry.value).expect("a whole reference");
                    let name = FileKind::Blob(at.file).name();
                    let source = BlobSource::File(Arc::new(fs.open(&dir.join(&name))?));
                    let blob = BlobReader::open(source, None, Arc::default())?;
                    value = Some(blob.load(entry.key, &at, Through::File, &mut ())?.to_vec());
                    let start = at.offset as usize;
                    apart = Some((name, start..start + at.stored as usize));
                }
                let (seq, ingested) = (entry.seq | meta.ingested_seq, meta.ingested_seq != 0);
                let (expires_at, operand) = (entry.expires_at, entry.kind == Kind::Merge);
                let (file, bytes, below) = (file.clone(), bytes.clone(), Vec::new());
                let version = Newest { seq, value, expires_at, file, bytes, apart, operand, ingested, below };
                seen.entry((family, entry.key.to_vec())).or_default().push(version);
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

    fn segment(
        &mut self,
        (fs, dir): (&Fs, &Path),
        file: &str,
        flushed: &BTreeMap<u32, u64>,
        seen: &mut Versions,
    ) -> Result<()> {
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
                    let version = |value, expires_at, operand| {
                        let (file, bytes, below) = (file.into(), bytes.clone(), Vec::new());
                        let (apart, ingested) = (None, false);
                        Newest { seq, value, expires_at, file, bytes, apart, operand, ingested, below }
                    };
                    if let Some(kind) = RangeKind::of(op.kind) {
                        let range = Arc::new(KeyRange::new(kind, seq, op.key, op.value, 0));
                        self.ranges.push((op.family, range.clone()));
                        self.logged_ranges.push((op.family, range, version(None, NEVER, false)));
                        return Ok(());
                    }
                    let value = (op.kind == Kind::Put).then(|| op.value.to_vec());
                    let version = version(value, op.expires_at, op.kind == Kind::Merge);
                    seen.entry((op.family, op.key.to_vec())).or_default().push(version);
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

    /// Whether everything that leads to what a key shows is as it was. What operands change must stand where
    /// it stood: what a copy of a lost file holds is not put together with others.
    #[must_use]
    pub fn is_untouched(&self, newest: &Newest, damaged: &BTreeMap<String, Vec<u8>>) -> bool {
        let apart = |version: &Newest| self.value_stands(version, damaged);
        let here = |version: &Newest| {
            apart(version) && damaged.get(&version.file).is_some_and(|after| self.stands(version, after))
        };
        match newest.operand {
            true => here(newest) && newest.below.iter().all(here),
            // A file may have another name now.
            false => apart(newest) && damaged.values().any(|after| self.stands(newest, after)),
        }
    }

    /// Whether the value of an entry, if it stands apart, is as it was: the record, and the header of its
    /// file.
    fn value_stands(&self, version: &Newest, damaged: &BTreeMap<String, Vec<u8>>) -> bool {
        let Some((name, record)) = &version.apart else { return true };
        let (Some(before), Some(after)) = (self.files.get(name), damaged.get(name)) else { return false };
        let same = |range: Range<usize>| before.get(range.clone()) == after.get(range);
        same(0..BLOB_HEADER_BYTES) && same(record.clone())
    }

    /// Whether everything that leads to an entry is in a file as it was: its own bytes, and for a table
    /// everything that is no data block, for a segment its header.
    fn stands(&self, version: &Newest, after: &[u8]) -> bool {
        let Some(before) = self.files.get(&version.file) else { return false };
        let same = |range: Range<usize>| before.get(range.clone()) == after.get(range);
        let Some(blocks) = self.tables.get(&version.file) else {
            return same(0..64) && same(version.bytes.clone());
        };
        let mut others = 0;
        after.len() == before.len()
            && same(version.bytes.clone())
            && blocks.iter().all(|(block, _)| same(std::mem::replace(&mut others, block.end)..block.start))
            && same(others..before.len())
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
