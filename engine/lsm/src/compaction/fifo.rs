//! What goes of a family that keeps only the newest: its oldest tables, whole and unread.
//!
//! A table may go if nothing older of its keys is left below it, or goes along with it. So what a key shows
//! afterwards is what it showed before, or nothing: an older version would have stood in an older table, and
//! that one has gone before. (Operands would start from nothing where what they stand on is gone, so such a
//! family has no merge operator.) What a held snapshot sees stays, and all that is newer stays with it.

use super::picker::{Moment, overlap_of};
use super::plan::{Claims, Plan, Reason};
use super::tiered::cheapest;
use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::version::{CompactionStyle, Fifo, TableFile, Version};

/// Tables that go.
type Gone = Vec<(usize, Arc<TableFile>)>;

/// Whether something is to go of a family that keeps only the newest.
#[must_use]
pub fn has_outlived(version: &Version, moment: Moment<'_>) -> bool {
    pick_oldest(version, &Claims::default(), moment).is_some()
}

/// The oldest tables that are too much or too old, if a family keeps only the newest. They may be damaged:
/// nobody reads them for it.
pub(super) fn pick_oldest(version: &Version, claims: &Claims, moment: Moment<'_>) -> Option<Plan> {
    let CompactionStyle::Fifo(rules) = moment.style else { return None };
    let most = rules.bytes.unwrap_or(u64::MAX);
    let since_ms = rules.age_ms().map_or(0, |age| moment.present_ms().saturating_sub(age));
    let mut left: u64 = version.tables().map(|(_, table)| table.meta.whole_bytes()).sum();
    let mut tables: Vec<_> = version.tables().collect();
    tables.sort_by_key(|(_, table)| (table.meta.max_seq, table.meta.number));
    let mut gone = Gone::new();
    let may_go = |gone: &Gone, left: u64, (level, table): (usize, &TableFile)| {
        (left > most || table.reader.properties().written_ms() < since_ms)
            && uncovers_nothing(version, gone, level, table)
    };
    while let Some(at) = tables.iter().position(|(level, table)| may_go(&gone, left, (*level, table))) {
        let (level, table) = tables.remove(at);
        let meta = &table.meta;
        // No newer one goes before it.
        if claims.runs_on(meta.number) || moment.held_seq.is_some_and(|seq| seq >= meta.min_seq) {
            break;
        }
        left = left.saturating_sub(meta.whole_bytes());
        gone.push((level, table.clone()));
    }
    let output_level = gone.first()?.0;
    Some(Plan { drop_whole: true, ..Plan::merging(Reason::Oldest, gone, output_level) })
}

/// Whether all that is older in the range of `table` is among those that are `gone`.
fn uncovers_nothing(version: &Version, gone: &Gone, level: usize, table: &TableFile) -> bool {
    let older = |below: usize, other: &TableFile| match below == level {
        true => other.meta.max_seq < table.meta.min_seq,
        // What is newer than all of it shares no key with it, and was ingested.
        false => other.meta.min_seq < table.meta.max_seq,
    };
    (level..LEVELS).all(|below| {
        let others = overlap_of(version, below, table);
        let mut older = others.iter().filter(|other| older(below, other));
        older.all(|other| gone.iter().any(|(_, gone)| gone.meta.number == other.meta.number))
    })
}

/// If there are too many tables in level 0: of all neighbours there that are enough of them, the smallest.
/// They become one table, which stands between those that they stood between, so that age still is their
/// order.
pub(super) fn merge_neighbours(
    version: &Version,
    claims: &Claims,
    rules: Fifo,
    moment: Moment<'_>,
) -> Option<Plan> {
    let tables = version.level(0);
    let over = tables.len().checked_sub(rules.runs as usize).filter(|over| *over > 0)?;
    let plan = |window: std::ops::Range<usize>| {
        Plan::merging(Reason::Tier, tables[window].iter().map(|table| (0, table.clone())).collect(), 0)
    };
    let free = |plan: &Plan| !plan.inputs.iter().any(|(_, table)| claims.has(table.meta.number));
    let mut plans = cheapest(tables, over + 1, |table| table.meta.size).into_iter().map(plan).filter(free);
    plans.find(|plan| plan.input_bytes() <= moment.room)
}
