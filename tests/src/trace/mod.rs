//! System calls of a process as `strace` wrote them down, and what their order must be.

mod call;
mod order;
mod run;

pub use call::{Call, OPTIONS, parse};
pub use order::{Findings, check, check_sees};
pub use run::run;
