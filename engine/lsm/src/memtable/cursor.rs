//! A cursor over a memtable, which it keeps in memory.

use super::skiplist::{Position, Target};
use super::table::{Memtable, value_slice};
use crate::base::cursor::Cursor;
use crate::base::error::Result;
use crate::base::key::{EntryRef, MAX_SEQ, SeqNum, Trailer};
use crate::base::slice::Slice;
use crate::base::sync::Arc;

/// A position in a memtable. It never fails. Entries inserted while it stands somewhere may or may
/// not be met.
pub struct MemtableCursor {
    /// Points into `table`; handed out for no longer than a borrow of `self`.
    position: Option<Position<'static>>,
    table: Arc<Memtable>,
}

impl MemtableCursor {
    /// A cursor that stands nowhere yet.
    #[must_use]
    pub fn new(table: Arc<Memtable>) -> MemtableCursor {
        MemtableCursor { position: None, table }
    }

    /// The memtable.
    #[must_use]
    pub fn table(&self) -> &Arc<Memtable> {
        &self.table
    }

    fn position(&self) -> &Position<'_> {
        self.position.as_ref().expect("the cursor stands on an entry")
    }

    fn go<F>(&mut self, find: F)
    where
        F: for<'t> FnOnce(&'t Memtable, Option<&Position<'t>>) -> Option<Position<'t>>,
    {
        let found = find(&self.table, self.position.as_ref());
        // SAFETY: `table` keeps the list in memory, at one address, for as long as `self` exists.
        self.position = found.map(|position| unsafe { position.erase() });
    }
}

/// Whether all entries are older than `seq`. What is inserted meanwhile is newer than anything that a reader
/// who has met `seq` sees.
fn is_older(table: &Memtable, seq: SeqNum) -> bool {
    table.last_seq().is_none_or(|last| last < seq)
}

fn target<'k>(table: &Memtable, key: &'k [u8], seq: SeqNum) -> Target<'k> {
    table.list().target(key, Trailer::seek(seq))
}

impl Cursor for MemtableCursor {
    fn valid(&self) -> bool {
        self.position.is_some()
    }

    fn user_key(&self) -> &[u8] {
        self.position().entry().key()
    }

    fn trailer(&self) -> Trailer {
        self.position().entry().trailer()
    }

    fn entry(&self) -> EntryRef<'_> {
        self.position().entry().to_ref()
    }

    fn value_slice(&self) -> Slice {
        value_slice(&self.table, self.position().entry())
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.go(|table, _| table.list().first_position());
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.go(|table, _| table.list().last_position());
        Ok(())
    }

    fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.go(|table, _| table.list().at_or_after(&target(table, key, seq)));
        Ok(())
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.go(|table, _| table.list().before(&target(table, key, seq)));
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.go(|table, at| at.and_then(|at| table.list().after(at)));
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        self.go(|table, at| at.and_then(|at| table.list().before_position(at)));
        Ok(())
    }

    fn skip_to(&mut self, key: Option<&[u8]>, seq: SeqNum) -> Result<bool> {
        if !is_older(&self.table, seq) {
            return Ok(false);
        }
        match key {
            Some(key) => self.seek(key, MAX_SEQ)?,
            None => self.position = None,
        }
        Ok(true)
    }

    fn skip_before(&mut self, key: &[u8], seq: SeqNum) -> Result<bool> {
        let older = is_older(&self.table, seq);
        if older {
            self.seek_before(key, MAX_SEQ)?;
        }
        Ok(older)
    }
}
