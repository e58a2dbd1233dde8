//! Layer 0: what every other layer speaks in.

pub mod blob_ref;
pub mod bounds;
pub mod checksum;
pub mod clock;
pub mod coding;
pub mod cursor;
pub mod error;
pub mod filename;
pub mod hash;
pub mod in_hook;
pub mod key;
pub mod key_buffer;
pub mod limits;
pub mod memory;
pub mod observe;
pub mod operand;
pub mod panics;
pub mod position;
pub mod random;
pub mod refusal;
pub mod slice;
pub mod sync;
