//! The records of a blob file, front to back.

use super::format::{HEADER_BYTES, Lengths, MAX_LENGTHS_BYTES, Record};
use crate::base::checksum::Identity;
use crate::base::error::{Corruption, Error, Result};
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::compress::Codec;
use crate::fs::OpenFile;

/// So much is read at a time, or a whole record if that is larger.
const WINDOW_BYTES: usize = 256 << 10;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Where it begins.
    pub offset: u64,
    /// The bytes of the whole record.
    pub stored: u64,
    /// The key.
    pub key: Vec<u8>,
    /// How the value is stored.
    pub codec: Codec,
    /// The value.
    pub value: Slice,
}

/// Reads records in order; ends behind the first error that leaves in doubt where the next one begins.
#[derive(Debug)]
pub struct BlobWalk {
    file: Arc<OpenFile>,
    identity: Identity,
    at: u64,
    /// Where the records end.
    end: u64,
    window: Vec<u8>,
    /// Where the window stands in the file.
    window_at: u64,
}

impl BlobWalk {
    /// The records of `file` from behind its header up to `end`.
    #[must_use]
    pub fn new(file: Arc<OpenFile>, identity: Identity, end: u64) -> BlobWalk {
        BlobWalk { file, identity, at: HEADER_BYTES as u64, end, window: Vec::new(), window_at: 0 }
    }

    /// Bytes of the file from `self.at` on: `wanted` of them, or as many as there are before the end.
    fn bytes(&mut self, wanted: usize) -> Result<&[u8]> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = wanted.min(left);
        let held = usize::try_from(self.at.saturating_sub(self.window_at)).unwrap_or(usize::MAX);
        let inside =
            self.window_at <= self.at && held.checked_add(wanted).is_some_and(|end| end <= self.window.len());
        if !inside {
            self.window.clear();
            self.window.resize(wanted.max(WINDOW_BYTES).min(left), 0);
            self.window_at = self.at;
            self.file.read_exact_at(&mut self.window, self.at)?;
            return Ok(&self.window[..wanted]);
        }
        Ok(&self.window[held..held + wanted])
    }

    fn step(&mut self) -> Result<BlobRecord> {
        let (offset, end) = (self.at, self.end);
        let path = self.file.path().to_owned();
        let lengths = Lengths::decode(self.bytes(MAX_LENGTHS_BYTES)?);
        let stop = |walk: &mut BlobWalk, error: Error| {
            walk.at = end;
            Err(error)
        };
        let lengths = match lengths {
            Ok(lengths) => lengths,
            Err(malformed) => return stop(self, malformed.in_file(&path, offset)),
        };
        let stored = lengths.record() as u64;
        if offset.checked_add(stored).is_none_or(|behind| behind > end) {
            let found = format!("lengths that lead {} bytes beyond", (offset + stored).saturating_sub(end));
            let error = Corruption::new(&path, offset, "a record before the footer", found);
            return stop(self, error.into());
        }
        let identity = self.identity;
        let bytes = self.bytes(lengths.record())?;
        let record = Record::check(&path, identity, offset, bytes).and_then(|record| {
            let (key, codec) = (record.key.to_vec(), record.codec);
            let value = Slice::own(record.value(&path, offset)?);
            Ok(BlobRecord { offset, stored, key, codec, value })
        });
        // Lengths that a damaged record has by chance lead to what is no record, and that ends the walk.
        self.at = offset + stored;
        record
    }
}

impl Iterator for BlobWalk {
    type Item = Result<BlobRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let step = self.step();
        if let Err(error) = &step
            && !matches!(error, Error::Corruption(_))
        {
            self.at = self.end;
        }
        Some(step)
    }
}
