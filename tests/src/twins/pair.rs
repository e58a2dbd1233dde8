//! Both stores, and what the twin has shown after each step.

use super::disks::{START_MS, open, place, verify};
use super::seen::{Seen, ask};
use super::steps::{Step, is_queued, named, only_reads};
use crate::redis::{Value, answer, shown};
use esker::base::clock::ManualClock;
use esker::fs::SimFs;
use esker_structures::Store;
use esker_structures::command::{Connection, flags};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Steps that one sweep removes.
const SWEPT: usize = 10;

/// So many steps are shown with a violation.
const TAIL: usize = 40;

/// What an error of the engine names, and no refusal of a command does.
const OF_THE_DISK: &str = "/data";

/// A store on a disk that is interfered with, and its twin.
///
/// The twin is looked at, and the store is not: one without threads works in the background while it is read,
/// and would have synced everything before its power is lost.
pub(super) struct Pair {
    pub(super) seed: u64,
    pub(super) clock: Arc<ManualClock>,
    pub(super) disk: SimFs,
    pub(super) store: Store,
    twin: Store,
    connection: Connection,
    beside: Connection,
    /// What the twin showed at first, and after each step that may have changed something.
    pub(super) states: Vec<Seen>,
    /// The last of them that is known to be durable.
    pub(super) durable: usize,
    /// Something has gone wrong with the disk: errors are in order.
    pub(super) failing: Arc<AtomicBool>,
    has_failed: bool,
    /// What was done, and how it was answered.
    log: Vec<String>,
    /// Since the store has become read-only: which state it shows, if that could be read.
    pub(super) read_only: Option<Option<usize>>,
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

/// How a command was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As by the twin.
    Done,
    /// With an error, after the disk had failed.
    Failed,
    /// With an error that says that the disk is full.
    Full,
    /// By a store that is read-only.
    ReadOnly,
}

