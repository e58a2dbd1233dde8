//! A worker: an event loop over its connections.

mod client;
mod desk;
mod event_loop;
mod inbox;
mod input;
mod output;

pub(crate) use event_loop::Worker;
pub(crate) use inbox::Inbox;
