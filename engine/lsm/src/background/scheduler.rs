//! Who runs the jobs, and when.

use super::jobs::Jobs;
use crate::base::error::{Error, Result};
use crate::base::key::SeqNum;
use crate::base::panics::{catch, words};
use crate::base::random::Random;
use crate::base::sync::atomic::Ordering;
use crate::base::sync::{Arc, Mutex, thread};
use crate::commit::{Stall, Task};
use crate::compaction::Calm;
use std::time::Duration;

/// How background work is run.
#[derive(Clone, Debug)]
pub enum Mode {
    /// On threads of its own: one that flushes, one that compacts, one that syncs, one that removes what the
    /// log has let go, one that runs callbacks, one that tidies, and one that tells events if anybody
    /// listens.
    Threads,
    /// On the threads that use the store, one job at a time, when the random numbers say so. With
    /// one user thread everything that happens follows from the seed.
    Seeded(Random),
}

/// Runs the jobs of a store until it is stopped.
#[derive(Debug)]
pub struct Scheduler {
    jobs: Arc<Jobs>,
    mode: Mode,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    /// Which threads are ours, also while they are being waited for.
    ids: Mutex<Vec<thread::ThreadId>>,
}

/// After a failure a job is tried again after this, and twice as long each time it fails again ...
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// ... up to this: a full disk is noticed to have space again within a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// While the reserve is not whole, it is tried this often whether there is room for it.
const REFILL_EVERY: Duration = Duration::from_millis(500);

/// A job that found the disk full is tried again after so many pauses even if it is as full as before.
const PAUSES_WHEN_FULL: usize = 16;

/// After so long without anything to compact it is looked whether anybody writes at all ...
const CALM_AFTER: Duration = Duration::from_millis(500);
/// ... and if so many times in a row nobody did, the calm is a long one.
const LOOKS_IN_LONG_CALM: u32 = 20;

impl Scheduler {
    /// Starts running jobs.
    pub fn start(jobs: Arc<Jobs>, mode: Mode) -> Result<Scheduler> {
        let scheduler = Scheduler { jobs, mode, threads: Mutex::default(), ids: Mutex::default() };
        if let Mode::Threads = scheduler.mode {
            scheduler.jobs.has_threads.store(true, Ordering::Relaxed);
            scheduler.spawn("esker-flush", |jobs| {
                work_off(&jobs, Task::Flush, None, Jobs::flush_next);
            })?;
            scheduler.spawn("esker-compact", |jobs| {
                let mut rest = Rest::default();
                while work_off(&jobs, Task::Compact, Some(CALM_AFTER), Jobs::compact_next) {
                    rest.use_calm(&jobs);
                }
            })?;
            // Nothing stands between two syncs but the interval, which bounds what a loss of power takes.
            scheduler.spawn("esker-sync", |jobs| {
                let patience = || Some(jobs.store().options().sync_interval);
                while jobs.store().work.wait(Task::Sync, patience()).is_some() {
                    // A failure is latched.
                    let _ = guarded(&jobs, Task::Sync, || jobs.sync());
                }
            })?;
            // It may take longer than what a flush could write meanwhile.
            scheduler.spawn("esker-remove", |jobs| {
                while jobs.store().work.wait(Task::Remove, None).is_some() {
                    let _ = guarded(&jobs, Task::Remove, || {
                        jobs.store().retention.remove_due();
                        Ok(())
                    });
                }
            })?;
            // They are users' code, which may take its time.
            scheduler.spawn("esker-callbacks", |jobs| {
                while jobs.store().work.wait(Task::Callbacks, None).is_some() {
                    jobs.store().durable.run_callbacks();
                }
            })?;
            // So are listeners, for whom callbacks are not to wait.
            if scheduler.jobs.store().events.wanted() {
                scheduler.spawn("esker-events", |jobs| {
                    while jobs.store().events.wait() {
                        jobs.store().events.tell();
                    }
                })?;
            }
            scheduler.spawn("esker-upkeep", |jobs| {
                let patience = || {
                    // Space that comes back is noticed within a second.
                    let short = jobs.store().reserve.is_short();
                    let sync_interval = jobs.store().options().sync_interval;
                    Some(if short { sync_interval.min(REFILL_EVERY) } else { sync_interval })
                };
                while jobs.store().work.wait(Task::Upkeep, patience()).is_some() {
                    // A failure is latched or kept on the board; the next interval is the pause.
                    let _ = guarded(&jobs, Task::Upkeep, || jobs.upkeep());
                }
            })?;
        }
        scheduler.jobs.store().work.announce(Task::Compact);
        Ok(scheduler)
    }

