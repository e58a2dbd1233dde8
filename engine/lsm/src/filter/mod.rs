//! Layer 1: filters, which say of most absent keys that they are absent.

mod blocked;
mod policy;

pub use blocked::{Filter, FilterBuilder};
pub use policy::FilterPolicy;
