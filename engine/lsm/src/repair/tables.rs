//! Reading a table as far as it can be read.

use super::report::KeyRange;
use super::values::SeparateValues;
use crate::base::checksum::Identity;
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{MAX_SEQ, SeqNum};
use crate::base::sync::Arc;
use crate::block::{Block, BlockCursor};
use crate::fs::Fs;
use crate::table::{BlockPlace, BlockScan, FOOTER_BYTES, Footer, Properties, TableReader, TableSource};
use crate::version::TableMeta;
use std::path::{Path, PathBuf};

/// The blocks of a table, damaged ones among them.
#[derive(Debug)]
pub(super) enum Blocks {
    /// By the index.
    Indexed(Arc<TableReader>, BlockPlace),
    /// Without one.
    Scanned(BlockScan),
}

impl Blocks {
    pub(super) fn next_block(&mut self) -> Option<Result<Arc<Block>>> {
        match self {
            Blocks::Indexed(table, place) => table.next_block(place).map(|(_, block)| block),
            Blocks::Scanned(scan) => scan.next_block().map(|(_, block)| block),
        }
    }
}

/// What is known of a table after it was read.
#[derive(Clone, Debug)]
pub(super) struct Surveyed {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) number: FileNumber,
    pub(super) bytes: u64,
    pub(super) identity: Option<Identity>,
    pub(super) properties: Option<Properties>,
    /// The sequence number of all its entries if the manifest gives it one; otherwise 0.
    pub(super) base: SeqNum,
    /// Entries that can be read.
    pub(super) entries: u64,
    pub(super) entries_lost: Option<u64>,
    pub(super) lost_keys: Vec<KeyRange>,
    /// The first and the last key that can be read.
    pub(super) keys: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) min_seq: SeqNum,
    pub(super) max_seq: SeqNum,
    /// What is wrong, the first few.
    pub(super) errors: Vec<String>,
}

/// How many errors of one file are told in full.
const MOST_ERRORS: usize = 3;

/// Opens a table as far as it can be opened. `identity` is what it is known to be from elsewhere, for
/// when it does not say so itself.
pub(super) fn open(fs: &Fs, path: &Path, identity: Option<Identity>) -> (Option<Blocks>, Vec<String>) {
    let mut errors = Vec::new();
    let file = match fs.open(path) {
        Ok(file) => Arc::new(file),
        Err(error) => return (None, vec![error.to_string()]),
    };
    match TableReader::open_damaged(TableSource::File(file.clone())) {
        Ok(reader) => {
            errors.extend(reader.read_properties().err().map(|e| e.to_string()));
            errors.extend(reader.check_dictionary().map(|e| e.to_string()));
            errors.extend(reader.check_filters().iter().take(1).map(ToString::to_string));
            return (Some(Blocks::Indexed(Arc::new(reader), BlockPlace::default())), errors);
        }
        Err(error) => errors.push(error.to_string()),
    }
    let Ok(size) = file.size() else { return (None, errors) };
    let footer = Footer::read(&file, size).ok();
    let end = if footer.is_some() { size - FOOTER_BYTES as u64 } else { size };
    match footer.map(|footer| footer.identity).or(identity) {
        Some(identity) => (Some(Blocks::Scanned(BlockScan::new(file, identity, end))), errors),
        None => (None, errors),
    }
}

/// The identity that a table's own footer gives it.
pub(super) fn identity_of(fs: &Fs, path: &Path) -> Option<Identity> {
    let file = fs.open(path).ok()?;
    let size = file.size().ok()?;
    Footer::read(&file, size).ok().map(|footer| footer.identity)
}

/// Reads a whole table. `meta` is what the manifest says of it.
pub(super) fn survey(fs: &Fs, dir: &Path, name: &str, meta: Option<&TableMeta>) -> Surveyed {
    let path = dir.join(name);
    let (blocks, errors) = open(fs, &path, meta.map(|meta| meta.identity));
    let file = fs.open(&path).ok().map(|file| TableSource::File(Arc::new(file)));
    let properties = file.and_then(|file| TableReader::properties_of(file).ok());
    let mut table = Surveyed {
        name: name.into(),
        number: FileKind::parse(name).and_then(FileKind::number).unwrap_or(0),
        bytes: fs.open(&path).and_then(|file| file.size()).unwrap_or(0),
        identity: identity_of(fs, &path).or(meta.map(|meta| meta.identity)),
        path,
        properties,
        base: meta.map_or(0, |meta| meta.ingested_seq),
        entries: 0,
        entries_lost: None,
        lost_keys: Vec::new(),
        keys: None,
        min_seq: MAX_SEQ,
        max_seq: 0,
        errors,
    };
    let store = table.properties.as_ref().map_or(0, |properties| properties.store);
    table.read(blocks, meta, SeparateValues::new(fs, dir, store));
    table
}

