//! What a unit of work remembers of the counts of the sorted sets that it changes.

use super::unit::{Access, Unit};
use crate::ranks::{Of, Tree};

impl Unit<'_> {
    /// Takes what is remembered of the counts of a sorted set, whose lock must be held. What does not come
    /// back by [`Unit::keep_ranks`] is forgotten.
    pub fn take_ranks(&mut self, of: Of) -> Option<Tree> {
        debug_assert_eq!(self.access, Access::Write);
        match self.ranks.iter().position(|(known, _)| *known == of) {
            Some(at) => Some(self.ranks.swap_remove(at).1),
            None => self.store.ranks.take(of),
        }
    }

    /// Remembers the counts of a sorted set as this unit leaves them: for others, too, once it is committed.
    pub fn keep_ranks(&mut self, of: Of, tree: Tree) {
        self.ranks.push((of, tree));
    }
}
