//! What iterators and cursors over a state have in common.

use super::family::ReadOnlyFamily;
use super::source::gone;
use crate::base::error::Error;
use crate::base::observe::{ReadContext, Watch};
use crate::db::ScanOptions;
use crate::filter::WholePrefix;
use crate::tree::{Bounds, TreeCursor, scan};

/// A range of a family, at one moment.
#[derive(Debug)]
pub(super) struct Walk {
    /// Holds what is read.
    family: ReadOnlyFamily,
    now_ms: u64,
    pub(super) options: ScanOptions,
    watch: Watch,
}

impl Walk {
    pub(super) fn new(family: &ReadOnlyFamily, options: ScanOptions) -> Walk {
        let (now_ms, watch) = (family.now_ms(), options.watch());
        Walk { family: family.clone(), now_ms, options, watch }
    }

    /// A cursor over it that stands nowhere yet.
    pub(super) fn cursor(&self) -> TreeCursor {
        let (lower, upper) = self.options.bounds();
        let bounds = Bounds { lower: lower.clone(), upper: upper.clone() };
        let family = self.family.state();
        let prefix = family.prefix.and_then(|extractor| {
            WholePrefix::of(extractor, &bounds.lower, &bounds.upper, &family.prefix_counts)
        });
        let access = self.options.access(self.watch.clone());
        let loads = !self.options.leaves_values_out();
        scan(&family.view, self.family.seq(), self.now_ms, bounds, access, prefix, loads)
    }

    /// What the walk has cost so far, with what its cursors have met of that.
    pub(super) fn context(&self, hidden: u64, operands: u64) -> Option<ReadContext> {
        let mut context = *self.watch.as_ref()?.lock();
        context.entries_hidden += hidden;
        context.operands += operands;
        Some(context)
    }

    pub(super) fn told(error: Error) -> Error {
        gone(error)
    }
}
