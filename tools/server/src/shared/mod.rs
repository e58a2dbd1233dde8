//! What all threads of a server share: settings, counters, who is connected, whether it stops.

mod client;
mod saving;
mod settings;
mod state;

pub(crate) use client::ClientInfo;
pub use saving::BackupTo;
pub(crate) use saving::Saving;
pub(crate) use state::Shared;
