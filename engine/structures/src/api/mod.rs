//! Layer 6: typed calls. Each is a unit of work of its own, or part of one inside of [`Store::transact`].
//! What they do is done by the operations of the types below, which commands call as well.
//!
//! [`Store::transact`]: crate::store::Store::transact

mod bits;
mod database;
mod hash;
mod keys;
mod list;
mod place;
mod run;
mod set;
mod several;
mod string;
mod watched;
mod zset;

pub use database::Database;
pub use hash::HashKey;
pub use list::ListKey;
pub use run::{Effect, Run, Transaction};
pub use set::SetKey;
pub use several::Taken;
pub use string::StringKey;
pub use watched::Watched;
pub use zset::SortedSetKey;
