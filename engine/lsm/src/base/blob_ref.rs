//! Where a value stands that was separated from its key, as a table stores it in the value's place. The
//! grammar stands in `docs/format/blob.md`.

use super::coding::{Decoder, Malformed, put_varint};
use super::filename::FileNumber;
use super::limits::{MAX_FILE_NUMBER, MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// The most bytes of a record besides its key and its value: three lengths, a codec and a checksum; and the
/// raw length in front of a compressed value.
pub const MAX_RECORD_OVERHEAD: usize = 64;

/// A record of a blob file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRef {
    /// The file's number.
    pub file: FileNumber,
    /// Where the record begins.
    pub offset: u64,
    /// The bytes of the whole record.
    pub stored: u64,
    /// The bytes of the value, uncompressed.
    pub raw: u64,
}

impl BlobRef {
    /// As it stands in the place of the value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        for number in [self.file, self.offset, self.stored, self.raw] {
            put_varint(&mut out, number);
        }
        out
    }

    /// Back from there.
    ///
    /// # Errors
    /// Bytes that are none, and lengths that no record has.
    pub fn decode(bytes: &[u8]) -> Result<BlobRef, Malformed> {
        let mut decoder = Decoder::new(bytes);
        let mut number = |expected| decoder.varint(expected);
        let file = number("the number of a blob file")?;
        let offset = number("the offset of a blob")?;
        let (stored, raw) = (number("the stored length of a blob")?, number("the length of a blob")?);
        let longest = (MAX_KEY_BYTES + MAX_VALUE_BYTES + MAX_RECORD_OVERHEAD) as u64;
        let sound = file <= MAX_FILE_NUMBER
            && stored <= longest
            && raw <= MAX_VALUE_BYTES as u64
            && offset.checked_add(stored).is_some();
        if sound && decoder.is_empty() {
            Ok(BlobRef { file, offset, stored, raw })
        } else {
            Err(Malformed { at: 0, expected: "a reference to a blob" })
        }
    }
}

/// How much of a blob file a table refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobShare {
    /// The file's number.
    pub file: FileNumber,
    /// Entries that refer to it.
    pub entries: u64,
    /// The bytes of the records that they refer to.
    pub bytes: u64,
}

/// Counts a reference among shares, which are sorted by their files.
pub fn count_share(shares: &mut Vec<BlobShare>, to: &BlobRef) {
    // What was referred to last is mostly referred to next.
    match shares.binary_search_by_key(&to.file, |share| share.file) {
        Ok(at) => {
            shares[at].entries = shares[at].entries.saturating_add(1);
            shares[at].bytes = shares[at].bytes.saturating_add(to.stored);
        }
        Err(at) => shares.insert(at, BlobShare { file: to.file, entries: 1, bytes: to.stored }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reference_round_trips_and_nothing_else_passes_for_one() {
        let reference = BlobRef { file: 12, offset: 1 << 40, stored: 4200, raw: 9000 };
        let bytes = reference.encode();
        assert_eq!(BlobRef::decode(&bytes), Ok(reference));
        for len in 0..bytes.len() {
            assert!(BlobRef::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(BlobRef::decode(&[&bytes[..], &[0]].concat()).is_err());
        for wrong in [
            BlobRef { file: MAX_FILE_NUMBER + 1, ..reference },
            BlobRef { offset: u64::MAX, ..reference },
            BlobRef { stored: 1 << 31, ..reference },
            BlobRef { raw: MAX_VALUE_BYTES as u64 + 1, ..reference },
        ] {
            assert!(BlobRef::decode(&wrong.encode()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn shares_are_counted_by_file_in_order() {
        let mut shares = Vec::new();
        for (file, stored) in [(7, 10), (3, 1), (7, 5)] {
            count_share(&mut shares, &BlobRef { file, offset: 0, stored, raw: 0 });
        }
        let share = |file, entries, bytes| BlobShare { file, entries, bytes };
        assert_eq!(shares, [share(3, 1, 1), share(7, 2, 15)]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = BlobRef::decode(&bytes);
        }
    }
}
