//! Entries as text, for people and for other programs.

use crate::failure::{Failure, Outcome};
use crate::output::out::Out;
use crate::records::entries::Declaration;
use crate::text::bytes_text::{self, Encoding};

/// How a run of entries is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryFormat {
    /// `key<TAB>value`, for people.
    Text,
    /// A JSON object in each line.
    Jsonl,
    /// The same behind a declaration, for import.
    Esker,
    /// Two columns with quotes, behind a row of names.
    Csv,
    /// Two columns without quotes, behind a row of names.
    Tsv,
}

/// Writes entries in one format and encoding.
pub struct EntryWriter {
    format: EntryFormat,
    encoding: Encoding,
}

impl EntryWriter {
    /// A writer of entries.
    ///
    /// # Errors
    /// The format cannot hold this encoding.
    pub fn new(format: EntryFormat, encoding: Encoding) -> Outcome<EntryWriter> {
        if format == EntryFormat::Esker && encoding == Encoding::Raw {
            return Err(Failure::usage("the format esker cannot hold raw bytes; choose another --encoding"));
        }
        Ok(EntryWriter { format, encoding })
    }

    /// Writes what stands before the first entry.
    ///
    /// # Errors
    /// The output is closed or full.
    pub fn begin(&self, out: &mut Out) -> Outcome {
        match self.format {
            EntryFormat::Text | EntryFormat::Jsonl => Ok(()),
            EntryFormat::Esker => out.line(&Declaration { encoding: self.encoding }.line()),
            EntryFormat::Csv => out.line("key,value"),
            EntryFormat::Tsv => out.line("key\tvalue"),
        }
    }

    /// Writes an entry, or only its key. `family` is named where the format has a place for it.
    ///
    /// # Errors
    /// The output is closed or full; or the bytes cannot stand in this format as they are.
    pub fn entry(&self, out: &mut Out, key: &[u8], value: Option<&[u8]>, family: Option<&str>) -> Outcome {
        match self.format {
            EntryFormat::Text => self.text(out, key, value),
            EntryFormat::Jsonl | EntryFormat::Esker => self.json(out, key, value, family),
            EntryFormat::Csv => self.columns(out, key, value, b',', csv_field),
            EntryFormat::Tsv => self.columns(out, key, value, b'\t', tsv_field),
        }
    }

    fn text(&self, out: &mut Out, key: &[u8], value: Option<&[u8]>) -> Outcome {
        out.bytes(&bytes_text::key_text(key, self.encoding))?;
        if let Some(value) = value {
            out.bytes(b"\t")?;
            out.bytes(&bytes_text::encode(value, self.encoding))?;
        }
        out.bytes(b"\n")
    }

    fn json(&self, out: &mut Out, key: &[u8], value: Option<&[u8]>, family: Option<&str>) -> Outcome {
        out.bytes(b"{\"key\":")?;
        out.bytes(&json_string(key, self.encoding)?)?;
        if let Some(value) = value {
            out.bytes(b",\"value\":")?;
            out.bytes(&json_string(value, self.encoding)?)?;
        }
        if let Some(family) = family {
            out.bytes(b",\"family\":")?;
            out.bytes(&json_string(family.as_bytes(), Encoding::Raw)?)?;
        }
        out.bytes(b"}\n")
    }

    fn columns(
        &self,
        out: &mut Out,
        key: &[u8],
        value: Option<&[u8]>,
        delimiter: u8,
        field: fn(Vec<u8>) -> Outcome<Vec<u8>>,
    ) -> Outcome {
        out.bytes(&field(bytes_text::encode(key, self.encoding))?)?;
        if let Some(value) = value {
            out.bytes(&[delimiter])?;
            out.bytes(&field(bytes_text::encode(value, self.encoding))?)?;
        }
        out.bytes(b"\n")
    }
}

/// Bytes in `encoding` as a JSON string, with its quotes.
///
/// # Errors
/// The encoding is `raw` and the bytes are not UTF-8.
pub fn json_string(bytes: &[u8], encoding: Encoding) -> Outcome<Vec<u8>> {
    let text = String::from_utf8(bytes_text::encode(bytes, encoding)).map_err(|e| {
        let start: String = bytes_text::escape(e.as_bytes()).chars().take(40).collect();
        Failure::error(format!("{start:?} is not UTF-8 and cannot stand in JSON; use --encoding escape"))
    })?;
    serde_json::to_vec(&text).map_err(|e| Failure::error(e.to_string()))
}

#[expect(clippy::unnecessary_wraps, reason = "one type with `tsv_field`, which refuses bytes")]
fn csv_field(text: Vec<u8>) -> Outcome<Vec<u8>> {
    if !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        return Ok(text);
    }
    let mut field = Vec::with_capacity(text.len() + 8);
    field.push(b'"');
    for byte in text {
        if byte == b'"' {
            field.push(b'"');
        }
        field.push(byte);
    }
    field.push(b'"');
    Ok(field)
}

fn tsv_field(text: Vec<u8>) -> Outcome<Vec<u8>> {
    if text.iter().any(|byte| matches!(byte, b'\t' | b'\r' | b'\n')) {
        let start: String = bytes_text::escape(&text).chars().take(40).collect();
        let why = "holds a tab or a line end and cannot stand in tsv; use --encoding escape";
        return Err(Failure::error(format!("\"{start}\" {why}")));
    }
    Ok(text)
}
