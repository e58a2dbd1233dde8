//! Arguments of the commands that look into files.

use crate::args::PrintArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

const SST_HELP: &str = "\
Examples:
  esker sst dump data/000012.sst                    its properties
  esker sst dump data/000012.sst --blocks           where its blocks stand, and what is in them
  esker sst dump data/000012.sst --values --json    every entry

Exit code 4: the file is damaged; what could be read was printed.";

const BLOB_HELP: &str = "\
Examples:
  esker blob dump data/000013.blob                  what it says of itself
  esker blob dump data/000013.blob --keys           where each value stands, and whose it is
  esker blob dump data/000013.blob --values --json  every value

Exit code 4: the file is damaged; what could be read was printed.";

const WAL_HELP: &str = "\
Examples:
  esker wal dump data/000007.log
  esker wal dump data/000007.log --values --encoding hex

Exit code 4: the file is damaged; what could be read was printed.";

const MANIFEST_HELP: &str = "\
Example:
  esker manifest dump data/MANIFEST-000003

Exit code 4: the file is damaged; what could be read was printed.";

/// Arguments of `esker sst`.
#[derive(Args, Debug)]
#[command(after_help = SST_HELP)]
pub struct SstArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SstCommand,
}

/// What to do with a table file.
#[derive(Debug, Subcommand)]
pub enum SstCommand {
    /// Print what the file holds: its properties, unless other parts are asked for
    #[command(after_help = SST_HELP)]
    Dump(SstDumpArgs),
}

/// Arguments of `esker sst dump`.
#[derive(Args, Debug)]
pub struct SstDumpArgs {
    /// Print the properties
    #[arg(long)]
    pub properties: bool,
    /// Print a line for each block
    #[arg(long)]
    pub blocks: bool,
    /// Print the key of each entry
    #[arg(long)]
    pub keys: bool,
    /// Print each entry with its value
    #[arg(long)]
    pub values: bool,
    /// The file.
    #[command(flatten)]
    pub file: FileArgs,
}

/// Arguments of `esker blob`.
#[derive(Args, Debug)]
#[command(after_help = BLOB_HELP)]
pub struct BlobArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BlobCommand,
}

/// What to do with a blob file.
#[derive(Debug, Subcommand)]
pub enum BlobCommand {
    /// Print what the file holds: what it says of itself, unless more is asked for
    #[command(after_help = BLOB_HELP)]
    Dump(BlobDumpArgs),
}

/// Arguments of `esker blob dump`.
#[derive(Args, Debug)]
pub struct BlobDumpArgs {
    /// Print the key and the place of each value
    #[arg(long)]
    pub keys: bool,
    /// Print each value, too
    #[arg(long)]
    pub values: bool,
    /// The file.
    #[command(flatten)]
    pub file: FileArgs,
}

/// Arguments of `esker wal`.
#[derive(Args, Debug)]
#[command(after_help = WAL_HELP)]
pub struct WalArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WalCommand,
}

/// What to do with a log segment.
#[derive(Debug, Subcommand)]
pub enum WalCommand {
    /// Print the groups, and the operations in them
    #[command(after_help = WAL_HELP)]
    Dump(PlainDumpArgs),
}

/// Arguments of `esker wal dump`.
#[derive(Args, Debug)]
pub struct PlainDumpArgs {
    /// Print values, too
    #[arg(long)]
    pub values: bool,
    /// The file.
    #[command(flatten)]
    pub file: FileArgs,
}

/// Arguments of `esker manifest`.
#[derive(Args, Debug)]
#[command(after_help = MANIFEST_HELP)]
pub struct ManifestArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ManifestCommand,
}

/// What to do with a manifest.
#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Print the edits, one after another
    #[command(after_help = MANIFEST_HELP)]
    Dump(FileArgs),
}

/// A file to look into, and how it is printed.
#[derive(Args, Debug)]
pub struct FileArgs {
    /// The file
    pub file: PathBuf,
    /// How it is printed.
    #[command(flatten)]
    pub print: PrintArgs,
}
