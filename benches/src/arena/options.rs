//! The command line.

use super::engines::Kind;
use super::order::Conditions;
use super::phases::Phase;
use super::suites::{SUITES, Suite};
use clap::{Parser, value_parser};
use std::path::{Path, PathBuf};

/// Runs Esker and its peers side by side, and prints how they compare.
///
/// Peers are there if the program was built with the features fjall, lmdb, redb, rocksdb. What was
/// measured is kept, phase by phase: the same command goes on where it was interrupted, and with more
/// runs it adds to what is there. A program that was built anew begins with --fresh.
#[derive(Clone, Debug, Parser)]
#[command(name = "peers", version)]
pub struct Options {
    /// How many entries, each with a value of 100 bytes; of larger values there are fewer.
    #[arg(long, value_name = "N", default_value_t = 3_000_000)]
    #[arg(value_parser = value_parser!(u32).range(200..1 << 30))]
    pub entries: u32,
    /// How often each engine runs everything: forth, back, forth...
    #[arg(long, value_name = "R", default_value_t = 2)]
    #[arg(value_parser = value_parser!(u32).range(1..100))]
    pub runs: u32,
    /// Only these engines. Default: all that the program was built with.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub engines: Vec<Kind>,
    /// Only these phases, in the usual order; what they need is made without being measured.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = phase_name)]
    pub phases: Vec<String>,
    /// Only these suites; --list names them.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = suite_name)]
    pub suites: Vec<String>,
    /// Where the stores are made (and removed afterwards); a folder on the disk that is to be
    /// measured. Default: the folder of the results.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Where the results are kept. Default: arena in the target folder of this build.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// The memory of an engine, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub memory: u64,
    /// Begin no phase after so many minutes; the same command goes on from there.
    #[arg(long, value_name = "M", default_value_t = 60.0)]
    pub minutes: f64,
    /// No phase lasts longer, in milliseconds, whatever its own cap.
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    pub longest_ms: u64,
    /// From what the order of keys and the values follow.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Forget what was measured before.
    #[arg(long)]
    pub fresh: bool,
    /// List engines, suites and phases, and what each phase does.
    #[arg(long)]
    pub list: bool,
    /// Run a task that is given on standard input; the program calls itself so.
    #[arg(long, hide = true)]
    pub child: bool,
}

fn phase_name(text: &str) -> Result<String, String> {
    let names = || Phase::all().into_iter().map(|phase| phase.name).collect::<Vec<_>>().join(", ");
    Phase::named(text).map(|phase| phase.name.into()).ok_or_else(|| format!("one of {}", names()))
}

fn suite_name(text: &str) -> Result<String, String> {
    let names = || SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ");
    Suite::named(text).map(|suite| suite.name.into()).ok_or_else(|| format!("one of {}", names()))
}

impl Options {
    /// The engines to be run.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        if self.engines.is_empty() { Kind::built().collect() } else { self.engines.clone() }
    }

    /// The suites to be run.
    #[must_use]
    pub fn suites(&self) -> Vec<&'static Suite> {
        let named = |suite: &&Suite| self.suites.is_empty() || self.suites.iter().any(|n| n == suite.name);
        SUITES.iter().filter(named).collect()
    }

    /// What all figures of a run of the program with this hash have in common.
    #[must_use]
    pub fn conditions(&self, build: u64) -> Conditions {
        Conditions {
            entries: self.entries,
            memory_bytes: self.memory << 20,
            longest_ms: self.longest_ms,
            seed: self.seed,
            build,
        }
    }

    /// Where results are kept.
    #[must_use]
    pub fn out(&self) -> PathBuf {
        let program = std::env::current_exe().ok();
        let target = || program.as_deref().and_then(Path::parent).and_then(Path::parent);
        self.out.clone().unwrap_or_else(|| target().unwrap_or(Path::new(".")).join("arena"))
    }

    /// What `--list` prints.
    #[must_use]
    pub fn listing(&self) -> String {
        let engines = Kind::ALL.map(|kind| {
            let built = if kind.is_built() { "" } else { " (not in this build)" };
            format!("  {kind:18} {}{built}\n", kind.note())
        });
        let suites = SUITES.iter().map(|suite| format!("  {:14} {}\n", suite.name, suite.what));
        let phases = Phase::all().into_iter();
        let phases = phases.map(|phase| format!("  {:22} {}\n", phase.name, phase.what));
        let (suites, phases): (String, String) = (suites.collect(), phases.collect());
        format!("engines:\n{}suites:\n{suites}phases:\n{phases}", engines.concat())
    }
}
