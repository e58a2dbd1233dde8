//! Which compaction is due, as a pure function of a version and of what is already running.
//!
//! Most of it is leveled compaction; `tiered` has what another style chooses in its place.
//!
//! Leveled compaction with dynamic level sizes, as RocksDB describes it ("Dynamic Level Size for
//! Level-Based Compaction", 2015): the deepest level decides how large the levels above it may be,
//! each a tenth of the next, and level 0 is compacted straight into the first level whose share is
//! worth having. So about nine tenths of the data stand in the deepest level at any size, and space
//! amplification stays near 1.1.

use super::blobs::{is_pressing, pick_dead_values};
use super::erasure::{frees_something, pick_dense, pick_due, released};
use super::fifo::{merge_neighbours, pick_oldest};
use super::plan::{Claims, Plan, Reason};
use super::ranges::is_seen;
use super::tiered::pick_tiered;
use crate::base::key::SeqNum;
use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::iter::Horizon;
use crate::ranges::{Range, RangeSet};
use crate::table::TablePolicy;
use crate::version::{CompactionStyle, Leftover, TableFile, Version};

/// The shape that compaction works towards.
#[derive(Clone, Debug)]
pub struct ShapeOptions {
    /// Tables in level 0 from which on it is compacted.
    pub level0_tables: usize,
    /// The target of the first level below level 0, in bytes.
    pub base_bytes: u64,
    /// How many times larger each level is than the one above.
    pub fanout: u64,
    /// The size at which an output table is closed, in bytes.
    pub table_bytes: u64,
    /// Deleted and dropped ranges of a family from which on the oldest is compacted away before all else;
    /// from an eighth on, when nothing else is due.
    pub ranges: usize,
    /// As `ranges`, in bytes of memory.
    pub range_bytes: usize,
}

impl ShapeOptions {
    /// How full the registry of ranges is, in thousandths.
    #[must_use]
    pub fn range_fullness(&self, ranges: &RangeSet) -> u64 {
        let share = |now: usize, most: usize| now as u64 * 1000 / most.max(1) as u64;
        share(ranges.len(), self.ranges).max(share(ranges.bytes(), self.range_bytes))
    }
}

/// What the picker must know besides the version.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The family's style.
    pub style: CompactionStyle,
    /// The newest sequence number that a held snapshot sees; `None` if none is held.
    pub held_seq: Option<SeqNum>,
    /// The oldest horizon: everything up to it is seen by all readers.
    pub oldest_seq: SeqNum,
    /// The earliest time against which any reader judges expiry.
    pub oldest_ms: u64,
    /// What readers see, ascending; the last is the present.
    pub horizons: &'a [Horizon],
    /// The family's registered ranges, as of the version.
    pub ranges: &'a RangeSet,
    /// What has been hidden since this time or longer - tables' deletions and expired entries, ranges that
    /// were written - is to be compacted, in ms since the epoch; 0 if nothing is.
    pub erase_ms: u64,
    /// What may be written before the disk is full, in bytes.
    pub room: u64,
}

impl Moment<'_> {
    /// The time against which the oldest reader judges that sees everything up to `seq`.
    #[must_use]
    pub fn time_of(&self, seq: SeqNum) -> u64 {
        let at = self.horizons.partition_point(|horizon| horizon.seq < seq);
        self.horizons.get(at).map_or(self.oldest_ms, |horizon| horizon.now_ms)
    }

    /// The time of the present.
    #[must_use]
    pub fn present_ms(&self) -> u64 {
        self.horizons.last().map_or(self.oldest_ms, |horizon| horizon.now_ms)
    }
}

/// How large the levels should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// The level that level 0 is compacted into.
    pub base_level: usize,
    /// Target bytes by level; 0 above the base level.
    pub bytes: [u64; LEVELS],
}

/// The levels' targets for what the version holds now.
#[must_use]
pub fn targets(version: &Version, options: &ShapeOptions) -> Targets {
    let last = LEVELS - 1;
    let largest = (1..LEVELS).map(|level| version.level_bytes(level)).max().unwrap_or(0);
    let mut bytes = [0; LEVELS];
    let mut level = last;
    bytes[last] = largest.max(options.base_bytes);
    while level > 1 && bytes[level] > options.base_bytes {
        bytes[level - 1] = (bytes[level] / options.fanout).max(1);
        level -= 1;
    }
    // A level above that still holds data keeps being the base until it has drained.
    let first_used = (1..LEVELS).find(|level| !version.level(*level).is_empty()).unwrap_or(last);
    let base_level = level.min(first_used);
    for target in &mut bytes[base_level..] {
        *target = (*target).max(1);
    }
    Targets { base_level, bytes }
}

