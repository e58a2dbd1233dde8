//! What an import shows of the store at its end: a lookup, and a short range.

use crate::commands::import::args::ImportArgs;
use crate::failure::Outcome;
use crate::output::entries::json_string;
use crate::output::{EntryFormat, EntryWriter, Out};
use crate::text::bytes_text::{self, Encoding};
use crate::text::number::counted;
use esker::ColumnFamily;
use std::ops::Bound;

/// What to show.
pub struct Show {
    key: Option<Vec<u8>>,
    range: Option<usize>,
    /// Where the range begins.
    from: Vec<u8>,
}

impl Show {
    /// What the command line asks for.
    ///
    /// # Errors
    /// The key cannot be read.
    pub fn new(args: &ImportArgs) -> Outcome<Show> {
        let key = args.show.as_deref().map(|key| args.keys.parse(key)).transpose()?;
        let from = key.clone().map_or_else(|| args.prefix(), Ok)?;
        Ok(Show { key, range: args.show_range, from })
    }

    /// Prints it.
    ///
    /// # Errors
    /// The store cannot be read, or the output is closed or full.
    pub fn print(&self, out: &mut Out, family: &ColumnFamily, json: bool) -> Outcome {
        if let Some(key) = &self.key {
            let value = family.get(key)?;
            if json {
                out.bytes(b"{\"key\":")?;
                out.bytes(&json_string(key, Encoding::Escape)?)?;
                out.bytes(b",\"value\":")?;
                match &value {
                    Some(value) => out.bytes(&json_string(value, Encoding::Escape)?)?,
                    None => out.bytes(b"null")?,
                }
                out.bytes(b"}\n")?;
            } else {
                out.label(&format!("lookup of {}", bytes_text::escape(key)))?;
                let found = value.map(|value| bytes_text::escape(&value));
                out.line(&format!("\n  {}", found.as_deref().unwrap_or("(there is no such key)")))?;
            }
        }
        let Some(limit) = self.range else { return Ok(()) };
        let entries = family.range::<Vec<u8>, _>((Bound::Included(self.from.clone()), Bound::Unbounded))?;
        if !json {
            let what =
                format!("the first {} from {}", counted(limit as u64, "key"), bytes_text::escape(&self.from));
            out.label(what.trim_end_matches(" from "))?;
            out.bytes(b"\n")?;
        }
        let format = if json { EntryFormat::Jsonl } else { EntryFormat::Text };
        let writer = EntryWriter::new(format, Encoding::Escape)?;
        for entry in entries.take(limit) {
            let (key, value) = entry?;
            out.bytes(if json { b"" } else { b"  " })?;
            writer.entry(out, &key, Some(&value), None)?;
        }
        Ok(())
    }
}
