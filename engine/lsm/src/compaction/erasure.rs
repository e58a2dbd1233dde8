//! Compactions for the sake of what is no longer there: deletions and expired entries whose bytes must
//! be gone by a deadline, and tables that hold little but deletions.
//!
//! A table knows when its oldest deletion was written and when its first entry expires. Once the half
//! of the promised time is over it is compacted, level by level, until nothing is left below it that it
//! could hide; the other half is for the work itself, the log and the manifest.
//!
//! Which entries a snapshot needs only the merge can tell. So a table goes down whatever is held, which
//! ends in the deepest level. There it is written again in its place only if that can free something: if
//! nobody has tried yet, or if since the last time a snapshot was released that may have needed something
//! of it, or another entry has ended ([`Leftover`]). A snapshot that needs nothing of a table therefore
//! delays nothing, and one that is held for long costs each table one attempt.

use super::blobs::holds_dead_since;
use super::merge::Merged;
use super::picker::{Moment, has_expired, nothing_below, with_overlap};
use super::plan::{Claims, Plan, Reason};
use super::ranges::oldest_range_ms;
use super::{ShapeOptions, targets};
use crate::base::key::{NEVER, SeqNum};
use crate::base::sync::Arc;
use crate::iter::Horizon;
use crate::ranges::RangeSet;
use crate::version::{Leftover, TableFile, TableMeta, Version};

/// A table is worth compacting for its deletions alone from so many on, if they are more than half of it ...
const DENSE_DELETIONS: u64 = 64;
/// ... or if so many follow one another, as many as a block or more, and are this part of it ...
const SHARE_OF_RUN: u64 = 16;
/// ... or so many, whatever stands beside them.
const LONG_RUN: u64 = 4096;

/// The moment from which on what a table hides is older than it should be: the earlier of its oldest
/// deletion and its earliest expiry; [`NEVER`] if it hides nothing.
#[must_use]
pub fn hides_since(meta: &TableMeta) -> u64 {
    meta.oldest_deletion_ms.min(meta.earliest_expiry)
}

/// Whether a table hides something since `ms` or longer, or a range does.
#[must_use]
pub fn hides_since_before(version: &Version, ranges: &RangeSet, ms: u64) -> bool {
    version.tables().any(|(_, table)| hides_since(&table.meta) <= ms)
        || oldest_range_ms(ranges).is_some_and(|range_ms| range_ms <= ms)
        || holds_dead_since(version, ms)
}

/// Whether the bytes that a table hides must be on their way.
#[must_use]
pub fn is_due(meta: &TableMeta, moment: Moment<'_>) -> bool {
    moment.erase_ms > 0 && hides_since(meta) <= moment.erase_ms
}

/// Whether what a table hides must be on its way, and a compaction would bring it there.
#[must_use]
pub fn can_be_erased(version: &Version, moment: Moment<'_>, level: usize, table: &TableFile) -> bool {
    let meta = &table.meta;
    let ended = |end_ms| {
        end_ms <= moment.erase_ms
            && end_ms <= moment.time_of(meta.max_seq)
            && has_expired(version, moment.present_ms(), (level, table), end_ms)
    };
    is_due(meta, moment)
        && (meta.oldest_deletion_ms <= moment.erase_ms || ended(meta.earliest_expiry))
        && (!nothing_below(version, level, table)
            || may_free(table, moment, |leftover| ended(leftover.next_end_ms)))
}

/// Whether a table that hides something is worth compacting for it now.
pub(super) fn frees_something(
    version: &Version,
    moment: Moment<'_>,
    level: usize,
    table: &TableFile,
) -> bool {
    !nothing_below(version, level, table)
        || may_free(table, moment, |leftover| {
            let now_ms = moment.time_of(leftover.max_seq).min(moment.present_ms());
            has_expired(version, now_ms, (level, table), leftover.next_end_ms)
        })
}

/// Whether a table with nothing below may come out smaller if it is written again. `ended` says whether
/// what was to end next has.
fn may_free(table: &TableFile, moment: Moment<'_>, ended: impl FnOnce(&Leftover) -> bool) -> bool {
    table.leftover().is_none_or(|leftover| released(leftover, moment.horizons) || ended(leftover))
}

