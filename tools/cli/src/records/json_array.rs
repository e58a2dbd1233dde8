//! A JSON array of objects, read element by element: the text is split where an element ends (by
//! counting brackets outside of strings), so that the array is never held whole.

use crate::failure::Failure;
use crate::records::json;
use crate::records::record::{ReadError, Record, RecordReader, Selection};
use std::io::BufRead;

/// Reads the elements of an array.
pub struct JsonArray<R> {
    input: R,
    limit: usize,
    line: u64,
    place: Place,
    element: Vec<u8>,
    selection: Selection,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    /// Behind the opening bracket.
    Opened,
    /// Behind an element.
    Behind,
    End,
}

impl<R: BufRead> JsonArray<R> {
    /// Elements of the array in `input`, none longer than `limit` bytes.
    pub fn new(input: R, limit: usize, selection: Selection) -> Self {
        JsonArray { input, limit, line: 1, place: Place::Start, element: Vec::new(), selection }
    }

    fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        let line = self.line;
        let bytes = self
            .input
            .fill_buf()
            .map_err(|e| ReadError::Fatal(Failure::error(format!("cannot read line {line}: {e}"))))?;
        Ok(bytes.first().copied())
    }

    fn consume(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.input.consume(1);
    }

    /// The next byte that is not white space; it stays to be read.
    fn peek_filled(&mut self) -> Result<Option<u8>, ReadError> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.consume(byte);
        }
        Ok(None)
    }

    /// Goes to the next element; false at the end of the array.
    fn advance(&mut self) -> Result<bool, ReadError> {
        if self.place == Place::Start {
            match self.peek_filled()? {
                Some(b'[') => self.consume(b'['),
                _ => return Err(self.stop("a JSON array begins with [")),
            }
            self.place = Place::Opened;
        }
        if self.place == Place::End {
            return Ok(false);
        }
        let byte = self.peek_filled()?;
        match (byte, self.place) {
            (Some(b']'), _) => {
                self.consume(b']');
                self.place = Place::End;
                match self.peek_filled()? {
                    None => Ok(false),
                    Some(_) => Err(self.stop("something stands behind the end of the array")),
                }
            }
            (Some(b','), Place::Behind) => {
                self.consume(b',');
                match self.peek_filled()? {
                    Some(_) => Ok(true),
                    None => Err(self.stop("the array is not closed")),
                }
            }
            (Some(_), Place::Opened) => Ok(true),
            (Some(_), _) => Err(self.stop("a comma is missing between two elements")),
            (None, _) => Err(self.stop("the array is not closed")),
        }
    }

    /// Reads one element; the comma or bracket behind it stays to be read.
    fn read_element(&mut self) -> Result<(), ReadError> {
        self.element.clear();
        self.place = Place::Behind;
        let (mut depth, mut in_string, mut escaped) = (0_u64, false, false);
        loop {
            let Some(byte) = self.peek()? else { return Err(self.stop("the array is not closed")) };
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b',' if depth == 0 => return Ok(()),
                b']' if depth == 0 => return Ok(()),
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if self.element.len() == self.limit {
                return Err(self.stop(&format!("an element longer than {} bytes", self.limit)));
            }
            self.element.push(byte);
            self.consume(byte);
        }
    }

    fn stop(&mut self, what: &str) -> ReadError {
        self.place = Place::End;
        ReadError::fatal(self.line, what)
    }
}

impl<R: BufRead> RecordReader for JsonArray<R> {
    fn next(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        if !self.advance()? {
            return Ok(false);
        }
        let line = self.line;
        self.read_element()?;
        json::fill(&self.element, line, &self.selection, record)?;
        Ok(true)
    }
}
