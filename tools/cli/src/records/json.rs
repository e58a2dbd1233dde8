//! One JSON object as a record: the two fields that are asked for are picked out, and the rest is only
//! checked. Numbers keep the digits of the source.

use crate::records::record::{ReadError, Record, Selection};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Fills `record` from the JSON object in `text`, which begins in `line`.
///
/// # Errors
/// The text is not one JSON object, or a field is missing or cannot be a key.
pub fn fill(text: &[u8], line: u64, selection: &Selection, record: &mut Record) -> Result<(), ReadError> {
    let picked = pick(text, line, selection)?;
    match selection.key_field() {
        None => selection.set_key(record, line, None)?,
        Some(name) => {
            let raw = picked.key.ok_or_else(|| ReadError::record(line, format!("no field {name:?}")))?;
            let text =
                key_text(raw).map_err(|why| ReadError::record(line, format!("field {name:?} {why}")))?;
            selection.set_key(record, line, Some(text.as_bytes()))?;
        }
    }
    match selection.value_field() {
        None => {
            record.value.clear();
            record.value.extend_from_slice(text.trim_ascii());
        }
        Some(name) => {
            let raw = picked.value.ok_or_else(|| ReadError::record(line, format!("no field {name:?}")))?;
            let text =
                field_text(raw).map_err(|why| ReadError::record(line, format!("field {name:?} {why}")))?;
            selection.set_value(record, text.as_bytes())?;
        }
    }
    Ok(())
}

/// What is wrong with a JSON text that begins in `line`, with the line of the mistake.
#[must_use]
pub fn error(line: u64, error: &serde_json::Error) -> ReadError {
    let text = error.to_string();
    let what = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    let line = line + (error.line() as u64).saturating_sub(1);
    // Column 0: the mistake is the value as a whole.
    let place = if error.column() > 0 { format!(" (column {})", error.column()) } else { String::new() };
    ReadError::record(line, format!("not a JSON object: {what}{place}"))
}

fn pick<'t>(text: &'t [u8], line: u64, selection: &Selection) -> Result<Picked<'t>, ReadError> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let wanted = Wanted { key: selection.key_field(), value: selection.value_field() };
    let picked = wanted.deserialize(&mut json).map_err(|e| error(line, &e))?;
    json.end().map_err(|e| error(line, &e))?;
    Ok(picked)
}

/// A key is the text of a string, or a number or a truth value as it stands.
fn key_text(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    match raw.get().as_bytes() {
        [b'{', ..] => Err("is an object; a key is a string or a number".to_owned()),
        [b'[', ..] => Err("is an array; a key is a string or a number".to_owned()),
        b"null" => Err("is null; a key is a string or a number".to_owned()),
        _ => field_text(raw),
    }
}

/// A value is the text of a string, or any other JSON as it stands.
fn field_text(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    if !raw.get().starts_with('"') {
        return Ok(Cow::Borrowed(raw.get()));
    }
    serde_json::from_str(raw.get()).map(Cow::Owned).map_err(|e| format!("cannot be read: {e}"))
}

#[derive(Clone, Copy)]
struct Wanted<'s> {
    key: Option<&'s str>,
    value: Option<&'s str>,
}

#[derive(Default)]
struct Picked<'t> {
    key: Option<&'t RawValue>,
    value: Option<&'t RawValue>,
}

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Picked<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Picked<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Picked<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Picked<'de>, A::Error> {
        let mut picked = Picked::default();
        while let Some((is_key, is_value)) = map.next_key_seed(Name(self))? {
            if !is_key && !is_value {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw: &RawValue = map.next_value()?;
            if is_key {
                picked.key = Some(raw);
            }
            if is_value {
                picked.value = Some(raw);
            }
        }
        Ok(picked)
    }
}

/// Whether a field's name is the one of the key, and whether it is the one of the value.
struct Name<'s>(Wanted<'s>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = (bool, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(bool, bool), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = (bool, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(bool, bool), E> {
        Ok((self.0.key == Some(name), self.0.value == Some(name)))
    }
}
