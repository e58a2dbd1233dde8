//! Where a cursor must stand.

use super::span::Entries;
use crate::history::Movement;
use esker::Cursor;

/// The entries that a cursor must show, and on which of them it must stand.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    entries: Entries,
    at: Option<usize>,
}

impl Standing {
    /// Of a new cursor, which stands nowhere.
    pub(crate) fn new(entries: Entries) -> Standing {
        Standing { entries, at: None }
    }

    /// The entry that it stands on.
    pub(crate) fn entry(&self) -> Option<(&[u8], &[u8])> {
        let (key, value) = &self.entries[self.at?];
        Some((key, value))
    }

    /// It has moved. With `present` what it shows is that from now on; a refresh leads to the key that it
    /// stood on, or the first one behind it.
    pub(crate) fn moved(&mut self, to: &Movement, present: Option<Entries>) {
        let stood = self.entry().map(|(key, _)| key.to_vec());
        if let Some(present) = present {
            self.entries = present;
        }
        self.at = match stood {
            Some(key) if *to == Movement::Refresh => self.found(&Movement::Seek(key)),
            _ => self.found(to),
        };
    }

    fn found(&self, to: &Movement) -> Option<usize> {
        let before = |key: &Vec<u8>| self.entries.partition_point(|(known, _)| known < key);
        let up_to = |key: &Vec<u8>| self.entries.partition_point(|(known, _)| known <= key);
        let at = match to {
            Movement::First => Some(0),
            Movement::Last => self.entries.len().checked_sub(1),
            Movement::Next => self.at.map(|at| at + 1),
            Movement::Prev => self.at.and_then(|at| at.checked_sub(1)),
            Movement::Seek(key) => Some(before(key)),
            Movement::SeekForPrev(key) => up_to(key).checked_sub(1),
            Movement::Refresh => self.at,
        };
        at.filter(|at| *at < self.entries.len())
    }
}

/// Moves a cursor; whether it stands on an entry then.
pub(crate) fn move_to(cursor: &mut Cursor, to: &Movement) -> esker::Result<bool> {
    match to {
        Movement::First => cursor.seek_to_first(),
        Movement::Last => cursor.seek_to_last(),
        Movement::Next => cursor.next(),
        Movement::Prev => cursor.prev(),
        Movement::Seek(key) => cursor.seek(key),
        Movement::SeekForPrev(key) => cursor.seek_for_prev(key),
        Movement::Refresh => cursor.refresh(),
    }
}
