//! How much stores came to do.

use std::fmt;

/// What stores came to do: a history that reaches little proves little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Flushes.
    pub flushes: u64,
    /// Compactions that rewrote tables.
    pub compactions: u64,
    /// Tables that changed their level without being rewritten.
    pub moves: u64,
    /// The deepest level that held a table.
    pub deepest: usize,
    /// The most levels that held tables at once.
    pub levels: usize,
    /// The most ranges of one family on record.
    pub ranges: usize,
    /// The most tables with a dictionary at once.
    pub dictionaries: u64,
    /// Batches that a reader of changes was shown.
    pub shown: u64,
}

impl Reached {
    pub(super) fn note(&mut self, stats: &esker::Stats) {
        self.flushes += stats.flushes;
        self.compactions += stats.compactions;
        self.moves += stats.table_moves;
        self.note_levels(stats);
    }

    pub(super) fn note_levels(&mut self, stats: &esker::Stats) {
        let levels = || stats.families.iter().map(|family| &family.levels);
        let deepest = |levels: &Vec<esker::LevelStats>| levels.iter().rposition(|level| level.files > 0);
        let used = |levels: &Vec<esker::LevelStats>| levels.iter().filter(|level| level.files > 0).count();
        self.add(Reached {
            deepest: levels().filter_map(deepest).max().unwrap_or(0),
            levels: levels().map(used).max().unwrap_or(0),
            ranges: stats.families.iter().map(|f| f.ranges.deleted + f.ranges.dropped).max().unwrap_or(0),
            dictionaries: stats.families.iter().map(|family| family.dictionaries.tables).sum(),
            ..Reached::default()
        });
    }

    /// Adds up.
    pub fn add(&mut self, other: Reached) {
        self.flushes += other.flushes;
        self.compactions += other.compactions;
        self.moves += other.moves;
        self.deepest = self.deepest.max(other.deepest);
        self.levels = self.levels.max(other.levels);
        self.ranges = self.ranges.max(other.ranges);
        self.dictionaries = self.dictionaries.max(other.dictionaries);
        self.shown += other.shown;
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reached { flushes, compactions, moves, deepest, levels, ranges, dictionaries, shown } = self;
        write!(f, "{flushes} flushes, {compactions} compactions, {moves} moved tables, ")?;
        write!(
            f,
            "up to {levels} levels at once, down to level {deepest}, up to {ranges} ranges on record, "
        )?;
        write!(f, "up to {dictionaries} dictionaries at once, {shown} batches of changes shown")
    }
}