impl Surveyed {
    fn read(&mut self, blocks: Option<Blocks>, meta: Option<&TableMeta>, mut values: SeparateValues) {
        let readable = blocks.is_some();
        let mut hole = blocks.is_none();
        let mut damaged = hole;
        let mut blocks = blocks;
        while let Some(block) = blocks.as_mut().and_then(Blocks::next_block) {
            let before = self.keys.as_ref().map(|(_, last)| last);
            let read = block.and_then(|block| {
                let summary = Summary::of(&block, before)?;
                let unread = UnreadValues::of(&block, &mut values);
                Ok((summary, unread))
            });
            match read {
                Ok((mut summary, unread)) => {
                    summary.entries -= unread.entries.min(summary.entries);
                    damaged |= unread.entries > 0;
                    self.lost_keys.extend(unread.keys);
                    if self.errors.len() < MOST_ERRORS {
                        self.errors.extend(unread.error.map(|error| error.to_string()));
                    }
                    if std::mem::take(&mut hole) {
                        self.lose(meta, Some(&summary.first));
                    }
                    self.entries += summary.entries;
                    self.min_seq = self.min_seq.min(summary.min_seq | self.base);
                    self.max_seq = self.max_seq.max(summary.max_seq | self.base);
                    let first = self.keys.take().map_or(summary.first, |(first, _)| first);
                    self.keys = Some((first, summary.last));
                }
                Err(error) => {
                    (hole, damaged) = (true, true);
                    if self.errors.len() < MOST_ERRORS {
                        self.errors.push(error.to_string());
                    }
                }
            }
        }
        let expected = meta.map(|meta| meta.entries).or(self.properties.as_ref().map(|p| p.entries));
        if expected.is_some_and(|expected| self.entries < expected) && self.lost_keys.is_empty() {
            hole = true;
        }
        if hole {
            self.lose(meta, None);
        }
        if expected == Some(self.entries) {
            self.lost_keys.clear();
        }
        self.entries_lost = match expected {
            Some(expected) => Some(expected.saturating_sub(self.entries)),
            None if readable && !damaged => Some(0),
            None => None,
        };
    }

    /// Puts down what lies between the last key that was read and the next one.
    fn lose(&mut self, meta: Option<&TableMeta>, next: Option<&Vec<u8>>) {
        let properties = self.properties.as_ref();
        let smallest = meta.map(|m| &m.smallest.0).or(properties.map(|p| &p.smallest.user_key));
        let largest = meta.map(|m| &m.largest.0).or(properties.map(|p| &p.largest.user_key));
        let from = self.keys.as_ref().map(|(_, last)| last).or(smallest).cloned();
        self.lost_keys.push(KeyRange { from, to: next.or(largest).cloned() });
    }
}

/// The values of a block that stand elsewhere and cannot be read.
#[derive(Default)]
struct UnreadValues {
    entries: u64,
    /// Their keys: neighbours are one range.
    keys: Vec<KeyRange>,
    /// What is wrong with the first.
    error: Option<Error>,
}

impl UnreadValues {
    /// Of a block that can be walked.
    fn of(block: &Arc<Block>, values: &mut SeparateValues) -> UnreadValues {
        let (mut unread, mut adjoins) = (UnreadValues::default(), false);
        let mut cursor = BlockCursor::new();
        cursor.set_block(block.clone());
        let mut step = cursor.seek_to_first();
        while step.is_ok() && cursor.valid() {
            match values.load(&cursor.entry()) {
                Ok(_) => adjoins = false,
                Err(error) => {
                    let key = cursor.user_key().to_vec();
                    match unread.keys.last_mut().filter(|_| adjoins) {
                        Some(range) => range.to = Some(key),
                        None => unread.keys.push(KeyRange { from: Some(key.clone()), to: Some(key) }),
                    }
                    adjoins = true;
                    unread.entries += 1;
                    unread.error.get_or_insert(error);
                }
            }
            step = cursor.next();
        }
        unread
    }
}

/// What stands in a block.
pub(super) struct Summary {
    entries: u64,
    first: Vec<u8>,
    last: Vec<u8>,
    min_seq: SeqNum,
    max_seq: SeqNum,
}

impl Summary {
    /// Walks the whole of a block that follows the key `before`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it makes no sense there.
    pub(super) fn of(block: &Arc<Block>, before: Option<&Vec<u8>>) -> Result<Summary> {
        let wrong = |why: &str| Error::invalid("block", why);
        let mut cursor = BlockCursor::new();
        cursor.set_block(block.clone());
        cursor.seek_to_first().map_err(|malformed| wrong(malformed.expected))?;
        if !cursor.valid() || before.is_some_and(|before| before.as_slice() > cursor.user_key()) {
            return Err(wrong("a block that does not follow the one before"));
        }
        let first = cursor.user_key().to_vec();
        let mut found = Summary { entries: 0, first, last: Vec::new(), min_seq: MAX_SEQ, max_seq: 0 };
        while cursor.valid() {
            if found.entries > 0 && found.last.as_slice() > cursor.user_key() {
                return Err(wrong("keys out of order"));
            }
            found.entries += 1;
            let seq = cursor.trailer().seq();
            found.min_seq = found.min_seq.min(seq);
            found.max_seq = found.max_seq.max(seq);
            found.last.clear();
            found.last.extend_from_slice(cursor.user_key());
            cursor.next().map_err(|malformed| wrong(malformed.expected))?;
        }
        Ok(found)
    }
}

/// What is read for the second time must be what was read first: the report speaks of that.
///
/// # Errors
/// What reading met, or [`Error::Corruption`].
pub(super) fn read_again(path: &Path, first: u64, second: u64, error: Option<Error>) -> Result<()> {
    if first == second {
        return Ok(());
    }
    let (expected, found) = (format!("{first} entries as when it was read first"), second.to_string());
    Err(error.unwrap_or_else(|| Corruption::new(path, 0, expected, found).into()))
}
