//! What a reader gives, and what it is asked for.

use crate::failure::Failure;
use crate::text::bytes_text::{self, Encoding};
use esker::base::limits;

/// The longest record that a reader holds in memory, in bytes: a longest value and its key, with
/// room for the rest of the line.
pub const MAX_RECORD_BYTES: usize = limits::MAX_VALUE_BYTES + limits::MAX_KEY_BYTES + (1 << 20);

/// One key with its value; readers fill the same one again and again.
#[derive(Debug, Default)]
pub struct Record {
    /// The line that the record begins in, from 1.
    pub line: u64,
    /// The key as it will be stored.
    pub key: Vec<u8>,
    /// The value as it will be stored.
    pub value: Vec<u8>,
    /// The column family that the file itself names for this record.
    pub family: Option<String>,
}

/// Why a reader has no record to give.
#[derive(Debug)]
pub enum ReadError {
    /// This record is bad; reading can go on behind it.
    Record {
        /// The line that it begins in.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing more can be read.
    Fatal(Failure),
}

impl ReadError {
    /// A record that may be skipped.
    pub fn record(line: u64, what: impl Into<String>) -> ReadError {
        ReadError::Record { line, what: what.into() }
    }

    /// An input that cannot be read any further, from this line on.
    pub fn fatal(line: u64, what: impl std::fmt::Display) -> ReadError {
        ReadError::Fatal(Failure::error(format!("line {line}: {what}")))
    }
}

/// Records, one after another.
pub trait RecordReader {
    /// Fills `record` with the next one, or returns false at the end of the input.
    ///
    /// # Errors
    /// A bad record, behind which the next call goes on; or the end of what can be read.
    fn next(&mut self, record: &mut Record) -> Result<bool, ReadError>;
}

/// Where a record's key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The number of the line, with twelve digits, so that the order of keys is the order of lines.
    Line,
    /// A field by its name, or a column by its number from 1.
    Field(String),
}

/// Where a record's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// The whole record: as a JSON object, or as its line where the format has no names.
    All,
    /// A field by its name, or a column by its number from 1.
    Field(String),
}

/// Which parts of a record become the key and the value.
#[derive(Clone, Debug)]
pub struct Selection {
    /// What the key is made of.
    pub key: KeySource,
    /// What is put before each key.
    pub key_prefix: Vec<u8>,
    /// What the value is made of.
    pub value: ValueSource,
    /// How the key's field and the value's field are written; whole records are taken as they are.
    pub encoding: Encoding,
}

impl Selection {
    /// The key's field, if it is one.
    #[must_use]
    pub fn key_field(&self) -> Option<&str> {
        match &self.key {
            KeySource::Line => None,
            KeySource::Field(name) => Some(name),
        }
    }

    /// The value's field, if it is one.
    #[must_use]
    pub fn value_field(&self) -> Option<&str> {
        match &self.value {
            ValueSource::All => None,
            ValueSource::Field(name) => Some(name),
        }
    }

    /// Sets the record's line and key; `field` is the text of the key's field, if the key is one.
    ///
    /// # Errors
    /// The text is not in the stated encoding.
    pub fn set_key(&self, record: &mut Record, line: u64, field: Option<&[u8]>) -> Result<(), ReadError> {
        record.line = line;
        record.family = None;
        record.key.clear();
        record.key.extend_from_slice(&self.key_prefix);
        match field {
            None => record.key.extend_from_slice(format!("{line:012}").as_bytes()),
            Some(text) => self.append(&mut record.key, text, line)?,
        }
        Ok(())
    }

    /// Sets the record's value to what the text of a field stands for.
    ///
    /// # Errors
    /// The text is not in the stated encoding.
    pub fn set_value(&self, record: &mut Record, field: &[u8]) -> Result<(), ReadError> {
        record.value.clear();
        self.append(&mut record.value, field, record.line)
    }

    fn append(&self, bytes: &mut Vec<u8>, text: &[u8], line: u64) -> Result<(), ReadError> {
        match self.encoding {
            Encoding::Raw => bytes.extend_from_slice(text),
            encoding => {
                let decoded = bytes_text::decode(text, encoding);
                bytes.extend(decoded.map_err(|why| ReadError::record(line, why))?);
            }
        }
        Ok(())
    }
}
