//! Whether anything older than a merge may exist of a key.

use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::version::{TableMeta, Version};

/// Walks along the levels below a merge as its keys ascend.
///
/// It knows what the tables are and holds none of them: one that others replace while the merge goes on
/// gives its space back at once.
#[derive(Debug)]
pub struct Below {
    levels: Vec<Level>,
    unknown: bool,
}

#[derive(Debug)]
struct Level {
    tables: Vec<Arc<TableMeta>>,
    /// Whether tables may overlap.
    level0: bool,
    /// The first table that does not end before the last key asked for.
    at: usize,
}

impl Below {
    /// Asks the levels from `first` on. A flush starts at level 0.
    #[must_use]
    pub fn new(version: &Version, first: usize) -> Below {
        let metas = |level| version.level(level).iter().map(|table| table.meta.clone()).collect();
        let levels = (first..LEVELS).map(|level| Level { tables: metas(level), level0: level == 0, at: 0 });
        Below { levels: levels.filter(|level| !level.tables.is_empty()).collect(), unknown: false }
    }

    /// Knows of nothing, and therefore always answers that something may be there.
    #[must_use]
    pub fn unknown() -> Below {
        Below { levels: Vec::new(), unknown: true }
    }

    /// Whether no table of these levels can hold `key`. Keys must be asked for in ascending order.
    pub fn nothing(&mut self, key: &[u8]) -> bool {
        !self.unknown && self.levels.iter_mut().all(|level| level.has_nothing(key))
    }
}

impl Level {
    fn has_nothing(&mut self, key: &[u8]) -> bool {
        if self.level0 {
            return !self.tables.iter().any(|table| table.overlaps(Some(key), Some(key)));
        }
        while self.tables.get(self.at).is_some_and(|table| table.largest.0.as_slice() < key) {
            self.at += 1;
        }
        self.tables.get(self.at).is_none_or(|table| table.smallest.0.as_slice() > key)
    }
}
