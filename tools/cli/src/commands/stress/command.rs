//! The run: processes are started, killed, and what they left is checked.

use super::args::{ChildArgs, StressArgs};
use super::check::{self, Trouble};
use super::child;
use super::home::Home;
use super::intents::{FAMILIES, PASSING};
use super::lines::Line;
use super::oracle::Oracle;
use super::process::{Event, Process, Remains};
use super::record::{End, Record, Round};
use super::summary::Summary;
use crate::failure::{DAMAGED, DISK_FULL, Failure, INTERRUPTED, Outcome};
use crate::output::{notes, progress};
use esker::FamilyOptions;
use esker::base::clock::Clock;
use esker::base::random::Random;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long a process may take to open or to close the store before it is taken for hanging.
const PATIENCE: Duration = Duration::from_secs(120);
/// A process is killed so many milliseconds after it opened the store, or was started.
const KILL_AFTER_MS: std::ops::Range<u64> = 50..900;

/// Kills processes that work on a store until the time is over, and checks what each left.
///
/// # Errors
/// A violation was found, the directory is not ours, the disk or the system refuses something, or Ctrl-C
/// ended the run early.
pub fn run(args: &StressArgs) -> Outcome {
    let seed = args.seed.unwrap_or_else(|| Random::default().next_u64() >> 1);
    let home = Home::take(&args.dir)?;
    let (events, received) = channel();
    let interrupted = listen_for_interrupt(events.clone())?;
    let limit = match (args.minutes, args.kills) {
        (Some(minutes), _) => Some(Duration::from_secs_f64(minutes * 60.0)),
        (None, None) => Some(Duration::from_secs(600)),
        (None, Some(_)) => None,
    };
    let mut run = Run {
        random: Random::seeded(seed),
        summary: Summary::new(seed),
        oracle: Oracle::new(seed),
        round: 0,
        processes: 0,
        full_at: None,
        space: args.space,
        home: &home,
        events,
        received,
        interrupted,
    };
    let bar = progress::spinner("beginning");
    let started = Instant::now();
    let begun = run.begin_anew().map_err(|failure| run.too_full(failure));
    let ended = begun.and_then(|()| {
        let more = |run: &Run<'_>| {
            let wanted = args.kills.is_none_or(|kills| run.summary.kills < kills);
            let in_time = limit.is_none_or(|limit| started.elapsed() < limit);
            wanted && in_time && run.summary.violations.is_empty() && !run.is_interrupted()
        };
        while more(&run) {
            match run.round() {
                Err(failure) if failure.is_full_disk() => run.make_room(failure)?,
                ended => ended?,
            }
            bar.set_message(run.summary.line());
        }
        Ok(())
    });
    bar.finish_and_clear();
    let interrupted = run.is_interrupted();
    let mut summary = run.summary;
    summary.elapsed = started.elapsed();
    summary.sizes = home.sizes().unwrap_or_default();
    let full = |failure: &Failure| failure.code() == DISK_FULL;
    let well = ended.as_ref().err().is_none_or(full) && summary.violations.is_empty();
    let told = summary.print(args.json);
    let left = home.leave(args.keep || !well);
    ended?;
    if !summary.violations.is_empty() {
        return Err(Failure::Quiet { code: DAMAGED });
    }
    told.and(left)?;
    if interrupted { Err(Failure::Quiet { code: INTERRUPTED }) } else { Ok(()) }
}

/// The first Ctrl-C asks for an orderly end; the second one gets an immediate one. Processes that are left
/// behind then end by themselves.
fn listen_for_interrupt(events: Sender<Event>) -> Outcome<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        let _ = events.send(Event::Interrupted);
    })
    .map_err(|e| Failure::error(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(interrupted)
}

struct Run<'a> {
    random: Random,
    summary: Summary,
    oracle: Oracle,
    round: u32,
    processes: u64,
    /// How many kills there were when the disk was last full.
    full_at: Option<u64>,
    space: u64,
    home: &'a Home,
    events: Sender<Event>,
    received: Receiver<Event>,
    interrupted: Arc<AtomicBool>,
}

