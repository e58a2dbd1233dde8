//! Layer 2: data blocks: sorted, prefix-compressed entries with restart points.

mod builder;
mod cursor;
mod data;
mod fingers;

pub use builder::BlockBuilder;
pub use cursor::BlockCursor;
pub use data::{Aim, Block};

#[cfg(test)]
mod tests;
