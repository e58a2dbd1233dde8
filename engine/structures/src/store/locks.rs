//! Locks on keys, striped.
//!
//! A unit of work locks the stripes of the keys that a command names before it reads or writes them, and
//! holds them until its batch is published. Within a command stripes are taken in ascending order; a later
//! command of the same unit waits only for stripes above all that the unit holds and merely tries the others,
//! so that no two units wait for one another. Nobody waits for a disk while it holds a stripe.

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

/// The stripe of a header's key.
pub(super) fn stripe_of(header_key: &[u8]) -> u16 {
    (esker::base::hash::key_hash(header_key) % STRIPES as u64) as u16
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
            if self.held.iter().any(|(held, _)| *held == stripe) {
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
