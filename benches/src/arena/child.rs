//! A process that runs the phases of one engine and says on its standard output, a line of JSON at a
//! time, how each ended. Memory and processor time of the process are then those of the engine.

use super::drive::{Drive, Sizes};
use super::engines::Kind;
use super::meter::spin;
use super::order::{Conditions, Named};
use super::suites::Suite;
use crate::latency::Latency;
use crate::process::Fallible;
use crate::throughput::bare;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the operations of the spinning loop are.
const SPIN: Duration = Duration::from_micros(2);
/// How long the machine is measured by itself, each time.
const MACHINE: Duration = Duration::from_secs(1);

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The name of the suite.
    pub suite: String,
    /// The engine.
    pub kind: Kind,
    /// The names of its phases, in the order of the suite.
    pub phases: Vec<String>,
    /// An empty folder for its stores.
    pub dir: PathBuf,
    /// The sizes.
    pub conditions: Conditions,
    /// It begins no phase after so many seconds.
    pub seconds: f64,
}

/// What a child says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// What the machine does without an engine.
    Machine {
        /// A spinning loop.
        spin: Option<Latency>,
        /// A bare `fdatasync`.
        fdatasync: Option<Latency>,
    },
    /// A phase has ended.
    Ended(Named),
}

/// Reads a [`Task`] from `input`, carries it out, and says on `output` what became of it.
///
/// # Errors
/// If it cannot read, write, or clean up. What goes wrong in a phase is said, and the next is begun.
pub fn child(mut input: impl BufRead, mut output: impl Write) -> Fallible<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let task: Task = serde_json::from_str(&line)?;
    let mut say = |said: &Said| -> Fallible<()> {
        serde_json::to_writer(&mut output, said)?;
        output.write_all(b"\n")?;
        Ok(output.flush()?)
    };
    let until = Instant::now() + Duration::from_secs_f64(task.seconds.clamp(0.0, 1e6));
    let longest = Duration::from_millis(task.conditions.longest_ms);
    let moment = MACHINE.min(longest);
    say(&Said::Machine { spin: spin(SPIN, moment), fdatasync: Some(bare(&task.dir, moment)?) })?;

    let suite = Suite::named(&task.suite).ok_or("there is no such suite")?;
    let Conditions { entries, memory_bytes, seed, .. } = task.conditions;
    let sizes = Sizes { entries, memory_bytes, longest, seed };
    let mut drive = Drive::new(task.kind, suite, sizes, &task.dir);
    for phase in suite.phases.iter().filter(|phase| task.phases.iter().any(|name| name == phase.name)) {
        if Instant::now() >= until {
            break;
        }
        let outcome = drive.run(phase);
        say(&Said::Ended(Named { phase: phase.name.into(), outcome }))?;
    }
    drive.end()
}
