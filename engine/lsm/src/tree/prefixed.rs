//! The runs under a scan whose keys all have one prefix: those tables alone that may hold such a key.
//!
//! A table of which no key can have the prefix by its range is left out, and so is one whose filter says that
//! none has. Whatever a filter cannot say - it holds the prefixes of another extractor, or cannot be read -
//! counts as maybe.

use super::scan::memtables;
use super::view::View;
use crate::base::limits::LEVELS;
use crate::base::observe::Observe;
use crate::base::sync::Arc;
use crate::filter::WholePrefix;
use crate::iter::Concat;
use crate::table::{Access, TableCursor};
use crate::version::{LevelRun, Source, TableFile};

/// A cursor over each sorted run of `view` that may hold a key with the prefix.
pub(super) fn sources_of_prefix(view: &View, mut access: Access, prefix: &Arc<WholePrefix>) -> Vec<Source> {
    let mut sources = Vec::new();
    memtables(view, &mut access, &mut sources);
    for table in view.version.level(0).iter().filter(|table| reaches(table, prefix)) {
        access.watch.table(0);
        if may_hold(table, &mut access, prefix) {
            let cursor = TableCursor::with(table.reader.clone(), access.clone());
            sources.push(Source::Table(cursor.expecting(prefix.clone())));
        }
    }
    for level in 1..LEVELS {
        let tables = view.version.level(level);
        let mut from = tables.partition_point(|table| *table.meta.largest.0 < *prefix.bytes());
        let starts_before_end = |table: &Arc<TableFile>| {
            prefix.is_of(&table.meta.smallest.0) || *table.meta.smallest.0 < *prefix.bytes()
        };
        let mut to = tables.partition_point(starts_before_end).max(from);
        // Those between two that reach over the ends hold nothing else: only the ends need be asked.
        if from < to && !may_hold(&tables[from], &mut access, prefix) {
            from += 1;
        }
        if from + 1 < to && !may_hold(&tables[to - 1], &mut access, prefix) {
            to -= 1;
        }
        if from < to {
            let run = LevelRun::within(view.version.clone(), level, access.clone(), from..to);
            sources.push(Source::Level(Concat::new(run.expecting(prefix.clone()))));
        }
    }
    sources
}

/// Whether the range of the table's keys reaches over one that has the prefix.
fn reaches(table: &TableFile, prefix: &WholePrefix) -> bool {
    let (smallest, largest) = (&*table.meta.smallest.0, &*table.meta.largest.0);
    (smallest < prefix.bytes() || prefix.is_of(smallest)) && largest >= prefix.bytes()
}

fn may_hold(table: &TableFile, access: &mut Access, prefix: &WholePrefix) -> bool {
    let Some(may) = table.reader.may_hold_prefix(prefix, &mut access.watch) else { return true };
    prefix.answered(may);
    access.watch.prefix(may);
    may
}
