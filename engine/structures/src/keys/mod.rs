//! Layer 3: keys of whatever type.

mod expire;
mod inspect;
mod moving;
mod scan;

pub use expire::{Limit, Remaining, expire_at, persist, remaining};
pub use inspect::{count_existing, delete, delete_many, encoding_name, exists, kind};
pub use moving::{copy, rename};
pub use scan::{Filter, Names, matching, names, random, scan};
