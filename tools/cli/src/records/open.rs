//! From a format and its options to a reader.

use crate::failure::{Failure, Outcome};
use crate::records::delimited::Delimited;
use crate::records::entries::MAX_TEXT_PER_BYTE;
use crate::records::format::Format;
use crate::records::json_array::JsonArray;
use crate::records::json_lines::JsonLines;
use crate::records::lines::Lines;
use crate::records::record::{MAX_RECORD_BYTES, RecordReader, Selection};
use crate::records::separated::Separated;
use std::io::BufRead;

/// What the reader of a file is told about it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The file's format.
    pub format: Format,
    /// Whether the first row names the columns; `None`: as is usual for the format.
    pub header: Option<bool>,
    /// What parts two fields; `None`: as is usual for the format.
    pub delimiter: Option<u8>,
}

/// A reader of `input`. Without a `selection` the input must be an export, which needs none.
///
/// # Errors
/// The options do not go together, or a selection is needed.
pub fn open(
    input: Box<dyn BufRead + Send>,
    shape: &Shape,
    selection: Option<Selection>,
) -> Outcome<Box<dyn RecordReader + Send>> {
    let format = shape.format;
    let has_columns = matches!(format, Format::Csv | Format::Tsv | Format::Ssv);
    if !has_columns && shape.delimiter.is_some() {
        return Err(Failure::usage("--delimiter goes with the formats csv, tsv and ssv only"));
    }
    if !has_columns && shape.header.is_some() {
        return Err(Failure::usage("--header and --no-header go with the formats csv, tsv and ssv only"));
    }
    let needed =
        || Failure::usage("--key is needed: the field (or the number of the column) that is the key");
    let limit = match (format, &selection) {
        (Format::Esker, _) | (Format::Jsonl, None) => MAX_RECORD_BYTES * MAX_TEXT_PER_BYTE,
        _ => MAX_RECORD_BYTES,
    };
    let delimiter = |usual| shape.delimiter.unwrap_or(usual);
    let header = |usual| shape.header.unwrap_or(usual);
    Ok(match format {
        Format::Esker if selection.is_some() => {
            return Err(Failure::usage(
                "an export of esker names its keys and values itself: leave out --key",
            ));
        }
        Format::Esker => Box::new(JsonLines::new(Lines::new(input, limit), None)),
        Format::Jsonl => Box::new(JsonLines::new(Lines::new(input, limit), selection)),
        Format::Json => Box::new(JsonArray::new(input, limit, selection.ok_or_else(needed)?)),
        Format::Csv | Format::Tsv => {
            let quoting = format == Format::Csv;
            let usual = if quoting { b',' } else { b'\t' };
            let lines = Lines::new(input, limit);
            let selection = selection.ok_or_else(needed)?;
            Box::new(Delimited::new(lines, delimiter(usual), quoting, header(true), selection))
        }
        Format::Ssv => {
            let lines = Lines::new(input, limit);
            Box::new(Separated::new(lines, delimiter(b';'), header(false), selection.ok_or_else(needed)?))
        }
    })
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
