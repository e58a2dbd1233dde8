//! Layer 4: what exists: tables and their levels, the edits that change them, and the manifest.

mod checker;
mod current;
mod edit;
mod levels;
mod manifest;
mod meta;
mod source;
mod state;
mod style;

pub use checker::{check_levels, check_ranges};
pub use current::{Current, current_is_sound, read_current};
pub use edit::{Edit, EditOp, decode_edit, edit_ops, encode_edit};
pub use levels::{Leftover, Purgatory, TableFile, Version};
pub use manifest::{Loaded, Manifest, NotSwitched, load_manifest};
pub use meta::TableMeta;
pub use source::{LevelRun, Source};
pub use state::{FamilyState, History, StoreState};
pub use style::{CompactionStyle, Fifo, Tiered};

#[cfg(all(test, not(loom)))]
mod levels_tests;
#[cfg(test)]
mod manifest_tests;
