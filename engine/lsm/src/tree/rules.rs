//! What a column family's options mean to those who write, read and compact it.

use crate::table::TablePolicy;
use crate::version::CompactionStyle;

/// The rules of a family, as its options set them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilyRules {
    /// How its tables are written.
    pub policy: TablePolicy,
    /// How long an entry lives that is written without a word about it, in ms; `None` for ever.
    pub default_ttl_ms: Option<u64>,
    /// Within what time the bytes of what was deleted or has expired are gone from every file, in
    /// ms; `None` without a bound.
    pub erase_within_ms: Option<u64>,
    /// Values of so many bytes or more stand apart from their keys; `None` if none do.
    pub blob_values_from: Option<usize>,
    /// How they are compacted.
    pub style: CompactionStyle,
}
