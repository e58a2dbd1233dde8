//! Layer 5: typed calls. Each is a unit of work of its own, or part of one inside of [`Store::transact`].
//!
//! [`Store::transact`]: crate::store::Store::transact

mod database;
mod hash;
mod list;
mod place;
mod run;
mod set;
mod string;
mod zset;

pub use database::Database;
pub use hash::HashKey;
pub use list::ListKey;
pub use run::{Run, Transaction};
pub use set::SetKey;
pub use string::StringKey;
pub use zset::SortedSetKey;