impl Run<'_> {
    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Makes an empty store with the families that stay.
    fn begin_anew(&mut self) -> Outcome {
        self.home.clear()?;
        let db = child::builder(&self.home.store(), self.summary.seed, self.round).open()?;
        for name in &FAMILIES[1..usize::from(PASSING)] {
            db.create_column_family(name, FamilyOptions::default())?;
        }
        db.close()?;
        self.oracle = Oracle::new(self.summary.seed);
        Ok(())
    }

    /// A full disk says nothing against the store, whose round is not judged: it is begun anew. Unless not
    /// one process could be killed since the last time: then there is no room to try anything.
    fn make_room(&mut self, failure: Failure) -> Outcome {
        let idle = self.full_at == Some(self.summary.kills);
        self.full_at = Some(self.summary.kills);
        self.summary.full += 1;
        if idle {
            return Err(self.too_full(failure));
        }
        self.begin_anew().map_err(|failure| self.too_full(failure))
    }

    fn too_full(&self, failure: Failure) -> Failure {
        if !failure.is_full_disk() {
            return failure;
        }
        let message = format!("there is no room to go on, and nothing else is wrong: {failure}");
        Failure::Told { code: DISK_FULL, message }
    }

    /// One process from its start to its end, and a look at what it left.
    fn round(&mut self) -> Outcome {
        self.round += 1;
        let clock_ms = Clock::System.wall_ms();
        let orderly = self.random.below(12) == 0;
        let args = ChildArgs {
            store: self.home.store(),
            seed: self.summary.seed,
            round: self.round,
            clock_ms,
            passing: self.oracle.passing.is_some(),
            idle: false,
            commits: None,
            log_by_calls: self.random.below(4) == 0,
        };
        let mut remains = self.let_work(&args, orderly)?;
        if !orderly && self.random.below(6) == 0 {
            remains.lines.extend(self.kill_amid_opening(&args)?.lines);
        }
        self.home.keep_as_left()?;
        let end =
            if orderly && remains.lines.last() == Some(&Line::Closed) { End::Closed } else { End::Killed };
        let round = Round { number: self.round, clock_ms, lines: &remains.lines, end };
        match self.judge(&remains, orderly, &round) {
            Ok(()) => {}
            Err(Trouble::Wrong(what)) => return self.violation(&what, &remains),
            Err(Trouble::Failed(failure)) => return Err(failure),
        }
        // The next process opens the store as the check closed it, or as the kill left it.
        if self.random.below(2) == 0 {
            self.home.restore_as_left()?;
        }
        if self.home.sizes()?.bytes > self.space {
            self.summary.begun_anew += 1;
            self.begin_anew()?;
        }
        Ok(())
    }

    /// Starts a process and lets it work for a while; then it is killed, or asked to come to an end.
    fn let_work(&mut self, args: &ChildArgs, orderly: bool) -> Outcome<Remains> {
        let mut process = self.start(args)?;
        // One time in four the clock runs from the start: then the process may be killed while it opens.
        let from_start = !orderly && self.random.below(4) == 0;
        let opened = from_start || self.wait(PATIENCE, Event::Opened(process.number));
        let pause = KILL_AFTER_MS.start + self.random.below(KILL_AFTER_MS.end - KILL_AFTER_MS.start);
        let ended = opened && self.wait(Duration::from_millis(pause), Event::Ended(process.number));
        if orderly && !ended {
            process.stop();
            let number = process.number;
            self.wait(PATIENCE, Event::Ended(number));
        }
        let mut remains = process.kill()?;
        if !opened && !self.is_interrupted() {
            remains.lines.push(Line::Wrong(format!("the store was not open after {PATIENCE:?}")));
        }
        self.summary.kills += u64::from(remains.was_killed());
        Ok(remains)
    }

    /// A process that does nothing but open the store, killed within that or soon after it.
    fn kill_amid_opening(&mut self, args: &ChildArgs) -> Outcome<Remains> {
        let process = self.start(&ChildArgs { idle: true, ..args.clone() })?;
        let pause = Duration::from_micros(self.random.below(40_000));
        self.wait(pause, Event::Ended(process.number));
        let mut remains = process.kill()?;
        self.summary.kills += u64::from(remains.was_killed());
        self.summary.kills_of_opening += u64::from(remains.was_killed());
        // That it opened the store says nothing of the round.
        remains.lines.retain(|line| matches!(line, Line::Wrong(_) | Line::Failed(_)));
        Ok(remains)
    }

    fn start(&mut self, args: &ChildArgs) -> Outcome<Process> {
        self.processes += 1;
        Process::start(self.processes, args, self.events.clone())
    }

    /// Waits for an event of one process, or for its end, or until the time is over; whether one came. An
    /// interruption ends all waiting at once.
    fn wait(&self, time: Duration, awaited: Event) -> bool {
        let (Event::Opened(number) | Event::Ended(number)) = awaited else { return false };
        let until = Instant::now() + time;
        loop {
            if self.is_interrupted() {
                return false;
            }
            match self.received.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) if event == awaited || event == Event::Ended(number) => return true,
                // Those of processes that are gone are of no interest.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Judges what a process said and what it left.
    fn judge(&mut self, remains: &Remains, orderly: bool, round: &Round<'_>) -> Result<(), Trouble> {
        for line in &remains.lines {
            match line {
                Line::Wrong(what) => return Err(Trouble::Wrong(what.clone())),
                Line::Failed(why) => return Err(Trouble::Failed(Failure::error(why.clone()))),
                Line::Scanned(entries) => self.summary.entries_read += entries,
                _ => {}
            }
        }
        let status = remains.status;
        let ended_in_order = orderly && status.success() && round.end == End::Closed;
        if !remains.was_killed() && !ended_in_order {
            return Err(Trouble::Wrong(format!("the process ended by itself: {status}")));
        }
        let record = Record::new(&self.oracle, round).map_err(Trouble::Wrong)?;
        self.summary.closes += u64::from(round.end == End::Closed);
        self.summary.commits += record.commits;
        self.summary.operations += record.operations;
        self.summary.bytes += record.bytes;
        let checked = check::check(&self.home.store(), self.summary.seed, self.round)?;
        if round.end == End::Killed {
            self.summary.reopened(checked.reopen);
        }
        if round.end == End::Closed && !checked.clean {
            return Err(Trouble::Wrong("the store was closed, and is opened as if it had not been".into()));
        }
        self.summary.cuts += u64::from(checked.cut);
        self.summary.entries_read += 2 * checked.found.entries.len() as u64;
        self.oracle.settle(record, &checked.found).map_err(Trouble::Wrong)
    }

    /// Tells of a violation, and leaves all that may explain it.
    fn violation(&mut self, what: &str, remains: &Remains) -> Outcome {
        let seed = self.summary.seed;
        let text = format!("round {} of seed {seed}: {what}", self.round);
        notes::error(&text);
        let mut file = format!("{text}\nThe process ended with {}. It said:\n", remains.status);
        for line in &remains.lines {
            writeln!(file, "{line}").expect("a String takes all");
        }
        let path = self.home.violation();
        std::fs::write(&path, file).map_err(|e| Failure::file("write", &path, &e))?;
        notes::note(&format!(
            "what the process said stands in {}, what it left in {}",
            path.display(),
            self.home.as_left().display()
        ));
        self.summary.violations.push(text);
        Ok(())
    }
}
