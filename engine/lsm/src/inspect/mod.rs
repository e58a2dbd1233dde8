//! Layer 5: read-only decoding of single files, for the tools. It needs no store around them, never
//! writes, and decodes as much as it can of a damaged file; nothing is sized by what a damaged byte
//! says beyond what the file holds.

mod blob;
mod manifest;
mod records;
mod segment;
mod table;

pub use blob::BlobFile;
pub use manifest::{ManifestItem, walk_manifest};
pub use records::{Break, Intact, LogHeader};
pub use segment::{SegmentItem, walk_segment};
pub use table::{BlockSummary, TableFile};

#[cfg(test)]
mod tests;
