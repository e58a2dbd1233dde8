//! What is left of each table.

use super::report::{FileReport, FileState, LostRange};
use super::salvage::Salvage;
use crate::base::checksum::Identity;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{EntryRef, NEVER, SeqNum, Trailer, compare};
use crate::base::sync::Arc;
use crate::block::{Block, BlockCursor};
use crate::fs::{Fs, OpenFile};
use crate::table::{Expected, Footer, Handle, Properties, TableReader, TableSource, find_data_block};
use crate::version::TableMeta;
use std::cmp::Ordering;
use std::path::Path;

/// A table, as far as it can be read.
pub(super) struct Table {
    /// The number in the name that it has, or should have.
    pub(super) number: FileNumber,
    /// The name of the file that it was found in.
    pub(super) name: String,
    /// The open file; `None` if it is missing or cannot be opened.
    pub(super) file: Option<Arc<OpenFile>>,
    pub(super) bytes: u64,
    pub(super) identity: Identity,
    /// Whether every byte is as it was written.
    pub(super) whole: bool,
    /// What the table says about itself, if that can be read.
    pub(super) properties: Option<Properties>,
    /// The data blocks that can be read.
    pub(super) blocks: Arc<[Handle]>,
    pub(super) entries: u64,
    /// What is lost of it, if anything is; bounds and sequence numbers only where they are known.
    pub(super) lost: Vec<LostRange>,
    pub(super) why: Option<String>,
}

impl Table {
    /// The least and the greatest sequence number in it that are known.
    pub(super) fn seqs(&self, meta: Option<&TableMeta>) -> Option<(SeqNum, SeqNum)> {
        let told = self.properties.as_ref().map(|p| (p.min_seq, p.max_seq));
        meta.map(|m| (m.min_seq, m.max_seq)).or(told)
    }

    /// A cursor over what is left.
    pub(super) fn cursor(&self) -> Option<Salvage> {
        let file = self.file.clone()?;
        Some(Salvage::new(file, self.identity, self.blocks.clone()))
    }

    /// What became of the file. `unused` says why it was not to be read, if so.
    pub(super) fn report(&self, meta: Option<&TableMeta>, unused: Option<String>) -> FileReport {
        let expected = meta.map(|m| m.entries).or(self.properties.as_ref().map(|p| p.entries));
        let state = match () {
            () if unused.is_some() => FileState::Unused,
            () if self.file.is_none() => FileState::Missing,
            () if self.whole => FileState::Intact,
            () if self.entries == 0 && !self.lost.is_empty() => FileState::Unreadable,
            () => FileState::Partial,
        };
        FileReport {
            name: self.name.clone(),
            state,
            bytes: self.bytes,
            saved: self.entries,
            lost: if self.lost.is_empty() {
                Some(0)
            } else {
                expected.map(|expected| expected.saturating_sub(self.entries))
            },
            seqs: self.seqs(meta),
            why: unused.or_else(|| self.why.clone()),
        }
    }
}

/// A file that is a table of this identity, for finding tables that stand under another's name.
pub(super) fn identity_of(fs: &Fs, path: &Path) -> Option<Identity> {
    let file = fs.open(path).ok()?;
    let size = file.size().ok()?;
    Some(Footer::read(&file, size).ok()?.identity)
}

/// Looks at a table. `meta` is what the manifest says of it, if that is known.
///
/// # Errors
/// Only what has nothing to do with the file itself.
pub(super) fn survey(
    fs: &Fs,
    dir: &Path,
    name: &str,
    number: FileNumber,
    meta: Option<&TableMeta>,
) -> Result<Table> {
    let mut table = Table {
        number,
        name: name.to_owned(),
        file: None,
        bytes: 0,
        identity: meta.map_or(0, |m| m.identity),
        whole: false,
        properties: None,
        blocks: Arc::new([]),
        entries: 0,
        lost: Vec::new(),
        why: None,
    };
    match fs.open(&dir.join(name)) {
        Ok(file) => table.file = Some(Arc::new(file)),
        Err(error) => {
            let missing = "the manifest names it".to_owned();
            table.why = Some(if error.is_not_found() { missing } else { error.to_string() });
        }
    }
    let Some(file) = table.file.clone() else {
        table.lose(None, None, meta);
        return Ok(table);
    };
    table.bytes = file.size()?;
    let source = TableSource::File(file.clone());
    let expected = Expected { identity: meta.map(|m| m.identity), size_bytes: meta.map(|m| m.size) };
    match TableReader::open(source.clone(), expected, None).and_then(|reader| Ok((reader.verify()?, reader)))
    {
        Ok((verified, reader)) => {
            table.whole = true;
            table.identity = reader.identity();
            table.entries = verified.entries;
            table.blocks = reader.blocks().map(|(handle, _)| handle).collect();
            table.properties = Some(reader.properties().clone());
            return Ok(table);
        }
        Err(error) => table.why = Some(error.to_string()),
    }
    table.read_damaged(&file, source, meta);
    Ok(table)
}

