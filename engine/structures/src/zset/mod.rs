//! Layer 3: sorted sets. Small ones stand in the header, in the order of their scores; larger ones have two
//! records for each member, one that finds its score and one in the order of scores, and counts that find a
//! member's index and the member of an index.

mod add;
mod algebra;
mod counts;
mod iterate;
mod random;
mod range;
mod read;
mod records;
mod remove;
mod verify;
mod view;

pub use add::{Add, Added, add};
pub use algebra::{Aggregate, Algebra, check_sources, combined, intersection_count, store, store_range};
pub use iterate::{Entries, entries, scan};
pub use random::{random, random_distinct, random_many};
pub use range::{Entry, LexBound, Range, ScoreRange, Window};
pub use read::{count, length, members, members_within, rank, score, scores, split_record, stretch};
pub use remove::{pop, pop_first, remove, remove_range};
pub(crate) use verify::{Records, check_inline};

#[cfg(test)]
mod tests;
