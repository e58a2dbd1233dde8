//! Reading a batch, with every step checked.

use crate::base::coding::{Decoder, Malformed};
use crate::base::key::{EXPIRY_FLAG, Kind, NEVER};

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op<'a> {
    /// The column family's number.
    pub family: u32,
    /// What is done.
    pub kind: Kind,
    /// The user key.
    pub key: &'a [u8],
    /// The value; empty for a deletion.
    pub value: &'a [u8],
    /// When the entry expires, in milliseconds since the epoch; [`NEVER`] if it does not. Of an operand:
    /// when it was written.
    pub expires_at: u64,
}

/// The operations of encoded bytes; ends after the first error.
#[derive(Clone, Debug)]
pub struct OpIter<'a>(Decoder<'a>, bool);

/// Walks the operations in `bytes`.
#[must_use]
pub fn decode_ops(bytes: &[u8]) -> OpIter<'_> {
    OpIter(Decoder::new(bytes), false)
}

impl<'a> Iterator for OpIter<'a> {
    type Item = Result<Op<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.1 || self.0.is_empty() {
            return None;
        }
        let op = decode(&mut self.0);
        self.1 = op.is_err();
        Some(op)
    }
}

fn decode<'a>(bytes: &mut Decoder<'a>) -> Result<Op<'a>, Malformed> {
    let unknown = bytes.malformed("a known kind of operation");
    let tag = bytes.byte("the tag of an operation")?;
    let kind = Kind::of_tag(tag).ok_or(unknown)?;
    let family = bytes.varint32("a column family's number")?;
    let key = bytes.bytes("a key")?;
    let expires_at = if tag & EXPIRY_FLAG != 0 { bytes.fixed64("an expiry time")? } else { NEVER };
    let value = if kind == Kind::Delete { &[] } else { bytes.bytes("a value")? };
    Ok(Op { family, kind, key, value, expires_at })
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
    fn an_unknown_kind_is_an_error_and_ends_the_walk() {
        let mut ops = decode_ops(&[0x7f, 0, 0]);
        assert_eq!(ops.next().unwrap().unwrap_err().at, 0);
        assert!(ops.next().is_none());
    }
}
