//! Starting a process for each engine and suite, and keeping what it says.

use super::child::{Said, Task};
use super::engines::Kind;
use super::options::Options;
use super::order::{Job, Named, State, order, phases_of};
use super::phases::Phase;
use super::report::Summary;
use super::row::Outcome;
use super::suites::Suite;
use super::{page, report};
use crate::process::{Fallible, remove_tree};
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// A child that says nothing for so long is ended.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// The folder of the stores.
const STORES: &str = "peers-stores";

/// Files that a run leaves.
#[derive(Clone, Debug)]
pub struct Files {
    /// What has been measured so far.
    pub state: PathBuf,
    /// The tables.
    pub text: PathBuf,
    /// All medians and more.
    pub json: PathBuf,
    /// Charts.
    pub page: PathBuf,
}

impl Files {
    /// The files in a folder.
    #[must_use]
    pub fn within(dir: &Path) -> Files {
        let at = |name| dir.join(name);
        Files {
            state: at("state.json"),
            text: at("arena.txt"),
            json: at("arena.json"),
            page: at("arena.html"),
        }
    }
}

/// Runs what is missing, and writes tables, JSON and page of all that is there. `program` is what is
/// started with `--child`; `progress` hears of each phase as it ends.
///
/// # Errors
/// If files cannot be written or `program` cannot be started. What goes wrong in an engine stands in
/// its row.
pub fn run(options: &Options, program: &Path, mut progress: impl FnMut(&Job, &Named)) -> Fallible<Summary> {
    let until = Instant::now() + Duration::from_secs_f64(options.minutes.clamp(0.0, 1e6) * 60.0);
    let out = options.out();
    std::fs::create_dir_all(&out)?;
    let files = Files::within(&out);
    let conditions = options.conditions(hash(program)?);
    let mut state = match options.fresh {
        true => State::new(conditions),
        false => State::load(&files.state, conditions)?,
    };
    let dir = options.dir.as_ref().unwrap_or(&out).join(STORES);
    for (suite, kind, number) in order(&options.suites(), &options.kinds(), options.runs) {
        let phases = phases_of(suite, kind, &options.phases);
        if phases.is_empty() {
            continue;
        }
        let mut runner = Runner { program, dir: &dir, files: &files, state: &mut state, until };
        runner.job(suite, kind, number, &phases, &mut progress)?;
    }
    state.save(&files.state)?;
    let summary = report::summary(&state);
    std::fs::write(&files.text, summary.to_string())?;
    std::fs::write(&files.json, serde_json::to_string_pretty(&summary)?)?;
    std::fs::write(&files.page, page::page(&summary))?;
    Ok(summary)
}

/// Tells builds of the program from each other.
fn hash(program: &Path) -> Fallible<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(program)?);
    Ok(hasher.finish())
}

struct Runner<'a> {
    program: &'a Path,
    dir: &'a Path,
    files: &'a Files,
    state: &'a mut State,
    until: Instant,
}

impl Runner<'_> {
    /// Runs what is missing of a job, in a new process after each that ended before its time.
    fn job(
        &mut self,
        suite: &'static Suite,
        kind: Kind,
        number: u32,
        phases: &[&'static Phase],
        progress: &mut impl FnMut(&Job, &Named),
    ) -> Fallible<()> {
        loop {
            let now = Instant::now();
            if now >= self.until {
                return Ok(());
            }
            let conditions = self.state.conditions.clone();
            let missing = self.state.job(suite.name, kind, number).missing(phases);
            if missing.is_empty() {
                return Ok(());
            }
            let task = Task {
                suite: suite.name.into(),
                kind,
                phases: missing.iter().map(|phase| phase.name.into()).collect(),
                dir: self.dir.to_owned(),
                conditions,
                seconds: (self.until - now).as_secs_f64(),
            };
            let mut hear = |said, state: &mut State| -> Fallible<()> {
                let job = state.job(suite.name, kind, number);
                match said {
                    Said::Machine { spin, fdatasync } => (job.spin, job.fdatasync) = (spin, fdatasync),
                    Said::Ended(named) => {
                        progress(job, &named);
                        job.results.push(named);
                    }
                }
                state.save(&self.files.state)
            };
            let ended = start(self.program, &task, |said| hear(said, self.state))?;
            let left = self.state.job(suite.name, kind, number).missing(phases);
            if let (Some(phase), true) = (left.first(), Instant::now() < self.until) {
                // It was this phase that the process did not survive.
                let outcome = Outcome::Failed(format!("the process ended: {ended}"));
                hear(Said::Ended(Named { phase: phase.name.into(), outcome }), self.state)?;
            }
        }
    }
}

/// Starts a process with a task and hears what it says until it ends. Returns how it ended.
fn start(program: &Path, task: &Task, mut hear: impl FnMut(Said) -> Fallible<()>) -> Fallible<String> {
    remove_tree(&task.dir)?;
    std::fs::create_dir_all(&task.dir)?;
    let mut child = Command::new(program)
        .arg("--child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let listened = listen(&mut child, task, &mut hear);
    if listened.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    remove_tree(&task.dir)?;
    listened.map(|silent| if silent { "it was silent for too long".into() } else { status.to_string() })
}

/// Returns whether the child had to be ended because it was silent.
fn listen(child: &mut Child, task: &Task, hear: &mut impl FnMut(Said) -> Fallible<()>) -> Fallible<bool> {
    let (mut input, output) = child.stdin.take().zip(child.stdout.take()).ok_or("no pipes")?;
    // Who has died already will be noticed below.
    let _ = writeln!(input, "{}", serde_json::to_string(task)?);
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    loop {
        match lines.recv_timeout(PATIENCE) {
            // The last line of a process that was killed may be cut.
            Ok(line) => serde_json::from_str(&line).map_or(Ok(()), &mut *hear)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                return Ok(true);
            }
        }
    }
}
