//! Starting and stopping.

mod acceptor;
mod descriptors;
mod options;
mod running;

pub use options::Options;
pub use running::{Server, Stopper};
