//! Layer 4: a check of the whole store: headers, elements, index, counts and expiries agree.

mod check;
mod walk;

pub use walk::Report;
