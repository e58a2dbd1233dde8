//! What all threads of a server share: settings, counters, who is connected, whether it stops.

mod client;
mod settings;
mod state;

pub(crate) use client::ClientInfo;
pub(crate) use state::Shared;
