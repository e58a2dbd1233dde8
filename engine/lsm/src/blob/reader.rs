//! Reads values out of a blob file.

use super::files::{BlobCounts, BlobSource};
use super::format::{BlobHead, BlobTotals, FOOTER_BYTES, HEADER_BYTES, Record};
use super::kept::Kept;
use super::walk::BlobWalk;
use crate::base::blob_ref::BlobRef;
use crate::base::checksum::Identity;
use crate::base::error::{Corruption, Result};
use crate::base::observe::Observe;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::base::sync::quiet::Ordering;
use crate::cache::{BlockCache, Through};
use std::path::PathBuf;

/// An open blob file.
#[derive(Debug)]
pub struct BlobReader {
    source: BlobSource,
    head: BlobHead,
    totals: BlobTotals,
    size: u64,
    /// Where the records end.
    end: u64,
    counts: Arc<BlobCounts>,
    kept: Option<Kept>,
}

impl BlobReader {
    /// Opens a blob file, which must have the identity and the size that are given.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Corruption`] if it is another file, or its header or footer is damaged;
    /// what opening and reading it gives.
    pub fn open(
        source: BlobSource,
        expected: Option<(Identity, u64)>,
        counts: Arc<BlobCounts>,
    ) -> Result<BlobReader> {
        let file = source.file()?;
        let size = file.size()?;
        let head = BlobHead::read(&file)?;
        if let Some((identity, bytes)) = expected
            && (identity, bytes) != (head.identity, size)
        {
            let words = |identity: Identity, size: u64| format!("file {identity:016x} of {size} bytes");
            let (expected, found) = (words(identity, bytes), words(head.identity, size));
            return Err(Corruption::new(file.path(), 0, expected, found).into());
        }
        let totals = BlobTotals::read(&file, size, head.identity)?;
        let end = size.saturating_sub(FOOTER_BYTES as u64);
        Ok(BlobReader { source, head, totals, size, end, counts, kept: None })
    }

    /// Opens a blob file by its header alone, for who reads what is left of one.
    ///
    /// # Errors
    /// As [`BlobReader::open`], but that nothing is asked of the footer.
    pub fn open_damaged(source: BlobSource, counts: Arc<BlobCounts>) -> Result<BlobReader> {
        let file = source.file()?;
        let (size, head) = (file.size()?, BlobHead::read(&file)?);
        let footer = BlobTotals::read(&file, size, head.identity);
        // Records may go on to the end of a file that was cut.
        let end = if footer.is_ok() { size.saturating_sub(FOOTER_BYTES as u64) } else { size };
        let totals = footer.unwrap_or_default();
        Ok(BlobReader { source, head, totals, size, end, counts, kept: None })
    }

    /// Keeps values that are read through the cache in it.
    #[must_use]
    pub(super) fn with_cache(mut self, cache: &Arc<BlockCache>) -> BlobReader {
        let slots = self.counts.slots.clone();
        self.kept = Some(Kept::new(cache.clone(), slots, self.totals.entries, self.end));
        self
    }

    /// Bytes that knowing it takes in memory, besides the values that the cache holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<BlobReader>() + self.kept.as_ref().map_or(0, Kept::slot_bytes)
    }

    /// What it says of itself at its beginning.
    #[must_use]
    pub fn head(&self) -> &BlobHead {
        &self.head
    }

    /// What it holds.
    #[must_use]
    pub fn totals(&self) -> &BlobTotals {
        &self.totals
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.source.path()
    }

    /// The value of `key` that stands where `at` says. Costs one read of the file, unless the cache has it.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Corruption`] if that is not a record of the key, or a damaged one; what
    /// reading the file gives.
    pub fn load(
        &self,
        key: &[u8],
        at: &BlobRef,
        through: Through,
        observe: &mut impl Observe,
    ) -> Result<Slice> {
        if let Some(value) = self.kept.as_ref().and_then(|kept| kept.get(key, at, through)) {
            observe.value_cached();
            return Ok(value);
        }
        let value = self.read(key, at)?;
        observe.value(at.stored, value.len());
        Ok(match &self.kept {
            Some(kept) if through == Through::Cache => kept.put(key, at, value),
            _ => Slice::own_counted(value, &self.counts.held),
        })
    }

    /// Says that a part of the file will be read soon.
    pub fn ask_ahead(&self, offset: u64, bytes: u64) {
        // Nothing depends on it: what is wrong with the file, reading it will tell.
        let bytes = bytes.min(self.end.saturating_sub(offset));
        // Of 0 bytes the system makes all that follow.
        if let (1.., Ok(file)) = (bytes, self.source.file()) {
            file.will_read(offset, bytes);
        }
    }

    fn read(&self, key: &[u8], at: &BlobRef) -> Result<Vec<u8>> {
        let within = at.offset >= HEADER_BYTES as u64
            && at.offset.checked_add(at.stored).is_some_and(|behind| behind <= self.end);
        let wrong = |found: &str| Corruption::new(&self.path(), at.offset, "the value of a key", found);
        let Some(stored) = usize::try_from(at.stored).ok().filter(|_| within) else {
            return Err(wrong("a place outside of the file's records").into());
        };
        let mut bytes = vec![0; stored];
        let file = self.source.file()?;
        file.read_exact_at(&mut bytes, at.offset)?;
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        self.counts.read_bytes.fetch_add(at.stored, Ordering::Relaxed);
        let record = Record::check(file.path(), self.head.identity, at.offset, &bytes)?;
        if record.key != key {
            return Err(wrong("that of another key").into());
        }
        if record.raw as u64 != at.raw {
            return Err(wrong("one of another length").into());
        }
        record.value(file.path(), at.offset)
    }

    /// Reads all records, front to back.
    ///
    /// # Errors
    /// What opening the file gives.
    pub fn walk(&self) -> Result<BlobWalk> {
        Ok(BlobWalk::new(self.source.file()?, self.head.identity, self.end))
    }

    /// Reads the whole file and checks each record and what the footer says of them.
    ///
    /// # Errors
    /// The first [`crate::base::error::Error::Corruption`] met; what reading the file gives.
    pub fn verify(&self) -> Result<BlobTotals> {
        let mut counted = BlobTotals::default();
        for record in self.walk()? {
            let record = record?;
            counted.entries += 1;
            counted.record_bytes += record.stored;
            counted.raw_bytes += record.value.len() as u64;
        }
        if counted == self.totals {
            return Ok(counted);
        }
        let expected = format!("the totals counted: {counted:?}");
        Err(Corruption::new(&self.path(), self.size, expected, format!("{:?}", self.totals)).into())
    }
}
