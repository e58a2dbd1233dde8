//! Which sorted sets a process remembers the counts of: those that were changed last, within a bound.
//!
//! What is remembered is true as long as only those who hold the lock of a set's key change its counts. They
//! take its tree out, and put it back when what they have written is visible and before they let go of the
//! lock. A tree that does not come back is read anew.

use super::tree::Tree;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};

/// The memory that all trees take together, in bytes: some 80 for 32 members.
const MOST_BYTES: usize = 8 << 20;

/// Whose counts: keyspace and incarnation.
pub type Of = (u64, u64);

#[derive(Debug, Default)]
struct Trees {
    /// With the moment at which each was put back.
    trees: HashMap<Of, (u64, Tree)>,
    by_age: BTreeMap<u64, Of>,
    moment: u64,
    bytes: usize,
}

/// The trees of a store.
#[derive(Debug, Default)]
pub struct Known(Mutex<Trees>);

impl Trees {
    fn remove(&mut self, of: Of) -> Option<Tree> {
        let (moment, tree) = self.trees.remove(&of)?;
        self.by_age.remove(&moment);
        self.bytes -= tree.bytes();
        Some(tree)
    }
}

impl Known {
    /// Takes the tree of a set out, if it is known. The lock of its key must be held.
    #[must_use]
    pub fn take(&self, of: Of) -> Option<Tree> {
        self.0.lock().remove(of)
    }

    /// Puts a tree back. What was put back longest ago is forgotten for it; a tree that is too large alone is
    /// not kept.
    pub fn keep(&self, of: Of, tree: Tree) {
        if tree.bytes() > MOST_BYTES {
            return;
        }
        let mut known = self.0.lock();
        known.remove(of);
        known.moment += 1;
        let moment = known.moment;
        known.bytes += tree.bytes();
        known.trees.insert(of, (moment, tree));
        known.by_age.insert(moment, of);
        while known.bytes > MOST_BYTES {
            let Some((_, oldest)) = known.by_age.first_key_value() else { break };
            let oldest = *oldest;
            known.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(bytes: usize) -> Tree {
        let mut tree = Tree::new(1);
        let place = vec![1; 9];
        let start: Box<[u8]> = vec![0; bytes].into();
        let buckets = vec![(Box::default(), 1), (start, 2)];
        let one = |_: u8, _: &[u8]| Ok(buckets[0].clone());
        // What is read the first times is not remembered.
        for _ in 0..3 {
            tree.count(&place, true, |_, _, _| Ok(buckets.clone()), one, |_| {}).unwrap();
        }
        tree
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let known = Known::default();
        for number in 0..9 {
            known.keep((1, number), tree(MOST_BYTES / 8));
        }
        assert!(known.take((1, 0)).is_none() && known.take((1, 1)).is_none());
        let second = known.take((1, 2)).unwrap();
        assert!(known.take((1, 2)).is_none(), "it is out");
        known.keep((1, 2), second);
        known.keep((2, 3), tree(MOST_BYTES / 8));
        assert!(known.take((1, 3)).is_none() && known.take((1, 2)).is_some());
        known.keep((3, 3), tree(2 * MOST_BYTES));
        assert!(known.take((3, 3)).is_none());
        let trees = known.0.lock();
        assert_eq!(trees.trees.len(), trees.by_age.len());
        assert_eq!(trees.bytes, trees.trees.values().map(|(_, tree)| tree.bytes()).sum());
        assert!(trees.bytes > MOST_BYTES / 2 && trees.bytes <= MOST_BYTES);
    }
}
