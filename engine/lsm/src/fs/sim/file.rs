//! One file: what reads see, what the disk holds, and what lies between.

use super::content::{Content, Sector, page_of, sectors};
use crate::base::sync::Arc;
use std::collections::{BTreeMap, BTreeSet};

/// How many states of an unsynced sector between its durable and its newest one are remembered.
/// Any of them may have been on its way to the disk when power was lost.
const REMEMBERED_STATES: usize = 3;

/// A sector that has been written and not been synced. Its newest state is the volatile content's.
#[derive(Clone, Debug)]
pub struct Unsynced {
    /// When it was last written.
    pub stamp: u64,
    /// Whether it is the last sector of the write that last touched it.
    pub ends_write: bool,
    /// States that it had before and that are not durable either, oldest first.
    pub older: Vec<Arc<Sector>>,
}

/// A length that has been changed and not been synced.
#[derive(Clone, Copy, Debug)]
pub struct UnsyncedLen {
    /// When it last changed.
    pub stamp: u64,
    /// The shortest length since the last sync, the durable one included.
    pub shortest: u64,
    /// The longest one.
    pub longest: u64,
}

/// The two contents of a file, and which parts of them differ.
///
/// Invariant: a sector that is neither unsynced nor lost is the same in both contents; the lengths
/// are the same unless `len` says otherwise or the length was lost.
#[derive(Clone, Debug, Default)]
pub struct FileState {
    pub volatile: Content,
    pub durable: Content,
    pub unsynced: BTreeMap<u64, Unsynced>,
    pub len: Option<UnsyncedLen>,
    /// Sectors that a failed sync marked clean although the disk does not have them.
    lost: BTreeSet<u64>,
}

impl FileState {
    /// A file with nothing unsynced.
    pub fn settled(content: Content) -> FileState {
        FileState { volatile: content.clone(), durable: content, ..FileState::default() }
    }

    /// Whether a power loss would leave exactly what reads see.
    pub fn is_settled(&self) -> bool {
        self.unsynced.is_empty()
            && self.len.is_none()
            && self.lost.is_empty()
            && self.volatile.len() == self.durable.len()
    }

    pub fn write(&mut self, buf: &[u8], offset: u64, stamp: u64) {
        let end = offset + buf.len() as u64;
        for sector in sectors(offset, end) {
            self.touch(sector, stamp, sector + 1 == sectors(offset, end).end);
        }
        self.note_len(end.max(self.volatile.len()), stamp);
        self.volatile.write(buf, offset);
    }

    pub fn truncate(&mut self, size: u64, stamp: u64) {
        if size < self.volatile.len() {
            let cut: Vec<u64> = self.volatile.filled_sectors(sectors(size, size).start).collect();
            for sector in cut {
                self.touch(sector, stamp, false);
            }
        }
        self.note_len(size, stamp);
        self.volatile.set_len(size);
    }

    pub fn allocate(&mut self, size: u64, stamp: u64) {
        if size > self.volatile.len() {
            self.note_len(size, stamp);
            self.volatile.set_len(size);
        }
        self.volatile.back(size);
        self.durable.back(size);
    }

    /// Makes everything durable that is unsynced (what is lost stays lost).
    pub fn sync(&mut self) {
        if self.len.take().is_some() {
            let before = self.durable.len();
            self.durable.set_len(self.volatile.len());
            self.durable.back_like(before, &self.volatile);
        }
        for sector in std::mem::take(&mut self.unsynced).into_keys() {
            if self.lost.range(page_of(sector)).next().is_none() {
                self.durable.share_page_of(sector, &self.volatile);
            } else {
                self.durable.set_sector(sector, self.volatile.sector(sector));
            }
        }
    }

    /// A failed sync: what was unsynced counts as clean and never reached the disk.
    pub fn lose_unsynced(&mut self) {
        self.lost.extend(std::mem::take(&mut self.unsynced).into_keys());
        self.len = None;
    }

    /// Reads what is clean from the disk again, so that what was lost shows.
    pub fn drop_cache(&mut self) {
        for sector in std::mem::take(&mut self.lost) {
            self.volatile.set_sector(sector, self.durable.sector(sector));
        }
        if self.len.is_none() {
            self.volatile.set_len(self.durable.len());
        }
    }

    /// A sector is about to be changed in the volatile content.
    fn touch(&mut self, sector: u64, stamp: u64, ends_write: bool) {
        self.lost.remove(&sector);
        match self.unsynced.get_mut(&sector) {
            Some(unsynced) => {
                if unsynced.older.len() == REMEMBERED_STATES {
                    unsynced.older.remove(0);
                }
                unsynced.older.push(Arc::new(*self.volatile.sector(sector)));
                unsynced.stamp = stamp;
                unsynced.ends_write = ends_write;
            }
            None => {
                self.unsynced.insert(sector, Unsynced { stamp, ends_write, older: Vec::new() });
            }
        }
    }

    /// The volatile length is about to become `len`.
    fn note_len(&mut self, len: u64, stamp: u64) {
        if len == self.volatile.len() && len == self.durable.len() {
            return;
        }
        let durable = self.durable.len();
        let noted = self.len.get_or_insert(UnsyncedLen { stamp, shortest: durable, longest: durable });
        if len != self.volatile.len() {
            noted.stamp = stamp;
        }
        noted.shortest = noted.shortest.min(len);
        noted.longest = noted.longest.max(len);
    }
}