/// The compaction that is most urgent; `None` if none is due or everything due is being done.
#[must_use]
pub fn pick(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    policy: &TablePolicy,
    moment: Moment<'_>,
) -> Option<Plan> {
    let whole = pick_whole(version, claims, moment);
    if whole.is_some() {
        return whole;
    }
    let fullness = options.range_fullness(moment.ranges);
    if fullness > 1000
        && let Some(plan) = pick_touched(version, claims, options, moment, |_| true)
    {
        return Some(plan);
    }
    // Where writers are about to wait for level 0, that goes first.
    let level0_waits = version.level(0).len() >= options.level0_tables.saturating_mul(2);
    if is_pressing(version)
        && !level0_waits
        && let Some(plan) = pick_dead_values(version, claims, options, moment, false)
    {
        return Some(plan);
    }
    let shaping = match moment.style {
        CompactionStyle::Leveled => pick_leveled(version, claims, options, moment),
        CompactionStyle::Tiered(rules) => pick_tiered(version, claims, rules, (options, policy), moment),
        CompactionStyle::Fifo(rules) => merge_neighbours(version, claims, rules, moment),
    };
    if let Some(plan) = shaping {
        // A table that only changes its level keeps its codec: raw ones must not sink to where most of the
        // data stands.
        return Some(moving_only_if_the_codec_stays(plan, policy));
    }
    let due = |range: &Range| fullness > 125 || range.written_ms <= moment.erase_ms;
    // Where the oldest goes by itself, deletions go with it: merging down for readers would cost the order.
    let dense = || match moment.style {
        CompactionStyle::Fifo(_) => None,
        _ => pick_dense(version, claims, options, moment),
    };
    pick_due(version, claims, options, moment)
        .or_else(|| pick_dead_values(version, claims, options, moment, false))
        .or_else(|| pick_bottom_deletions(version, claims, moment))
        .or_else(|| pick_touched(version, claims, options, moment, due))
        .or_else(dense)
        .map(|plan| moving_only_if_the_codec_stays(plan, policy))
}

/// The level that is furthest beyond its target.
fn pick_leveled(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
) -> Option<Plan> {
    let targets = targets(version, options);
    let mut scores: Vec<(f64, usize)> = Vec::new();
    let level0 = version.level(0).len();
    if level0 >= options.level0_tables {
        scores.push((level0 as f64 / options.level0_tables as f64, 0));
    }
    for level in targets.base_level..LEVELS - 1 {
        let target = if level == targets.base_level {
            targets.bytes[level].max(options.base_bytes)
        } else {
            targets.bytes[level]
        };
        let score = version.level_bytes(level) as f64 / target as f64;
        if score > 1.0 {
            scores.push((score, level));
        }
    }
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    scores.into_iter().find_map(|(_, level)| match level {
        0 => pick_level0(version, claims, targets.base_level, moment.room)
            .or_else(|| pick_within_level0(version, claims, options)),
        level => pick_level(version, claims, options, level),
    })
}

/// As [`pick`], but only what erasure asks for.
#[must_use]
pub fn pick_erasure(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    policy: &TablePolicy,
    moment: Moment<'_>,
) -> Option<Plan> {
    let due = |range: &Range| range.written_ms <= moment.erase_ms;
    pick_whole(version, claims, moment)
        .or_else(|| pick_due(version, claims, options, moment))
        .or_else(|| pick_dead_values(version, claims, options, moment, true))
        .or_else(|| pick_touched(version, claims, options, moment, due))
        .map(|plan| moving_only_if_the_codec_stays(plan, policy))
}

/// Tables of which nothing is needed any more: they go unread.
fn pick_whole(version: &Version, claims: &Claims, moment: Moment<'_>) -> Option<Plan> {
    pick_expired(version, claims, moment)
        .or_else(|| pick_covered(version, claims, moment))
        .or_else(|| pick_oldest(version, claims, moment))
}

fn moving_only_if_the_codec_stays(mut plan: Plan, policy: &TablePolicy) -> Plan {
    plan.trivial_move &= plan.inputs.iter().all(|(level, _)| policy.same_codec(*level, plan.output_level));
    plan
}

