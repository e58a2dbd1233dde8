//! Layer 3: sets. Small ones stand in the header, member behind member; larger ones have a record for each
//! member, in the order of a keyed hash.

mod algebra;
mod iterate;
mod members;
mod random;
mod records;

pub use algebra::{Algebra, combined, intersection_count, store};
pub use iterate::{Members, all, entries, scan, stretch};
pub use members::{add, contains_many, length, move_member, remove};
pub use random::{pop, random_distinct, random_many};
pub(crate) use records::{check_inline, check_records};
