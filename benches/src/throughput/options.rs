//! The command line.

use super::phase::Phase;
use clap::{Parser, value_parser};
use std::path::PathBuf;

/// Fills a store and reads it, and prints how fast that was.
#[derive(Clone, Debug, Parser)]
#[command(name = "throughput", version)]
pub struct Options {
    /// How many entries, each of a 16-byte key and a 100-byte value.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    #[arg(value_parser = value_parser!(u32).range(100..))]
    pub entries: u32,
    /// Where the store is made (and removed afterwards); a folder on the disk that is to be
    /// measured. Default: the target folder of this build, or the present folder.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// The store's memory budget, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub memory: u64,
    /// Only these phases, in the usual order; what they need is made without being measured.
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_values = Phase::names())]
    pub phases: Vec<Phase>,
    /// How long each phase of synced writes goes on, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    pub sync_ms: u64,
    /// From what the order of keys and the values follow.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Compact in tiers, not in levels.
    #[arg(long)]
    pub tiered: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
