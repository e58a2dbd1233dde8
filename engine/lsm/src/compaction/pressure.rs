//! How far the tables of a family are from the shape that its style works towards.

use super::picker::{ShapeOptions, targets};
use super::tiered;
use crate::base::limits::LEVELS;
use crate::version::{CompactionStyle, Version};

/// What presses on writers as so many tables in level 0 do.
#[must_use]
pub fn level0_pressure(version: &Version, options: &ShapeOptions, style: CompactionStyle) -> usize {
    match style {
        CompactionStyle::Leveled => version.level(0).len(),
        CompactionStyle::Tiered(rules) => tiered::level0_pressure(version, rules.runs, options),
        CompactionStyle::Fifo(rules) => tiered::level0_pressure(version, rules.runs, options),
    }
}

/// Bytes that compaction has yet to move before the tables have the shape that their style works towards.
#[must_use]
pub fn debt_bytes(version: &Version, options: &ShapeOptions, style: CompactionStyle) -> u64 {
    match style {
        CompactionStyle::Leveled => {}
        CompactionStyle::Tiered(rules) => return tiered::debt_bytes(version, rules),
        // What is too much goes unread.
        CompactionStyle::Fifo(_) => return 0,
    }
    let targets = targets(version, options);
    let level0 = version.level(0).len();
    let mut debt = if level0 >= options.level0_tables { version.level_bytes(0) } else { 0 };
    for level in targets.base_level..LEVELS - 1 {
        debt += version.level_bytes(level).saturating_sub(targets.bytes[level].max(options.base_bytes));
    }
    debt
}
