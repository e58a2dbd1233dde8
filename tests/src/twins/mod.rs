//! A store of structures and its twin: the same commands to both, on two simulated disks, of which one loses
//! power, fails and runs full. What a client sees of the twin is what may be seen of the other.

mod disks;
mod faults;
mod losses;
mod pair;
mod seen;
mod steps;

pub use faults::{Full, calls, fails, runs_full, sync_fails};
pub use losses::{Losses, lose_everywhere};
pub use seen::Seen;
pub use steps::{Step, history};
