//! Layer 3: values that stand apart from their keys, in blob files.
//!
//! A flush or a compaction that writes tables writes the large values of their entries into a blob file
//! beside them, in the order of the keys, and a [`BlobRef`](crate::base::blob_ref::BlobRef) in their place.
//! Compactions then move keys and references and leave the values where they are. The byte grammar stands in
//! `docs/format/blob.md`.

mod ahead;
mod files;
mod format;
mod kept;
mod reader;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod walk;
mod writer;

pub use ahead::ReadAhead;
pub use files::{BlobCounts, BlobSource, Blobs};
pub use format::{BLOB_FORMAT_VERSION, BlobHead, BlobTotals, FOOTER_BYTES, HEADER_BYTES, MAGIC};
pub use reader::BlobReader;
pub use walk::{BlobRecord, BlobWalk};
pub use writer::{BlobSummary, BlobWriter};
