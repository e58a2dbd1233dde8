//! Parses the command line, calls the command, and turns its outcome into an exit code.

use crate::allocator;
use crate::args::{Command, CommandLine};
use crate::commands::{
    backup, changes, checkpoint, compact, delete, dump, explain, export, families, get, import, ingest,
    options, prepared, put, repair, scan, serve, stats, stress, verify,
};
use crate::failure::{self, Failure, Outcome};
use crate::output::notes;
use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    allocator::give_back_at_once();
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return ExitCode::from(tell_usage(&error)),
    };
    let Err(failure) = dispatch(command_line.command) else { return ExitCode::from(failure::OK) };
    if let Failure::Told { message, .. } = &failure {
        notes::error(message);
    }
    ExitCode::from(failure.code())
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Import(args) => import::run(&args),
        Command::Ingest(args) => ingest::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Put(args) => put::run(&args),
        Command::Delete(args) => delete::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Checkpoint(args) => checkpoint::run(&args),
        Command::Families(args) => families::run(&args),
        Command::Prepared(args) => prepared::run(&args),
        Command::Changes(args) => changes::run(&args),
        Command::Consumers(args) => changes::run_consumers(&args),
        Command::Options(args) => options::run(&args),
        Command::Stress(args) => stress::run(&args),
        Command::StressChild(args) => stress::run_child(&args),
        Command::Sst(args) => dump::run_sst(&args),
        Command::Blob(args) => dump::run_blob(&args),
        Command::Wal(args) => dump::run_wal(&args),
        Command::Manifest(args) => dump::run_manifest(&args),
    }
}

/// Prints the help that was asked for, or says in one line what is wrong with the command line.
fn tell_usage(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody is left to be told that the help could not be printed.
            let _ = error.print();
            failure::OK
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            failure::USAGE
        }
        _ => {
            notes::error(&one_line(&error.to_string()));
            failure::USAGE
        }
    }
}

/// The parser's message in one line: what is wrong, its tips, and where to read on.
fn one_line(rendered: &str) -> String {
    let mut command = "esker".to_owned();
    let mut message = String::new();
    for line in rendered.lines().map(str::trim) {
        if let Some(usage) = line.strip_prefix("Usage: ") {
            let words =
                usage.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
            command = words.collect::<Vec<_>>().join(" ");
            break;
        }
        if !line.is_empty() && !line.starts_with("For more information") {
            let between = if line.starts_with("tip: ") { "; " } else { " " };
            message.push_str(if message.is_empty() { "" } else { between });
            message.push_str(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    format!("{message} (see {command} --help)")
}
