//! Keeps the child busy, lets things happen to it, and writes down how it does.

use super::answer::{Answer, Status, What};
use super::child::Child;
use super::judge::Judge;
use super::measure::{self, Sample};
use super::plan::Plan;
use super::report::{Report, Space};
use super::workload::Workload;
use crate::history::{DROPPING, Operation};
use crate::oracle::Outcome;
use crate::session::Watchdog;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Questions that are on their way at once, so that neither side waits for the other.
const WINDOW: usize = 48;

/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// So many writes that hang on what is there are made in a row.
const DEPENDENT: usize = 32;

/// How long writes may be refused after space has come back. What the store promises is far less; this only
/// tells slow from never.
const RESUME: Duration = Duration::from_secs(60);

/// A day, in milliseconds.
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// When the clock of a run begins, in milliseconds since the epoch.
const START_MS: u64 = 1_700_000_000_000;

struct Driver {
    plan: Plan,
    program: PathBuf,
    dir: PathBuf,
    log: File,
    started: Instant,
    watchdog: Arc<Watchdog>,
    child: Child,
    judge: Judge,
    workload: Workload,
    report: Report,
    /// How many processes there have been.
    life: u64,
    /// The options of the present opening, counted from the first.
    options: u32,
    last_advance: Instant,
    last_apart: Instant,
    last_sample: Instant,
    forward: bool,
}

/// Runs a plan with the actor in `program`, in the empty directory `dir`. A line for each period goes to
/// `log`. What went wrong is in the report.
///
/// # Errors
/// If the run could not begin.
pub fn run(plan: Plan, program: &Path, dir: &Path, log: &Path) -> Result<Report, String> {
    let log = File::create(log).map_err(|e| format!("cannot create {}: {e}", log.display()))?;
    let (started, store) = (Instant::now(), dir.join("store"));
    let child = Child::start(program, &store, plan.first_options, START_MS)?;
    let interval = super::options::options(plan.first_options).sync_interval;
    let workload = Workload::new(plan.seed, plan.keys, plan.first_options);
    let mut driver = Driver {
        program: program.into(),
        dir: dir.into(),
        log,
        started,
        watchdog: Watchdog::new(PATIENCE),
        child,
        judge: Judge::new(START_MS, interval.as_millis() as u64),
        workload,
        report: Report::default(),
        life: 1,
        options: plan.first_options,
        last_advance: started,
        last_apart: started,
        last_sample: started,
        forward: true,
        plan,
    };
    if let Err(why) = driver.periods() {
        driver.report.violations.push(why);
    }
    driver.report.took = started.elapsed();
    driver.report.counts = driver.judge.counts;
    Ok(driver.report)
}

impl Driver {
    fn periods(&mut self) -> Result<(), String> {
        self.recovered(Instant::now())?;
        for name in ["f0", "f1", "f2", DROPPING] {
            self.apart(Operation::Create(name.into()))?;
        }
        for period in 1..=self.plan.periods {
            let begun = Instant::now();
            self.watchdog.now(format!("period {period} of a soak with seed {}", self.plan.seed));
            self.work(begun + self.plan.period / 3)?;
            if Plan::is_due(period, self.plan.full_every) {
                self.full_disk()?;
            }
            self.work(begun + self.plan.period * 2 / 3)?;
            if Plan::is_due(period, self.plan.clock_every) {
                self.set_clock()?;
            }
            self.work(begun + self.plan.period)?;
            if period == self.plan.periods || period.is_multiple_of(self.plan.space_every) {
                self.settle()?;
            }
            if self.plan.kills(period) {
                self.kill()?
            } else {
                self.reopen()?
            }
            self.note(period);
        }
        Ok(())
    }

