//! The reserve: space that is set aside so that a full disk can be made less full.
//!
//! # Rules
//! - The file `RESERVE` holds nothing. It is made with its full size, reserved and synced, whenever
//!   there is room, and stays when the store is closed.
//! - Who frees space draws on it when the disk is full: opening, flushes, compactions, edits of the
//!   manifest, and writes that only remove. The file is then cut to nothing.
//! - Of compactions one at a time works with it: another one that finds no room fails, lets go of all that
//!   it holds, and is chosen anew later. Those that only help reads never draw on it, and are not begun
//!   where they might fill the disk.
//! - While it is not whole, writes that add anything are refused with the error of the full disk.
//!   Otherwise they would use up at once what a deletion or a compaction has just freed.
//! - It is made anew as soon as there is room for all of it: after each flush and compaction, twice
//!   a second in the background, and before a write is refused. While somebody works with what was given
//!   up, there must be room for that beside it.
//! - At rest, with nothing in the memtables, it is *small*: what flushes need is little. When the memtables
//!   hold a quarter of it, it is asked for whole again; nobody waits for that, and nothing is refused because
//!   it cannot be. Once that has failed, and until it succeeds, memtables are flushed when they hold half
//!   of the small one.
//!
//! A disk that has never had room for it keeps a store without one: nothing is refused for its
//! sake, and it is made when there is room.
//!
//! Its content is never read and its name never trusted: whatever of it a crash leaves behind is
//! made whole, taken for a small one, or done without, when the store is opened.

use super::store::Store;
use super::work::Task;
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::fs::{Fs, OpenFile};
use std::io;
use std::path::{Path, PathBuf};

/// A small one is no smaller, in bytes, or half of a whole one.
const LEAST_BYTES: u64 = 4 << 20;
/// Beside much data it matters less, and compactions of it need more: a small one is so large a part of it.
const PART_OF_TABLES: u64 = 16;

/// The file, and whether it is whole.
#[derive(Debug)]
pub struct Reserve {
    fs: Fs,
    dir: PathBuf,
    bytes: u64,
    /// Read without the lock by every write; changed under it.
    short: AtomicBool,
    /// How large it is while it is a small one; 0 otherwise. Changed under the lock.
    small: AtomicU64,
    /// Whether the file has yet to be made, whole or not. Taken back under the lock.
    wanted: AtomicBool,
    /// Whether the last attempt to make it has failed. Changed under the lock.
    failed: AtomicBool,
    /// How often the file has been cut or an attempt was made to make it.
    changes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<OpenFile>,
    /// Why it is not whole.
    why: Option<Error>,
    /// How many work with what was given up, and whether one of them is a compaction.
    drawing: u32,
    compacting: bool,
    /// How much was given up last, in bytes.
    given: u64,
}

/// Who draws on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawer {
    /// What must go on at once: it needs little.
    Anybody,
    /// A compaction: it needs much, and can be left for later.
    Compaction,
}

impl Reserve {
    /// A reserve of `bytes` in `dir`, as yet not looked at; with 0 there is none.
    #[must_use]
    pub fn new(fs: &Fs, dir: &Path, bytes: u64) -> Reserve {
        Reserve {
            fs: fs.clone(),
            dir: dir.to_owned(),
            bytes,
            short: AtomicBool::new(false),
            small: AtomicU64::new(0),
            wanted: AtomicBool::new(bytes > 0),
            failed: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Whether writes that add anything must be refused.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Acquire)
    }

    /// The error of the full disk while the reserve is not whole.
    #[must_use]
    pub fn why(&self) -> Option<Error> {
        let state = self.state.lock();
        self.is_short().then(|| state.why.clone()).flatten()
    }

    /// Runs what frees space; if the disk is full, gives the reserve up and runs it once more.
    pub fn draw<T>(&self, drawer: Drawer, mut run: impl FnMut() -> Result<T>) -> Result<T> {
        let compacts = drawer == Drawer::Compaction;
        if compacts && self.is_short() && self.state.lock().compacting {
            // It would take from the other one what that was given.
            return Err(no_room(&FileKind::Reserve.path(&self.dir)));
        }
        let before = self.changes.load(Ordering::Acquire);
        match run() {
            Err(error) if is_full(&error) => match self.give_up(before, compacts, &error) {
                Some(_drawn) => run(),
                None => Err(error),
            },
            result => result,
        }
    }

