//! System calls of a process as `strace` wrote them down, and what their order must be.

mod call;
mod manifests;
mod order;
mod run;
mod told;

pub use call::{Call, OPTIONS, parse};
pub use order::{Findings, check, check_sees};
pub use run::{is_there, run};
pub use told::{Told, check_told};
