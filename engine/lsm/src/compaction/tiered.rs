//! What tiered compaction merges, as a pure function of a version: neighbours of similar size with one
//! another (size tiers, as in Bigtable, 2006), so that an entry is written once for each tier and not ten
//! times for each level.
//!
//! The *runs* are the tables of level 0, newest first, and then each level below that holds anything: every
//! run is older than the one before it, key by key. Neighbours are merged into the level right above the next
//! older run; where nothing is older, into the last level; where that one stands in level 0 or 1, into one
//! table of level 0. So whatever leveled compaction has left is a legal beginning, and the other way round.
//!
//! A merge of runs below level 0 that is large is made in parts: the first tables of the newest run, and of
//! each older one what lies in the range of all that were taken before it. What is left in a run shares no
//! key with what was taken from newer ones, so it may stay above what becomes of these. The next part is
//! found by the same rules. So no merge holds up the store's only thread for long, or needs much room.

use super::picker::{Moment, ShapeOptions, disjoint};
use super::plan::{Claims, Plan, Reason};
use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::table::TablePolicy;
use crate::version::{TableFile, Tiered, Version};
use std::ops::Range;

/// A run joins a merge if it is at most so many times as large as the largest newer one in it.
const SIMILAR: u64 = 2;

/// A merge of more tables' bytes than this is made in parts of about as many.
const PART_TABLES: u64 = 32;

/// Tables with their levels.
type Inputs = Vec<(usize, Arc<TableFile>)>;

/// A sorted run.
struct Run<'v> {
    level: usize,
    tables: &'v [Arc<TableFile>],
    bytes: u64,
    /// Some of it is being compacted, or damaged: it stays where it is.
    held: bool,
}

/// The runs of a version, the newest first.
fn runs<'v>(version: &'v Version, claims: &Claims) -> Vec<Run<'v>> {
    let run = |level, tables: &'v [Arc<TableFile>]| Run {
        level,
        tables,
        bytes: tables.iter().map(|table| table.meta.size).sum(),
        held: tables.iter().any(|table| claims.has(table.meta.number)),
    };
    let level0 = version.level(0).chunks(1).map(|table| run(0, table));
    let below = (1..LEVELS).filter(|level| !version.level(*level).is_empty());
    level0.chain(below.map(|level| run(level, version.level(level)))).collect()
}

/// How many sorted runs there are.
fn count_runs(version: &Version) -> usize {
    version.level(0).len() + (1..LEVELS).filter(|level| !version.level(*level).is_empty()).count()
}

/// The merge that is due; `None` if none is, or all that are due are being done.
pub(super) fn pick_tiered(
    version: &Version,
    claims: &Claims,
    rules: Tiered,
    (options, policy): (&ShapeOptions, &TablePolicy),
    moment: Moment<'_>,
) -> Option<Plan> {
    let runs = runs(version, claims);
    let part_bytes = options.table_bytes.saturating_mul(PART_TABLES);
    let plan = |window: Range<usize>| plan(claims, &runs, window, policy, part_bytes);
    let fits = |plan: &Plan| plan.trivial_move || plan.input_bytes() <= moment.room;
    let (newer, most) = newer_and_most(runs.iter().map(|run| run.bytes), rules);
    if newer > most
        && let Some(plan) = plan(oldest_and_newer(&runs, part_bytes)..runs.len()).filter(fits)
    {
        return Some(plan);
    }
    let similar = (0..runs.len()).map(|first| first..first + similar(&runs[first..]));
    let mut due = similar.filter(|window| window.len() >= rules.width as usize);
    if let Some(plan) = due.find_map(|window| plan(window).filter(fits)) {
        return Some(plan);
    }
    // Too many that differ: the cheapest neighbours that are enough, whatever room there is.
    let over = runs.len().checked_sub(rules.runs as usize).filter(|over| *over > 0)?;
    cheapest(&runs, over + 1, |run| run.bytes).into_iter().find_map(plan)
}

/// All that are `count` neighbours, those with the fewest bytes first.
pub(super) fn cheapest<T>(all: &[T], count: usize, bytes: impl Fn(&T) -> u64) -> Vec<Range<usize>> {
    let mut windows: Vec<_> = (count..=all.len()).map(|end| end - count..end).collect();
    windows.sort_by_key(|window| all[window.clone()].iter().map(&bytes).sum::<u64>());
    windows
}

/// The bytes of all runs but the last, which is the oldest, and what the rules allow them.
fn newer_and_most(bytes: impl DoubleEndedIterator<Item = u64>, rules: Tiered) -> (u64, u64) {
    let mut from_oldest = bytes.rev();
    let oldest = from_oldest.next().unwrap_or(0);
    let most = u128::from(oldest) * u128::from(rules.space_percent) / 100;
    (from_oldest.sum(), u64::try_from(most).unwrap_or(u64::MAX))
}

