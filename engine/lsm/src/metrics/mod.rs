//! Layer 1: how long things take, and how that and other figures become text.

mod exposition;
mod histogram;
mod timings;

pub use exposition::{Exposition, MetricKind};
pub use histogram::{Histogram, Recorder};
pub use timings::{Timed, Timings};
