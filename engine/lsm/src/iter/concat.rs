//! The files of one level, which do not overlap, as one run.

use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::{self, EntryRef, MAX_SEQ, SeqNum, Trailer};
use crate::base::slice::Slice;
use std::cmp::Ordering;

/// Sorted runs one behind the other: every internal key of run `i` sorts before every one of run
/// `i + 1`.
pub trait RunSource {
    /// What walks one of the runs.
    type Cursor: Cursor;

    /// The number of runs.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An internal key that none of run `i` sorts before, and that sorts after all of run `i - 1`.
    fn smallest(&self, i: usize) -> (&[u8], Trailer);

    /// An internal key that none of run `i` sorts after, and that sorts before all of run `i + 1`.
    fn largest(&self, i: usize) -> (&[u8], Trailer);

    /// A sequence number that no entry of run `i` goes beyond.
    fn last_seq(&self, _i: usize) -> SeqNum {
        MAX_SEQ
    }

    /// Opens a cursor on run `i`.
    ///
    /// # Errors
    /// When the run cannot be read.
    fn open(&self, i: usize) -> Result<Self::Cursor>;
}

/// A cursor over all runs of a source, of which it has one open at a time.
pub struct Concat<S: RunSource> {
    source: S,
    /// The run that is open, and its cursor.
    open: Option<(usize, S::Cursor)>,
    error: Option<Error>,
    valid: bool,
}

impl<S: RunSource> Concat<S> {
    /// A cursor that stands nowhere yet; no run is open.
    #[must_use]
    pub fn new(source: S) -> Concat<S> {
        Concat { source, open: None, error: None, valid: false }
    }

    /// The runs.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.source
    }

    #[inline]
    fn current(&self) -> &S::Cursor {
        debug_assert!(self.valid);
        &self.open.as_ref().expect("the cursor stands on an entry").1
    }

    /// The first run that may hold an entry at or after the key; the number of runs if none may.
    fn find(&self, key: &[u8], trailer: Trailer) -> usize {
        let (mut low, mut high) = (0, self.source.len());
        while low < high {
            let middle = (low + high) / 2;
            if key::compare(self.source.largest(middle), (key, trailer)) == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn open(&mut self, run: usize) -> Result<&mut S::Cursor> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != run) {
            self.open = None;
            self.open = Some((run, self.source.open(run)?));
        }
        Ok(&mut self.open.as_mut().expect("just opened").1)
    }

    /// The cursor of the open run, when it stands on an entry or has just left one.
    fn opened(&mut self) -> Option<(usize, &mut S::Cursor)> {
        self.open.as_mut().map(|(run, cursor)| (*run, cursor))
    }

    /// From run `run` on, the first entry, `go` being how to reach it in that run.
    fn forward(&mut self, run: usize, go: impl FnOnce(&mut S::Cursor) -> Result<()>) -> Result<()> {
        if run >= self.source.len() {
            return Ok(());
        }
        go(self.open(run)?)?;
        self.on_to_next()
    }

    /// Goes on to the next runs until one has an entry.
    fn on_to_next(&mut self) -> Result<()> {
        while let Some((run, cursor)) = self.opened() {
            if cursor.valid() {
                self.valid = true;
                return Ok(());
            }
            if run + 1 == self.source.len() {
                return Ok(());
            }
            self.open(run + 1)?.seek_to_first()?;
        }
        Ok(())
    }

    /// Goes back to the previous runs until one has an entry.
    fn back_to_previous(&mut self) -> Result<()> {
        while let Some((run, cursor)) = self.opened() {
            if cursor.valid() {
                self.valid = true;
                return Ok(());
            }
            if run == 0 {
                return Ok(());
            }
            self.open(run - 1)?.seek_to_last()?;
        }
        Ok(())
    }

    /// Runs a movement: invalid until it has found an entry, and for ever once it has failed.
    fn go(&mut self, movement: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.valid = false;
        let moved = movement(self);
        if let Err(error) = &moved {
            self.error = Some(error.clone());
            self.valid = false;
        }
        moved
    }
}

