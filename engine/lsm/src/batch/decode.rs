//! Reading a batch, with every step checked.

use crate::base::coding::{Decoder, Malformed};
use crate::base::key::{EXPIRY_FLAG, Kind, NEVER};
use crate::base::limits::MAX_KEY_BYTES;

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op<'a> {
    /// The column family's number.
    pub family: u32,
    /// What is done.
    pub kind: Kind,
    /// The user key; of a range, the first key in it.
    pub key: &'a [u8],
    /// The value; empty for a deletion. Of a range, the first key behind it, or empty if it has no end.
    pub value: &'a [u8],
    /// When the entry expires, in milliseconds since the epoch; [`NEVER`] if it does not. Of an operand:
    /// when it was written.
    pub expires_at: u64,
}

impl<'a> Op<'a> {
    /// Of a range, the first key behind it; `None` if it has no end.
    #[must_use]
    pub fn range_end(&self) -> Option<&'a [u8]> {
        (!self.value.is_empty()).then_some(self.value)
    }
}

/// The operations of encoded bytes; ends after the first error.
#[derive(Clone, Debug)]
pub struct OpIter<'a>(Decoder<'a>, bool);

/// Walks the operations in `bytes`.
#[must_use]
pub fn decode_ops(bytes: &[u8]) -> OpIter<'_> {
    OpIter(Decoder::new(bytes), false)
}

impl OpIter<'_> {
    /// How many bytes were walked over.
    #[must_use]
    pub fn position(&self) -> usize {
        self.0.position()
    }
}

impl<'a> Iterator for OpIter<'a> {
    type Item = Result<Op<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.1 || self.0.is_empty() {
            return None;
        }
        let op = decode(&mut self.0);
        self.1 = op.is_err();
        Some(op)
    }
}

#[inline]
fn decode<'a>(bytes: &mut Decoder<'a>) -> Result<Op<'a>, Malformed> {
    let at = bytes.position();
    let tag = bytes.byte("the tag of an operation")?;
    let kind = if tag & !EXPIRY_FLAG == Kind::Merge as u8 {
        Kind::of_tag(tag)
    } else {
        Kind::of_operation(tag & !EXPIRY_FLAG)
    };
    let kind = kind.ok_or(Malformed { at, expected: "a known kind of operation" })?;
    if kind.is_range() {
        return decode_range(bytes, tag, kind);
    }
    let family = bytes.varint32("a column family's number")?;
    let key = bytes.bytes("a key")?;
    let expires_at = if tag & EXPIRY_FLAG != 0 { bytes.fixed64("an expiry time")? } else { NEVER };
    let value = if kind == Kind::Delete { &[] } else { bytes.bytes("a value")? };
    Ok(Op { family, kind, key, value, expires_at })
}

/// An operation on a range: it holds keys, and its bounds are no longer than keys.
#[cold]
fn decode_range<'a>(bytes: &mut Decoder<'a>, tag: u8, kind: Kind) -> Result<Op<'a>, Malformed> {
    let wrong = bytes.malformed("a range that ends behind its start, with bounds that are keys");
    let family = bytes.varint32("a column family's number")?;
    let key = bytes.bytes("the start of a range")?;
    let value = bytes.bytes("the end of a range")?;
    let keys = key.len() <= MAX_KEY_BYTES && value.len() <= MAX_KEY_BYTES;
    if tag & EXPIRY_FLAG != 0 || !keys || !value.is_empty() && value <= key {
        return Err(wrong);
    }
    Ok(Op { family, kind, key, value, expires_at: NEVER })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let good = decode_ops(&bytes).take_while(Result::is_ok).count();
            prop_assert!(good <= bytes.len());
        }
    }

    #[test]
    fn a_range_that_holds_nothing_or_expires_is_refused() {
        let refused = |bytes: &[u8]| decode_ops(bytes).next().unwrap().is_err();
        assert!(
            !refused(&[4, 0, 1, b'a', 1, b'b']) && !refused(&[5, 0, 1, b'a', 0]) && !refused(&[4, 0, 0, 0])
        );
        assert!(refused(&[4, 0, 1, b'a', 1, b'a']) && refused(&[5, 0, 1, b'b', 1, b'a']));
        assert!(refused(&[4 | EXPIRY_FLAG, 0, 1, b'a', 0]));
        let long = vec![1; MAX_KEY_BYTES + 1];
        let mut bytes = vec![4, 0, 0];
        crate::base::coding::put_bytes(&mut bytes, &long);
        assert!(refused(&bytes));
    }

    #[test]
    fn an_unknown_kind_is_an_error_and_ends_the_walk() {
        let mut ops = decode_ops(&[0x7f, 0, 0]);
        assert_eq!(ops.next().unwrap().unwrap_err().at, 0);
        assert!(ops.next().is_none());
    }
}
