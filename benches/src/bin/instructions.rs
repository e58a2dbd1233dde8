//! `cargo run --release -p esker-benches --bin instructions` prints the instructions of one
//! operation; it needs valgrind.

use clap::Parser;
use esker_benches::{CASES, Case, Fixture, run_under_callgrind};
use std::error::Error;
use std::process::ExitCode;

/// Counts the instructions of single operations with callgrind.
#[derive(Debug, Parser)]
#[command(name = "instructions", version)]
struct Arguments {
    /// Entries of the store.
    #[arg(long, value_name = "N", default_value_t = 40_000)]
    operations: u32,
    /// Only this case.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Do what a case does, without counting; prints how often. Callgrind is run on this.
    #[arg(long, value_name = "NAME", conflicts_with = "case")]
    run: Option<String>,
}

fn main() -> ExitCode {
    match go(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn go(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    if let Some(name) = &arguments.run {
        let case = named(name)?;
        let dir = tempfile::tempdir()?;
        let fixture = Fixture::new(dir.path(), case, arguments.operations)?;
        println!("{}", fixture.run(case)?);
        return Ok(());
    }
    let only = arguments.case.as_deref().map(named).transpose()?;
    for case in CASES.iter().filter(|case| only.is_none_or(|only| only.name == case.name)) {
        let instructions = run_under_callgrind(case, arguments.operations)?;
        println!("{:13} {instructions:>8.0} instructions   {}", case.name, case.what);
    }
    Ok(())
}

fn named(name: &str) -> Result<&'static Case, String> {
    let names = || CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
    CASES.iter().find(|case| case.name == name).ok_or_else(|| format!("{name} is none of {}", names()))
}
