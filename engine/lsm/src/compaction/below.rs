//! Whether anything older than a merge may exist of a key.

use crate::base::limits::LEVELS;
use crate::version::Version;

/// Walks along the levels below a merge as its keys ascend.
#[derive(Debug)]
pub struct Below<'v> {
    version: &'v Version,
    first: usize,
    unknown: bool,
    /// By level: the first table that does not end before the last key asked for.
    at: [usize; LEVELS],
}

impl<'v> Below<'v> {
    /// Asks the levels from `first` on. A flush starts at level 0.
    #[must_use]
    pub fn new(version: &'v Version, first: usize) -> Below<'v> {
        Below { version, first, unknown: false, at: [0; LEVELS] }
    }

    /// Knows of nothing, and therefore always answers that something may be there.
    #[must_use]
    pub fn unknown(version: &'v Version) -> Below<'v> {
        Below { version, first: 0, unknown: true, at: [0; LEVELS] }
    }

    /// Whether no table of these levels can hold `key`. Keys must be asked for in ascending order.
    pub fn nothing(&mut self, key: &[u8]) -> bool {
        if self.unknown {
            return false;
        }
        for level in self.first..LEVELS {
            let tables = self.version.level(level);
            if level == 0 {
                if tables.iter().any(|t| t.meta.overlaps(Some(key), Some(key))) {
                    return false;
                }
                continue;
            }
            let at = &mut self.at[level];
            while tables.get(*at).is_some_and(|t| t.meta.largest.0.as_slice() < key) {
                *at += 1;
            }
            if tables.get(*at).is_some_and(|t| t.meta.smallest.0.as_slice() <= key) {
                return false;
            }
        }
        true
    }
}
