//! Layer 9: transactions. `docs/transactions.md` says what they promise.

mod begin;
mod commit;
mod iter;
mod operands;
mod options;
mod pending;
mod prepare;
mod read;
mod tracked;
mod transaction;

#[cfg(all(test, not(any(loom, shuttle))))]
mod anomaly_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod model_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod prepare_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod read_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod reliance_tests;
#[cfg(all(test, shuttle))]
mod shuttle_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use commit::CommitError;
pub use iter::TransactionIter;
pub use options::{Locking, TransactionOptions};
pub use prepare::{Prepared, PreparedInfo};
pub use transaction::{Savepoint, Transaction};
