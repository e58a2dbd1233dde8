//! Blob files: what the manifest says of them, and which of them a version refers to.
//!
//! Invariants: a table names the blob files that its entries refer to, and holds them; a version has exactly
//! the blob files that its tables name. So what reads a version, or a table of it, keeps the values that it
//! refers to, and a blob file goes when the last reader of the last table that refers to it does.

use super::edit::file_number;
use super::levels::{Purgatory, TableFile};
use crate::base::blob_ref::{BlobRef, BlobShare};
use crate::base::checksum::Identity;
use crate::base::coding::{Decoder, Malformed, put_varint};
use crate::base::error::{Corruption, Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::observe::{Observe, Watch};
use crate::base::slice::Slice;
use crate::base::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::blob::{BlobReader, BlobSummary, ReadAhead};
use crate::cache::Through;
use crate::iter::Values;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A blob file as the manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobMeta {
    /// The number in its name.
    pub number: FileNumber,
    /// The random number in its header.
    pub identity: Identity,
    /// Its size in bytes.
    pub size: u64,
    /// How many records it holds.
    pub entries: u64,
    /// The bytes of all records.
    pub bytes: u64,
    /// The bytes of all values, uncompressed.
    pub raw_bytes: u64,
}

impl BlobMeta {
    /// Of a file that was just written.
    #[must_use]
    pub fn of(number: FileNumber, written: &BlobSummary) -> BlobMeta {
        BlobMeta {
            number,
            identity: written.identity,
            size: written.size_bytes,
            entries: written.totals.entries,
            bytes: written.totals.record_bytes,
            raw_bytes: written.totals.raw_bytes,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.number);
        out.extend_from_slice(&self.identity.to_le_bytes());
        for number in [self.size, self.entries, self.bytes, self.raw_bytes] {
            put_varint(out, number);
        }
    }

    pub(super) fn decode(bytes: &mut Decoder<'_>) -> Result<BlobMeta, Malformed> {
        Ok(BlobMeta {
            number: file_number(bytes)?,
            identity: bytes.fixed64("a blob file's identity")?,
            size: bytes.varint("a blob file's size")?,
            entries: bytes.varint("a blob file's number of records")?,
            bytes: bytes.varint("the bytes of a blob file's records")?,
            raw_bytes: bytes.varint("the bytes of a blob file's values")?,
        })
    }
}

/// A blob file of the store, as the manifest has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobState {
    /// The file.
    pub meta: BlobMeta,
    /// Since when some of it is dead, in ms since the epoch, where somebody wants to know; 0 if nobody does,
    /// or nothing is.
    pub dead_since_ms: u64,
}

/// A blob file with its open reader. When the last reference to one that the manifest no longer names is
/// dropped, it goes to the [`Purgatory`].
pub struct BlobFile {
    /// What the manifest says of it.
    pub meta: BlobMeta,
    reader: Arc<BlobReader>,
    obsolete: AtomicBool,
    /// As [`BlobState::dead_since_ms`].
    dead_since_ms: AtomicU64,
    purgatory: Arc<Purgatory>,
}

impl fmt::Debug for BlobFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobFile({})", self.meta.number)
    }
}

impl BlobFile {
    /// A blob file that the manifest names, or is about to.
    #[must_use]
    pub fn new(meta: BlobMeta, reader: Arc<BlobReader>, purgatory: Arc<Purgatory>) -> Arc<BlobFile> {
        let (obsolete, dead_since_ms) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(BlobFile { meta, reader, obsolete, dead_since_ms, purgatory })
    }

    /// Since when some of it counts as dead, in ms since the epoch, where somebody wants to know.
    #[must_use]
    pub fn dead_since_ms(&self) -> Option<u64> {
        Some(self.dead_since_ms.load(Ordering::Acquire)).filter(|ms| *ms > 0)
    }

    /// Takes over what the manifest says of that.
    pub fn set_dead_since_ms(&self, since_ms: u64) {
        self.dead_since_ms.store(since_ms, Ordering::Release);
    }

    /// Reads it.
    #[must_use]
    pub fn reader(&self) -> &Arc<BlobReader> {
        &self.reader
    }

    /// The manifest no longer names it.
    pub fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for BlobFile {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.purgatory.put_back(FileKind::Blob(self.meta.number));
        }
    }
}

/// A blob file, and how much of it the tables of a version refer to.
#[derive(Clone, Debug)]
pub struct BlobUse {
    /// The file.
    pub file: Arc<BlobFile>,
    /// What is referred to.
    pub live: BlobShare,
}

impl BlobUse {
    /// The bytes of records that nothing refers to.
    #[must_use]
    pub fn dead_bytes(&self) -> u64 {
        self.file.meta.bytes.saturating_sub(self.live.bytes)
    }
}

/// The blob files of a version, ascending.
#[derive(Clone, Debug, Default)]
pub struct BlobSet {
    files: Vec<BlobUse>,
    /// How often a table refers to a file.
    shares: usize,
}

