//! Writes a blob file, front to back.

use super::format::{BlobHead, BlobTotals, HEADER_BYTES};
use crate::base::checksum::{self, Identity};
use crate::base::coding::put_varint;
use crate::base::error::Result;
use crate::compress::{Codec, Compressor};
use crate::fs::OpenFile;

/// Bytes are handed to the file in pieces of about this many.
const BUFFER_BYTES: usize = 256 << 10;

/// Whenever so many bytes more stand in the system's cache, it is told that they will be synced: the disk is
/// to work while values are compressed, not behind that.
const WRITE_BACK_EVERY: u64 = 4 << 20;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobSummary {
    /// The identity that its checksums are bound to.
    pub identity: Identity,
    /// The size of the file.
    pub size_bytes: u64,
    /// What it holds.
    pub totals: BlobTotals,
}

/// Writes one blob file. Dropped before [`BlobWriter::finish`], it leaves a file that is none.
#[derive(Debug)]
pub struct BlobWriter {
    file: OpenFile,
    identity: Identity,
    compressor: Compressor,
    buffer: Vec<u8>,
    written: u64,
    /// The value under work, compressed.
    payload: Vec<u8>,
    totals: BlobTotals,
}

impl BlobWriter {
    /// A writer into an empty file. The identity in `head` must be random, and drawn for this file alone.
    ///
    /// # Errors
    /// [`crate::base::error::Error::InvalidArgument`] if zstd refuses the level.
    pub fn new(file: OpenFile, head: BlobHead, codec: Codec, zstd_level: i32) -> Result<BlobWriter> {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        head.encode(&mut buffer);
        Ok(BlobWriter {
            file,
            identity: head.identity,
            compressor: Compressor::new(codec, zstd_level)?,
            buffer,
            written: 0,
            payload: Vec::new(),
            totals: BlobTotals::default(),
        })
    }

    /// Appends a value with its key. Returns where its record begins, and the bytes of that.
    ///
    /// # Errors
    /// What writing the file gives.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(u64, u64)> {
        let (start, offset) = (self.buffer.len(), self.offset());
        self.payload.clear();
        let codec = self.compressor.compress(value, &mut self.payload);
        for length in [key.len(), value.len(), self.payload.len()] {
            put_varint(&mut self.buffer, length as u64);
        }
        self.buffer.extend_from_slice(key);
        self.buffer.push(codec as u8);
        self.buffer.extend_from_slice(&self.payload);
        let checksum = checksum::bound(&self.buffer[start..], self.identity, offset);
        self.buffer.extend_from_slice(&checksum.to_le_bytes());
        let stored = (self.buffer.len() - start) as u64;
        self.totals.entries += 1;
        self.totals.record_bytes += stored;
        self.totals.raw_bytes += value.len() as u64;
        // One huge value shall not stay in memory for the rest of the file.
        self.payload.shrink_to(2 * BUFFER_BYTES);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok((offset, stored))
    }

    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// How large the file is so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.totals.record_bytes
    }

    /// Writes what is left, and syncs the file.
    ///
    /// # Errors
    /// What writing or syncing gives; the file is then none.
    pub fn finish(mut self) -> Result<BlobSummary> {
        let offset = self.offset();
        self.totals.encode(self.identity, offset, &mut self.buffer);
        self.flush()?;
        self.file.sync()?;
        Ok(BlobSummary { identity: self.identity, size_bytes: self.written, totals: self.totals })
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        let before = self.written;
        self.written += self.buffer.len() as u64;
        if self.written / WRITE_BACK_EVERY > before / WRITE_BACK_EVERY {
            self.file.will_sync();
        }
        self.buffer.clear();
        self.buffer.shrink_to(2 * BUFFER_BYTES);
        Ok(())
    }
}
