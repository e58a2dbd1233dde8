//! Layer 3: hashes. Small ones stand in the header, field behind field; larger ones have a record for each
//! field, in the order of a keyed hash.

mod fields;
mod iterate;
mod number;
mod random;
mod records;

pub use fields::{contains, delete, each_of, get, get_many, length, set, set_if_absent, value_length};
pub use iterate::{Entries, Pair, all, entries, scan, stretch};
pub use number::{add_float, add_integer};
pub use random::{random, random_distinct, random_many};
pub(crate) use records::{check_inline, check_records};
