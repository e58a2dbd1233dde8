//! Whether what several threads saw can be explained by some order of their calls, each of which took
//! effect at one moment between its start and its end (M. Herlihy, J. Wing: Linearizability, 1990).
//!
//! `call` is one call with what it saw, `checker` decides, `threads` lets real threads call a store
//! (`updates`: those calls that depend on what they read), and `recovered` explains what a loss of power
//! among them leaves.

mod call;
mod checker;
mod recovered;
mod threads;
mod updates;

pub use call::{Call, Cell, Content, EMPTY, KEYS, What, overlapping, shown};
pub use checker::{Undecided, check};
pub use recovered::{explain, read_all};
pub use threads::{Plan, Recorded, content_of, run};

#[cfg(test)]
mod tests;
