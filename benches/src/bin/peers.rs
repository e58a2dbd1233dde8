//! `cargo run --release -p esker-benches --features peers --bin peers -- --help`

use clap::Parser;
use esker_benches::arena::{Files, Job, Named, Options, Outcome, Summary, child, run};
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if options.child { child(std::io::stdin().lock(), std::io::stdout()) } else { go(&options) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn go(options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    if options.list {
        print!("{}", options.listing());
        return Ok(());
    }
    let summary: Summary = run(options, &std::env::current_exe()?, say)?;
    let files = Files::within(&options.out());
    let (page, json) = (files.page.display(), files.json.display());
    let printed = write!(std::io::stdout(), "{summary}charts: {page}\nfigures: {json}\n");
    match printed {
        // Who has seen enough of the tables has closed the pipe.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

fn say(job: &Job, ended: &Named) {
    let what = match &ended.outcome {
        Outcome::Measured(row) => format!("{:>12.0} /s", row.per_second),
        Outcome::Unsupported => "           -".into(),
        Outcome::Failed(error) => error.clone(),
    };
    eprintln!("{:12} {:17} run {}  {:22} {what}", job.suite, job.kind, job.run + 1, ended.phase);
}
