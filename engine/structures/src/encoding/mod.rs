//! Layer 1: the bytes of keys and values, as docs/format/structures.md has them.

pub mod check;
pub mod fields;
pub mod header;
pub mod items;
pub mod key;
pub mod limits;
#[cfg(test)]
mod order_tests;
pub mod positions;
pub mod score;
pub mod scored;