    /// Keeps the child busy until then.
    fn work(&mut self, until: Instant) -> Result<(), String> {
        while Instant::now() < until {
            self.fill_window()?;
            self.hear()?;
            while self.child.has_answer() && self.judge.awaited() > WINDOW / 2 {
                self.hear()?;
            }
            if self.last_apart.elapsed() > self.plan.period / 40 {
                self.last_apart = Instant::now();
                let operation = self.workload.apart(&self.judge);
                self.apart(operation)?;
                for _ in 0..DEPENDENT {
                    let operation = self.workload.dependent(&self.judge);
                    self.apart(operation)?;
                }
            }
            self.sample();
        }
        Ok(())
    }

    fn fill_window(&mut self) -> Result<(), String> {
        while self.judge.awaited() < WINDOW {
            let passed_ms = self.last_advance.elapsed().as_millis() as u64;
            let operation = if passed_ms >= 10 {
                self.last_advance += Duration::from_millis(passed_ms);
                Operation::Advance(passed_ms)
            } else {
                self.workload.next(&self.judge)
            };
            self.ask(operation)?;
        }
        self.child.flush()
    }

    fn ask(&mut self, operation: Operation) -> Result<(), String> {
        let line = self.judge.ask(operation);
        self.child.send(&line)
    }

    fn hear(&mut self) -> Result<Option<Outcome>, String> {
        let line = self.child.receive()?;
        self.judge.hear(&line)
    }

    /// Hears all answers that are awaited.
    fn drain(&mut self) -> Result<(), String> {
        self.child.flush()?;
        while self.judge.awaited() > 0 {
            self.hear()?;
        }
        Ok(())
    }

    /// An operation with nothing else on its way.
    fn apart(&mut self, operation: Operation) -> Result<Option<Outcome>, String> {
        self.drain()?;
        self.ask(operation)?;
        self.child.flush()?;
        self.hear()
    }

    /// Asks for something that is no operation.
    fn request(&mut self, request: &str) -> Result<What, String> {
        self.drain()?;
        self.child.send(&format!("!{request}"))?;
        self.child.flush()?;
        Ok(Answer::parse(&self.child.receive()?)?.what)
    }

    fn status(&mut self) -> Result<Status, String> {
        match self.request("status")? {
            What::Status(Status { poisoned: Some(why), .. }) => Err(format!("the store is read-only: {why}")),
            What::Status(status) => Ok(status),
            other => Err(format!("a status is {other:?}")),
        }
    }

    /// The disk is full for a while; when there is space again, everything must go on without reopening.
    fn full_disk(&mut self) -> Result<(), String> {
        let room = self.workload.below(256 << 10);
        self.judge.may_be_full = true;
        self.request(&format!("room {room}"))?;
        self.work(Instant::now() + self.plan.full)?;
        self.request("room all")?;
        let since = Instant::now();
        // What failed in the background is reported until it has been tried again.
        loop {
            let refused = self.judge.counts.refused;
            let write = self.workload.small_write();
            let written = self.apart(write)?;
            self.apart(Operation::Flush)?;
            let well = self.judge.counts.refused == refused && self.status()?.failures == 0;
            if well && matches!(written, Some(Outcome::Done { .. })) {
                break;
            }
            if since.elapsed() > RESUME {
                return Err(format!("not all is well {RESUME:?} after space has come back"));
            }
        }
        self.report.resumed = self.report.resumed.max(since.elapsed());
        self.report.full += 1;
        self.judge.may_be_full = false;
        Ok(())
    }

    /// A day forward, or a day back, in turn.
    fn set_clock(&mut self) -> Result<(), String> {
        let by_ms = if self.forward { DAY_MS } else { -DAY_MS };
        self.forward = !self.forward;
        self.report.clocks += 1;
        self.ask(Operation::Clock(by_ms))
    }

