//! The child as its parent holds it.

use super::args::ChildArgs;
use super::lines::Line;
use crate::failure::{Failure, Outcome};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

/// What happens while a round goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process of this number has opened the store.
    Opened(u64),
    /// The process of this number has closed its output: it has ended.
    Ended(u64),
    /// Ctrl-C.
    Interrupted,
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    /// Its number within the run.
    pub number: u64,
    child: Child,
    /// Held open: its end is the child's end.
    stdin: ChildStdin,
    reader: JoinHandle<Vec<Line>>,
}

/// What is left of a child.
#[derive(Debug)]
pub struct Remains {
    /// All that it said.
    pub lines: Vec<Line>,
    /// How it ended.
    pub status: ExitStatus,
}

impl Process {
    /// Starts a child.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(number: u64, args: &ChildArgs, events: Sender<Event>) -> Outcome<Process> {
        let wrong = |error: std::io::Error| Failure::error(format!("cannot start a process: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(wrong)?);
        command.arg("stress-child").arg("--store").arg(&args.store);
        command.args(["--seed", &args.seed.to_string(), "--round", &args.round.to_string()]);
        command.args(["--clock-ms", &args.clock_ms.to_string()]);
        command.args(args.passing.then_some("--passing")).args(args.idle.then_some("--idle"));
        // A group of its own: Ctrl-C is for the parent, which ends the child in order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(wrong)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::error("cannot start a process: it has no pipes"));
        };
        let reader = std::thread::spawn(move || listen(number, stdout, &events));
        Ok(Process { number, child, stdin, reader })
    }

    /// Asks the child to come to an end in good order.
    pub fn stop(&mut self) {
        // If it is gone already, how it ended says more.
        let _ = self.stdin.write_all(b"stop\n");
    }

    /// Kills the child, if it is still there, and returns what it said before.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(mut self) -> Outcome<Remains> {
        // It fails only if the process has ended and was waited for, which it was not.
        let _ = self.child.kill();
        let status =
            self.child.wait().map_err(|e| Failure::error(format!("cannot wait for a process: {e}")))?;
        let lines = self.reader.join().map_err(|_| Failure::error("the reader of a process panicked"))?;
        Ok(Remains { lines, status })
    }
}

impl Remains {
    /// Whether it was killed.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }
}

fn listen(number: u64, stdout: ChildStdout, events: &Sender<Event>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = stdout.read_until(b'\n', &mut text);
        // What has no end of line was not said.
        let Some(text) = text.strip_suffix(b"\n").filter(|_| read.is_ok()) else { break };
        let text = String::from_utf8_lossy(text);
        let line = Line::parse(&text).unwrap_or_else(|| Line::Wrong(format!("it said {text:?}")));
        if matches!(line, Line::Open(_)) {
            let _ = events.send(Event::Opened(number));
        }
        lines.push(line);
    }
    let _ = events.send(Event::Ended(number));
    lines
}
