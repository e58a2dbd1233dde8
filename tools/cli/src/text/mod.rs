//! Text of the command line and of the output: bytes, sizes, durations, counts.

pub mod bytes_text;
pub mod duration;
pub mod number;
pub mod size;
