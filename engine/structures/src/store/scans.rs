//! Where walks over the keys of a prefix have come to.
//!
//! Such a walk goes in the order of names, and a name does not fit into a cursor. So the cursor is the
//! number of a place that is remembered here, as long as there is room. Who comes with a number that was
//! forgotten starts anew, over all keys in the order of positions: keys may be shown twice, none is left
//! out.
//!
//! Numbers are chosen by chance among 32 bits, and a place is found only by who asks for its prefix in its
//! keyspace: that somebody meets a younger place of the same prefix under a number that was forgotten would
//! take some billions of walks.

use super::unit::Unit;
use crate::encoding::key::POSITIONS;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Cursors below this are numbers of places, those from it on positions.
pub const PLACES: u64 = 1 << 32;
const _: () = assert!(PLACES < POSITIONS);

/// How many places are remembered, and how many bytes they may have together.
const MOST: usize = 4096;
const MOST_BYTES: usize = 4 << 20;

#[derive(Debug)]
struct Place {
    keyspace: u64,
    prefix: Vec<u8>,
    next: Vec<u8>,
}

impl Place {
    fn bytes(&self) -> usize {
        self.prefix.len() + self.next.len()
    }
}

#[derive(Debug, Default)]
struct Known {
    places: HashMap<u64, Place>,
    /// The numbers, the oldest in front.
    order: VecDeque<u64>,
    bytes: usize,
}

/// The places of a store.
#[derive(Debug, Default)]
pub(super) struct Scans(Mutex<Known>);

impl Unit<'_> {
    /// Where the walk goes on that has this number: the first name that it has not shown.
    #[must_use]
    pub fn scan_place(&self, number: u64, keyspace: u64, prefix: &[u8]) -> Option<Vec<u8>> {
        let known = self.store.scans.0.lock();
        let place = known.places.get(&number)?;
        (place.keyspace == keyspace && place.prefix == prefix).then(|| place.next.clone())
    }

    /// Remembers where a walk goes on, and returns the number.
    #[must_use]
    pub fn keep_scan_place(&self, keyspace: u64, prefix: &[u8], next: &[u8]) -> u64 {
        let mut known = self.store.scans.0.lock();
        let known = &mut *known;
        let number = loop {
            let number = 1 + self.random_below(PLACES - 1);
            if !known.places.contains_key(&number) {
                break number;
            }
        };
        let place = Place { keyspace, prefix: prefix.to_vec(), next: next.to_vec() };
        known.bytes += place.bytes();
        known.places.insert(number, place);
        known.order.push_back(number);
        while known.order.len() > MOST || (known.bytes > MOST_BYTES && known.order.len() > 1) {
            let oldest = known.order.pop_front().and_then(|number| known.places.remove(&number));
            known.bytes -= oldest.map_or(0, |place| place.bytes());
        }
        number
    }
}
