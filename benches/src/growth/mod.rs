//! How a tree grows: the sizes of its levels while a store is filled, overwritten, half emptied, left
//! alone and compacted, and a picture of it.

mod picture;
mod sample;

pub use picture::picture;
pub use sample::{Growth, Part, Sample, grow};
