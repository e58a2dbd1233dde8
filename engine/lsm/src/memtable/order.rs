//! In which order the slots of a node are to be read: a permutation in one word.
//!
//! The low four bits count the used slots; the nibbles above them name the slots, used ones first
//! and in the order of their entries, then the free ones. One store of the word publishes an
//! insertion (Mao, Kohler, Morris: Cache Craftiness for Fast Multicore Key-Value Storage, 2012).

/// Entries in a node: as many as fit into the word. Under the model checker fewer, so that splits
/// come soon.
pub(super) const SLOTS: usize = if cfg!(loom) { 2 } else { 15 };

const NIBBLE_BITS: usize = 4;
const COUNT_MASK: u64 = 0xf;
const IDENTITY: u64 = 0xedcb_a987_6543_2100;

/// The order of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order(pub(super) u64);

impl Order {
    /// The order of a node whose first `len` slots were filled in ascending order.
    pub(super) fn sorted(len: usize) -> Order {
        Order(IDENTITY).shortened(len)
    }

    /// The number of entries.
    pub(super) fn len(self) -> usize {
        (self.0 & COUNT_MASK) as usize
    }

    /// The slot of the entry at `rank`.
    pub(super) fn slot(self, rank: usize) -> usize {
        (self.0 >> (NIBBLE_BITS * (rank + 1)) & 0xf) as usize
    }

    /// Takes a free slot and puts it at `rank`. Requires a free slot and `rank <= len`.
    pub(super) fn insert(self, rank: usize) -> (usize, Order) {
        let len = self.len();
        debug_assert!(rank <= len && len < SLOTS);
        let slot = self.slot(len);
        let at = NIBBLE_BITS * (rank + 1);
        let end = NIBBLE_BITS * (len + 1);
        let below = (1 << at) - 1;
        let moved = ((1 << end) - 1) & !below;
        let above = !(((1u64 << end) << NIBBLE_BITS).wrapping_sub(1));
        let word = self.0 & below | (self.0 & moved) << NIBBLE_BITS | (slot as u64) << at | self.0 & above;
        (slot, Order(word + 1))
    }

    /// Only the first `len` entries; the slots of the others are free.
    pub(super) fn shortened(self, len: usize) -> Order {
        debug_assert!(len <= SLOTS);
        Order(self.0 & !COUNT_MASK | len as u64)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_word_is_a_list_of_slots(ops in prop::collection::vec((any::<u8>(), 0u8..8), 1..200)) {
            let mut model: Vec<usize> = Vec::new();
            let mut order = Order::sorted(0);
            for (position, choice) in ops {
                if model.len() == SLOTS || choice == 0 && !model.is_empty() {
                    let len = usize::from(position) % model.len() + 1;
                    model.truncate(len);
                    order = order.shortened(len);
                } else {
                    let rank = usize::from(position) % (model.len() + 1);
                    let (slot, next) = order.insert(rank);
                    prop_assert!(!model.contains(&slot) && slot < SLOTS);
                    model.insert(rank, slot);
                    order = next;
                }
                let listed: Vec<usize> = (0..order.len()).map(|rank| order.slot(rank)).collect();
                prop_assert_eq!(&listed, &model);
            }
        }
    }
}