impl BlobSet {
    /// What `tables` refer to.
    pub(super) fn of<'t>(tables: impl Iterator<Item = &'t Arc<TableFile>>) -> BlobSet {
        let mut files: BTreeMap<FileNumber, BlobUse> = BTreeMap::new();
        let mut shares = 0;
        for table in tables {
            shares += table.meta.blobs.len();
            for (file, share) in table.blobs().iter().zip(&table.meta.blobs) {
                let none = BlobShare { file: share.file, entries: 0, bytes: 0 };
                let of =
                    files.entry(share.file).or_insert_with(|| BlobUse { file: file.clone(), live: none });
                of.live.entries = of.live.entries.saturating_add(share.entries);
                of.live.bytes = of.live.bytes.saturating_add(share.bytes);
            }
        }
        BlobSet { files: files.into_values().collect(), shares }
    }

    /// What it takes to know the files, roughly: their readers, what the manifest says of them, and what each
    /// table says of those that it refers to.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        // Counted references stand behind two numbers.
        let counts = 2 * size_of::<usize>();
        let file = size_of::<BlobUse>() + size_of::<BlobFile>() + 2 * counts;
        let readers: usize = self.files.iter().map(|of| of.file.reader.memory_bytes()).sum();
        // In the table's entry of the manifest, in its properties, and the file itself.
        let share = 2 * size_of::<BlobShare>() + size_of::<Arc<BlobFile>>();
        (self.files.len() * (file + size_of::<BlobState>()) + readers + self.shares * share) as u64
    }

    /// The files, ascending.
    #[must_use]
    pub fn files(&self) -> &[BlobUse] {
        &self.files
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A file by its number.
    #[must_use]
    pub fn find(&self, number: FileNumber) -> Option<&BlobUse> {
        let at = self.files.binary_search_by_key(&number, |of| of.live.file).ok()?;
        self.files.get(at)
    }

    /// The files of this set that `later` has not.
    #[must_use]
    pub fn gone(&self, later: &BlobSet) -> Vec<Arc<BlobFile>> {
        let gone = self.files.iter().filter(|of| later.find(of.live.file).is_none());
        gone.map(|of| of.file.clone()).collect()
    }

    /// The bytes of all records, and those of them that nothing refers to.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), of: &BlobUse| (sum.0 + of.file.meta.bytes, sum.1 + of.dead_bytes());
        self.files.iter().fold((0, 0), add)
    }
}

/// Jobs read what will not be read again soon.
impl Values for BlobSet {
    fn load(&self, key: &[u8], reference: &[u8]) -> Result<Slice> {
        self.load_at(key, &self.place(reference)?, Through::Peek, &mut ())
    }
}

/// Blob files as a user's cursor reads them.
pub(super) struct Walked {
    pub(super) blobs: Arc<BlobSet>,
    pub(super) through: Through,
    pub(super) watch: Watch,
    /// `None` if nothing is read ahead.
    pub(super) ahead: Option<Mutex<ReadAhead>>,
}

impl Walked {
    #[cold]
    fn ask_ahead(&self, ahead: &Mutex<ReadAhead>, at: &BlobRef) {
        if let Some((from, bytes)) = ahead.lock().reads(at)
            && let Some(of) = self.blobs.find(at.file)
        {
            of.file.reader.ask_ahead(from, bytes);
        }
    }
}

impl Values for Walked {
    fn load(&self, key: &[u8], reference: &[u8]) -> Result<Slice> {
        let at = self.blobs.place(reference)?;
        if let Some(ahead) = &self.ahead {
            self.ask_ahead(ahead, &at);
        }
        self.blobs.load_at(key, &at, self.through, &mut self.watch.clone())
    }
}

impl BlobSet {
    /// Where the value stands in whose place there is `reference`.
    ///
    /// # Errors
    /// [`Corruption`] if it is none.
    pub fn place(&self, reference: &[u8]) -> Result<BlobRef> {
        BlobRef::decode(reference).map_err(BlobSet::misplaced)
    }

    /// The error of what stands in the place of a value and is no reference.
    #[must_use]
    pub fn misplaced(malformed: Malformed) -> Error {
        malformed.in_file(&PathBuf::new(), 0)
    }

    /// The value of `key` that stands at a place.
    ///
    /// # Errors
    /// As [`Values::load`].
    pub fn load_at(
        &self,
        key: &[u8],
        at: &BlobRef,
        through: Through,
        observe: &mut impl Observe,
    ) -> Result<Slice> {
        match self.find(at.file) {
            Some(of) => of.file.reader.load(key, at, through, observe),
            None => {
                let path = PathBuf::from(FileKind::Blob(at.file).name());
                Err(Corruption::new(&path, at.offset, "a blob file that the table names", "none").into())
            }
        }
    }
}

/// Every violation of what must hold of a family's blob files, in words: each is referred to, no more of it
/// than there is; and what tables name is what they say of themselves.
#[must_use]
pub fn check_blobs<'b>(
    version: &super::levels::Version,
    named: impl IntoIterator<Item = &'b BlobMeta>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let blobs = version.blobs();
    for meta in named {
        if blobs.find(meta.number).is_none() {
            problems.push(format!("no table refers to {}", FileKind::Blob(meta.number).name()));
        }
    }
    for of in blobs.files() {
        let (meta, live) = (&of.file.meta, &of.live);
        if live.entries > meta.entries || live.bytes > meta.bytes {
            problems.push(format!(
                "tables refer to {} records of {} bytes of {}, which has {} of {}",
                live.entries,
                live.bytes,
                FileKind::Blob(meta.number).name(),
                meta.entries,
                meta.bytes
            ));
        }
    }
    for (level, table) in version.tables() {
        if table.meta.blobs != table.reader.properties().blobs {
            let number = table.meta.number;
            problems.push(format!("table {number} of level {level} refers to other blob files than it says"));
        }
    }
    problems
}
