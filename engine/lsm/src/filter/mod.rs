//! Layer 1: filters, which say of most absent keys that they are absent.

mod blocked;
mod container;
mod keyed;
mod policy;

pub use container::{Filter, FilterBuilder};
pub use policy::FilterPolicy;
