//! `cargo run --release -p esker-benches --bin opening -- --help`

use clap::Parser;
use esker_benches::opening::{Opening, opening};
use std::process::ExitCode;

fn main() -> ExitCode {
    match opening(&Opening::parse(), |what| eprintln!("{what}")) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("opening: {error}");
            ExitCode::FAILURE
        }
    }
}
