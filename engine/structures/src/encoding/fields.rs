//! Fields of a hash: inline entries, one behind the other, and the value of a field's own record. The
//! grammar stands in docs/format/structures.md.

use super::header::NEVER;
use crate::base::error::{Error, Result};
use esker::base::coding::{Decoder, put_bytes, put_varint};

/// Set in the flags of a field that has an expiry of its own.
const EXPIRES: u8 = 0x01;

/// A field with its value, where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// When it expires by itself, in ms since the epoch; [`NEVER`].
    pub expires_at: u64,
}

impl<'a> Field<'a> {
    /// A field that does not expire by itself.
    #[must_use]
    pub fn new(name: &'a [u8], value: &'a [u8]) -> Field<'a> {
        Field { name, value, expires_at: NEVER }
    }

    /// Appends the field as an inline entry.
    pub fn put_inline(&self, out: &mut Vec<u8>) {
        put_flags(out, self.expires_at);
        put_bytes(out, self.name);
        put_bytes(out, self.value);
    }

    /// The value of the field's own record.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.value.len());
        put_flags(&mut out, self.expires_at);
        out.extend_from_slice(self.value);
        out
    }

    /// The field `name` back from the value of its record.
    ///
    /// # Errors
    /// For bytes that [`Field::record`] does not write.
    pub fn from_record(name: &'a [u8], record: &'a [u8]) -> Result<Field<'a>> {
        let mut decoder = Decoder::new(record);
        let expires_at = read_flags(&mut decoder)?;
        let value = record.get(decoder.position()..).unwrap_or_default();
        Ok(Field { name, value, expires_at })
    }
}

fn put_flags(out: &mut Vec<u8>, expires_at: u64) {
    if expires_at == NEVER {
        out.push(0);
    } else {
        out.push(EXPIRES);
        put_varint(out, expires_at);
    }
}

fn read_flags(decoder: &mut Decoder<'_>) -> Result<u64> {
    match decoder.byte("flags of a field")? {
        0 => Ok(NEVER),
        EXPIRES => Ok(decoder.varint("the expiry of a field")?),
        _ => Err(Error::malformed("flags of a field")),
    }
}

/// The fields of an inline hash, in the order in which they came.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Of a payload.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Fields<'a> {
        Fields { bytes: payload, at: 0 }
    }

    /// Where the next entry starts in the payload.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The field `name`, with where its entry starts and ends in the payload.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn find(mut self, name: &[u8]) -> Result<Option<(Field<'a>, std::ops::Range<usize>)>> {
        loop {
            let start = self.at;
            match self.next() {
                None => return Ok(None),
                Some(Err(error)) => return Err(error),
                Some(Ok(field)) if field.name == name => return Ok(Some((field, start..self.at))),
                Some(Ok(_)) => {}
            }
        }
    }

    fn read(&mut self) -> Result<Field<'a>> {
        let mut decoder = Decoder::new(self.bytes.get(self.at..).unwrap_or_default());
        let expires_at = read_flags(&mut decoder)?;
        let name = decoder.bytes("the name of a field")?;
        let value = decoder.bytes("the value of a field")?;
        self.at += decoder.position();
        Ok(Field { name, value, expires_at })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_round_trip(
            fields in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..5), proptest::collection::vec(any::<u8>(), 0..5),
                 proptest::option::of(0..NEVER)), 0..6)
        ) {
            let fields: Vec<Field<'_>> = fields.iter()
                .map(|(name, value, at)| Field { name, value, expires_at: at.unwrap_or(NEVER) }).collect();
            let mut payload = Vec::new();
            fields.iter().for_each(|field| field.put_inline(&mut payload));
            let back: Result<Vec<_>> = Fields::new(&payload).collect();
            prop_assert_eq!(back.unwrap(), fields.clone());
            for field in &fields {
                let record = field.record();
                prop_assert_eq!(Field::from_record(field.name, &record).unwrap(), *field);
                let (found, range) = Fields::new(&payload).find(field.name).unwrap().unwrap();
                prop_assert_eq!(found.name, field.name);
                prop_assert_eq!(Fields::new(&payload[range]).count(), 1);
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Fields::new(&bytes).collect::<Vec<_>>();
            let _ = Field::from_record(b"", &bytes);
        }
    }
}
