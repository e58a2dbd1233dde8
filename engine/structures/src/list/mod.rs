//! Layer 3: lists. Small ones stand in the header, element behind element; larger ones have a record for each
//! element, in the order of positions with room between them, and counts over them where the positions alone
//! do not tell which element is the how-manieth.

mod change;
mod check;
mod counts;
mod insert;
mod iterate;
mod read;
mod records;

pub use change::{Popped, insert, move_element, pop, pop_first, push, push_if_exists, remove, set, trim};
pub(crate) use check::{Elements as ElementCheck, check_inline};
pub use iterate::{Elements, entries};
pub use read::{Search, each_of_range, get, length, range, range_within, search, stretch};
pub use records::Side;
