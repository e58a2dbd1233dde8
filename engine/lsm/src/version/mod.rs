//! Layer 4: what exists: tables and their levels, the edits that change them, and the manifest.

mod blobs;
mod checker;
mod current;
mod edit;
mod feed;
mod levels;
mod manifest;
mod meta;
mod source;
mod state;
mod style;
mod tail;

pub use blobs::{BlobFile, BlobMeta, BlobSet, BlobState, BlobUse, check_blobs};
pub use checker::{check_levels, check_ranges};
pub use current::{Current, current_is_sound, read_current};
pub use edit::{Edit, EditOp, decode_edit, edit_ops, encode_edit};
pub use feed::{EndedHistory, FeedState, IngestMark, KeptSegment, MOST_HISTORIES, MOST_INGESTS};
pub use levels::{Leftover, Purgatory, TableFile, Version};
pub use manifest::{Loaded, Manifest, NotSwitched, load_manifest};
pub use meta::TableMeta;
pub use source::{LevelRun, Source};
pub use state::{FamilyState, History, StoreState};
pub use style::{CompactionStyle, Fifo, Tiered};
pub use tail::{ManifestTail, Moved};

#[cfg(test)]
mod edit_tests;
#[cfg(all(test, not(loom)))]
mod levels_tests;
#[cfg(test)]
mod manifest_tests;
#[cfg(test)]
mod tail_tests;
