//! `esker get`

use crate::args::{KeyArgs, PrintArgs};
use crate::failure::{Failure, NOT_FOUND, Outcome};
use crate::output::{EntryFormat, EntryWriter, Out};
use crate::store::{FamilyArgs, StoreArgs};
use crate::text::bytes_text;
use clap::Args;
use std::ffi::OsString;

const AFTER_HELP: &str = "\
Examples:
  esker get user:1
  esker get 'session\\x00\\x01' --family tokens --encoding hex
  esker get hex:00ff --encoding raw > value.bin

Exit code 3: there is no such key.";

/// Arguments of `esker get`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct GetArgs {
    /// The key
    pub key: OsString,
    /// How the key is read.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// How the value is printed.
    #[command(flatten)]
    pub print: PrintArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The column family.
    #[command(flatten)]
    pub family: FamilyArgs,
}

/// Prints the value of a key; in the encoding `raw` without a line end.
///
/// # Errors
/// There is no such key, or it cannot be read or printed.
pub fn run(args: &GetArgs) -> Outcome {
    let key = args.keys.parse(&args.key)?;
    let family = args.family.read(&args.store.open_to_read()?)?;
    let Some(value) = family.get(&key)? else {
        let message = format!("there is no key {}", bytes_text::escape(&key));
        return Err(Failure::Told { code: NOT_FOUND, message });
    };
    let mut out = Out::stdout();
    if args.print.json {
        let writer = EntryWriter::new(EntryFormat::Jsonl, args.print.encoding)?;
        writer.entry(&mut out, &key, Some(&value), None)?;
    } else {
        out.bytes(&bytes_text::encode(&value, args.print.encoding))?;
        if args.print.encoding != bytes_text::Encoding::Raw {
            out.bytes(b"\n")?;
        }
    }
    out.finish()
}
