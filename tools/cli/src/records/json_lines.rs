//! JSON lines: an object in each line. A file that `esker export` wrote is told by its first line,
//! the declaration, and read as entries instead.

use crate::failure::Failure;
use crate::records::entries::{self, Declaration};
use crate::records::json;
use crate::records::lines::Lines;
use crate::records::record::{ReadError, Record, RecordReader, Selection};
use crate::text::bytes_text::Encoding;
use std::io::BufRead;

/// Reads JSON lines.
pub struct JsonLines<R> {
    lines: Lines<R>,
    line: Vec<u8>,
    mode: Mode,
}

enum Mode {
    /// Nothing was read yet; `None`: only an export can be read.
    First(Option<Selection>),
    Objects(Selection),
    Entries(Encoding),
}

impl<R: BufRead> JsonLines<R> {
    /// A reader of objects, as `selection` says; without one, of exports only.
    pub fn new(lines: Lines<R>, selection: Option<Selection>) -> Self {
        JsonLines { lines, line: Vec::new(), mode: Mode::First(selection) }
    }

    /// Looks at the first line. Returns whether it was a declaration, and so is used up.
    fn begin(&mut self) -> Result<bool, ReadError> {
        let Mode::First(selection) = &mut self.mode else { return Ok(false) };
        let selection = selection.take();
        let number = self.lines.number();
        match (Declaration::read(&self.line, number)?, selection) {
            (Some(declaration), None) => {
                self.mode = Mode::Entries(declaration.encoding);
                Ok(true)
            }
            (Some(_), Some(_)) => Err(ReadError::Fatal(Failure::usage(
                "the file is an export of esker, which names its keys and values itself: leave out --key",
            ))),
            (None, Some(selection)) => {
                self.mode = Mode::Objects(selection);
                Ok(false)
            }
            (None, None) => Err(ReadError::Fatal(Failure::usage(
                "--key is needed: the file is not an export of esker, which would name its keys itself",
            ))),
        }
    }
}

impl<R: BufRead> RecordReader for JsonLines<R> {
    fn next(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        if !self.lines.next_filled(&mut self.line)? {
            return Ok(false);
        }
        if self.begin()? && !self.lines.next_filled(&mut self.line)? {
            return Ok(false);
        }
        let number = self.lines.number();
        match &self.mode {
            Mode::Entries(encoding) => entries::fill(&self.line, number, *encoding, record)?,
            Mode::Objects(selection) => json::fill(&self.line, number, selection, record)?,
            Mode::First(_) => return Ok(false),
        }
        Ok(true)
    }
}
