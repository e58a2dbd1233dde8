//! `esker stress`: a store on the user's own disk whose process is killed again and again.
//!
//! The process that is killed is a [`child`]: this very binary under a hidden command. It carries out
//! intents that follow from the seed ([`intents`]) and tells what has returned, line by line ([`lines`]),
//! through a pipe that outlives it. The [`oracle`] stands outside: it makes the same intents again and knows
//! from the lines what must be there; [`check`] opens what the kill left and reads it. Values are known by
//! the stamp that they begin with ([`value`]), so that nobody has to keep them.

pub mod args;
pub mod check;
pub mod child;
pub mod command;
pub mod home;
pub mod intents;
pub mod lines;
pub mod oracle;
#[cfg(test)]
mod oracle_tests;
pub mod process;
pub mod record;
pub mod scanner;
pub mod summary;
pub mod value;

pub use args::{ChildArgs, StressArgs};
pub use child::run as run_child;
pub use command::run;
