//! Arguments of `esker import`.

use crate::args::KeyArgs;
use crate::failure::{Failure, Outcome};
use crate::records::{Format, KeySource, Selection, Shape, ValueSource};
use crate::store::{FamilyArgs, StoreArgs};
use crate::text::bytes_text::{self, Encoding};
use crate::text::duration;
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  esker import people.jsonl --key id --into people
  esker import people.csv --key email --value name --key-prefix user: --into people
  esker import measurements.ssv --key 1 --into weather --show Hamburg
  zcat log.jsonl.gz | esker import - --key @line --report --into log
  esker import backup.jsonl --into copy             what `esker export` wrote
  esker import people.csv --key email --as hash --into people     and then: esker serve --dir people

Formats (guessed from the extension or the first line):
  jsonl  a JSON object in each line; the value is the line, or a field of it
  json   one array of such objects, read element by element
  csv    comma-separated, with quotes; the first row names the columns; the value is the row as a
         JSON object of strings, or a column
  tsv    the same with tabs and without quotes
  ssv    lines split at semicolons, without quotes or names; the value is the line as it stands
  esker  what `esker export` writes; it needs no --key

The same key twice: the later record stays. So an import can be repeated after an interruption,
with the same outcome. Ctrl-C finishes the batch in flight and says what is durable.";

/// Arguments of `esker import`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ImportArgs {
    /// The file; `-` is standard input
    pub file: Option<PathBuf>,
    /// How the file holds its records [default: guessed]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
    /// The field that is the key: a name, the number of a column from 1, or @line for the line's number
    #[arg(short, long, value_name = "FIELD")]
    pub key: Option<String>,
    /// The field that is the value, or `all` for the whole record
    #[arg(short, long, value_name = "FIELD", default_value = "all")]
    pub value: String,
    /// Store each record as a structure of Redis, for `esker serve`: hash, with a field for each column
    #[arg(long = "as", value_name = "TYPE", hide_possible_values = true)]
    pub structure: Option<Structure>,
    /// The first row names the columns [default: csv, tsv]
    #[arg(long, conflicts_with = "no_header")]
    pub header: bool,
    /// The first row is a record like any other [default: ssv]
    #[arg(long)]
    pub no_header: bool,
    /// What parts two columns: one character, or an escape such as \t
    #[arg(long, value_name = "CHAR")]
    pub delimiter: Option<OsString>,
    /// How the fields of the key and the value are written in the file: raw, escape, hex or base64
    #[arg(short, long, value_name = "ENCODING", default_value = "raw", hide_possible_values = true)]
    pub encoding: Encoding,
    /// Put this before each key
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub key_prefix: OsString,
    /// Let the entries expire after this time, such as 30s, 1h30m or 7d
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub ttl: Option<Duration>,
    /// Write this many records at once, or fewer if they are large
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// What to do about a bad record: stop, or skip it and say so
    #[arg(long, value_name = "ACTION", default_value = "stop", hide_possible_values = true)]
    pub on_error: OnError,
    /// When records become durable: as the import goes on (sync), or all together at its end (os)
    #[arg(long, value_name = "MODE", default_value = "sync", hide_possible_values = true)]
    pub durability: Mode,
    /// Print `durable N` whenever the first N records are known to be on disk
    #[arg(long)]
    pub report: bool,
    /// Look this key up at the end
    #[arg(long, value_name = "KEY")]
    pub show: Option<OsString>,
    /// Print N entries at the end, beginning at the key of --show or at the first imported ones
    #[arg(long, value_name = "N")]
    pub show_range: Option<usize>,
    /// Print JSON, an object in each line
    #[arg(long)]
    pub json: bool,
    /// How keys are read.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The column family.
    #[command(flatten)]
    pub family: FamilyArgs,
}

/// What a record is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Structure {
    /// A hash with a field for each column.
    Hash,
}

/// What to do about a bad record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// End the import.
    Stop,
    /// Go on behind it.
    Skip,
}

/// When records become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// As the import goes on.
    Sync,
    /// At its end.
    Os,
}

impl ImportArgs {
    /// The file, unless standard input is read.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// What stands before each key, as bytes.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn prefix(&self) -> Outcome<Vec<u8>> {
        self.keys.parse(&self.key_prefix)
    }

    /// Which parts of a record are taken; `None`: the file must say so itself.
    ///
    /// # Errors
    /// Options do not go together.
    pub fn selection(&self) -> Outcome<Option<Selection>> {
        let Some(key) = &self.key else {
            let needs_key =
                self.value != "all" || !self.key_prefix.is_empty() || self.encoding != Encoding::Raw;
            if needs_key {
                return Err(Failure::usage("--value, --key-prefix and --encoding go with --key only"));
            }
            return Ok(None);
        };
        let key = if key == "@line" { KeySource::Line } else { KeySource::Field(key.clone()) };
        let value =
            if self.value == "all" { ValueSource::All } else { ValueSource::Field(self.value.clone()) };
        Ok(Some(Selection { key, key_prefix: self.prefix()?, value, encoding: self.encoding }))
    }

    /// What the reader is told about the file.
    ///
    /// # Errors
    /// The delimiter is not one byte.
    pub fn shape(&self, format: Format) -> Outcome<Shape> {
        let header = match (self.header, self.no_header) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        let Some(text) = &self.delimiter else { return Ok(Shape { format, header, delimiter: None }) };
        let wrong = |why: &str| Failure::usage(format!("--delimiter {text:?}: {why}"));
        let bytes = bytes_text::unescape(text.as_encoded_bytes()).map_err(|why| wrong(&why))?;
        match bytes.as_slice() {
            [b'\r' | b'\n' | b'"'] => Err(wrong("a line end or a quote cannot part columns")),
            [byte] => Ok(Shape { format, header, delimiter: Some(*byte) }),
            _ => Err(wrong("it must be a single byte")),
        }
    }
}