    fn spawn(&self, name: &str, body: impl FnOnce(Arc<Jobs>) + Send + 'static) -> Result<()> {
        let jobs = self.jobs.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || body(jobs));
        match thread {
            Ok(thread) => {
                self.ids.lock().push(thread.thread().id());
                self.threads.lock().push(thread);
                Ok(())
            }
            Err(error) => {
                self.stop();
                Err(Error::io("start a thread for", &self.jobs.store().dir, error))
            }
        }
    }

    /// Whether the calling thread is one of those that run the jobs.
    #[must_use]
    pub fn runs_here(&self) -> bool {
        self.ids.lock().contains(&thread::current().id())
    }

    /// The jobs.
    #[must_use]
    pub fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    /// Called before and after each operation of a user: in the seeded mode this is where jobs run.
    /// Writers that would have to wait work off what they would wait for.
    #[inline]
    pub fn step(&self) {
        if let Mode::Seeded(random) = &self.mode {
            self.step_by(random);
            self.tell();
        }
    }

    #[inline(never)]
    fn step_by(&self, random: &Random) {
        if self.jobs.store().work.is_stopping() {
            return;
        }
        match random.below(16) {
            0 | 1 => drop(self.jobs.flush_next()),
            2 | 3 => drop(self.jobs.compact_next()),
            4 => {
                let _ = self.jobs.sync();
                let _ = self.jobs.upkeep();
            }
            // Seldom: trees of many levels are to be met, too.
            5 if random.below(16) == 0 => drop(self.jobs.compact_calm(Calm::Long)),
            _ => {}
        }
        let store = self.jobs.store();
        while store.gate.get() != Stall::None || store.range_gate.get() != Stall::None {
            let progress = [self.jobs.flush_next(), self.jobs.compact_next()];
            if !progress.iter().any(|job| matches!(job, Ok(true))) {
                return;
            }
        }
    }

    /// In the seeded mode: tells what has happened to those who listen.
    pub fn tell(&self) {
        if let Mode::Seeded(_) = self.mode {
            self.jobs.store().events.tell();
        }
    }

    /// Asks for the log to be synced soon, without waiting for it.
    pub fn request_sync(&self) {
        match &self.mode {
            Mode::Threads => self.jobs.store().work.announce(Task::Sync),
            Mode::Seeded(_) => {
                // A failure is latched, and the callbacks hear of it.
                let _ = self.jobs.sync();
                self.jobs.store().durable.run_callbacks();
            }
        }
    }

    /// Waits until every memtable up to the seal `order` is flushed.
    pub fn wait_flushed(&self, order: u64) -> Result<()> {
        let store = self.jobs.store();
        let waiting = || {
            let oldest = |f: &Arc<crate::tree::Family>| f.pin().sealed.last().map(|s| s.seal.order);
            store.families().iter().filter_map(oldest).any(|oldest| oldest <= order)
        };
        if let Mode::Seeded(_) = self.mode {
            let mut flushed = Ok(true);
            while waiting() && matches!(flushed, Ok(true)) {
                flushed = self.jobs.flush_next();
            }
            store.events.tell();
            return flushed.and_then(|_| store.poison.check());
        }
        store.work.announce(Task::Flush);
        let mut state = store.work.lock();
        let failed = state.failed();
        while waiting() {
            store.poison.check()?;
            if state.is_stopping() {
                return Err(Error::Closed);
            }
            if let (Some(error), true) = (state.failure(Task::Flush), state.failed() > failed) {
                return Err(error);
            }
            store.work.wait_progress(&mut state);
        }
        Ok(())
    }

    /// Ends all background work and waits for its threads.
    pub fn stop(&self) {
        self.jobs.store().work.stop();
        self.jobs.store().events.stop();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // The last handle may be dropped by a background thread itself (in a callback); it must
            // not wait for itself. A panic was caught and latched inside.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
        // Compactions that users asked for end soon, now that everything is to stop.
        drop(self.jobs.users.write());
    }
}

