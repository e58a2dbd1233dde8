//! Byte strings one behind the other: the payload of a small set or list. The grammar stands in
//! docs/format/structures.md.

use crate::base::error::Result;
use esker::base::coding::{Decoder, put_bytes};
use std::ops::Range;

/// An item, and where its entry stands in the payload.
pub type Item<'a> = (&'a [u8], Range<usize>);

/// Appends an item.
pub fn put_item(out: &mut Vec<u8>, item: &[u8]) {
    put_bytes(out, item);
}

/// An item as an entry of its own.
#[must_use]
pub fn entry(item: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(item.len() + 5);
    put_item(&mut out, item);
    out
}

/// The items of a payload, in the order in which they stand there.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Items<'a> {
    /// Of a payload.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Items<'a> {
        Items { bytes: payload, at: 0 }
    }

    /// Where the entry of an item stands, if it is there.
    ///
    /// # Errors
    /// As the iterator's.
    pub fn find(self, wanted: &[u8]) -> Result<Option<Range<usize>>> {
        for item in self {
            let (item, range) = item?;
            if item == wanted {
                return Ok(Some(range));
            }
        }
        Ok(None)
    }

    /// All of them.
    ///
    /// # Errors
    /// For bytes that [`put_item`] does not write.
    pub fn list(self) -> Result<Vec<Item<'a>>> {
        self.collect()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let mut decoder = Decoder::new(rest);
        let start = self.at;
        match decoder.bytes("an item") {
            Ok(item) => {
                self.at += decoder.position();
                Some(Ok((item, start..self.at)))
            }
            Err(error) => {
                self.at = self.bytes.len();
                Some(Err(error.into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_round_trip(
            items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..9)
        ) {
            let mut payload = Vec::new();
            items.iter().for_each(|item| put_item(&mut payload, item));
            let back = Items::new(&payload).list().unwrap();
            prop_assert_eq!(back.len(), items.len());
            for ((found, range), item) in back.iter().zip(&items) {
                prop_assert_eq!(found, item);
                prop_assert_eq!(&payload[range.clone()], &entry(item)[..]);
            }
        }

        #[test]
        fn no_bytes_make_the_iterator_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Items::new(&bytes).list();
        }
    }
}