/// All of level 0 into the base level; of what is more than there is `room` for, the older half, or the older
/// half of that: newer tables may stay above older ones, and not the other way round.
pub(super) fn pick_level0(version: &Version, claims: &Claims, base_level: usize, room: u64) -> Option<Plan> {
    let mut tables = version.level(0);
    loop {
        let inputs = tables.iter().map(|t| (0, t.clone())).collect();
        let plan = with_overlap(version, claims, Reason::Level0, inputs, base_level)?;
        if plan.trivial_move || plan.input_bytes() <= room || tables.len() == 1 {
            return Some(plan);
        }
        tables = &tables[tables.len() / 2..];
    }
}

/// Where damage below keeps level 0 from being compacted down, its tables are merged with one
/// another, so that reads and writers do not suffer from their number: a run of neighbours, each
/// not much larger than all newer ones together, becomes one. (Size tiers, as in Bigtable, 2006.)
fn pick_within_level0(version: &Version, claims: &Claims, options: &ShapeOptions) -> Option<Plan> {
    claims.damaged().next()?;
    let runs = version.level(0).split(|table| claims.has(table.meta.number));
    let mut windows = runs.flat_map(|run| (0..run.len()).map(move |first| alike(&run[first..])));
    let inputs = windows.find(|tables| tables.len() >= options.level0_tables.max(2))?;
    Some(Plan::merging(Reason::Level0, inputs.iter().map(|table| (0, table.clone())).collect(), 0))
}

/// The tables from the first on of which none is larger than twice all before it.
fn alike(tables: &[Arc<TableFile>]) -> &[Arc<TableFile>] {
    let mut bytes = 0;
    let large = |table: &Arc<TableFile>| {
        let large = bytes > 0 && table.meta.size > bytes * 2;
        bytes += table.meta.size;
        large
    };
    &tables[..tables.iter().position(large).unwrap_or(tables.len())]
}

/// The table of `level` that drags along the least of the next one.
pub(super) fn pick_level(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    level: usize,
) -> Option<Plan> {
    let mut candidates: Vec<(f64, &Arc<TableFile>)> = version
        .level(level)
        .iter()
        .filter(|t| !claims.has(t.meta.number))
        .map(|table| {
            let below: u64 = overlap_of(version, level + 1, table).iter().map(|t| t.meta.size).sum();
            // Tables full of deletions go down first: they free space there.
            let live = 1.0 - table.meta.deletions as f64 / table.meta.entries.max(1) as f64 / 2.0;
            (below as f64 / table.meta.size.max(1) as f64 * live, table)
        })
        .collect();
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let found = candidates.into_iter().find_map(|(_, table)| {
        with_overlap(version, claims, Reason::LevelSize, vec![(level, table.clone())], level + 1)
    });
    found.map(|mut plan| {
        if plan.trivial_move && level + 2 < LEVELS {
            // A move must not build a table that later drags half of the level after next along.
            let grandparents: u64 =
                overlap_of(version, level + 2, &plan.inputs[0].1).iter().map(|t| t.meta.size).sum();
            plan.trivial_move = grandparents <= options.table_bytes * options.fanout * 2;
        }
        plan
    })
}

pub(super) fn overlap_of(version: &Version, level: usize, table: &TableFile) -> Vec<Arc<TableFile>> {
    version.overlapping(level, Some(&table.meta.smallest.0), Some(&table.meta.largest.0))
}

/// A plan for `inputs` and all that they overlap in `output_level`; `None` if any of it is claimed.
pub(super) fn with_overlap(
    version: &Version,
    claims: &Claims,
    reason: Reason,
    mut inputs: Vec<(usize, Arc<TableFile>)>,
    output_level: usize,
) -> Option<Plan> {
    let plan = |inputs, trivial_move| Plan { trivial_move, ..Plan::merging(reason, inputs, output_level) };
    let draft = plan(inputs.clone(), false);
    let (from, to) = draft.range()?;
    let below = version.overlapping(output_level, Some(from), Some(to));
    if claims.writes(output_level, from, to) {
        return None;
    }
    let trivial = below.is_empty() && reason != Reason::Manual && disjoint(&inputs);
    inputs.extend(below.into_iter().map(|t| (output_level, t)));
    if inputs.iter().any(|(_, t)| claims.has(t.meta.number)) {
        return None;
    }
    Some(plan(inputs, trivial))
}

