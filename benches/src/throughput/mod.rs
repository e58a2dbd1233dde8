//! Operations per second against a store on disk, phase by phase.

mod feed;
mod options;
mod phase;
mod report;
mod run;
mod sync;

pub use options::Options;
pub use phase::Phase;
pub use report::{Report, Row};
pub use run::run;
pub(crate) use sync::bare;
