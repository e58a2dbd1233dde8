//! `cargo run --release -p esker-benches --bin throughput -- --help`

use clap::Parser;
use esker_benches::{Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    let progress = |row: &esker_benches::Row| eprintln!("{:12} {:>12.0} /s", row.phase, row.per_second);
    let report = match run(&options, progress) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("throughput: {error}");
            return ExitCode::FAILURE;
        }
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("numbers and names become JSON"));
    } else {
        print!("{report}");
    }
    ExitCode::SUCCESS
}
