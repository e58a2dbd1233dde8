//! Segments of the log that somebody still reads although the store itself needs them no more.

use super::events::removing;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::sync::{Arc, Mutex};
use crate::fs::Fs;
use crate::hooks::Events;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Removes segments of the log, but for those that are held.
///
/// Its lock is taken last of all, and nothing is removed under it.
#[derive(Debug)]
pub struct Retention {
    fs: Fs,
    dir: PathBuf,
    events: Arc<Events>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// From which segment on somebody reads.
    held: BTreeMap<u64, FileNumber>,
    /// What the store has let go and somebody holds.
    waiting: BTreeSet<FileNumber>,
    /// What nobody holds, and somebody is to remove.
    due: BTreeSet<FileNumber>,
}

/// Keeps segments from being removed until it is dropped.
#[derive(Debug)]
pub struct LogHold {
    retention: Arc<Retention>,
    id: u64,
}

impl Retention {
    /// For the log of the store in `dir`.
    #[must_use]
    pub fn new(fs: &Fs, dir: &std::path::Path, events: &Arc<Events>) -> Retention {
        let events = events.clone();
        Retention { fs: fs.clone(), dir: dir.into(), events, state: Mutex::default() }
    }

    /// Keeps all segments from `from` on. Those that were let go before may be gone.
    #[must_use]
    pub fn hold(self: &Arc<Self>, from: FileNumber) -> LogHold {
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        state.held.insert(id, from);
        LogHold { retention: self.clone(), id }
    }

    /// Removes segments that the store does not need, each as soon as nobody holds it.
    pub fn release(&self, numbers: Vec<FileNumber>) {
        self.settle(|state| state.waiting.extend(numbers));
    }

    /// As [`Retention::release`], but leaves the removing to who calls [`Retention::remove_due`]: the system
    /// gives back its memory of a segment then, which takes longer than one might think.
    pub fn release_later(&self, numbers: Vec<FileNumber>) {
        let mut state = self.state.lock();
        let held = state.held.values().min().copied().unwrap_or(FileNumber::MAX);
        let (due, waiting): (Vec<_>, Vec<_>) = numbers.into_iter().partition(|number| *number < held);
        state.due.extend(due);
        state.waiting.extend(waiting);
    }

    /// Removes what others have left to be removed. Returns whether there was any.
    pub fn remove_due(&self) -> bool {
        let due = std::mem::take(&mut self.state.lock().due);
        let any = !due.is_empty();
        self.remove(due);
        any
    }

    fn settle(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let held = state.held.values().min().copied().unwrap_or(FileNumber::MAX);
        let kept = state.waiting.split_off(&held);
        let free = std::mem::replace(&mut state.waiting, kept);
        drop(state);
        self.remove(free);
    }

    fn remove(&self, numbers: BTreeSet<FileNumber>) {
        for number in numbers {
            // A segment that cannot be removed now is removed when the store is opened.
            let file = FileKind::Wal(number);
            let remove = || self.fs.remove(&file.path(&self.dir));
            let _ = removing(&self.events, &self.fs, &self.dir, file, remove);
        }
    }
}

impl Drop for LogHold {
    fn drop(&mut self) {
        self.retention.settle(|state| {
            state.held.remove(&self.id);
        });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::fs::SimFs;
    use std::path::Path;

    #[test]
    fn what_is_held_goes_when_the_last_holder_does() {
        let sim = SimFs::new();
        let dir = Path::new("/db");
        for number in 1..=5 {
            sim.write_raw(&FileKind::Wal(number).path(dir), b"x").unwrap();
        }
        let left = || -> Vec<u64> {
            let names = Fs::Sim(sim.clone()).list(dir).unwrap();
            names.iter().filter_map(|name| FileKind::parse(name)?.number()).collect()
        };
        let retention = Arc::new(Retention::new(&Fs::Sim(sim.clone()), dir, &Arc::default()));
        let (from_two, from_four) = (retention.hold(2), retention.hold(4));
        retention.release(vec![1, 2, 3]);
        assert_eq!(left(), [2, 3, 4, 5]);
        drop(from_two);
        assert_eq!(left(), [4, 5], "nobody reads 2 and 3 any more");
        retention.release(vec![4]);
        assert_eq!(left(), [4, 5]);
        retention.release_later(vec![5]);
        drop(from_four);
        assert_eq!(left(), [] as [u64; 0], "all was held");
        sim.write_raw(&FileKind::Wal(6).path(dir), b"x").unwrap();
        retention.release_later(vec![6]);
        assert_eq!(left(), [6]);
        assert!(retention.remove_due() && left().is_empty());
        assert!(!retention.remove_due());
    }
}
