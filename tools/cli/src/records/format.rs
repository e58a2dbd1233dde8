//! The formats of a file of records, and how one is guessed.

use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use std::io::BufRead;
use std::path::Path;

/// How a file holds its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object in each line.
    Jsonl,
    /// One JSON array of objects.
    Json,
    /// Comma-separated values with quotes; the first row names the columns.
    Csv,
    /// Tab-separated values without quotes; the first row names the columns.
    Tsv,
    /// Lines split at semicolons, without quotes or names; the value is the line as it stands.
    Ssv,
    /// What `esker export` writes; names its keys and values itself.
    Esker,
}

impl Format {
    /// Guesses the format from the file's extension, its first byte, or a semicolon in its first line.
    ///
    /// # Errors
    /// The format cannot be told, or the input cannot be read.
    pub fn guess(path: Option<&Path>, input: &mut dyn BufRead) -> Outcome<Format> {
        let extension = path.and_then(Path::extension).and_then(|e| e.to_str()).unwrap_or("");
        match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => return Ok(Format::Jsonl),
            "csv" => return Ok(Format::Csv),
            "tsv" | "tab" => return Ok(Format::Tsv),
            "ssv" => return Ok(Format::Ssv),
            _ => {}
        }
        let start = input.fill_buf().map_err(|e| Failure::error(format!("cannot read the input: {e}")))?;
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        match start.trim_ascii_start().first() {
            Some(b'{') => Ok(Format::Jsonl),
            Some(b'[') => Ok(Format::Json),
            Some(_) if first_line(start).contains(&b';') => Ok(Format::Ssv),
            None if extension == "json" => Ok(Format::Json),
            _ => Err(Failure::usage(
                "cannot tell the format of the records; name it with --format jsonl, json, csv, tsv or ssv",
            )),
        }
    }
}

fn first_line(start: &[u8]) -> &[u8] {
    start.split(|byte| *byte == b'\n').next().unwrap_or(start)
}
