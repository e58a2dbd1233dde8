//! `esker ingest`

use crate::failure::Outcome;
use crate::output::progress;
use crate::store::{FamilyArgs, StoreArgs};
use crate::text::number::counted;
use clap::Args;
use esker::{IngestBatch, IngestOptions};
use std::io::Write;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  esker ingest users-1.sst users-2.sst --dir data
  esker ingest tokens.sst --family tokens --move

The files are tables that a program has written with the engine's SstWriter. Either all of them are in the
store when the command returns, for good, or none is.";

/// Arguments of `esker ingest`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct IngestArgs {
    /// The files; none may share keys with another
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Move the files into the store instead of copying them
    #[arg(long = "move")]
    pub move_files: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The column family.
    #[command(flatten)]
    pub family: FamilyArgs,
}

/// Takes files into a family, which is created where there is none.
///
/// # Errors
/// A file cannot be ingested, or the store not be opened.
pub fn run(args: &IngestArgs) -> Outcome {
    let db = args.store.open_or_create()?;
    let family = args.family.open_or_create(&db)?;
    let mut batch = IngestBatch::new();
    for file in &args.files {
        batch.add(&family, file);
    }
    let progress = progress::spinner("ingesting");
    let done = db.ingest(&batch, IngestOptions { move_files: args.move_files });
    progress.finish_and_clear();
    let done = done?;
    let entries = done.files.iter().map(|file| file.entries).sum();
    let (files, entries) = (counted(done.files.len() as u64, "file"), counted(entries, "record"));
    let told = writeln!(anstream::stdout(), "{files} ingested, {entries}");
    told.map_err(|error| crate::failure::Failure::output(&error))?;
    for path in &done.left {
        crate::output::notes::warning(&format!("{} could not be removed", path.display()));
    }
    Ok(db.close()?)
}
