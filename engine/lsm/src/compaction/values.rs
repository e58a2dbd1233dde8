//! What a merge does with large values: those that stand in its input go to a blob file beside its tables;
//! those that stand in one already stay there, and only the reference moves, unless their file is to go.

use crate::base::blob_ref::BlobRef;
use crate::base::error::{Corruption, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{EntryRef, Kind};
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::blob::{BlobHead, BlobWriter, Blobs};
use crate::compress::Codec;
use crate::iter::Values;
use crate::table::Origin;
use crate::version::{BlobMeta, BlobSet};
use std::collections::BTreeSet;

/// How a merge separates values.
pub struct ValueSpec<'a> {
    /// Makes blob files.
    pub blobs: &'a Blobs,
    /// The blob files that the input refers to.
    pub known: Arc<BlobSet>,
    /// Values of so many bytes or more are separated; `None` if none are.
    pub from: Option<usize>,
    /// The blob files that nothing is to refer to any more.
    pub moved: BTreeSet<FileNumber>,
    /// The size at which a blob file is closed, in bytes.
    pub file_bytes: u64,
    /// How values are compressed, with zstd's level.
    pub codec: (Codec, i32),
}

/// The values of a merge under way.
pub(super) struct ValueOutput<'a> {
    spec: Option<ValueSpec<'a>>,
    writer: Option<(FileNumber, BlobWriter)>,
    /// The files that are complete.
    pub(super) made: Vec<BlobMeta>,
    /// Bytes that were moved since somebody asked.
    pub(super) moved_bytes: usize,
}

impl<'a> ValueOutput<'a> {
    pub(super) fn new(spec: Option<ValueSpec<'a>>) -> ValueOutput<'a> {
        ValueOutput { spec, writer: None, made: Vec::new(), moved_bytes: 0 }
    }

    /// The value in whose place a reference stands.
    pub(super) fn load(&self, key: &[u8], reference: &[u8]) -> Result<Slice> {
        match &self.spec {
            Some(spec) => spec.known.load(key, reference),
            None => None::<Arc<dyn Values + Send + Sync>>.load(key, reference),
        }
    }

    /// The value of an entry that refers to a file which is to go; `None` if it may stay as it is.
    pub(super) fn called_back(&mut self, entry: &EntryRef<'_>) -> Result<Option<Slice>> {
        let Some(spec) = self.spec.as_ref().filter(|_| entry.kind == Kind::BlobRef) else { return Ok(None) };
        if spec.moved.is_empty() {
            return Ok(None);
        }
        let at = BlobRef::decode(entry.value).map_err(|malformed| {
            let path = FileKind::Blob(0).name();
            Corruption::new(path.as_ref(), 0, malformed.expected, "something else in a table")
        })?;
        if !spec.moved.contains(&at.file) {
            return Ok(None);
        }
        let value = spec.known.load(entry.key, entry.value)?;
        self.moved_bytes += value.len();
        Ok(Some(value))
    }

    /// Writes the value of an entry to a blob file if it is large enough. Returns what stands in its place.
    pub(super) fn separate(
        &mut self,
        entry: &EntryRef<'_>,
        origin: &Origin,
        begin: impl FnOnce() -> FileNumber,
    ) -> Result<Option<Vec<u8>>> {
        let Some(spec) = &self.spec else { return Ok(None) };
        if entry.kind != Kind::Put || spec.from.is_none_or(|from| entry.value.len() < from) {
            return Ok(None);
        }
        let (number, writer) = match &mut self.writer {
            Some(open) => open,
            none => {
                let number = begin();
                let (file, identity) = spec.blobs.create(number)?;
                let Origin { family, store, created_ms, .. } = *origin;
                let head = BlobHead { identity, family, store, created_ms };
                none.insert((number, BlobWriter::new(file, head, spec.codec.0, spec.codec.1)?))
            }
        };
        let (offset, stored) = writer.add(entry.key, entry.value)?;
        let (file, raw, full) = (*number, entry.value.len() as u64, writer.bytes() >= spec.file_bytes);
        if full {
            self.close()?;
        }
        Ok(Some(BlobRef { file, offset, stored, raw }.encode()))
    }

    /// Completes the file that is being written.
    pub(super) fn close(&mut self) -> Result<()> {
        if let Some((number, writer)) = self.writer.take() {
            self.made.push(BlobMeta::of(number, &writer.finish()?));
        }
        Ok(())
    }

    /// Lets go of what is being written.
    pub(super) fn give_up(&mut self) {
        self.writer = None;
    }
}