    /// Waits until the store has nothing left to do, and compares its size with what is alive in it.
    fn settle(&mut self) -> Result<(), String> {
        self.drain()?;
        for slot in self.judge.snapshots() {
            self.apart(Operation::Release(slot))?;
        }
        // A cursor keeps the tables of its moment.
        for slot in self.judge.cursors() {
            self.apart(Operation::LetGo(slot))?;
        }
        self.apart(Operation::Flush)?;
        // Nothing tells from outside whether a compaction is due: none has run or ended for half a second.
        // One that runs holds its inputs and its outputs, and takes its time on a busy machine.
        let (mut status, mut still) = (self.status()?, 0);
        let since = Instant::now();
        while still < 5 && since.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.status()?;
            still = if now.jobs == status.jobs && now.running == 0 { still + 1 } else { 0 };
            status = now;
        }
        let directory = measure::directory_bytes(&self.dir.join("store"));
        let (alive_bytes, live) = measure::live_bytes(&self.judge, &self.dir)?;
        let times = |bytes: u64| bytes as f64 / live.max(1) as f64;
        self.report.space.push(Space {
            directory: times(directory),
            tables: times(status.table_bytes),
            alive_bytes,
        });
        Ok(())
    }

    /// SIGKILL amid whatever the child is doing, and a new child with other options.
    fn kill(&mut self) -> Result<(), String> {
        self.fill_window()?;
        for _ in 0..self.workload.below(WINDOW as u64) {
            self.hear()?;
        }
        for line in self.child.kill()? {
            self.judge.hear(&line)?;
        }
        self.judge.killed();
        self.report.kills += 1;
        self.life += 1;
        self.next_options();
        let started = Instant::now();
        let store = self.dir.join("store");
        self.child = Child::start(&self.program, &store, self.options, self.judge.wall_ms())?;
        self.recovered(started)
    }

    /// Closes the store and opens it with other options, in the same process.
    fn reopen(&mut self) -> Result<(), String> {
        self.next_options();
        self.apart(Operation::Options(self.options))?;
        let started = Instant::now();
        self.apart(Operation::Reopen)?;
        self.report.reopened += 1;
        self.recovered(started)
    }

    fn next_options(&mut self) {
        let sets = super::options::SETS;
        self.options = self.plan.first_options + (self.options + 1 - self.plan.first_options) % sets;
    }

    /// Reads everything in a store that was opened again, and checks it.
    fn recovered(&mut self, started: Instant) -> Result<(), String> {
        self.child.send("!dump")?;
        self.child.flush()?;
        let mut lines = Vec::new();
        let status = loop {
            let line = self.child.receive()?;
            if lines.is_empty() {
                self.report.opened = self.report.opened.max(started.elapsed());
            }
            if line.starts_with("family ") || line.starts_with("entry ") {
                lines.push(line);
                continue;
            }
            match Answer::parse(&line)?.what {
                What::Status(status) => break status,
                other => return Err(format!("a dump ends with {other:?}")),
            }
        };
        self.judge.recovered(&lines, &status)?;
        self.judge.default_durability = super::options::options(self.options).default_durability;
        self.last_advance = Instant::now();
        self.apart(Operation::Verify).map(drop)
    }

    fn sample(&mut self) {
        if self.last_sample.elapsed() < self.plan.period / 60 {
            return;
        }
        self.last_sample = Instant::now();
        self.watchdog.now(format!("a soak with seed {}", self.plan.seed));
        let held = self.child.resident_bytes().zip(self.child.descriptors());
        if let Some((resident_bytes, descriptors)) = held {
            let directory_bytes = measure::directory_bytes(&self.dir.join("store"));
            let at = self.started.elapsed().as_secs_f64();
            let sample = Sample { at, life: self.life, resident_bytes, descriptors, directory_bytes };
            self.report.samples.push(sample);
        }
    }

    fn note(&mut self, period: u64) {
        self.report.took = self.started.elapsed();
        self.report.counts = self.judge.counts;
        // The log is for whoever waits; the verdict does not hang on it.
        let _ = writeln!(self.log, "{period}: {}", self.report);
    }
}
