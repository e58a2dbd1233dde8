//! The command line: the list of commands, and the arguments that several of them share.

use crate::commands::{
    backup, changes, checkpoint, compact, delete, dump, explain, export, families, get, import, ingest,
    options, prepared, put, repair, scan, serve, stats, stress, verify,
};
use crate::failure::{Failure, Outcome};
use crate::text::bytes_text::{self, Encoding};
use clap::{Args, Parser, Subcommand};
use esker::base::bounds::prefix_end;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::ops::Bound;

const AFTER_HELP: &str = "\
Examples:
  esker import people.csv --key id --into people    load a file into a store
  esker get 42 --dir people                         look a key up
  esker scan --prefix user: --limit 10              list keys in order
  esker export -o people.jsonl --dir people         write everything to a file
  esker verify --dir people                         read and check every byte

Exit codes:
  0  success
  1  error; a line on stderr says what went wrong
  2  the command line is wrong
  3  the key was not found (get)
  4  damage was found (verify, the dump commands, stress)
  130  interrupted by Ctrl-C";

/// Esker, a persistent, ordered key-value store: import, export, look into it and check it
#[derive(Debug, Parser)]
#[command(name = "esker", version, after_help = AFTER_HELP, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, max_term_width = 110)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load records from a file: JSON lines, a JSON array, CSV, TSV, semicolon-separated, or an export
    Import(import::ImportArgs),
    /// Take in tables that a program has written for it, without writing their entries again
    Ingest(ingest::IngestArgs),
    /// Write keys and values to a file from which `import` restores them
    Export(export::ExportArgs),
    /// Print the value of a key
    Get(get::GetArgs),
    /// Say where a key stands, what a get of it answers, and why
    Explain(explain::ExplainArgs),
    /// Store a value under a key
    Put(put::PutArgs),
    /// Remove keys
    Delete(delete::DeleteArgs),
    /// Print keys and values in the order of their bytes
    Scan(scan::ScanArgs),
    /// Print the sizes and counters of the store
    Stats(stats::StatsArgs),
    /// Serve a store of strings, hashes and the rest to Redis' clients; an OK means that it is on disk
    Serve(serve::ServeArgs),
    /// Merge the files of the store, so that overwritten and removed entries give back their space
    Compact(compact::CompactArgs),
    /// Read and check every byte of the store
    Verify(verify::VerifyArgs),
    /// Make a new store from what is left of a damaged one, with a report of what was lost
    Repair(repair::RepairArgs),
    /// Add, list, check and remove backups of a store
    Backup(backup::BackupArgs),
    /// Make a store of a backup
    Restore(backup::RestoreArgs),
    /// Make a second store that holds what a store holds now, in a moment
    Checkpoint(checkpoint::CheckpointArgs),
    /// List, create and drop column families
    Families(families::FamiliesArgs),
    /// List, commit and roll back transactions that are prepared
    Prepared(prepared::PreparedArgs),
    /// Print what was committed, in order
    Changes(changes::ChangesArgs),
    /// List and remove consumers of changes
    Consumers(changes::ConsumersArgs),
    /// Print the options of a store and of its column families
    Options(options::OptionsArgs),
    /// Try a disk: kill processes that work on a store, and check what they leave
    Stress(stress::StressArgs),
    /// The process that `stress` kills
    #[command(hide = true)]
    StressChild(stress::ChildArgs),
    /// Look into a table file (.sst)
    Sst(dump::SstArgs),
    /// Look into a file of separated values (.blob)
    Blob(dump::BlobArgs),
    /// Look into a segment of the write-ahead log (.log)
    Wal(dump::WalArgs),
    /// Look into a manifest
    Manifest(dump::ManifestArgs),
}

/// How keys on the command line are read.
#[derive(Args, Clone, Copy, Debug)]
pub struct KeyArgs {
    /// How keys are written on the command line: escape (\xNN, \n, \t and \\ stand for bytes, and a key may
    /// begin with hex: or base64: to be read as such), hex, base64 or raw
    #[arg(long, value_name = "ENCODING", default_value = "escape", hide_possible_values = true)]
    pub key_encoding: Encoding,
}

