//! Layer 0: errors with Redis' texts, numbers as text, hashes, patterns.

pub mod error;
pub mod glob;
pub mod hash;
pub mod number;
pub mod real;
