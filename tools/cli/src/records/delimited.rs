//! Comma- and tab-separated values. Lines are fed to the parser one at a time: so each row knows the
//! line it begins in, memory is bounded, and a quote that is never closed is told as such.

use crate::failure::Failure;
use crate::records::lines::{Lines, is_blank, without_end};
use crate::records::record::{KeySource, MAX_RECORD_BYTES, ReadError, Record, RecordReader};
use crate::records::record::{Selection, ValueSource};
use csv_core::ReadRecordResult;
use std::io::{BufRead, Write};

/// Reads rows of quoted or plain fields.
pub struct Delimited<R> {
    lines: Lines<R>,
    parser: csv_core::Reader,
    line: Vec<u8>,
    /// How much of `line` the parser has seen.
    seen: usize,
    row: Row,
    delimiter: u8,
    has_header: bool,
    names: Vec<String>,
    columns: Option<Columns>,
    selection: Selection,
}

/// The fields of one row, one behind the other.
#[derive(Default)]
struct Row {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    bytes_used: usize,
    fields: usize,
}

/// Which columns are the key and the value, from 0, and how many columns there are.
struct Columns {
    key: Option<usize>,
    value: Option<usize>,
    count: usize,
}

impl Row {
    fn field(&self, column: usize) -> &[u8] {
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        &self.bytes[start..self.ends[column]]
    }
}

impl<R: BufRead> Delimited<R> {
    /// A reader of rows whose fields are parted by `delimiter`; without `quoting`, quotes are plain text.
    pub fn new(
        lines: Lines<R>,
        delimiter: u8,
        quoting: bool,
        has_header: bool,
        selection: Selection,
    ) -> Self {
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).quoting(quoting).build();
        Delimited {
            lines,
            parser,
            line: Vec::new(),
            seen: 0,
            row: Row::default(),
            delimiter,
            has_header,
            names: Vec::new(),
            columns: None,
            selection,
        }
    }

    /// Reads a row and returns the line that it begins in; `None` at the end of the input.
    fn read_row(&mut self) -> Result<Option<u64>, ReadError> {
        self.row.bytes_used = 0;
        self.row.fields = 0;
        let mut begin = None;
        loop {
            // What is left of a line whose row ended with the `\r` of its `\r\n`.
            if begin.is_none() && without_end(&self.line[self.seen..]).is_empty() {
                self.seen = self.line.len();
            }
            if self.seen == self.line.len() && !self.read_line(begin)? {
                return Ok(None);
            }
            if begin.is_none() && self.is_empty_row() {
                self.seen = self.line.len();
                continue;
            }
            begin = begin.or(Some(self.lines.number()));
            if self.parse() {
                return Ok(begin);
            }
        }
    }

    /// Whether nothing but blanks is left of the line; a blank that is the delimiter makes fields.
    fn is_empty_row(&self) -> bool {
        let rest = without_end(&self.line[self.seen..]);
        is_blank(rest) && !rest.contains(&self.delimiter)
    }

    /// Reads the next line, with an end; false at the end of the input. `begin`: the open row's line.
    fn read_line(&mut self, begin: Option<u64>) -> Result<bool, ReadError> {
        self.seen = 0;
        if !self.lines.next(&mut self.line)? {
            self.parser.reset();
            return match begin {
                None => Ok(false),
                Some(line) => Err(ReadError::record(line, "a quote that opens here is never closed")),
            };
        }
        if !self.line.ends_with(b"\n") {
            self.line.push(b'\n');
        }
        if self.row.bytes_used + self.line.len() > self.lines.limit() {
            let line = begin.unwrap_or(self.lines.number());
            return Err(ReadError::fatal(line, format!("a row longer than {} bytes", self.lines.limit())));
        }
        Ok(true)
    }

    /// Feeds the rest of the line; true when the row is whole.
    fn parse(&mut self) -> bool {
        let row = &mut self.row;
        loop {
            let (input, output) = (&self.line[self.seen..], &mut row.bytes[row.bytes_used..]);
            let (result, read, written, ends) =
                self.parser.read_record(input, output, &mut row.ends[row.fields..]);
            self.seen += read;
            row.bytes_used += written;
            row.fields += ends;
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return false,
                ReadRecordResult::Record => return true,
                ReadRecordResult::OutputFull => {
                    let more = row.bytes.len().clamp(1 << 10, MAX_RECORD_BYTES);
                    row.bytes.resize(row.bytes.len() + more, 0);
                }
                ReadRecordResult::OutputEndsFull => row.ends.resize(row.ends.len() * 2 + 16, 0),
            }
        }
    }

    /// Learns the columns from the first row, which must have been read.
    fn begin(&mut self) -> Result<Columns, ReadError> {
        let count = self.row.fields;
        let number = |column: usize| (column + 1).to_string();
        self.names = if self.has_header {
            (0..count).map(|i| String::from_utf8_lossy(self.row.field(i)).into_owned()).collect()
        } else {
            (0..count).map(number).collect()
        };
        let key = match &self.selection.key {
            KeySource::Line => None,
            KeySource::Field(name) => Some(find_column(name, &self.names)?),
        };
        let value = match &self.selection.value {
            ValueSource::All => None,
            ValueSource::Field(name) => Some(find_column(name, &self.names)?),
        };
        Ok(Columns { key, value, count })
    }

    /// The whole row as a JSON object whose values are strings.
    fn write_object(&self, line: u64, json: &mut Vec<u8>) -> Result<(), ReadError> {
        json.clear();
        let mut separator = b'{';
        for (column, name) in self.names.iter().enumerate() {
            let text = std::str::from_utf8(self.row.field(column)).map_err(|_| {
                ReadError::record(line, format!("column {name:?} is not UTF-8; name a column with --value"))
            })?;
            json.push(separator);
            separator = b',';
            // Neither a string nor memory refuses to be written.
            let written = serde_json::to_writer(&mut *json, name).is_ok()
                && json.write_all(b":").is_ok()
                && serde_json::to_writer(&mut *json, text).is_ok();
            debug_assert!(written);
        }
        json.push(b'}');
        Ok(())
    }
}

/// Finds a column by its name, or by its number from 1.
///
/// # Errors
/// There is no such column; a mistake in the command line.
pub fn find_column(name: &str, names: &[String]) -> Result<usize, ReadError> {
    let by_number = || name.parse::<usize>().ok().filter(|n| (1..=names.len()).contains(n)).map(|n| n - 1);
    names.iter().position(|n| n == name).or_else(by_number).ok_or_else(|| {
        let mut known = names.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
        if names.len() > 20 {
            known.push_str(", ...");
        }
        ReadError::Fatal(Failure::usage(format!("there is no column {name:?}; the columns are: {known}")))
    })
}

impl<R: BufRead> RecordReader for Delimited<R> {
    fn next(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        let Some(mut line) = self.read_row()? else { return Ok(false) };
        if self.columns.is_none() {
            self.columns = Some(self.begin()?);
            if self.has_header {
                match self.read_row()? {
                    Some(first) => line = first,
                    None => return Ok(false),
                }
            }
        }
        let Some(columns) = &self.columns else { return Ok(false) };
        if self.row.fields != columns.count {
            let what = format!("{} columns where the first row has {}", self.row.fields, columns.count);
            return Err(ReadError::record(line, what));
        }
        self.selection.set_key(record, line, columns.key.map(|column| self.row.field(column)))?;
        match columns.value {
            Some(column) => self.selection.set_value(record, self.row.field(column))?,
            None => self.write_object(line, &mut record.value)?,
        }
        Ok(true)
    }
}
