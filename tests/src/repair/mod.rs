//! Damaged directories, and whether what a repair makes and says of them is true.

mod check;
mod damage;
mod truth;

pub use check::{NEW, OLD, Tally, examine, repair};
pub use damage::{Damage, damages};
pub use truth::Truth;