    /// Gives the space up, until the returned value is dropped. `None` if trying again makes no sense: there
    /// was nothing to give up, and nobody else has changed it since it stood at `before`; or it is not
    /// this one's turn.
    fn give_up(&self, before: u64, compacts: bool, why: &Error) -> Option<Drawn<'_>> {
        if self.bytes == 0 {
            return None;
        }
        let mut state = self.state.lock();
        if compacts && state.compacting {
            return None;
        }
        let changed = self.changes.fetch_add(1, Ordering::AcqRel) != before;
        let cut = self.open(&mut state, false).and_then(|file| match file {
            Some(file) => match file.size()? {
                0 => Ok(Some(0)),
                size => file.truncate(0).map(|()| Some(size)),
            },
            None => Ok(None),
        });
        if let Ok(Some(size)) = cut {
            if size > 0 {
                state.given = size;
            }
            state.why = Some(why.clone());
            self.small.store(0, Ordering::Release);
            self.wanted.store(true, Ordering::Release);
            self.short.store(true, Ordering::Release);
        }
        if !changed && !matches!(cut, Ok(Some(1..))) {
            return None;
        }
        state.drawing += 1;
        state.compacting |= compacts;
        Some(Drawn { reserve: self, compacts })
    }

    /// Asked by compactions while they write: they leave half of what was given up to deletions,
    /// flushes and edits, and to whoever opens the store after a crash.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when no more than that part is left.
    pub fn leave_some(&self) -> Result<()> {
        if !self.is_short() {
            return Ok(());
        }
        let given = self.state.lock().given;
        if self.fs.free_bytes(&self.dir).is_none_or(|free| free >= given / 2) {
            return Ok(());
        }
        Err(no_room(&FileKind::Reserve.path(&self.dir)))
    }

    /// Asked by what nobody waits for while it writes: once the reserve is needed it is not to take part in
    /// it.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when the reserve is not whole.
    pub fn leave_all(&self) -> Result<()> {
        if self.is_short() { Err(no_room(&FileKind::Reserve.path(&self.dir))) } else { Ok(()) }
    }

    /// What whoever frees space may fill, in bytes: what is free, and this one. `None` where the file system
    /// does not tell.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        let free = self.fs.free_bytes(&self.dir)?;
        if self.bytes == 0 {
            return Some(free);
        }
        let mut state = self.state.lock();
        let held = self.open(&mut state, false).and_then(|file| file.map_or(Ok(0), OpenFile::size));
        Some(free.saturating_add(held.unwrap_or(0)))
    }

    /// What a compaction may fill of that: see [`Reserve::leave_some`].
    #[must_use]
    pub fn room_to_compact(&self) -> Option<u64> {
        Some(self.room()?.saturating_sub(self.bytes / 2))
    }

    /// Whether what nobody waits for may write `bytes` and leaves as much room as the reserve takes. It
    /// is not to be the one that fills the disk.
    #[must_use]
    pub fn has_room_for(&self, bytes: u64) -> bool {
        let needed = bytes.saturating_add(self.bytes);
        !self.is_short() && self.fs.free_bytes(&self.dir).is_none_or(|free| free >= needed)
    }

    /// Takes a small one that an earlier process has left for what it is; before anything else.
    pub fn find(&self) {
        if self.bytes == 0 {
            return;
        }
        let mut state = self.state.lock();
        let found = self.open(&mut state, false).and_then(|file| file.map_or(Ok(0), OpenFile::size));
        if let Ok(size @ 1..) = found
            && (self.least()..self.bytes).contains(&size)
        {
            self.small.store(size, Ordering::Release);
            self.wanted.store(false, Ordering::Release);
        }
    }

    fn least(&self) -> u64 {
        LEAST_BYTES.min(self.bytes / 2)
    }

    /// How many bytes it has while it is a small one.
    #[must_use]
    pub fn small(&self) -> Option<u64> {
        let small = self.small.load(Ordering::Acquire);
        (small > 0).then_some(small)
    }

    /// The memtables are empty, and the tables take `table_bytes`: a small one will do. Returns whether it is
    /// one from now on.
    pub fn shrink(&self, table_bytes: u64) -> bool {
        let most = (table_bytes / PART_OF_TABLES).max(self.least());
        if most >= self.bytes {
            return false;
        }
        let mut state = self.state.lock();
        if self.is_short() {
            return false;
        }
        let cut = self.open(&mut state, false).and_then(|file| match file {
            Some(file) if file.size()? > most => file.truncate(most).map(|()| true),
            _ => Ok(false),
        });
        if matches!(cut, Ok(true)) {
            self.small.store(most, Ordering::Release);
        }
        if self.small().is_some() {
            // Whoever wanted it whole has been flushed.
            self.wanted.store(false, Ordering::Release);
        }
        matches!(cut, Ok(true))
    }

    /// Whether it could not be made when that was last tried.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// A small one will not do much longer. Whether that is news.
    pub fn want(&self) -> bool {
        !self.wanted.swap(true, Ordering::AcqRel)
    }

    /// Makes the file whole if that is wanted. `Ok(false)` if it cannot be now.
    ///
    /// # Errors
    /// A failed sync, which is final for the store as any other.
    pub fn make(&self) -> Result<bool> {
        let settled = || !self.wanted.load(Ordering::Acquire);
        if settled() {
            return Ok(true);
        }
        let mut state = self.state.lock();
        if settled() {
            return Ok(true);
        }
        let existed = matches!(self.open(&mut state, false), Ok(Some(_)));
        let made = self.fill(&mut state);
        self.failed.store(made.is_err(), Ordering::Release);
        match made {
            Ok(()) => {
                state.why = None;
                self.wanted.store(false, Ordering::Release);
                self.small.store(0, Ordering::Release);
                self.short.store(false, Ordering::Release);
                Ok(true)
            }
            Err(error) => {
                if !existed && !error.is_failed_sync() && state.file.take().is_some() {
                    // There has never been room for it: nothing is refused for its sake. What cannot be
                    // removed is found when the store is opened.
                    let _ = self.fs.remove(&FileKind::Reserve.path(&self.dir));
                }
                if let Some(file) = &state.file {
                    // What was reserved of it is left to others. A small one is kept: it does for now.
                    let _ = file.truncate(self.small().unwrap_or(0));
                    self.short.store(self.small().is_none(), Ordering::Release);
                }
                self.changes.fetch_add(1, Ordering::AcqRel);
                if error.is_failed_sync() {
                    return Err(error);
                }
                state.why = Some(error);
                Ok(false)
            }
        }
    }

    fn fill(&self, state: &mut State) -> Result<()> {
        let size = match self.open(state, false)? {
            Some(file) => file.size()?,
            None => 0,
        };
        // Asked first: a reservation that fails half way takes from others what they could use.
        let theirs = if state.drawing > 0 { state.given } else { 0 };
        let missing = self.bytes.saturating_sub(size).saturating_add(theirs);
        if self.fs.free_bytes(&self.dir).is_some_and(|free| free < missing) {
            return Err(no_room(&FileKind::Reserve.path(&self.dir)));
        }
        let Some(file) = self.open(state, true)? else { return Ok(()) };
        if size > self.bytes {
            file.truncate(self.bytes)?;
        }
        // Where nothing can be reserved, bytes that were written are as good.
        if !file.allocate(self.bytes)? {
            let zeros = vec![0; self.bytes.min(1 << 20) as usize];
            let mut at = size;
            while at < self.bytes {
                let part = zeros.len().min((self.bytes - at) as usize);
                file.write_all_at(&zeros[..part], at)?;
                at += part as u64;
            }
        }
        if size == self.bytes { Ok(()) } else { file.sync() }
    }

    /// The file, opened; created if `create`.
    fn open<'s>(&self, state: &'s mut State, create: bool) -> Result<Option<&'s OpenFile>> {
        if state.file.is_none() {
            let path = FileKind::Reserve.path(&self.dir);
            state.file = match self.fs.open_writable(&path) {
                Err(error) if error.is_not_found() && create => {
                    let dir = self.fs.dir(&self.dir)?;
                    let file = self.fs.create_new(&path)?;
                    dir.sync()?;
                    Some(file)
                }
                Err(error) if error.is_not_found() => None,
                opened => Some(opened?),
            };
        }
        Ok(state.file.as_ref())
    }
}

