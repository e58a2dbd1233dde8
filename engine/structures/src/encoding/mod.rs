//! Layer 1: the bytes of keys and values, as docs/format/structures.md has them.

pub mod fields;
pub mod header;
pub mod key;
pub mod limits;
pub mod score;
pub mod scored;
