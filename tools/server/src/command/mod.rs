//! The commands that are about the server and its connections; those about data stand in the table of
//! structures.

mod client;
mod config;
mod describe;
mod hello;
mod info;
mod kinds;
mod save;
mod table;

pub(crate) use table::{Call, Own, ReplyMode, execute, find, run};
