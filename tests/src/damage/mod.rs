//! Damaged files: every way to damage one, what its readers then say, and how much memory they ask for.

mod allocation;
mod kinds;
mod reading;

pub use allocation::{Counting, growth_during, largest_during, live_bytes};
pub use kinds::{Damage, SECTOR_BYTES};
pub use reading::{Intact, Verdict};