impl Pair {
    /// Two empty stores. `failing` says when something has gone wrong with the disk of the first; if it does
    /// while that store is opened, it is opened again when `heal` has been called.
    pub(super) fn new(
        seed: u64,
        disk: &SimFs,
        failing: &Arc<AtomicBool>,
        heal: impl FnOnce(),
    ) -> Result<Pair, String> {
        let clock = ManualClock::new(START_MS);
        let store = match open(disk, &clock, seed, 0) {
            Ok(store) => store,
            Err(_) if failing.load(Ordering::Relaxed) => {
                heal();
                open(disk, &clock, seed, 0).map_err(|e| format!("cannot open what was half made: {e}"))?
            }
            Err(error) => return Err(format!("cannot open: {error}")),
        };
        let twin = open(&SimFs::new(), &clock, seed, 0).map_err(|e| format!("the twin: {e}"))?;
        let (connection, beside) = (Connection::new(&store), Connection::new(&twin));
        let (states, failing) = (vec![Seen::read(&twin)?], failing.clone());
        let disk = disk.clone();
        let mut pair = Pair {
            seed,
            clock,
            disk,
            store,
            twin,
            connection,
            beside,
            states,
            durable: 0,
            failing,
            has_failed: false,
            log: Vec::new(),
            read_only: None,
        };
        pair.note_read_only()?;
        Ok(pair)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    fn is_poisoned(&self) -> bool {
        self.store.engine().health().poisoned.is_some()
    }

    /// Does a step with both.
    ///
    /// # Errors
    /// What the store does that it must not.
    pub(super) fn step(&mut self, step: &Step) -> Result<Outcome, String> {
        let outcome = match step {
            Step::Command(args) => self.command(args)?,
            Step::Sweep => self.sweep()?,
            Step::Advance(ms) => {
                self.clock.advance(Duration::from_millis(*ms));
                Outcome::Done
            }
            Step::Wait => self.wait()?,
        };
        self.note_read_only()?;
        Ok(outcome)
    }

    /// The last steps, for people.
    pub(super) fn tail(&self) -> String {
        self.log[self.log.len().saturating_sub(TAIL)..].join("\n")
    }

    fn push_state(&mut self) -> Result<(), String> {
        let seen = Seen::read(&self.twin).map_err(|e| format!("the twin: {e}"))?;
        self.states.push(seen);
        Ok(())
    }

    fn command(&mut self, args: &[Vec<u8>]) -> Result<Outcome, String> {
        let ours = answer(&mut self.connection, args);
        self.log.push(format!("{}: {}", shown(args), short(&format!("{ours:?}"))));
        if self.read_only.is_some() {
            return Ok(Outcome::ReadOnly);
        }
        if self.is_poisoned() {
            // It became read-only meanwhile: the reply may show either side of that, and the fate of what was
            // written is open.
            answer(&mut self.beside, args);
            self.push_state()?;
            return Ok(Outcome::ReadOnly);
        }
        let ends_transaction = named(args).is_some_and(|command| command.name == "exec");
        if let (Value::Error(text), true) = (&ours, self.is_failing()) {
            if ends_transaction {
                answer(&mut self.beside, &[b"discard".to_vec()]);
            }
            let text = String::from_utf8_lossy(text);
            let full = text.starts_with("MISCONF the disk is full");
            if full && only_reads(args) && !ends_transaction {
                return Err(format!("a full disk refuses what only reads: {text}"));
            }
            return Ok(if full { Outcome::Full } else { Outcome::Failed });
        }
        let theirs = answer(&mut self.beside, args);
        // Two stores of which one has failed choose differently by chance from then on.
        self.has_failed |= self.is_failing();
        let by_chance = named(args).is_some_and(|command| command.has(flags::CHANCE));
        let compared = !(self.has_failed && (ends_transaction || by_chance));
        if compared && ours != theirs {
            return Err(format!("answered {ours:?}, and the twin {theirs:?}"));
        }
        if !(only_reads(args) || is_queued(&ours)) {
            self.push_state()?;
        }
        Ok(Outcome::Done)
    }

    /// One key after the other, so that what has been done is known if one fails.
    fn sweep(&mut self) -> Result<Outcome, String> {
        for _ in 0..SWEPT {
            if self.read_only.is_some() {
                return Ok(Outcome::ReadOnly);
            }
            let result = self.store.sweep(1);
            let poisoned = self.is_poisoned();
            let (removed, ends) = match &result {
                Ok(swept) => (swept.removed, swept.next_at_ms != Some(0)),
                Err(_) if self.is_failing() => (usize::from(poisoned), true),
                Err(error) => return Err(format!("cannot sweep: {error}")),
            };
            if removed > 0 {
                // What the twin removes first may be records of no key any more.
                while self.twin.sweep(1).map_err(|e| format!("the twin: {e}"))?.removed == 0 && result.is_ok()
                {
                }
                self.push_state()?;
            }
            if ends {
                return Ok(if result.is_ok() { Outcome::Done } else { Outcome::Failed });
            }
        }
        Ok(Outcome::Done)
    }

    fn wait(&mut self) -> Result<Outcome, String> {
        match self.store.wait(self.store.engine().visible_seq()) {
            Ok(()) if self.read_only.is_none() => {
                self.durable = self.states.len() - 1;
                Ok(Outcome::Done)
            }
            Ok(()) => Ok(Outcome::ReadOnly),
            Err(_) if self.is_failing() => Ok(Outcome::Failed),
            Err(error) => Err(format!("cannot wait: {error}")),
        }
    }

    /// A store that has become read-only shows a state that is durable, and goes on showing it.
    fn note_read_only(&mut self) -> Result<(), String> {
        if self.read_only.is_some() || !self.is_poisoned() {
            return Ok(());
        }
        if !self.is_failing() {
            return Err("read-only, and nothing has failed".into());
        }
        let shown = self.shown()?.map(|seen| place(&seen, &self.states[self.durable..], &self.clock));
        let shown = shown.transpose().map_err(|why| format!("a read-only store shows no state: {why}"))?;
        self.read_only = Some(shown.map(|at| at + self.durable));
        Ok(())
    }

    /// What the store shows, unless its disk refuses.
    fn shown(&self) -> Result<Option<Seen>, String> {
        match self.seen_at_once() {
            Ok(seen) => Ok(Some(seen)),
            Err(text) if self.is_failing() && text.contains(OF_THE_DISK) => Ok(None),
            Err(text) => Err(format!("cannot read: {text}")),
        }
    }

    /// Everything that the store shows, from before it became read-only or from after.
    fn seen_at_once(&self) -> Result<Seen, String> {
        loop {
            let before = self.is_poisoned();
            let seen = Seen::read(&self.store)?;
            if before == self.is_poisoned() {
                return Ok(seen);
            }
        }
    }

    /// With a disk that works again: what the store shows is as it should be. One that is read-only takes no
    /// write, the others take any.
    ///
    /// # Errors
    /// What is not so.
    pub(super) fn check_when_healed(&mut self) -> Result<(), String> {
        let seen = self.seen_at_once().map_err(|e| format!("cannot read: {e}"))?;
        self.note_read_only()?;
        verify(&self.store)?;
        let from = match self.read_only {
            None => self.states.len() - 1,
            Some(None) => self.durable,
            Some(Some(shown)) => shown,
        };
        let to = if self.read_only == Some(None) { self.states.len() } else { from + 1 };
        let at = place(&seen, &self.states[from..to], &self.clock)? + from;
        let written = ask(&mut Connection::new(&self.store), &["set", "new", "1"]);
        match (self.read_only.is_some(), written) {
            (true, Err(_)) => self.read_only = Some(Some(at)),
            (true, Ok(_)) => return Err("a read-only store takes a write".into()),
            (false, Ok(_)) => {
                ask(&mut Connection::new(&self.twin), &["set", "new", "1"])?;
                self.push_state()?;
            }
            // The failure was in the background, and this was the first to meet it.
            (false, Err(_)) if self.is_poisoned() => self.read_only = Some(Some(self.durable)),
            (false, Err(text)) => return Err(format!("writes do not come back: {text}")),
        }
        Ok(())
    }

    /// The states that may be found after a loss: of power, or, if the process was `killed`, with everything
    /// that it has been told.
    pub(super) fn may_be_left(&self, killed: bool) -> std::ops::Range<usize> {
        let from = match self.read_only {
            Some(shown) => shown.unwrap_or(self.durable),
            None if killed => self.states.len() - 1,
            None => self.durable,
        };
        from..self.states.len()
    }
}