/// Runs jobs of one kind whenever they are announced, until none was for as long as `patience` (true), or
/// everything is to stop (false).
fn work_off(
    jobs: &Jobs,
    task: Task,
    patience: Option<Duration>,
    next: impl Fn(&Jobs) -> Result<bool>,
) -> bool {
    let work = &jobs.store().work;
    let mut pause = FIRST_PAUSE;
    while let Some(announced) = work.wait(task, patience) {
        if !announced {
            return true;
        }
        loop {
            let room = jobs.store().reserve.room();
            match guarded(jobs, task, || next(jobs)) {
                Ok(true) => pause = FIRST_PAUSE,
                Ok(false) => break,
                Err(_) if work.is_stopping() || jobs.store().poison.is_set() => break,
                Err(error) => {
                    let room = room.filter(|_| matches!(error, Error::DiskFull(_)));
                    pause_after(jobs, room, &mut pause);
                }
            }
        }
    }
    false
}

/// Since when nobody has written, as far as looks now and then can tell.
#[derive(Debug, Default)]
struct Rest {
    seen: SeqNum,
    looks: u32,
}

impl Rest {
    /// Looks whether somebody has written since the last look. If not, does what helps reads, as long as
    /// nothing else comes up. A failure is on the board; the next look is the next attempt.
    fn use_calm(&mut self, jobs: &Jobs) {
        let store = jobs.store();
        let seq = store.visible_seq();
        self.looks = if seq == self.seen { self.looks.saturating_add(1) } else { 0 };
        self.seen = seq;
        let calm = match self.looks {
            0 => return,
            looks if looks < LOOKS_IN_LONG_CALM => Calm::Short,
            _ => Calm::Long,
        };
        let mut worked = true;
        while worked && store.visible_seq() == seq && !store.work.is_stopping() && !store.poison.is_set() {
            let result = guarded(jobs, Task::Compact, || jobs.compact_calm(calm));
            worked = matches!(result, Ok(true));
        }
    }
}

/// Pauses after a failure. A job that had so little `room` that it found the disk full is not begun again
/// before there is more, or the reserve is whole again, or a good while has passed.
fn pause_after(jobs: &Jobs, room: Option<u64>, pause: &mut Duration) {
    let store = jobs.store();
    for _ in 0..PAUSES_WHEN_FULL {
        store.work.pause(*pause);
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        if store.work.is_stopping()
            || room.is_none()
            || !store.reserve.is_short()
            || store.reserve.room() > room
        {
            return;
        }
    }
}

/// A panic in a job is a bug of ours: the store becomes read-only rather than going on.
fn guarded<R>(jobs: &Jobs, task: Task, job: impl FnOnce() -> Result<R>) -> Result<R> {
    catch(job).unwrap_or_else(|panic| {
        let why: Arc<str> = format!("a panic in background work: {}", words(&panic)).into();
        let store = jobs.store();
        let error = Error::Poisoned { why: why.clone() };
        store.latch(why, error.clone());
        store.report(task, Err(error.clone()));
        Err(error)
    })
}
