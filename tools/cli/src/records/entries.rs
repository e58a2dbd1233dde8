//! The export format: JSON lines of keys and values, made so that an import restores the same bytes.
//!
//! ```text
//! {"esker_export":1,"encoding":"escape"}
//! {"key":"user:1","value":"Ada"}
//! {"key":"\\x00\\xff","value":"1","family":"tokens"}
//! ```
//! The first line declares the version and how keys and values are encoded ([`Encoding`]; not `raw`).
//! `family` stands in the entries of every column family but the default one.

use crate::records::json;
use crate::records::record::{ReadError, Record};
use crate::text::bytes_text::{self, Encoding};
use serde::Deserialize;
use std::borrow::Cow;

/// The version of the export format that this build writes, and the only one that it reads.
pub const VERSION: u64 = 1;

/// How every export begins.
const OPENING: &[u8] = b"{\"esker_export\":";

/// The first line of an export.
pub struct Declaration {
    /// How keys and values are written.
    pub encoding: Encoding,
}

impl Declaration {
    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{{\"esker_export\":{VERSION},\"encoding\":\"{}\"}}", self.encoding.name())
    }

    /// Reads a first line; `None`: it is no declaration.
    ///
    /// # Errors
    /// It is one of a version or an encoding that is not known here.
    pub fn read(line: &[u8], number: u64) -> Result<Option<Declaration>, ReadError> {
        #[derive(Deserialize)]
        struct Line {
            esker_export: u64,
            encoding: String,
        }
        if !line.starts_with(OPENING) {
            return Ok(None);
        }
        let parsed: Line = serde_json::from_slice(line)
            .map_err(|e| ReadError::fatal(number, format!("the declaration of an export is damaged: {e}")))?;
        if parsed.esker_export != VERSION {
            let found = parsed.esker_export;
            let why = format!("an export of version {found}; this build reads version {VERSION}");
            return Err(ReadError::fatal(number, why));
        }
        match Encoding::from_name(&parsed.encoding) {
            Some(encoding) if encoding != Encoding::Raw => Ok(Some(Declaration { encoding })),
            _ => Err(ReadError::fatal(number, format!("unknown encoding {:?}", parsed.encoding))),
        }
    }
}

/// A longest key and value may take several bytes of text a byte (`\\x00` in JSON takes five).
pub const MAX_TEXT_PER_BYTE: usize = 5;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'t> {
    #[serde(borrow)]
    key: Cow<'t, str>,
    #[serde(borrow)]
    value: Cow<'t, str>,
    family: Option<String>,
}

/// Fills `record` from the line of an entry.
///
/// # Errors
/// The line is not an entry, or its text is not in `encoding`.
pub fn fill(text: &[u8], line: u64, encoding: Encoding, record: &mut Record) -> Result<(), ReadError> {
    let entry: Entry<'_> = serde_json::from_slice(text).map_err(|e| json::error(line, &e))?;
    let decode = |what: &str, text: &str| {
        bytes_text::decode(text.as_bytes(), encoding)
            .map_err(|why| ReadError::record(line, format!("the {what} is damaged: {why}")))
    };
    record.line = line;
    record.key = decode("key", &entry.key)?;
    record.value = decode("value", &entry.value)?;
    record.family = entry.family;
    Ok(())
}
