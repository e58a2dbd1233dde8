//! Whether a table may hold a key with a prefix.

use super::reader::{Layout, TableReader};
use crate::base::key::Trailer;
use crate::base::observe::Observe;
use crate::filter::WholePrefix;

impl TableReader {
    /// Whether the table may hold a key with the prefix, as far as its filter knows; `None` if it cannot
    /// say.
    #[must_use]
    pub fn may_hold_prefix(&self, prefix: &WholePrefix, observe: &mut impl Observe) -> Option<bool> {
        if self.properties().prefix != Some(prefix.extractor()) {
            return None;
        }
        match &self.layout {
            Layout::Whole { filter, .. } => Some(prefix.passes(filter.as_ref()?)),
            Layout::Partitioned(parts) => {
                // Keys with it begin in the first partition that reaches as far, or behind it if that one
                // ends with a separator that has it.
                let first = parts.top.find(prefix.bytes(), Trailer::FIRST).unwrap_or(parts.top.len());
                for part in first..parts.top.len() {
                    if prefix.passes(&*parts.filter(&self.loader, part, observe).ok()??) {
                        return Some(true);
                    }
                    if !prefix.is_of(&parts.top.key(part).0) {
                        break;
                    }
                }
                Some(false)
            }
        }
    }
}
