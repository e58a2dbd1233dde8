//! How long a store takes to open: a large one after a clean close, and one whose log has to be replayed.

mod options;
mod report;
mod run;

pub use options::Opening;
pub use report::{Opened, OpeningReport};
pub use run::opening;
