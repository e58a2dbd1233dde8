//! What a builder says of the options of single families.

use super::options::FamilyOptions;
use crate::filter::PrefixExtractor;
use crate::version::CompactionStyle;
use std::collections::BTreeMap;

/// Options that families have from now on, by the family's name: those that exist already, and those that
/// are created later.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub(super) prefix: BTreeMap<String, Option<PrefixExtractor>>,
    pub(super) style: BTreeMap<String, CompactionStyle>,
    pub(super) blob_values_from: BTreeMap<String, Option<usize>>,
}

impl Wishes {
    pub(super) fn settle(&self, family: &str, options: &mut FamilyOptions) {
        if let Some(prefix) = self.prefix.get(family) {
            options.prefix = *prefix;
        }
        if let Some(style) = self.style.get(family) {
            options.compaction = *style;
        }
        if let Some(from) = self.blob_values_from.get(family) {
            options.blob_values_from = *from;
        }
    }
}
