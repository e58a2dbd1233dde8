//! How the write path wakes background work, and how others wait for it.

use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::sync::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::time::Duration;

/// The kinds of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A memtable was sealed.
    Flush,
    /// The tables changed.
    Compact,
    /// Somebody wants the log synced soon.
    Sync,
    /// Callbacks wait to be run.
    Callbacks,
    /// The disk is full, and space that comes back is to be noticed.
    Upkeep,
    /// Segments of the log are to be removed.
    Remove,
}

const TASKS: usize = 6;

/// A board on which work is announced and progress reported.
#[derive(Debug, Default)]
pub struct Work {
    state: Mutex<WorkState>,
    /// For each kind of work, so that only those wake who do it.
    announced: [Condvar; TASKS],
    stopped: Condvar,
    progressed: Condvar,
}

/// What stands on the board.
#[derive(Debug, Default)]
pub struct WorkState {
    wanted: [bool; TASKS],
    stopping: bool,
    /// Counts finished jobs and failures.
    pub progress: u64,
    /// The failure of each kind of work, until that kind succeeds again.
    failures: [Option<Error>; TASKS],
    failed: u64,
    /// Families that are not being compacted for the moment, by number: one of their hooks has failed.
    resting: BTreeMap<u32, Error>,
}

impl Work {
    /// Announces work.
    pub fn announce(&self, task: Task) {
        self.state.lock().wanted[task as usize] = true;
        self.announced[task as usize].notify_all();
    }

    /// Waits for work of a kind, at most `patience`. `None` when everything is to stop, otherwise
    /// whether work was announced.
    pub fn wait(&self, task: Task, patience: Option<Duration>) -> Option<bool> {
        let until = patience.map(|patience| Clock::System.monotonic() + patience);
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            if std::mem::take(&mut state.wanted[task as usize]) {
                return Some(true);
            }
            let Some(until) = until else {
                self.announced[task as usize].wait(&mut state);
                continue;
            };
            let left = until.saturating_sub(Clock::System.monotonic());
            if left.is_zero() {
                return Some(false);
            }
            self.announced[task as usize].wait_for(&mut state, left);
        }
    }

    /// Waits `pause` unless everything is to stop; work that is announced does not end it.
    pub fn pause(&self, pause: Duration) {
        let until = Clock::System.monotonic() + pause;
        let mut state = self.state.lock();
        while !state.stopping {
            let left = until.saturating_sub(Clock::System.monotonic());
            if left.is_zero() || self.stopped.wait_for(&mut state, left).timed_out() {
                return;
            }
        }
    }

    /// Tells everything to stop.
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        for condvar in self.announced.iter().chain([&self.stopped, &self.progressed]) {
            condvar.notify_all();
        }
    }

    /// Whether everything is to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// Reports that a job has ended. Returns the failure that this kind of work was stuck in before.
    pub fn report(&self, task: Task, result: Result<(), Error>) -> Option<Error> {
        let mut state = self.state.lock();
        state.progress += 1;
        state.failed += u64::from(result.is_err());
        let before = std::mem::replace(&mut state.failures[task as usize], result.err());
        drop(state);
        self.progressed.notify_all();
        before
    }

    /// There is nothing of this kind to do: what it has found no room for, others have done, or it is
    /// needed no longer. What it could not read or write otherwise stays on the board. Returns what is no
    /// longer there.
    pub fn settle(&self, task: Task) -> Option<Error> {
        let failure = &mut self.state.lock().failures[task as usize];
        failure.take_if(|error| matches!(error, Error::DiskFull(_)) && !error.is_failed_sync())
    }

    /// Wakes those who wait for progress that came about otherwise.
    pub fn progressed(&self) {
        self.state.lock().progress += 1;
        self.progressed.notify_all();
    }

    /// The failure that a kind of work is stuck in, if any.
    #[must_use]
    pub fn failure(&self, task: Task) -> Option<Error> {
        self.state.lock().failures[task as usize].clone()
    }

    /// Says why a family is not being compacted for the moment, or that it is again.
    pub fn set_resting(&self, family: u32, why: Option<Error>) {
        let resting = &mut self.state.lock().resting;
        match why {
            Some(why) => resting.insert(family, why),
            None => resting.remove(&family),
        };
    }

    /// The families that are not being compacted for the moment, by number, and why.
    #[must_use]
    pub fn resting(&self) -> BTreeMap<u32, Error> {
        self.state.lock().resting.clone()
    }

    /// How many jobs have failed since the store was opened.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.state.lock().failed
    }

    /// Takes the board's lock, to wait for progress without missing any.
    pub fn lock(&self) -> MutexGuard<'_, WorkState> {
        self.state.lock()
    }

    /// Waits for the next report.
    pub fn wait_progress(&self, state: &mut MutexGuard<'_, WorkState>) {
        self.progressed.wait(state);
    }
}

