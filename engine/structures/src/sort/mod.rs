//! Layer 5: the elements of a list, a set or a sorted set in the order of themselves, or of what other keys
//! hold.
//!
//! Everything is read at one moment and before anything is written: the keys that patterns name are not
//! locked.

mod operation;
mod options;
mod weights;

pub use operation::{Row, rows, rows_unpacking, store};
pub use options::SortOptions;
