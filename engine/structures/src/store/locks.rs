//! Locks on keys, striped.
//!
//! A unit of work locks the stripes of the keys that a command names before it reads or writes them, and
//! holds them until its batch is published. Within a command stripes are taken in ascending order; a later
//! command of the same unit waits only for stripes above all that the unit holds and merely tries the others,
//! so that no two units wait for one another. Nobody waits for a sync while it holds a stripe; a commit that
//! the engine holds up, because flushes or compactions are behind, does: who wants the same stripes would be
//! held up as well, and who reads needs none.

use super::headers::Key;
use crate::encoding::key::{self, KEYSPACE_BYTES};
use esker::base::hash::key_hash;
use parking_lot::{Mutex, MutexGuard};

/// How many stripes there are.
const STRIPES: usize = 1024;

/// One lock in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(Mutex<()>);

/// All locks of a store.
#[derive(Debug)]
pub(super) struct Stripes(Box<[Stripe]>);

impl Stripes {
    pub(super) fn new() -> Stripes {
        Stripes((0..STRIPES).map(|_| Stripe::default()).collect())
    }
}

/// Names of keys up to this many bytes are hashed without an allocation.
const SHORT_BYTES: usize = 120;

/// The stripe of a key.
pub(super) fn stripe_of(key: Key<'_>) -> u16 {
    let hash = if key.name.len() <= SHORT_BYTES {
        let mut header = [0; KEYSPACE_BYTES + SHORT_BYTES];
        let (keyspace, name) = header.split_at_mut(KEYSPACE_BYTES);
        keyspace.copy_from_slice(&key.keyspace.to_be_bytes());
        name[..key.name.len()].copy_from_slice(key.name);
        key_hash(&header[..KEYSPACE_BYTES + key.name.len()])
    } else {
        key_hash(&key::header(key.keyspace, key.name))
    };
    (hash % STRIPES as u64) as u16
}

/// The stripes that a unit holds.
#[derive(Debug)]
pub(super) struct Held<'s> {
    stripes: &'s Stripes,
    held: Vec<(u16, MutexGuard<'s, ()>)>,
}

impl<'s> Held<'s> {
    pub(super) fn new(stripes: &'s Stripes) -> Held<'s> {
        Held { stripes, held: Vec::new() }
    }

    /// Takes the stripes `wanted`, which are sorted, in addition to those held. `false` if that would need
    /// waiting out of order; some may have been taken by then.
    pub(super) fn take(&mut self, wanted: &[u16]) -> bool {
        for &stripe in wanted {
            if self.has(stripe) {
                continue;
            }
            let highest = self.held.iter().map(|(held, _)| *held).max();
            let lock = &self.stripes.0[usize::from(stripe)].0;
            let guard = match highest {
                Some(highest) if highest > stripe => lock.try_lock(),
                _ => Some(lock.lock()),
            };
            let Some(guard) = guard else { return false };
            self.held.push((stripe, guard));
        }
        true
    }

    /// Whether a stripe is held.
    pub(super) fn has(&self, stripe: u16) -> bool {
        self.held.iter().any(|(held, _)| *held == stripe)
    }

    /// Whether none is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Lets go of all of them.
    pub(super) fn release(&mut self) {
        self.held.clear();
    }

    /// Which are held, in the order of their numbers.
    pub(super) fn numbers(&self) -> Vec<u16> {
        let mut numbers: Vec<u16> = self.held.iter().map(|(stripe, _)| *stripe).collect();
        numbers.sort_unstable();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripe_is_that_of_the_headers_key() {
        for bytes in [0, 1, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 1000] {
            let name = vec![b'x'; bytes];
            let expected = key_hash(&key::header(7, &name)) % STRIPES as u64;
            assert_eq!(u64::from(stripe_of(Key { keyspace: 7, name: &name })), expected, "{bytes}");
        }
    }

    #[test]
    fn stripes_out_of_order_are_only_tried() {
        let stripes = Stripes::new();
        let (mut first, mut second) = (Held::new(&stripes), Held::new(&stripes));
        assert!(first.take(&[3, 7]) && second.take(&[5]));
        assert!(!first.take(&[5]), "the other holds it");
        assert!(first.take(&[3, 4, 9]), "what is held, free or above everything is no question");
        second.release();
        assert!(first.take(&[5]));
        assert_eq!(first.numbers(), [3, 4, 5, 7, 9]);
    }
}
