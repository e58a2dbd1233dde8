//! Lines split at a separator, as they stand: no quotes, and the value is the line itself unless a
//! column is named.

use crate::records::delimited::find_column;
use crate::records::lines::Lines;
use crate::records::record::{ReadError, Record, RecordReader, Selection};
use std::io::BufRead;

/// Reads separated lines.
pub struct Separated<R> {
    lines: Lines<R>,
    line: Vec<u8>,
    separator: u8,
    has_header: bool,
    columns: Option<Columns>,
    selection: Selection,
}

#[derive(Clone, Copy)]
struct Columns {
    key: Option<usize>,
    value: Option<usize>,
}

impl<R: BufRead> Separated<R> {
    /// A reader of lines whose fields are parted by `separator`.
    pub fn new(lines: Lines<R>, separator: u8, has_header: bool, selection: Selection) -> Self {
        Separated { lines, line: Vec::new(), separator, has_header, columns: None, selection }
    }

    fn field(&self, column: usize) -> Result<&[u8], ReadError> {
        let separator = self.separator;
        self.line.split(|byte| *byte == separator).nth(column).ok_or_else(|| {
            ReadError::record(self.lines.number(), format!("there is no column {}", column + 1))
        })
    }

    /// Learns the columns from the first line.
    fn begin(&self) -> Result<Columns, ReadError> {
        let fields = self.line.split(|byte| *byte == self.separator);
        let names: Vec<String> = if self.has_header {
            fields.map(|field| String::from_utf8_lossy(field).into_owned()).collect()
        } else {
            fields.enumerate().map(|(column, _)| (column + 1).to_string()).collect()
        };
        let find = |name: Option<&str>| name.map(|name| find_column(name, &names)).transpose();
        Ok(Columns { key: find(self.selection.key_field())?, value: find(self.selection.value_field())? })
    }
}

impl<R: BufRead> RecordReader for Separated<R> {
    fn next(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        if !self.lines.next_filled(&mut self.line)? {
            return Ok(false);
        }
        let columns = match self.columns {
            Some(columns) => columns,
            None => {
                let columns = *self.columns.insert(self.begin()?);
                if self.has_header && !self.lines.next_filled(&mut self.line)? {
                    return Ok(false);
                }
                columns
            }
        };
        let key = columns.key.map(|column| self.field(column)).transpose()?;
        self.selection.set_key(record, self.lines.number(), key)?;
        match columns.value {
            Some(column) => self.selection.set_value(record, self.field(column)?)?,
            None => {
                record.value.clear();
                record.value.extend_from_slice(&self.line);
            }
        }
        Ok(true)
    }
}
