//! Layer 4: who may write which key: locks that transactions hold, and what was written of late.

mod bounds;
mod guards;
mod keys;
mod open;
mod recent;
mod removed;
mod waiting;

#[cfg(test)]
#[cfg(not(loom))]
mod keys_tests;

pub use guards::{Guard, Guards, Span, Spans};
pub use keys::{KeyLocks, LockFailure, LockedKey, OwnerId};
pub use open::{OpenTransaction, OpenTransactions};
pub use recent::{Recent, RecentWrites};