/// Whether no two tables share a user key.
pub(super) fn disjoint(inputs: &[(usize, Arc<TableFile>)]) -> bool {
    let mut ranges: Vec<_> = inputs.iter().map(|(_, t)| (&t.meta.smallest.0, &t.meta.largest.0)).collect();
    ranges.sort();
    ranges.windows(2).all(|pair| pair[0].1 < pair[1].0)
}

/// A table whose every entry has expired for every reader, with nothing older below it that its
/// entries hide.
fn pick_expired(version: &Version, claims: &Claims, moment: Moment<'_>) -> Option<Plan> {
    for (level, table) in version.tables() {
        let meta = &table.meta;
        if !has_expired(version, moment.oldest_ms, (level, table), meta.latest_expiry)
            || meta.deletions > 0
            || claims.has(meta.number)
        {
            continue;
        }
        if meta.max_seq > moment.oldest_seq || !nothing_below(version, level, table) {
            continue;
        }
        if claims.writes(level, &meta.smallest.0, &meta.largest.0) {
            continue;
        }
        let inputs = vec![(level, table.clone())];
        return Some(Plan { drop_whole: true, ..Plan::merging(Reason::Expired, inputs, level) });
    }
    None
}

/// Whether what expires at `expires_at` in a table counts as expired for a reader at `now_ms`, and for all
/// operands above it: one that was written before has to expire along with it.
pub(super) fn has_expired(
    version: &Version,
    now_ms: u64,
    (level, table): (usize, &TableFile),
    expires_at: u64,
) -> bool {
    let older = |above: &TableFile| {
        let other = above.meta.number != table.meta.number;
        other && above.reader.properties().oldest_operand_ms < expires_at
    };
    let changed = |above: usize| overlap_of(version, above, table).iter().any(|table| older(table));
    expires_at <= now_ms && !changed(0) && !(1..level).any(changed)
}

/// A table that lies in a range which was deleted or dropped behind all of its entries, and before any
/// reader that sees them. What its deletions hide is as old, and hidden by the range.
fn pick_covered(version: &Version, claims: &Claims, moment: Moment<'_>) -> Option<Plan> {
    for range in moment.ranges.ranges() {
        for (level, table) in version.touched_by(range) {
            let meta = &table.meta;
            let (from, to) = (&meta.smallest.0, &meta.largest.0);
            let covered = meta.max_seq < range.seq && range.contains_all(from, to);
            if !covered || is_seen(moment.horizons, meta.min_seq, range.seq) {
                continue;
            }
            if claims.has(meta.number) || claims.writes(level, from, to) {
                continue;
            }
            return Some(Plan {
                drop_whole: true,
                ..Plan::merging(Reason::Covered, vec![(level, table.clone())], level)
            });
        }
    }
    None
}

/// Of the oldest range that is `due`, the first table that has anything of it which no reader needs. It is
/// written again, one level deeper where there is one in use.
fn pick_touched(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
    due: impl Fn(&Range) -> bool,
) -> Option<Plan> {
    let deepest = version.deepest();
    for range in moment.ranges.ranges().iter().filter(|range| due(range)) {
        let urgent = range.written_ms <= moment.erase_ms;
        for (level, table) in version.touched_by(range) {
            let meta = &table.meta;
            let worth = |urgent| is_worth_cleaning(table, range, moment, urgent);
            if claims.has(meta.number)
                || !(worth(false) || urgent && !was_tried(table, moment) && worth(true))
            {
                continue;
            }
            let plan = if level == 0 {
                pick_level0(version, claims, targets(version, options).base_level, moment.room)
            } else if level == deepest {
                let this = |other: &TableFile| other.meta.number == meta.number;
                pick_bottom(version, claims, Reason::Ranges, this)
            } else {
                with_overlap(version, claims, Reason::Ranges, vec![(level, table.clone())], level + 1)
            };
            if let Some(plan) = plan {
                return Some(Plan { reason: Reason::Ranges, trivial_move: false, ..plan });
            }
        }
    }
    None
}