impl Table {
    /// Reads what can be read of a damaged table: by its index, or else by its blocks' checksums.
    fn read_damaged(&mut self, file: &OpenFile, source: TableSource, meta: Option<&TableMeta>) {
        let footer = Footer::read(file, self.bytes).ok();
        let footer = footer.filter(|footer| meta.is_none_or(|m| m.identity == footer.identity));
        let known = footer.map(|f| f.identity).or(meta.map(|m| m.identity));
        let Some(identity) = known else {
            // Every checksum is bound to the identity.
            self.lose(None, None, meta);
            return;
        };
        self.identity = identity;
        let mut walk = Walk::new(meta);
        let reader = footer.and_then(|_| TableReader::open_damaged(source).ok());
        match &reader {
            Some(reader) => {
                self.properties = reader.read_properties().ok();
                for (handle, block) in reader.blocks() {
                    match block {
                        Ok(block) => walk.block(handle, &block),
                        Err(_) => walk.damage(),
                    }
                }
            }
            None => self.search(file, identity, footer.as_ref(), meta, &mut walk),
        }
        walk.end(self, meta);
    }

    /// Finds blocks from the beginning of the file on, each by its checksum.
    fn search(
        &self,
        file: &OpenFile,
        identity: Identity,
        footer: Option<&Footer>,
        meta: Option<&TableMeta>,
        walk: &mut Walk,
    ) {
        let end = footer.map_or(self.bytes, |footer| footer.index.offset.min(footer.properties.offset));
        let mut at = 0;
        while let Ok(Some((handle, block))) = find_data_block(file, identity, at, end) {
            // Behind the last data block other blocks stand, which might look like one.
            if meta.is_some_and(|m| walk.entries >= m.entries) || !walk.fits(&block, meta) {
                break;
            }
            walk.block(handle, &block);
            at = handle.offset + handle.stored_bytes();
        }
        if meta.is_none_or(|m| walk.entries != m.entries) {
            walk.damage();
        }
    }

    /// Gives up what could be read.
    pub(super) fn forget(&mut self, why: &str) {
        self.blocks = Arc::new([]);
        (self.entries, self.whole) = (0, false);
        self.why = Some(why.to_owned());
        self.lost.clear();
        self.lose(None, None, None);
    }

    fn lose(&mut self, from: Option<Vec<u8>>, to: Option<Vec<u8>>, meta: Option<&TableMeta>) {
        let told = self.properties.as_ref();
        let first = meta.map(|m| &m.smallest.0).or(told.map(|p| &p.smallest.user_key));
        let last = meta.map(|m| &m.largest.0).or(told.map(|p| &p.largest.user_key));
        self.lost.push(LostRange {
            family: told.map(|p| p.family),
            file: self.name.clone(),
            from: from.or_else(|| first.cloned()),
            to: to.or_else(|| last.cloned()),
            seqs: self.seqs(meta),
            entries: None,
        });
    }
}

/// First and last key of what is lost.
type Hole = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A walk over blocks in the order of the file.
struct Walk {
    blocks: Vec<Handle>,
    entries: u64,
    last: Option<(Vec<u8>, Trailer)>,
    /// The last key before the damage that was met last, if no block has followed yet.
    damaged: Option<Option<Vec<u8>>>,
    /// Ranges that are closed: first and last key, `None` where the table's own bounds hold.
    lost: Vec<Hole>,
    most: Option<Vec<u8>>,
}

impl Walk {
    fn new(meta: Option<&TableMeta>) -> Walk {
        let most = meta.map(|m| m.largest.0.clone());
        Walk { blocks: Vec::new(), entries: 0, last: None, damaged: None, lost: Vec::new(), most }
    }

    fn last_key(&self) -> Option<Vec<u8>> {
        self.last.as_ref().map(|(key, _)| key.clone())
    }

