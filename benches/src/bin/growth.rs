//! `cargo run --release -p esker-benches --bin growth` draws the levels of a tree over time, as SVG.
//! `docs/pictures/tree.svg` is what it has printed.

use clap::Parser;
use esker_benches::growth::{grow, picture};
use std::process::ExitCode;
use std::time::Duration;

/// Draws the levels of a tree while it is filled, overwritten, half emptied, left alone and compacted.
#[derive(Debug, Parser)]
#[command(name = "growth", version)]
struct Arguments {
    /// Entries of the store.
    #[arg(long, value_name = "N", default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    entries: u32,
    /// How long it is left alone, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    rest: u64,
}

fn main() -> ExitCode {
    match go(&Arguments::parse()) {
        Ok(svg) => {
            print!("{svg}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

fn go(arguments: &Arguments) -> Result<String, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let rest = Duration::from_millis(arguments.rest);
    Ok(picture(&grow(&dir.path().join("data"), arguments.entries, rest)?))
}
