//! Layer 3: strings. Short ones stand in the header; long ones in chunks, of which operations touch those
//! that they concern.

mod assign;
mod bitfield;
mod bits;
mod lcs;
mod number;
mod range;
mod value;

pub use assign::{
    Condition, Expiry, SetOptions, SetOutcome, each_of, get, get_delete, get_expiring, get_many, length, set,
    set_many,
};
pub use bitfield::{Field, FieldOp, Overflow, Width, bit_field};
pub use bits::{BitOperation, BitRange, bit_count, bit_operation, bit_position, get_bit, set_bit};
pub(crate) use lcs::not_strings;
pub use lcs::{Common, Match, longest_common};
pub use number::{add_float, add_integer};
pub use range::{append, get_range, set_range};
pub(crate) use value::Chunks;
