//! Whether anything of a range was written behind a sequence number: what validation asks when the
//! table of recent writes does not reach back far enough.
//!
//! Only memtables and tables that hold a number behind it are looked into. It may be asked while a
//! snapshot with that number (or an earlier one) is registered: then no merge has taken away, or
//! numbered zero, the newest entry of a key that the snapshot does not see.

use super::scan::Bounds;
use super::view::View;
use crate::base::bounds::first_from;
use crate::base::cursor::Cursor;
use crate::base::error::Result;
use crate::base::key::{MAX_SEQ, SeqNum};
use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::memtable::MemtableCursor;
use crate::ranges::Range;
use crate::table::TableCursor;
use crate::version::TableFile;
use std::ops::Bound;

/// A user key in `bounds` of which there is an entry with a sequence number behind `since`, up to
/// `upto`; `None` if there is none.
///
/// # Errors
/// Those of reading tables.
pub fn written_between(view: &View, bounds: &Bounds, since: SeqNum, upto: SeqNum) -> Result<Option<Vec<u8>>> {
    if let Some(key) = removed_between(view, bounds, since, upto) {
        return Ok(Some(key));
    }
    for memtable in view.memtables() {
        if memtable.last_seq().is_some_and(|last| last > since) {
            let cursor = MemtableCursor::new(memtable.clone());
            if let Some(key) = search(cursor, bounds, since, upto)? {
                return Ok(Some(key));
            }
        }
    }
    for level in 0..LEVELS {
        for table in view.version.overlapping(level, edge(&bounds.lower), edge(&bounds.upper)) {
            if table.meta.max_seq > since && may_hold(&table, bounds) {
                let cursor = TableCursor::new(table.reader.clone(), true);
                if let Some(key) = search(cursor, bounds, since, upto)? {
                    return Ok(Some(key));
                }
            }
        }
    }
    Ok(None)
}

/// A key in `bounds` that lies in a range which was removed meanwhile. Ranges that are gone from the record
/// need not be known: nothing that was there before them is left anywhere, and a snapshot that sees something
/// of it keeps them on record.
fn removed_between(view: &View, bounds: &Bounds, since: SeqNum, upto: SeqNum) -> Option<Vec<u8>> {
    let begins_behind = |from: &[u8]| match &bounds.upper {
        Bound::Unbounded => false,
        Bound::Included(upper) => from > &upper[..],
        Bound::Excluded(upper) => from >= &upper[..],
    };
    let ends_before = |to: Option<&[u8]>| match (&bounds.lower, to) {
        (Bound::Unbounded, _) | (_, None) => false,
        (Bound::Included(lower) | Bound::Excluded(lower), Some(to)) => to <= &lower[..],
    };
    let meets = |range: &&Arc<Range>| {
        let meanwhile = since < range.seq && range.seq <= upto;
        meanwhile && !begins_behind(&range.from) && !ends_before(range.to.as_deref())
    };
    let beside =
        view.memtables().filter_map(|memtable| memtable.ranges().ranges().iter().find(meets).cloned());
    let range = view.ranges.ranges().iter().find(meets).cloned().or_else(|| beside.into_iter().next())?;
    Some(first_from(bounds.lower.as_ref().map(Vec::as_slice), &range.from))
}

/// Whether a table may hold a key of the range: for a single key its filter says.
fn may_hold(table: &Arc<TableFile>, bounds: &Bounds) -> bool {
    match (&bounds.lower, &bounds.upper) {
        (Bound::Included(a), Bound::Included(b)) if a == b => table.reader.may_contain(a),
        _ => true,
    }
}

fn search(mut run: impl Cursor, bounds: &Bounds, since: SeqNum, upto: SeqNum) -> Result<Option<Vec<u8>>> {
    match &bounds.lower {
        Bound::Unbounded => run.seek_to_first()?,
        Bound::Included(lower) => run.seek(lower, MAX_SEQ)?,
        Bound::Excluded(lower) => run.seek(&[lower, &[0][..]].concat(), MAX_SEQ)?,
    }
    while run.valid() {
        let (key, seq) = (run.user_key(), run.trailer().seq());
        let beyond = match &bounds.upper {
            Bound::Unbounded => false,
            Bound::Included(upper) => key > &upper[..],
            Bound::Excluded(upper) => key >= &upper[..],
        };
        if beyond {
            break;
        }
        if since < seq && seq <= upto {
            return Ok(Some(key.to_vec()));
        }
        run.next()?;
    }
    Ok(None)
}

fn edge(bound: &Bound<Vec<u8>>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}
