//! The arguments of `esker stress`, and of the process that it kills.

use crate::text::size;
use clap::Args;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  esker stress --dir /mnt/disk/try               ten minutes on that disk
  esker stress --dir try --kills 100             until 100 processes were killed
  esker stress --dir try --seed 7 --minutes 60   the operations of seed 7, for an hour

A kill shows that nothing is lost with a process. It shows nothing about a loss of power: what a process
wrote is then in the memory of the system, and survives.

Exit code 4: something was lost, or found that must not be. It is told, and the directory is kept.
Exit code 6: the disk is too full to go on; nothing wrong was found.";

/// Arguments of `esker stress`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct StressArgs {
    /// A directory on the disk to try: a new or empty one, or one that an earlier stress run left
    #[arg(short, long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What the operations and the moments of the kills follow from [default: a random number]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// End after so many minutes [default: 10, or no limit with --kills]
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    pub minutes: Option<f64>,
    /// End after so many kills
    #[arg(long, value_name = "NUMBER")]
    pub kills: Option<u64>,
    /// Begin with an empty store again when the directory takes more space than this
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = size::parse)]
    pub space: u64,
    /// Leave the directory as it is at the end
    #[arg(long)]
    pub keep: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub json: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "minutes are a number, such as 10 or 0.5".to_owned())?;
    if minutes > 0.0 && minutes <= 1e6 { Ok(minutes) } else { Err("it must be more than 0".to_owned()) }
}

/// Arguments of the process that works on the store until it is killed.
#[derive(Args, Clone, Debug)]
pub struct ChildArgs {
    /// The store
    #[arg(long)]
    pub store: PathBuf,
    /// What the operations follow from
    #[arg(long)]
    pub seed: u64,
    /// Which round of the run it is
    #[arg(long, default_value_t = 0)]
    pub round: u32,
    /// The moment from which times to live count, in milliseconds since the epoch
    #[arg(long, default_value_t = 0)]
    pub clock_ms: u64,
    /// Whether the family that comes and goes is there
    #[arg(long)]
    pub passing: bool,
    /// Open the store, and leave it at that
    #[arg(long)]
    pub idle: bool,
    /// End in good order after so many commits of each writer
    #[arg(long)]
    pub commits: Option<u32>,
    /// Write the log by calls, which a trace shows, and never through memory
    #[arg(long)]
    pub log_by_calls: bool,
}
