//! Which part of a key is its prefix, as data: what a family's options say, and what a table says of itself.

use crate::base::bounds::prefix_end;
use crate::base::coding::{Decoder, Malformed, put_varint};
use crate::base::error::{Error, Result};
use std::ops::Bound;

/// The longest prefix by number, in bytes.
const MAX_BYTES: u32 = 4096;
/// A delimiter is counted up to here.
const MAX_NTH: u32 = 64;

/// Which part of a key is its *prefix*: what the filters of tables hold beside whole keys, so that a scan of
/// one prefix passes over tables in which no key has it. See
/// [`FamilyOptions::prefix`](crate::FamilyOptions::prefix).
///
/// ```
/// use esker::PrefixExtractor;
/// let room = PrefixExtractor::Delimited { delimiter: b':', nth: 2 };
/// assert_eq!(room.prefix_of(b"room:17:ada"), Some(&b"room:17:"[..]));
/// assert_eq!(room.prefix_of(b"room:17"), None);
/// assert_eq!(PrefixExtractor::Fixed { bytes: 4 }.prefix_of(b"abc"), None);
/// assert_eq!(PrefixExtractor::Capped { bytes: 4 }.prefix_of(b"abc"), Some(&b"abc"[..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrefixExtractor {
    /// The first bytes of a key. Shorter keys have no prefix.
    Fixed {
        /// How many: between 1 and 4096.
        bytes: u32,
    },
    /// The first bytes of a key, and all of a shorter one.
    Capped {
        /// How many: between 1 and 4096.
        bytes: u32,
    },
    /// All up to a delimiter, that one included. Keys that have it less often have no prefix.
    Delimited {
        /// The byte.
        delimiter: u8,
        /// Which of its occurrences ends the prefix: between 1, the first, and 64.
        nth: u32,
    },
}

