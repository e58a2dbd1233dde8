//! Compactions for the sake of what is no longer there: deletions and expired entries whose bytes must
//! be gone by a deadline, and tables that hold little but deletions.
//!
//! A table knows when its oldest deletion was written and when its first entry expires. Once the half
//! of the promised time is over it is compacted, level by level, until nothing is left below it that it
//! could hide; the other half is for the work itself, the log and the manifest. A table with anything
//! newer than the oldest snapshot waits for that snapshot.

use super::picker::{Moment, has_expired, nothing_below, with_overlap};
use super::plan::{Claims, Plan, Reason};
use super::{ShapeOptions, targets};
use crate::base::key::NEVER;
use crate::base::sync::Arc;
use crate::version::{TableFile, TableMeta, Version};

/// A table is worth compacting for its deletions alone from so many on.
const DENSE_DELETIONS: u64 = 64;

/// The moment from which on what a table hides is older than it should be: the earlier of its oldest
/// deletion and its earliest expiry; [`NEVER`] if it hides nothing.
#[must_use]
pub fn hides_since(meta: &TableMeta) -> u64 {
    meta.oldest_deletion_ms.min(meta.earliest_expiry)
}

/// Whether the bytes that a table hides must be on their way.
#[must_use]
pub fn is_due(meta: &TableMeta, moment: Moment<'_>) -> bool {
    moment.erase_ms > 0 && hides_since(meta) <= moment.erase_ms
}

/// The compaction of the table that has hidden something for longest beyond what is allowed.
pub(super) fn pick_due(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
) -> Option<Plan> {
    let ready = |level: usize, table: &TableFile| {
        let meta = &table.meta;
        let expired = || has_expired(version, moment, (level, table), meta.earliest_expiry);
        let hides = meta.oldest_deletion_ms <= moment.erase_ms
            || meta.earliest_expiry <= moment.erase_ms && expired();
        moment.erase_ms > 0 && hides && meta.max_seq <= moment.oldest_seq
    };
    let mut due: Vec<_> = version.tables().filter(|(level, table)| ready(*level, table)).collect();
    due.sort_by_key(|(level, table)| (hides_since(&table.meta), *level, table.meta.number));
    due.into_iter().find_map(|(level, table)| down(version, claims, options, Reason::Erasure, level, table))
}

/// The compaction of a table at least half of which are deletions: whoever reads across it steps over
/// all of them, and over what they hide.
pub(super) fn pick_dense(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
) -> Option<Plan> {
    let dense = |meta: &TableMeta| {
        meta.deletions >= DENSE_DELETIONS
            && meta.deletions * 2 >= meta.entries
            && meta.max_seq <= moment.oldest_seq
    };
    let mut tables = version.tables().filter(|(_, table)| dense(&table.meta));
    tables.find_map(|(level, table)| down(version, claims, options, Reason::Deletions, level, table))
}

/// One step down for a table: where nothing lies below it, it is written again; otherwise it is merged
/// into the next level.
fn down(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    reason: Reason,
    level: usize,
    table: &Arc<TableFile>,
) -> Option<Plan> {
    if level == 0 {
        let all = version.level(0).iter().map(|table| (0, table.clone())).collect();
        let plan = with_overlap(version, claims, reason, all, targets(version, options).base_level)?;
        // Moved as it is it would hide the same one level further down.
        return Some(Plan { trivial_move: false, ..plan });
    }
    if !nothing_below(version, level, table) {
        return with_overlap(version, claims, reason, vec![(level, table.clone())], level + 1);
    }
    let (from, to) = (&table.meta.smallest.0, &table.meta.largest.0);
    let free = !claims.has(table.meta.number) && !claims.writes(level, from, to);
    free.then(|| Plan {
        reason,
        inputs: vec![(level, table.clone())],
        output_level: level,
        trivial_move: false,
        drop_whole: false,
    })
}

/// What of a family's tables is hidden and not yet gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unerased {
    /// Since when the oldest is hidden, in ms since the epoch; [`NEVER`] if nothing is.
    pub since_ms: u64,
    /// The bytes of tables that hide something for longer than half of the time allowed.
    pub due_bytes: u64,
    /// Of these, the bytes of tables that wait for a snapshot.
    pub held_bytes: u64,
}

/// What the tables of a version hide at `now_ms`.
#[must_use]
pub fn unerased(version: &Version, moment: Moment<'_>, now_ms: u64) -> Unerased {
    let mut unerased = Unerased { since_ms: NEVER, due_bytes: 0, held_bytes: 0 };
    for (_, table) in version.tables() {
        let meta = &table.meta;
        let expired = if meta.earliest_expiry <= now_ms { meta.earliest_expiry } else { NEVER };
        unerased.since_ms = unerased.since_ms.min(meta.oldest_deletion_ms).min(expired);
        if is_due(meta, moment) {
            unerased.due_bytes += meta.size;
            unerased.held_bytes += if meta.max_seq > moment.oldest_seq { meta.size } else { 0 };
        }
    }
    if let Some(written_ms) = super::ranges::oldest_range_ms(moment.ranges) {
        unerased.since_ms = unerased.since_ms.min(written_ms);
    }
    unerased
}
