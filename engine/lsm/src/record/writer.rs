//! Appending records to one file.

use super::format::{FileHeader, HEADER_BYTES, LogKind, RECORD_HEADER_BYTES, RecordHeader, padded};
use crate::base::checksum::{Identity, bound};
use crate::base::error::Result;
use crate::base::sync::Arc;
use crate::fs::OpenFile;

/// How a record comes into its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a call that writes.
    Call,
    /// By a copy, where the file is mapped into memory; else by a call. It costs a tenth, but a disk that
    /// fails is not met before the next sync.
    Copy,
}

/// Appends records to a file. Nothing here syncs: that is the caller's decision.
#[derive(Debug)]
pub struct RecordWriter {
    file: Arc<OpenFile>,
    identity: Identity,
    start_lsn: u64,
    offset: u64,
    chain: u32,
    /// A record under construction; its first 32 bytes are kept free for the header.
    buffer: Vec<u8>,
}

impl RecordWriter {
    /// Writes the header of a new file.
    pub fn create(file: OpenFile, kind: LogKind, header: FileHeader) -> Result<RecordWriter> {
        file.write_all_at(&header.encode(kind), 0)?;
        Ok(RecordWriter::resume(file, header))
    }

    /// Goes on behind a header that was written before.
    #[must_use]
    pub fn resume(file: OpenFile, header: FileHeader) -> RecordWriter {
        RecordWriter {
            file: Arc::new(file),
            identity: header.identity,
            start_lsn: header.start_lsn,
            offset: HEADER_BYTES,
            chain: header.chain,
            buffer: Vec::new(),
        }
    }

    /// The file, for syncing it.
    #[must_use]
    pub fn file(&self) -> &Arc<OpenFile> {
        &self.file
    }

    /// The file's identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Where the next record will start in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The log position at which the next record will start.
    #[must_use]
    pub fn lsn(&self) -> u64 {
        self.start_lsn + (self.offset - HEADER_BYTES)
    }

    /// What the buffer takes in memory.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Starts a record: the payload is appended to the returned buffer, whose first 32 bytes must
    /// be left alone.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        // One huge record must not pin its memory for the rest of the file's life.
        if self.buffer.capacity() > 4 << 20 {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.buffer.resize(RECORD_HEADER_BYTES as usize, 0);
        &mut self.buffer
    }

    /// How many bytes of the file the record under construction will take.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        padded(self.buffer.len() as u64)
    }

    /// Writes the record under construction with one write. After an error nothing has advanced:
    /// the next record overwrites whatever this one left behind.
    pub fn finish(&mut self, kind: u8, synced: u64) -> Result<()> {
        self.finish_by(kind, synced, Way::Call)
    }

    /// As [`RecordWriter::finish`], with the choice of how it is written.
    pub fn finish_by(&mut self, kind: u8, synced: u64, way: Way) -> Result<()> {
        let header_bytes = RECORD_HEADER_BYTES as usize;
        let payload = &self.buffer[header_bytes..];
        let mut header = RecordHeader {
            checksum: 0,
            payload_checksum: bound(payload, self.identity, self.offset + RECORD_HEADER_BYTES),
            len: payload.len() as u64,
            synced,
            chain: self.chain,
            kind,
        };
        let raw = header.encode(self.identity, self.offset);
        self.buffer[..header_bytes].copy_from_slice(&raw);
        let padded = self.pending_bytes() as usize;
        self.buffer.resize(padded, 0);
        match way {
            Way::Call => self.file.write_all_at(&self.buffer, self.offset)?,
            Way::Copy => self.file.put_at(&self.buffer, self.offset)?,
        }
        self.offset += padded as u64;
        self.chain = header.checksum;
        Ok(())
    }

    /// Moves a record under construction to another writer's buffer, when it no longer fits here.
    pub fn hand_over(&mut self, to: &mut RecordWriter) {
        std::mem::swap(&mut self.buffer, &mut to.buffer);
    }
}