/// From where on runs are merged when the newer ones take too much: all, if that is little. Otherwise from
/// the newest below level 0 whose tables are narrow enough for parts.
fn oldest_and_newer(runs: &[Run<'_>], part_bytes: u64) -> usize {
    let bytes_from = |first: usize| runs[first..].iter().map(|run| run.bytes).sum::<u64>();
    if bytes_from(0) <= part_bytes {
        return 0;
    }
    let level0 = runs.iter().take_while(|run| run.level == 0).count();
    let narrow = |first: &usize| {
        let tables = runs[*first].tables.len() as u64;
        tables.saturating_mul(part_bytes) >= bytes_from(*first)
    };
    (level0..runs.len().saturating_sub(1)).find(narrow).unwrap_or(0)
}

/// How many runs from the first one on are similar.
fn similar(runs: &[Run<'_>]) -> usize {
    let mut largest = u64::MAX;
    let ends = |run: &Run<'_>| {
        let ends = run.held || run.bytes > largest.saturating_mul(SIMILAR);
        largest = if largest == u64::MAX { run.bytes } else { largest.max(run.bytes) };
        ends
    };
    runs.iter().position(ends).unwrap_or(runs.len())
}

/// The merge of neighbours; `None` if one of them is held, or another compaction writes where it would.
fn plan(
    claims: &Claims,
    runs: &[Run<'_>],
    window: Range<usize>,
    policy: &TablePolicy,
    part_bytes: u64,
) -> Option<Plan> {
    let older = runs.get(window.end).map_or(LEVELS, |run| run.level);
    let output_level = older.saturating_sub(1);
    let merged = &runs[window];
    if merged.is_empty() || merged.iter().any(|run| run.held) {
        return None;
    }
    // What shares no key need not be read: it joins the run that is there, if there is one.
    let moves = |inputs: &Inputs| {
        let codec_stays = || merged.iter().all(|run| policy.same_codec(run.level, output_level));
        output_level > 0 && codec_stays() && disjoint(inputs)
    };
    let mut inputs = all_of(merged);
    if !moves(&inputs) {
        inputs = first_part(merged, part_bytes).unwrap_or(inputs);
    }
    let trivial_move = moves(&inputs);
    if trivial_move {
        inputs.retain(|(level, _)| *level != output_level);
    }
    let plan = Plan { trivial_move, ..Plan::merging(Reason::Tier, inputs, output_level) };
    let (from, to) = plan.range()?;
    (!claims.writes(output_level, from, to)).then_some(plan)
}

/// All tables of a merge of neighbours.
fn all_of(merged: &[Run<'_>]) -> Inputs {
    let of_run =
        |run: &Run<'_>| run.tables.iter().map(|table| (run.level, table.clone())).collect::<Vec<_>>();
    merged.iter().flat_map(of_run).collect()
}

/// The tables of the first part of a merge of neighbours, if it is made in parts.
fn first_part(merged: &[Run<'_>], part_bytes: u64) -> Option<Inputs> {
    let bytes: u64 = merged.iter().map(|run| run.bytes).sum();
    // Of tables of level 0 none may stay between two that become one.
    if bytes <= part_bytes || merged.iter().any(|run| run.level == 0) {
        return None;
    }
    let newest = merged.first()?;
    let share = newest.tables.len() as f64 * part_bytes as f64 / bytes as f64;
    let mut taken = Inputs::new();
    // From the first key to the last of all that is taken.
    let mut range: Option<(&[u8], &[u8])> = None;
    for run in merged {
        let tables = match range {
            None => &run.tables[..(share.ceil() as usize).min(run.tables.len())],
            Some((from, to)) => {
                let start = run.tables.partition_point(|table| *table.meta.largest.0 < *from);
                let end = run.tables.partition_point(|table| *table.meta.smallest.0 <= *to);
                &run.tables[start..end.max(start)]
            }
        };
        for table in tables {
            let (from, to) = (&table.meta.smallest.0[..], &table.meta.largest.0[..]);
            range = Some(range.map_or((from, to), |range| (range.0.min(from), range.1.max(to))));
            taken.push((run.level, table.clone()));
        }
    }
    Some(taken)
}

/// What the newer runs take beyond twice their share, in bytes. A merge of all takes long, or finds no room,
/// and writers go on meanwhile: only where it cannot keep up are they held back.
pub(super) fn debt_bytes(version: &Version, rules: Tiered) -> u64 {
    let runs = runs(version, &Claims::default());
    let (newer, most) = newer_and_most(runs.iter().map(|run| run.bytes), rules);
    newer.saturating_sub(most.saturating_mul(2))
}

/// What presses on writers as so many tables in level 0 would, of a family that is compacted level by level.
pub(super) fn level0_pressure(version: &Version, runs: u32, options: &ShapeOptions) -> usize {
    let count = count_runs(version);
    match count.saturating_sub(runs as usize) {
        0 => count.min(options.level0_tables),
        over => over + options.level0_tables,
    }
}