    fn damage(&mut self) {
        if self.damaged.is_none() {
            self.damaged = Some(self.last_key());
        }
    }

    /// Whether a block that was found by its checksum alone belongs here.
    fn fits(&self, block: &Arc<Block>, meta: Option<&TableMeta>) -> bool {
        let mut fits = true;
        let mut any = false;
        each(block, |entry| {
            any = true;
            fits &= meta.is_none_or(|m| {
                (m.min_seq..=m.max_seq).contains(&entry.seq)
                    && m.smallest.0.as_slice() <= entry.key
                    && entry.key <= m.largest.0.as_slice()
            });
            fits &= self.last.as_ref().is_none_or(|(key, _)| key.as_slice() <= entry.key);
        })
        .is_ok()
            && fits
            && any
    }

    fn block(&mut self, handle: Handle, block: &Arc<Block>) {
        let before = self.last.clone();
        let mut ascending = true;
        let mut first = None;
        let (mut last, mut count) = (before.clone(), 0);
        let sound = each(block, |entry| {
            let behind = last.as_ref().is_none_or(|(key, trailer)| {
                compare((key, *trailer), (entry.key, entry.trailer())) == Ordering::Less
            });
            ascending &= behind;
            if ascending {
                first.get_or_insert_with(|| entry.key.to_vec());
                last = Some((entry.key.to_vec(), entry.trailer()));
                count += 1;
            }
        });
        if !ascending || count == 0 {
            // What does not fit the order cannot be merged with the rest.
            self.damage();
            return;
        }
        if let Some(from) = self.damaged.take() {
            self.lost.push((from, first));
        }
        self.blocks.push(handle);
        self.entries += count;
        self.last = last;
        if sound.is_err() {
            self.damage();
        }
    }

    fn end(mut self, table: &mut Table, meta: Option<&TableMeta>) {
        if let Some(from) = self.damaged.take() {
            let to = self.most.take();
            self.lost.push((from, to));
        }
        table.entries = self.entries;
        table.blocks = self.blocks.into();
        for (from, to) in self.lost {
            table.lose(from, to, meta);
        }
        let expected = meta.map(|m| m.entries).or(table.properties.as_ref().map(|p| p.entries));
        if let ([only], Some(expected)) = (&mut table.lost[..], expected) {
            only.entries = Some(expected.saturating_sub(table.entries));
        }
    }
}

/// Visits the entries of a block as far as they make sense.
fn each(block: &Arc<Block>, mut visit: impl FnMut(EntryRef<'_>)) -> Result<(), Error> {
    let mut cursor = BlockCursor::new();
    cursor.set_block(block.clone());
    let broken = |_| Error::invalid("a block", "it makes no sense from some entry on");
    cursor.seek_to_first().map_err(broken)?;
    while cursor.valid() {
        visit(cursor.entry());
        cursor.next().map_err(broken)?;
    }
    Ok(())
}

/// What the manifest of the new store says of a table that is copied whole.
pub(super) fn meta_of(table: &Table, number: FileNumber) -> Option<TableMeta> {
    let properties = table.properties.clone()?;
    Some(TableMeta {
        number,
        identity: table.identity,
        size: table.bytes,
        smallest: (properties.smallest.user_key, properties.smallest.trailer),
        largest: (properties.largest.user_key, properties.largest.trailer),
        min_seq: properties.min_seq,
        max_seq: properties.max_seq,
        entries: properties.entries,
        deletions: properties.deletions,
        earliest_expiry: properties.earliest_expiry,
        latest_expiry: properties.latest_expiry,
        oldest_deletion_ms: properties.oldest_deletion_ms,
    })
}

/// The time of the oldest deletion that a rewritten table may hold.
pub(super) fn oldest_deletion(meta: Option<&TableMeta>, table: &Table) -> u64 {
    let told = table.properties.as_ref().map_or(NEVER, |p| p.oldest_deletion_ms);
    meta.map_or(told, |m| m.oldest_deletion_ms)
}

/// The names of the tables in a directory, with their numbers, in order.
pub(super) fn tables_in(names: &[String]) -> Vec<(FileNumber, String)> {
    let mut tables: Vec<_> = names
        .iter()
        .filter_map(|name| match FileKind::parse(name) {
            Some(FileKind::Table(number)) => Some((number, name.clone())),
            _ => None,
        })
        .collect();
    tables.sort();
    tables
}