/// Whether a table that a range touches has something of it that no reader needs. Where it is not `urgent`
/// all of it must be so, or else the range would stay.
fn is_worth_cleaning(table: &TableFile, range: &Range, moment: Moment<'_>, urgent: bool) -> bool {
    let meta = &table.meta;
    // The newest of what is older than the range is what the fewest see.
    let entry = if urgent { meta.max_seq.min(range.seq.saturating_sub(1)) } else { meta.min_seq };
    let tried =
        |leftover: &Leftover| range.seq <= leftover.ranges_seq && !released(leftover, moment.horizons);
    !is_seen(moment.horizons, entry, range.seq) && !table.leftover().is_some_and(tried)
}

/// Whether a table was written lately, and had to keep something for a snapshot that is still held. A range
/// that is deleted again and again would else have it written as often.
fn was_tried(table: &TableFile, moment: Moment<'_>) -> bool {
    table.leftover().is_some_and(|leftover| !released(leftover, moment.horizons))
        && table.reader.properties().created_ms > moment.erase_ms
}

/// Whether no table holds anything older in the range of `table`.
pub(super) fn nothing_below(version: &Version, level: usize, table: &TableFile) -> bool {
    let older_in_level0 =
        level == 0 && overlap_of(version, 0, table).iter().any(|t| t.meta.max_seq < table.meta.min_seq);
    !older_in_level0 && (level + 1..LEVELS).all(|below| overlap_of(version, below, table).is_empty())
}

/// A table of the deepest level whose deletions were kept for a snapshot that is gone.
fn pick_bottom_deletions(version: &Version, claims: &Claims, moment: Moment<'_>) -> Option<Plan> {
    let due = |table: &TableFile| table.meta.deletions > 0 && table.meta.max_seq <= moment.oldest_seq;
    pick_bottom(version, claims, Reason::BottomDeletions, due)
}

/// A table of the deepest level that is worth writing again on its own.
fn pick_bottom(
    version: &Version,
    claims: &Claims,
    reason: Reason,
    due: impl Fn(&TableFile) -> bool,
) -> Option<Plan> {
    let level = version.deepest();
    let table = version.level(level).iter().find(|t| {
        let (from, to) = (&t.meta.smallest.0, &t.meta.largest.0);
        due(t) && !claims.has(t.meta.number) && !claims.writes(level, from, to)
    })?;
    // Tables of level 0 may share keys: they only become a bottom by being compacted.
    (level > 0).then(|| Plan::merging(reason, vec![(level, table.clone())], level))
}

/// The next step of compacting `[from, to]` down to the last level, from `level` on: everything of
/// the level that overlaps, into the next level in use. In the last level each table that holds
/// anything removable is written again.
///
/// `Ok(None)` if nothing is left to do in the level, [`Busy`] if some of it is being compacted.
pub fn pick_manual(
    version: &Version,
    claims: &Claims,
    options: &ShapeOptions,
    moment: Moment<'_>,
    level: usize,
    from: Option<&[u8]>,
    to: Option<&[u8]>,
) -> Result<Option<Plan>, Busy> {
    let touched = version.overlapping(level, from, to);
    if level == LEVELS - 1 {
        let in_ranges = |table: &TableFile| {
            let removed = |range: &Arc<Range>| {
                table.meta.is_touched_by(range) && is_worth_cleaning(table, range, moment, true)
            };
            moment.ranges.ranges().iter().any(removed)
        };
        let removable = |table: &TableFile| {
            let meta = &table.meta;
            let now_ms = moment.time_of(meta.max_seq).min(moment.present_ms());
            let expired = || has_expired(version, now_ms, (level, table), meta.earliest_expiry);
            let hides = || meta.deletions > 0 || expired();
            meta.overlaps(from, to)
                && (hides() && frees_something(version, moment, level, table) || in_ranges(table))
        };
        let plan = pick_bottom(version, claims, Reason::Manual, removable);
        let busy = plan.is_none() && touched.iter().any(|t| claims.has(t.meta.number));
        return if busy { Err(Busy) } else { Ok(plan) };
    }
    if touched.is_empty() {
        return Ok(None);
    }
    let (inputs, output) = if level == 0 {
        // Any table of level 0 may hold older versions of what another one holds.
        let all = version.level(0).iter().map(|t| (0, t.clone())).collect();
        (all, targets(version, options).base_level)
    } else {
        (touched.into_iter().map(|t| (level, t)).collect(), level + 1)
    };
    with_overlap(version, claims, Reason::Manual, inputs, output).map(Some).ok_or(Busy)
}

/// What was asked for is part of a running compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;
