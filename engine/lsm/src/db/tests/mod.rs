//! Whole stores under schedules that shuttle chooses; run with `cargo xtask shuttle`.
//!
//! Each test is a small program of a few threads over a store with its real background threads, on the
//! simulated disk. `rig` runs it under many schedules; `history` writes down what the threads asked for
//! and saw, and judges it; the other files are the programs, by what goes on beside the writers.

mod background;
mod closing;
mod disk;
mod durable;
mod families;
mod history;
mod ranges;
pub(crate) mod rig;
mod writers;
