//! The stack of cursors under an iterator.

use super::view::View;
use crate::base::key::SeqNum;
use crate::base::limits::LEVELS;
use crate::iter::{Concat, Merge, Visible};
use crate::memtable::MemtableCursor;
use crate::table::TableCursor;
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

/// A cursor over what `view` shows at `seq` and `now_ms`, within `bounds`.
#[must_use]
pub fn scan(view: &View, seq: SeqNum, now_ms: u64, bounds: Bounds, fill_cache: bool) -> TreeCursor {
    let merge = Merge::new(sources(view, fill_cache));
    Visible::new(merge, seq, now_ms, bounds.lower, bounds.upper).with_hooks(view.hooks.clone())
}

/// A cursor over each sorted run of `view`.
pub(super) fn sources(view: &View, fill_cache: bool) -> Vec<Source> {
    let most = 1 + view.sealed.len() + view.version.level(0).len() + LEVELS - 1;
    let mut sources = Vec::with_capacity(most);
    let memtables = view.memtables().filter(|memtable| !memtable.is_empty());
    sources.extend(memtables.map(|memtable| Source::Memtable(MemtableCursor::new(memtable.clone()))));
    for table in view.version.level(0) {
        sources.push(Source::Table(TableCursor::new(table.reader.clone(), fill_cache)));
    }
    for level in 1..LEVELS {
        if !view.version.level(level).is_empty() {
            let run = LevelRun::new(view.version.clone(), level, fill_cache);
            sources.push(Source::Level(Concat::new(run)));
        }
    }
    sources
}