/// What a merge leaves behind that applied the ranges up to `ranges_seq` to `inputs` for `horizons`.
#[must_use]
pub fn leftover(plan: &Plan, horizons: &[Horizon], ranges_seq: SeqNum, merged: &Merged) -> Leftover {
    let max_seq = newest_input(plan);
    let before = max_seq.max(merged.kept_from_range);
    let snapshots = older_than(horizons, before);
    Leftover { max_seq, before, snapshots, next_end_ms: merged.next_end_ms, ranges_seq }
}

/// The time of the oldest reader of everything in the inputs: what ends later than this was not looked at.
#[must_use]
pub fn ended_ms(plan: &Plan, horizons: &[Horizon]) -> u64 {
    let at = older_than(horizons, newest_input(plan));
    horizons.get(at).map_or(0, |horizon| horizon.now_ms)
}

fn newest_input(plan: &Plan) -> SeqNum {
    plan.inputs.iter().map(|(_, table)| table.meta.max_seq).max().unwrap_or(0)
}

/// Whether a snapshot is gone that something may have been left for. New ones are newer than all that is
/// in a table: it is enough to count.
pub(super) fn released(leftover: &Leftover, horizons: &[Horizon]) -> bool {
    older_than(horizons, leftover.before) < leftover.snapshots
}

fn older_than(horizons: &[Horizon], seq: SeqNum) -> usize {
    horizons.partition_point(|horizon| horizon.seq < seq)
}

/// The compaction of the table that has hidden something for longest beyond what is allowed.
pub(super) fn pick_due(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
) -> Option<Plan> {
    let ready = |level: usize, table: &TableFile| can_be_erased(version, moment, level, table);
    let mut due: Vec<_> = version.tables().filter(|(level, table)| ready(*level, table)).collect();
    due.sort_by_key(|(level, table)| (hides_since(&table.meta), *level, table.meta.number));
    due.into_iter().find_map(|(level, table)| down(version, claims, options, Reason::Erasure, level, table))
}

/// The compaction of a table more than half of which are deletions, or that has many in a row: whoever reads
/// across these steps over all of them, and over what they hide. (Where every value stands on a deletion that
/// only reminds, they are half.)
pub(super) fn pick_dense(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
) -> Option<Plan> {
    let dense = |level: usize, table: &TableFile| {
        let (meta, run) = (&table.meta, table.reader.properties().longest_deletions);
        let half = meta.deletions >= DENSE_DELETIONS && meta.deletions * 2 > meta.entries;
        let long = run >= LONG_RUN || run > 0 && run * SHARE_OF_RUN > meta.entries;
        (half || long) && frees_something(version, moment, level, table)
    };
    let mut tables = version.tables().filter(|(level, table)| dense(*level, table));
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
    free.then(|| Plan::merging(reason, vec![(level, table.clone())], level))
}

/// What of a family's tables is hidden and not yet gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unerased {
    /// Since when the oldest is hidden, in ms since the epoch; [`NEVER`] if nothing is.
    pub since_ms: u64,
    /// The bytes of tables and blob files that hide something for longer than half of the time allowed.
    pub due_bytes: u64,
    /// Of these, the bytes of tables of which nothing may go before a snapshot is released.
    pub held_bytes: u64,
}

/// What the tables of a version hide at `now_ms`.
#[must_use]
pub fn unerased(version: &Version, moment: Moment<'_>, now_ms: u64) -> Unerased {
    let mut unerased = Unerased { since_ms: NEVER, due_bytes: 0, held_bytes: 0 };
    for (level, table) in version.tables() {
        let meta = &table.meta;
        let expired = if meta.earliest_expiry <= now_ms { meta.earliest_expiry } else { NEVER };
        unerased.since_ms = unerased.since_ms.min(meta.oldest_deletion_ms).min(expired);
        if is_due(meta, moment) {
            unerased.due_bytes += meta.size;
            unerased.held_bytes += if can_be_erased(version, moment, level, table) { 0 } else { meta.size };
        }
    }
    for of in version.blobs().files() {
        let Some(since_ms) = of.file.dead_since_ms().filter(|_| of.dead_bytes() > 0) else { continue };
        unerased.since_ms = unerased.since_ms.min(since_ms);
        unerased.due_bytes += if since_ms <= moment.erase_ms { of.file.meta.size } else { 0 };
    }
    if let Some(written_ms) = oldest_range_ms(moment.ranges) {
        unerased.since_ms = unerased.since_ms.min(written_ms);
    }
    unerased
}
