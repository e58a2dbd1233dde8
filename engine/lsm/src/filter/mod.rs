//! Layer 1: filters, which say of most absent keys that they are absent.

mod blocked;
mod container;
mod keyed;
mod policy;
mod prefix;
mod whole_prefix;

pub use container::{Filter, FilterBuilder};
pub use policy::FilterPolicy;
pub use prefix::PrefixExtractor;
pub use whole_prefix::{PrefixCounts, PrefixFilterStats, WholePrefix};
