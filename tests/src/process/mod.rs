//! Running the command as a process of its own.

mod limit;
mod lines;

pub use limit::Limit;
pub use lines::Lines;