impl KeyArgs {
    /// The bytes of a key.
    ///
    /// # Errors
    /// The text is not in its encoding; a mistake in the command line.
    pub fn parse(self, text: &OsStr) -> Outcome<Vec<u8>> {
        bytes_text::parse_key(text.as_encoded_bytes(), self.key_encoding)
            .map_err(|why| Failure::usage(format!("key {text:?}: {why}")))
    }
}

/// How keys and values are printed.
#[derive(Args, Clone, Copy, Debug)]
pub struct PrintArgs {
    /// Print JSON, an object in each line
    #[arg(long)]
    pub json: bool,
    /// How keys and values are printed: escape, hex, base64, or raw (the bytes themselves)
    #[arg(short, long, value_name = "ENCODING", default_value = "escape", hide_possible_values = true)]
    pub encoding: Encoding,
}

/// A range of keys, as bounds for the engine.
pub type KeyBounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A range of keys.
#[derive(Args, Clone, Debug)]
pub struct RangeArgs {
    /// Begin at this key (it is included)
    #[arg(long, value_name = "KEY")]
    pub from: Option<OsString>,
    /// End before this key (it is not included)
    #[arg(long, value_name = "KEY")]
    pub to: Option<OsString>,
    /// Only keys that begin so
    #[arg(short, long, value_name = "PREFIX")]
    pub prefix: Option<OsString>,
    /// How keys on the command line are read.
    #[command(flatten)]
    pub keys: KeyArgs,
}

impl RangeArgs {
    /// The bounds that `--from`, `--to` and `--prefix` give together; `None`: nothing lies between them.
    ///
    /// # Errors
    /// A key cannot be read.
    pub fn bounds(&self) -> Outcome<Option<KeyBounds>> {
        let parse = |key: &Option<OsString>| key.as_deref().map(|text| self.keys.parse(text)).transpose();
        let (from, to, prefix) = (parse(&self.from)?, parse(&self.to)?, parse(&self.prefix)?);
        let from = from.max(prefix.clone());
        let behind = prefix.as_deref().and_then(prefix_end);
        let to = match (to, behind) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let (Some(from), Some(to)) = (&from, &to)
            && from >= to
        {
            return Ok(None);
        }
        let nothing_below = to.as_deref() == Some(b"");
        let bounds =
            (from.map_or(Bound::Unbounded, Bound::Included), to.map_or(Bound::Unbounded, Bound::Excluded));
        Ok((!nothing_below).then_some(bounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_lies_behind_a_prefix() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn bounds_narrow_each_other() {
        let bounds = |from: Option<&str>, to: Option<&str>, prefix: Option<&str>| {
            let text = |key: Option<&str>| key.map(OsString::from);
            let keys = KeyArgs { key_encoding: Encoding::Escape };
            RangeArgs { from: text(from), to: text(to), prefix: text(prefix), keys }.bounds().unwrap()
        };
        let included = |key: &str| Bound::Included(key.as_bytes().to_vec());
        let excluded = |key: &str| Bound::Excluded(key.as_bytes().to_vec());
        assert_eq!(bounds(None, None, None), Some((Bound::Unbounded, Bound::Unbounded)));
        assert_eq!(bounds(Some("b"), Some("d"), None), Some((included("b"), excluded("d"))));
        assert_eq!(bounds(None, None, Some("b")), Some((included("b"), excluded("c"))));
        assert_eq!(bounds(Some("bb"), None, Some("b")), Some((included("bb"), excluded("c"))));
        assert_eq!(bounds(None, Some("bb"), Some("b")), Some((included("b"), excluded("bb"))));
        assert_eq!(bounds(None, None, Some("\\xff")), None.or(bounds(Some("\\xff"), None, None)));
        assert_eq!(bounds(Some("d"), None, Some("b")), None);
        assert_eq!(bounds(Some("d"), Some("b"), None), None);
        assert_eq!(bounds(None, Some(""), None), None);
    }
}