impl<S: RunSource> Cursor for Concat<S> {
    #[inline]
    fn valid(&self) -> bool {
        self.valid
    }

    #[inline]
    fn user_key(&self) -> &[u8] {
        self.current().user_key()
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        self.current().trailer()
    }

    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        self.current().entry()
    }

    fn value_slice(&self) -> Slice {
        self.current().value_slice()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.go(|concat| concat.forward(0, S::Cursor::seek_to_first))
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.go(|concat| {
            let Some(last) = concat.source.len().checked_sub(1) else { return Ok(()) };
            concat.open(last)?.seek_to_last()?;
            concat.back_to_previous()
        })
    }

    fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.go(|concat| {
            let run = concat.find(key, Trailer::seek(seq));
            concat.forward(run, |cursor| cursor.seek(key, seq))
        })
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.go(|concat| {
            let target = (key, Trailer::seek(seq));
            // The last run that starts before the target: the one where a seek would look, or, if
            // that one starts at or after it, the one before.
            let mut run = concat.find(key, target.1);
            let starts_before = |run| key::compare(concat.source.smallest(run), target) == Ordering::Less;
            if run == concat.source.len() || !starts_before(run) {
                let Some(previous) = run.checked_sub(1) else { return Ok(()) };
                run = previous;
            }
            concat.open(run)?.seek_before(key, seq)?;
            concat.back_to_previous()
        })
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        debug_assert!(self.valid || self.error.is_some(), "only a valid cursor moves");
        let moved = match &mut self.open {
            Some((_, cursor)) if self.valid => cursor.next().map(|()| cursor.valid()),
            _ => Ok(false),
        };
        match moved {
            Ok(true) => Ok(()),
            moved => self.go(|concat| moved.and_then(|_| concat.on_to_next())),
        }
    }

    fn prev(&mut self) -> Result<()> {
        debug_assert!(self.valid || self.error.is_some(), "only a valid cursor moves");
        self.go(|concat| {
            if let Some((_, cursor)) = concat.opened() {
                cursor.prev()?;
            }
            concat.back_to_previous()
        })
    }

    // Run by run: those that end before the key are not even opened.
    fn skip_to(&mut self, key: Option<&[u8]>, seq: SeqNum) -> Result<bool> {
        let Some(mut run) = self.open.as_ref().map(|(run, _)| *run) else { return Ok(false) };
        if self.source.last_seq(run) >= seq {
            return Ok(false);
        }
        self.go(|concat| {
            let source = &concat.source;
            let passed =
                |run: usize| source.last_seq(run) < seq && key.is_none_or(|key| source.largest(run).0 < key);
            while run < source.len() && passed(run) {
                run += 1;
            }
            let older = run < source.len() && source.last_seq(run) < seq;
            match key.filter(|_| older) {
                Some(key) => concat.forward(run, |cursor| cursor.seek(key, MAX_SEQ)),
                None => concat.forward(run, S::Cursor::seek_to_first),
            }
        })?;
        Ok(true)
    }

    fn skip_before(&mut self, key: &[u8], seq: SeqNum) -> Result<bool> {
        let Some(mut run) = self.open.as_ref().map(|(run, _)| *run) else { return Ok(false) };
        if self.source.last_seq(run) >= seq {
            return Ok(false);
        }
        self.go(|concat| {
            let source = &concat.source;
            while source.last_seq(run) < seq && source.smallest(run).0 >= key {
                let Some(previous) = run.checked_sub(1) else { return Ok(()) };
                run = previous;
            }
            let older = source.last_seq(run) < seq;
            let cursor = concat.open(run)?;
            if older {
                cursor.seek_before(key, MAX_SEQ)?
            } else {
                cursor.seek_to_last()?
            }
            concat.back_to_previous()
        })?;
        Ok(true)
    }
}
