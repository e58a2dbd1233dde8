//! What a store must hold, at any moment and after any crash.
//!
//! The [`Oracle`] is told what is asked of a store and what it answers. It knows what every read must give,
//! and for each way of losing something it decides whether what was recovered is allowed. The rules come
//! from the table in `docs/durability.md` ([`Contract`]).

mod contract;
mod dump;
mod model;
mod recovery;
mod state;

pub use contract::{Contract, Order, Row, Survives};
pub use dump::{Dump, PREPARED_NAME, Unreadable};
pub use model::{Oracle, Outcome, PREPARED};
pub use recovery::{Loss, Match};
pub use state::{FamilyId, Merge, State, Version};

#[cfg(test)]
mod tests;
