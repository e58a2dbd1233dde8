//! The stack of cursors under an iterator.

use super::view::View;
use crate::base::cursor::Cursor;
use crate::base::error::Result;
use crate::base::key::{EntryRef, SeqNum, Trailer};
use crate::base::limits::LEVELS;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::iter::{Bounds, Concat, Merge, RunSource, Visible};
use crate::memtable::MemtableCursor;
use crate::table::TableCursor;
use crate::version::{TableFile, Version};

/// The tables of one level as a sequence of runs.
#[derive(Clone, Debug)]
pub struct LevelRun {
    version: Arc<Version>,
    level: usize,
    fill_cache: bool,
}

impl LevelRun {
    /// The tables of `level`.
    #[must_use]
    pub fn new(version: Arc<Version>, level: usize, fill_cache: bool) -> LevelRun {
        LevelRun { version, level, fill_cache }
    }

    fn table(&self, at: usize) -> &TableFile {
        &self.version.level(self.level)[at]
    }
}

impl RunSource for LevelRun {
    type Cursor = TableCursor;

    fn len(&self) -> usize {
        self.version.level(self.level).len()
    }

    fn smallest(&self, at: usize) -> (&[u8], Trailer) {
        let smallest = &self.table(at).meta.smallest;
        (&smallest.0, smallest.1)
    }

    fn largest(&self, at: usize) -> (&[u8], Trailer) {
        let largest = &self.table(at).meta.largest;
        (&largest.0, largest.1)
    }

    fn open(&self, at: usize) -> Result<TableCursor> {
        Ok(TableCursor::new(self.table(at).reader.clone(), self.fill_cache))
    }
}

/// One sorted run of a tree.
#[derive(Debug)]
pub enum Source {
    /// A memtable.
    Memtable(MemtableCursor),
    /// A table of level 0.
    Table(TableCursor),
    /// A level below.
    Level(Concat<LevelRun>),
}

macro_rules! each {
    ($self:expr, $cursor:ident => $call:expr) => {
        match $self {
            Source::Memtable($cursor) => $call,
            Source::Table($cursor) => $call,
            Source::Level($cursor) => $call,
        }
    };
}

impl Cursor for Source {
    #[inline]
    fn valid(&self) -> bool {
        each!(self, cursor => cursor.valid())
    }
    #[inline]
    fn user_key(&self) -> &[u8] {
        each!(self, cursor => cursor.user_key())
    }
    #[inline]
    fn trailer(&self) -> Trailer {
        each!(self, cursor => cursor.trailer())
    }
    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        each!(self, cursor => cursor.entry())
    }
    fn value_slice(&self) -> Slice {
        each!(self, cursor => cursor.value_slice())
    }
    fn seek_to_first(&mut self) -> Result<()> {
        each!(self, cursor => cursor.seek_to_first())
    }
    fn seek_to_last(&mut self) -> Result<()> {
        each!(self, cursor => cursor.seek_to_last())
    }
    fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        each!(self, cursor => cursor.seek(key, seq))
    }
    fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        each!(self, cursor => cursor.seek_before(key, seq))
    }
    #[inline]
    fn next(&mut self) -> Result<()> {
        each!(self, cursor => cursor.next())
    }
    #[inline]
    fn prev(&mut self) -> Result<()> {
        each!(self, cursor => cursor.prev())
    }
}

/// What a user's iterator walks on.
pub type TreeCursor = Visible<Merge<Source>>;

/// A cursor over what `view` shows at `seq` and `now_ms`, within `bounds`.
#[must_use]
pub fn scan(view: &View, seq: SeqNum, now_ms: u64, bounds: Bounds, fill_cache: bool) -> TreeCursor {
    let mut sources: Vec<Source> = view
        .memtables()
        .filter(|memtable| !memtable.is_empty())
        .map(|memtable| Source::Memtable(MemtableCursor::new(memtable.clone())))
        .collect();
    for table in view.version.level(0) {
        sources.push(Source::Table(TableCursor::new(table.reader.clone(), fill_cache)));
    }
    for level in 1..LEVELS {
        if !view.version.level(level).is_empty() {
            let run = LevelRun::new(view.version.clone(), level, fill_cache);
            sources.push(Source::Level(Concat::new(run)));
        }
    }
    Visible::new(Merge::new(sources), seq, now_ms, bounds)
}