impl WorkState {
    /// How many jobs have failed since the store was opened.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// The failure that a kind of work is stuck in.
    #[must_use]
    pub fn failure(&self, task: Task) -> Option<Error> {
        self.failures[task as usize].clone()
    }

    /// Whether everything is to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_board_counts_jobs_and_keeps_the_failure_of_each_kind_until_it_succeeds() {
        let work = Work::default();
        let failure = || Err(Error::Closed);
        work.report(Task::Flush, Ok(()));
        work.report(Task::Compact, failure());
        work.report(Task::Flush, failure());
        work.progressed();
        work.progressed();
        let state = work.lock();
        assert_eq!((state.progress, state.failed()), (5, 2));
        assert!(state.failure(Task::Compact).is_some() && state.failure(Task::Sync).is_none());
        drop(state);
        work.report(Task::Compact, Ok(()));
        assert!(work.failure(Task::Compact).is_none() && work.failure(Task::Flush).is_some());
        assert_eq!(work.failed(), 2, "it forgets none");
    }

    /// A compaction that had found no room was held against the store for ever: what it was about, somebody
    /// else had compacted meanwhile.
    #[test]
    fn where_nothing_is_left_to_do_no_room_was_too_little() {
        let work = Work::default();
        let failure = |kind: std::io::ErrorKind| Err(Error::io("write to", "t.sst".as_ref(), kind.into()));
        work.report(Task::Compact, failure(std::io::ErrorKind::StorageFull));
        work.settle(Task::Flush);
        assert!(work.failure(Task::Compact).is_some());
        work.settle(Task::Compact);
        assert!(work.failure(Task::Compact).is_none());
        work.report(Task::Compact, failure(std::io::ErrorKind::NotFound));
        work.settle(Task::Compact);
        assert!(work.failure(Task::Compact).is_some());
    }

    #[test]
    fn announced_work_is_taken_once_and_by_its_kind() {
        let work = Work::default();
        work.announce(Task::Flush);
        work.announce(Task::Flush);
        let now = Some(Duration::ZERO);
        assert_eq!(work.wait(Task::Sync, now), Some(false));
        assert_eq!(work.wait(Task::Flush, None), Some(true));
        assert_eq!(work.wait(Task::Flush, now), Some(false));
    }

    #[test]
    fn a_pause_lasts_until_its_end_or_until_everything_stops() {
        let work = Work::default();
        let (begun, pause) = (Clock::System.monotonic(), Duration::from_millis(5));
        work.announce(Task::Flush);
        work.pause(pause);
        assert!(Clock::System.monotonic() - begun >= pause);
        assert!(!work.is_stopping() && !work.lock().is_stopping());
        work.stop();
        assert!(work.is_stopping() && work.lock().is_stopping());
        work.pause(Duration::from_secs(3600));
        assert_eq!(work.wait(Task::Flush, None), None, "the end comes before what was announced");
    }
}

/// Run with `cargo xtask loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::base::sync::{Arc, thread};

    /// What is announced is done before the end, however the worker, who announces and who stops meet;
    /// and who waits for progress is woken.
    #[test]
    fn loom_announced_work_is_seen_and_progress_wakes() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let work = Arc::new(Work::default());
            let worker = {
                let work = work.clone();
                thread::spawn(move || {
                    let mut done = 0;
                    while work.wait(Task::Flush, None).is_some() {
                        done += 1;
                        work.report(Task::Flush, Ok(()));
                    }
                    done
                })
            };
            work.announce(Task::Flush);
            let mut state = work.lock();
            while state.progress == 0 {
                work.wait_progress(&mut state);
            }
            drop(state);
            work.stop();
            assert_eq!(worker.join().unwrap(), 1);
        });
    }
}
