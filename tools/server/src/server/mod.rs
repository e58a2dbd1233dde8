//! Starting and stopping.

mod acceptor;
pub(crate) mod descriptors;
mod metrics;
mod options;
mod running;

pub use metrics::MetricsEndpoint;
pub use options::Options;
pub use running::{Server, Stopper};
