//! The stack of cursors under an iterator.

use super::prefixed::sources_of_prefix;
use super::view::View;
use crate::base::key::SeqNum;
use crate::base::limits::LEVELS;
use crate::base::observe::Observe;
use crate::base::sync::Arc;
use crate::filter::WholePrefix;
use crate::iter::{Concat, Merge, Visible};
use crate::memtable::MemtableCursor;
use crate::table::{Access, TableCursor};
use crate::version::{LevelRun, Source};
use std::ops::Bound;

/// A range of user keys.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Where it starts.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends.
    pub upper: Bound<Vec<u8>>,
}

/// What a user's iterator walks on.
pub type TreeCursor = Visible<Merge<Source>>;

/// A cursor over what `view` shows at `seq` and `now_ms`, within `bounds`; `prefix` is what all keys within
/// them begin with, if filters are to be asked for it. Unless it `loads` separated values, only keys are to
/// be asked for.
// A function of its own hands the cursor, which is large, from place to place: 90 instructions of a seek.
#[inline(always)]
#[must_use]
pub fn scan(
    view: &View,
    seq: SeqNum,
    now_ms: u64,
    bounds: Bounds,
    access: Access,
    prefix: Option<WholePrefix>,
    loads: bool,
) -> TreeCursor {
    let values = view.version.values(&access);
    let merge = Merge::new(match prefix {
        None => sources(view, access),
        Some(prefix) => sources_of_prefix(view, access, &Arc::new(prefix)),
    });
    let visible = Visible::new(merge, seq, now_ms, view.hidden(seq), bounds.lower, bounds.upper);
    visible.with_hooks(view.hooks.clone()).with_values(values, loads)
}

/// Adds a cursor over each memtable that holds anything.
#[inline]
pub(super) fn memtables(view: &View, access: &mut Access, sources: &mut Vec<Source>) {
    for memtable in view.memtables().filter(|memtable| !memtable.is_empty()) {
        access.watch.memtable();
        sources.push(Source::Memtable(MemtableCursor::new(memtable.clone())));
    }
}

/// A cursor over each sorted run of `view`.
pub(super) fn sources(view: &View, mut access: Access) -> Vec<Source> {
    // Room for those that there are: cursors are large, and are made for each seek.
    let levels = || (1..LEVELS).filter(|level| !view.version.level(*level).is_empty());
    let in_memory = view.memtables().filter(|memtable| !memtable.is_empty()).count();
    let mut sources = Vec::with_capacity(in_memory + view.version.level(0).len() + levels().count());
    memtables(view, &mut access, &mut sources);
    for table in view.version.level(0) {
        access.watch.table(0);
        sources.push(Source::Table(TableCursor::with(table.reader.clone(), access.clone())));
    }
    for level in levels() {
        let run = LevelRun::with(view.version.clone(), level, access.clone());
        sources.push(Source::Level(Concat::new(run)));
    }
    sources
}
