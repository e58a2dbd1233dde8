//! Runs one step: shows it, passes its output on, and kills it when it hangs.
//!
//! A step gets a process group of its own, so that all it started can be killed with it. Beside it stands a
//! guard: a shell that waits on a pipe from this process and kills the group unless it is told that the step
//! has ended. So the group dies with a step that runs out of time, and also when this process is interrupted
//! or killed itself.

use crate::steps::Step;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long after its end a step's output may still be held open by something that it left behind.
const DRAIN: Duration = Duration::from_secs(5);

/// What a step left.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Seconds from start to end.
    pub(crate) seconds: u64,
    /// Tests that passed.
    pub(crate) passed: u64,
    /// The lines of its output that begin with `figure:`, without that word.
    pub(crate) figures: Vec<String>,
}

/// The root folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a step at the workspace's root, with its output in `log` too; an error says why it failed.
pub(crate) fn run(step: &Step, log: Option<File>) -> Result<Outcome, String> {
    println!("$ {}", step.shown());
    let started = Instant::now();
    let output = Arc::new(Mutex::new(Output { outcome: Outcome::default(), log, kept: None }));
    let mut command = Command::new(step.command[0]);
    // How much a run does may be said by whoever starts it.
    let said = |name: &str| name.starts_with("ESKER_") && std::env::var_os(name).is_some();
    let environment = step.environment.iter().copied().filter(|(name, _)| !said(name));
    command.args(&step.command[1..]).envs(environment).current_dir(root());
    let status = supervise(command, step.limit, &output)
        .and_then(|status| if status.success() { Ok(()) } else { Err(format!("failed ({status})")) });
    let mut output = output.lock().map_err(|_| "the reader of the output panicked")?;
    let mut outcome = std::mem::take(&mut output.outcome);
    outcome.seconds = started.elapsed().as_secs();
    let verdict = status.and_then(|()| match outcome.passed {
        0 if step.needs_tests => Err("it ran no test".into()),
        _ => Ok(()),
    });
    match verdict {
        Ok(()) => {
            println!("  passed in {} s", outcome.seconds);
            if outcome.figures.is_empty() && outcome.passed > 0 {
                let figure = format!("{} tests passed", outcome.passed);
                println!("figure: {figure}");
                outcome.figures.push(figure);
            }
            Ok(outcome)
        }
        Err(why) => Err(format!("{why} after {} s: {}", outcome.seconds, step.shown())),
    }
}

/// Runs a command without showing what it prints: whether it succeeded, and its lines.
pub(crate) fn watch(command: Command, limit: Duration) -> Result<(bool, Vec<String>), String> {
    let output = Arc::new(Mutex::new(Output { kept: Some(Vec::new()), ..Output::default() }));
    let status = supervise(command, limit, &output)?;
    let mut output = output.lock().map_err(|_| "the reader of the output panicked")?;
    Ok((status.success(), output.kept.take().unwrap_or_default()))
}

fn supervise(
    mut command: Command,
    limit: Duration,
    output: &Arc<Mutex<Output>>,
) -> Result<ExitStatus, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    // What Cargo tells this program about itself must not reach the Cargo that it starts.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME"] {
        command.env_remove(name);
    }
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot start {program}: {e}"))?;
    let guard = Guard::over(child.id()).map_err(|e| format!("cannot start the guard: {e}"))?;
    let drained = forward(&mut child, output);
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait()));
    let status = match end.recv_timeout(limit) {
        Ok(status) => status.map_err(|e| format!("cannot wait: {e}"))?,
        Err(_) => {
            drop(guard);
            let _ = end.recv();
            return Err(format!("killed at its limit of {} s", limit.as_secs()));
        }
    };
    // Both readers hang up when the output has ended.
    let _ = drained.recv_timeout(DRAIN);
    guard.dismiss();
    Ok(status)
}

/// Where the lines of a step go.
#[derive(Default)]
struct Output {
    outcome: Outcome,
    log: Option<File>,
    /// If they are kept they are not shown.
    kept: Option<Vec<String>>,
}

impl Output {
    fn line(&mut self, line: &str) {
        if let Some(kept) = &mut self.kept {
            kept.push(line.into());
            return;
        }
        println!("{line}");
        if let Some(log) = &mut self.log {
            // The log is a convenience; the verdict does not hang on it.
            let _ = writeln!(log, "{line}");
        }
        self.outcome.passed += passed(line);
        self.outcome.figures.extend(line.strip_prefix("figure:").map(|figure| figure.trim().to_string()));
    }
}

/// The number in `test result: ok. 12 passed; ..`, 0 in any other line.
fn passed(line: &str) -> u64 {
    let counts = line.strip_prefix("test result: ok. ").and_then(|rest| rest.split_once(" passed"));
    counts.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

/// Passes both outputs of the child on; the receiver hears of their end as a disconnection.
fn forward(child: &mut Child, output: &Arc<Mutex<Output>>) -> Receiver<()> {
    let (open, drained) = mpsc::channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let (output, open) = (Arc::clone(output), open.clone());
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                if let Ok(mut output) = output.lock() {
                    output.line(&String::from_utf8_lossy(&line));
                }
            }
            drop(open);
        });
    }
    drained
}

/// Kills a process group when it is dropped, or when this process ends, unless it is dismissed.
struct Guard {
    shell: Child,
}

impl Guard {
    fn over(group: u32) -> io::Result<Guard> {
        let script = "read word; [ \"$word\" = dismissed ] || kill -KILL \"-$1\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "guard", &group.to_string()]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Guard { shell: command.spawn()? })
    }

    fn dismiss(mut self) {
        if let Some(pipe) = &mut self.shell.stdin {
            // If the guard is gone there is nobody to dismiss.
            let _ = pipe.write_all(b"dismissed\n");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &'static str, limit: Duration) -> Step {
        let command: &'static [&'static str] = Box::leak(Box::new(["sh", "-c", script]));
        Step { environment: &[("XTASK_WORD", "a b")], command, limit, needs_tests: false }
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_hanging_step_is_killed_with_all_that_it_started() {
        // The grandchild holds the pipe that the reader of the output waits on.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]);
        let output = Arc::new(Mutex::new(Output::default()));
        let error = supervise(command, Duration::from_millis(50), &output).unwrap_err();
        assert_eq!(error, "killed at its limit of 0 s");
        // Only the readers hold it besides: they have ended once it is ours alone.
        while Arc::strong_count(&output) > 1 {
            thread::yield_now();
        }
    }

    #[test]
    fn what_a_step_reports_is_counted() {
        let script = "echo 'test result: ok. 3 passed; 0 failed'; echo \"figure: $XTASK_WORD\" >&2";
        let outcome = run(&Step { needs_tests: true, ..shell(script, LONG) }, None).unwrap();
        assert_eq!((outcome.passed, outcome.figures), (3, vec!["a b".to_string()]));
    }

    #[test]
    fn what_is_watched_is_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 7"]);
        let (succeeded, mut lines) = watch(command, LONG).unwrap();
        lines.sort();
        assert_eq!((succeeded, lines), (false, vec!["one".to_string(), "two".to_string()]));
    }

    #[test]
    fn failures_are_told() {
        assert!(run(&shell("exit 3", LONG), None).unwrap_err().contains("exit status: 3"));
        let none = Step { needs_tests: true, ..shell("echo 'test result: ok. 0 passed'", LONG) };
        assert!(run(&none, None).unwrap_err().starts_with("it ran no test"));
        let missing = Step { command: &["/nowhere/at/all"], ..shell("", LONG) };
        assert!(run(&missing, None).unwrap_err().starts_with("cannot start /nowhere/at/all"));
    }
}