/// Somebody works with what was given up.
struct Drawn<'r> {
    reserve: &'r Reserve,
    compacts: bool,
}

impl Drop for Drawn<'_> {
    fn drop(&mut self) {
        let mut state = self.reserve.state.lock();
        state.drawing -= 1;
        if self.compacts {
            state.compacting = false;
        }
    }
}

fn no_room(path: &Path) -> Error {
    Error::io("allocate space for", path, io::ErrorKind::StorageFull.into())
}

impl Store {
    /// Runs what frees space, with the reserve if the disk is full.
    pub fn draw<T>(&self, drawer: Drawer, mut run: impl FnMut() -> Result<T>) -> Result<T> {
        let whole = !self.reserve.is_short();
        let result = self.reserve.draw(drawer, || match run() {
            Err(error) if is_full(&error) && self.retention.remove_due() => run(),
            result => result,
        });
        if whole && self.reserve.is_short() {
            // From now on it is looked more often whether space has come back.
            self.work.announce(Task::Upkeep);
        }
        result
    }

    /// Makes the reserve whole if it is not and there is room. Returns whether it is.
    pub fn refill(&self) -> Result<bool> {
        if self.reserve.is_short() {
            self.retention.remove_due();
        }
        let made = self.reserve.make();
        if let Err(error) = &made {
            self.latch(error.to_string(), error.clone());
        }
        made
    }
}

/// Whether space would help: a failed sync is final, whatever its reason.
fn is_full(error: &Error) -> bool {
    matches!(error, Error::DiskFull(_)) && !error.is_failed_sync()
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "reserve_tests.rs"]
mod tests;
