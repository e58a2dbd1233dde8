//! `esker put`

use crate::args::KeyArgs;
use crate::failure::{Failure, Outcome};
use crate::store::{FamilyArgs, StoreArgs};
use crate::text::bytes_text::{self, Encoding};
use crate::text::duration;
use clap::Args;
use esker::base::limits::MAX_VALUE_BYTES;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  esker put user:1 Ada
  esker put token:9 secret --ttl 30m
  esker put logo --value-file logo.png
  date | esker put now --value-file -

The value is on disk when the command returns.";

/// Arguments of `esker put`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct PutArgs {
    /// The key
    pub key: OsString,
    /// The value
    #[arg(required_unless_present = "value_file", conflicts_with = "value_file")]
    pub value: Option<OsString>,
    /// Read the value from a file, byte by byte as it is; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub value_file: Option<PathBuf>,
    /// How VALUE is written on the command line: escape, hex, base64 or raw
    #[arg(long, value_name = "ENCODING", default_value = "escape", hide_possible_values = true)]
    pub value_encoding: Encoding,
    /// Let the entry expire after this time, such as 30s, 1h30m or 7d
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub ttl: Option<Duration>,
    /// How the key is read.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The column family.
    #[command(flatten)]
    pub family: FamilyArgs,
}

/// Stores a value; the store and the family are created where they are missing.
///
/// # Errors
/// The value cannot be read or stored.
pub fn run(args: &PutArgs) -> Outcome {
    let key = args.keys.parse(&args.key)?;
    let value = match (&args.value, &args.value_file) {
        (Some(text), _) => bytes_text::decode(text.as_encoded_bytes(), args.value_encoding)
            .map_err(|why| Failure::usage(format!("value {text:?}: {why}")))?,
        (None, Some(path)) => read_value(path)?,
        (None, None) => return Err(Failure::usage("a VALUE or --value-file is needed")),
    };
    let db = args.store.open_or_create()?;
    let family = args.family.open_or_create(&db)?;
    match args.ttl {
        Some(ttl) => family.put_with_ttl(&key, &value, ttl)?,
        None => family.put(&key, &value)?,
    }
    Ok(db.close()?)
}

fn read_value(path: &Path) -> Outcome<Vec<u8>> {
    let input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(|e| Failure::file("open", path, &e))?)
    };
    let mut value = Vec::new();
    // One byte more than a value may have: the engine then says what the limit is.
    let bound = MAX_VALUE_BYTES as u64 + 1;
    input.take(bound).read_to_end(&mut value).map_err(|e| Failure::file("read", path, &e))?;
    Ok(value)
}