impl PrefixExtractor {
    /// The prefix of a key, if it has one.
    #[inline]
    #[must_use]
    pub fn prefix_of<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        match *self {
            PrefixExtractor::Fixed { bytes } => key.get(..bytes as usize),
            PrefixExtractor::Capped { bytes } => Some(&key[..key.len().min(bytes as usize)]),
            PrefixExtractor::Delimited { delimiter, nth } => {
                let mut places = key.iter().enumerate().filter(|(_, byte)| **byte == delimiter);
                places.nth(nth as usize - 1).map(|(at, _)| &key[..=at])
            }
        }
    }

    /// The prefix that all keys between the bounds have, if there is one for sure.
    #[must_use]
    pub fn shared_by<'k>(&self, lower: &'k Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> Option<&'k [u8]> {
        let (Bound::Included(from) | Bound::Excluded(from)) = lower else { return None };
        let prefix = self.prefix_of(from)?;
        // Longer keys that begin as a short one have other prefixes.
        if matches!(*self, PrefixExtractor::Capped { bytes } if prefix.len() < bytes as usize) {
            return None;
        }
        let inside = match (upper, prefix_end(prefix)) {
            // All other keys lie before it.
            (_, None) => true,
            (Bound::Unbounded, Some(_)) => false,
            (Bound::Included(to), Some(end)) => *to < end,
            (Bound::Excluded(to), Some(end)) => *to <= end,
        };
        inside.then_some(prefix)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a number out of its range.
    pub fn validate(&self) -> Result<()> {
        let (number, most) = self.number();
        if (1..=most).contains(&number) {
            return Ok(());
        }
        Err(Error::invalid("prefix", format!("{number} is not between 1 and {most}")))
    }

    /// The number in it, and the greatest that it may be.
    fn number(&self) -> (u32, u32) {
        match *self {
            PrefixExtractor::Fixed { bytes } | PrefixExtractor::Capped { bytes } => (bytes, MAX_BYTES),
            PrefixExtractor::Delimited { nth, .. } => (nth, MAX_NTH),
        }
    }

    /// Appends the stored form: kind, number, delimiter; see `docs/format/sst.md`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, delimiter) = match *self {
            PrefixExtractor::Fixed { .. } => (1, 0),
            PrefixExtractor::Capped { .. } => (2, 0),
            PrefixExtractor::Delimited { delimiter, .. } => (3, delimiter),
        };
        out.push(kind);
        put_varint(out, u64::from(self.number().0));
        out.push(delimiter);
    }

    /// Decodes the stored form, which must be all there is.
    ///
    /// # Errors
    /// [`Malformed`] if it is none that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<PrefixExtractor, Malformed> {
        let mut decoder = Decoder::new(bytes);
        let unknown = decoder.malformed("a prefix extractor that this version knows");
        let kind = decoder.byte("the kind of a prefix extractor")?;
        let number = decoder.varint32("the number of a prefix extractor")?;
        let delimiter = decoder.byte("the delimiter of a prefix")?;
        let extractor = match (kind, delimiter) {
            (1, 0) => PrefixExtractor::Fixed { bytes: number },
            (2, 0) => PrefixExtractor::Capped { bytes: number },
            (3, delimiter) => PrefixExtractor::Delimited { delimiter, nth: number },
            _ => return Err(unknown),
        };
        if extractor.validate().is_err() || !decoder.is_empty() {
            return Err(unknown);
        }
        Ok(extractor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::RangeBounds;

    fn extractor() -> impl Strategy<Value = PrefixExtractor> {
        prop_oneof![
            (1u32..4).prop_map(|bytes| PrefixExtractor::Fixed { bytes }),
            (1u32..4).prop_map(|bytes| PrefixExtractor::Capped { bytes }),
            (0u8..2, 1u32..3).prop_map(|(delimiter, nth)| PrefixExtractor::Delimited { delimiter, nth }),
        ]
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![0u8..2, 0xfeu8..=0xff], 0..6)
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![
            4 => key().prop_map(Bound::Included),
            4 => key().prop_map(Bound::Excluded),
            1 => Just(Bound::Unbounded),
        ]
    }

    proptest! {
        #[test]
        fn every_key_between_the_bounds_has_the_prefix_that_is_said(
            extractor in extractor(), lower in bound(), upper in bound(),
            keys in prop::collection::vec(key(), 0..200),
        ) {
            if let Some(shared) = extractor.shared_by(&lower, &upper) {
                for key in keys.iter().filter(|key| (lower.clone(), upper.clone()).contains(*key)) {
                    prop_assert_eq!(extractor.prefix_of(key), Some(shared), "{:?}", key);
                }
            }
        }

        #[test]
        fn a_prefix_that_is_long_enough_is_recognised(extractor in extractor(), key in key()) {
            if let Some(prefix) = extractor.prefix_of(&key) {
                // A prefix is its own, so that whole keys and prefixes may share a filter.
                prop_assert_eq!(extractor.prefix_of(prefix), Some(prefix));
                let end = prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded);
                let lower = Bound::Included(prefix.to_vec());
                let length = prefix.len();
                let short =
                    matches!(extractor, PrefixExtractor::Capped { bytes } if length < bytes as usize);
                prop_assert_eq!(extractor.shared_by(&lower, &end).is_some(), !short);
            }
        }

        #[test]
        fn the_stored_form_is_read_back_and_nothing_else_is(
            extractor in extractor(), bytes in prop::collection::vec(any::<u8>(), 0..6),
        ) {
            let mut stored = Vec::new();
            extractor.encode(&mut stored);
            prop_assert_eq!(PrefixExtractor::decode(&stored), Ok(extractor));
            prop_assert!(PrefixExtractor::decode(&stored[..stored.len() - 1]).is_err());
            stored.push(0);
            prop_assert!(PrefixExtractor::decode(&stored).is_err());
            if let Ok(other) = PrefixExtractor::decode(&bytes) {
                prop_assert!(other.validate().is_ok());
            }
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for wrong in [
            PrefixExtractor::Fixed { bytes: 0 },
            PrefixExtractor::Capped { bytes: MAX_BYTES + 1 },
            PrefixExtractor::Delimited { delimiter: b':', nth: 0 },
            PrefixExtractor::Delimited { delimiter: b':', nth: MAX_NTH + 1 },
        ] {
            assert!(
                matches!(wrong.validate(), Err(Error::InvalidArgument { what: "prefix", .. })),
                "{wrong:?}"
            );
            let mut stored = Vec::new();
            wrong.encode(&mut stored);
            assert!(PrefixExtractor::decode(&stored).is_err());
        }
    }
}
