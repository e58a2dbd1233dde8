//! The sorted runs that a tree is made of.

use super::levels::{TableFile, Version};
use crate::base::cursor::Cursor;
use crate::base::error::Result;
use crate::base::key::{EntryRef, SeqNum, Trailer};
use crate::base::limits::LEVELS;
use crate::base::observe::Observe;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::filter::WholePrefix;
use crate::iter::{Concat, RunSource};
use crate::memtable::MemtableCursor;
use crate::table::{Access, TableCursor};
use std::ops::Range;

/// The tables of one level as a sequence of runs.
#[derive(Clone, Debug)]
pub struct LevelRun {
    version: Arc<Version>,
    level: usize,
    access: Access,
    /// Which of its tables.
    at: Range<usize>,
    expected: Option<Arc<WholePrefix>>,
}

impl LevelRun {
    /// The tables of `level`, whose blocks go to the cache if `fill_cache`.
    #[must_use]
    pub fn new(version: Arc<Version>, level: usize, fill_cache: bool) -> LevelRun {
        LevelRun::with(version, level, Access::plain(fill_cache))
    }

    /// The tables of `level`.
    #[must_use]
    pub fn with(version: Arc<Version>, level: usize, access: Access) -> LevelRun {
        let at = 0..version.level(level).len();
        LevelRun::within(version, level, access, at)
    }

    /// Those of the tables of `level` that stand there.
    #[must_use]
    pub fn within(version: Arc<Version>, level: usize, access: Access, at: Range<usize>) -> LevelRun {
        LevelRun { version, level, access, at, expected: None }
    }

    /// With the prefix that the filters of the first and the last table let pass.
    #[must_use]
    pub fn expecting(mut self, prefix: Arc<WholePrefix>) -> LevelRun {
        self.expected = Some(prefix);
        self
    }

    fn table(&self, at: usize) -> &TableFile {
        &self.version.level(self.level)[self.at.start + at]
    }
}

impl RunSource for LevelRun {
    type Cursor = TableCursor;

    fn len(&self) -> usize {
        self.at.len()
    }

    fn smallest(&self, at: usize) -> (&[u8], Trailer) {
        let smallest = &self.table(at).meta.smallest;
        (&smallest.0, smallest.1)
    }

    fn largest(&self, at: usize) -> (&[u8], Trailer) {
        let largest = &self.table(at).meta.largest;
        (&largest.0, largest.1)
    }

    fn last_seq(&self, at: usize) -> SeqNum {
        self.table(at).meta.max_seq
    }

    fn open(&self, at: usize) -> Result<TableCursor> {
        let mut access = self.access.clone();
        access.watch.table(self.level);
        let cursor = TableCursor::with(self.table(at).reader.clone(), access);
        Ok(match &self.expected {
            None => cursor,
            Some(prefix) => cursor.expecting(prefix.clone()),
        })
    }
}

/// One sorted run of a tree.
pub enum Source {
    /// A memtable.
    Memtable(MemtableCursor),
    /// A table of level 0.
    Table(TableCursor),
    /// A level below.
    Level(Concat<LevelRun>),
}

impl Source {
    /// The runs of tables of a version, the newest first: each table of level 0 is one, each other level is
    /// one. What they read does not go to the cache.
    #[must_use]
    pub fn of_tables(version: &Arc<Version>) -> Vec<Source> {
        let mut sources = Vec::new();
        for table in version.level(0) {
            sources.push(Source::Table(TableCursor::new(table.reader.clone(), false)));
        }
        for level in (1..LEVELS).filter(|level| !version.level(*level).is_empty()) {
            sources.push(Source::Level(Concat::new(LevelRun::new(version.clone(), level, false))));
        }
        sources
    }
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
    fn advance(&mut self) -> Result<Option<EntryRef<'_>>> {
        each!(self, cursor => cursor.advance())
    }
    #[inline]
    fn prev(&mut self) -> Result<()> {
        each!(self, cursor => cursor.prev())
    }
    #[inline]
    fn retreat(&mut self) -> Result<Option<EntryRef<'_>>> {
        each!(self, cursor => cursor.retreat())
    }
    fn skip_to(&mut self, key: Option<&[u8]>, seq: SeqNum) -> Result<bool> {
        each!(self, cursor => cursor.skip_to(key, seq))
    }
    fn skip_before(&mut self, key: &[u8], seq: SeqNum) -> Result<bool> {
        each!(self, cursor => cursor.skip_before(key, seq))
    }
}
