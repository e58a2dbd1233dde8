//! What the program `opening` is asked for.

use clap::{Parser, value_parser};
use std::path::PathBuf;

/// Measures how long a store takes to open: a large one after a clean close, and one that was killed
/// before its log was flushed.
#[derive(Clone, Debug, Parser)]
#[command(name = "opening", version)]
pub struct Opening {
    /// Keys and values of the store that was closed, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 10_240, value_parser = value_parser!(u64).range(1..))]
    pub closed: u64,
    /// Keys and values in the logs that are replayed, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = value_parser!(u64).range(1..=1024))]
    pub log: u64,
    /// Memory for which the stores are opened, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = value_parser!(u64).range(1..))]
    pub memory: u64,
    /// How often each is opened.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    pub runs: u32,
    /// The folder in which the stores are made and removed.
    #[arg(long, value_name = "DIR", default_value = "target/opening")]
    pub dir: PathBuf,
}
