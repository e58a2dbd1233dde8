//! Layer 6: commands given as byte strings, as Redis' clients send them: the table, parsing of arguments,
//! replies, connections.
//!
//! A group of commands stands in a file of its own, which hands its part of the table to `table.rs`. A
//! handler parses its arguments, calls the operation of its type, and makes the reply.

mod absent;
mod arguments;
mod bits;
mod connection;
#[cfg(test)]
mod connection_tests;
mod context;
#[cfg(test)]
mod depends_tests;
mod expiry;
mod hashes;
mod keys;
mod keyspec;
#[cfg(test)]
mod limits_tests;
mod lists;
#[cfg(test)]
mod lists_tests;
#[cfg(test)]
mod newer_tests;
#[cfg(test)]
mod order_tests;
mod page;
mod reply;
mod server;
mod session;
mod sets;
#[cfg(test)]
mod sets_tests;
mod sort;
mod stream;
#[cfg(test)]
mod stream_tests;
mod strings;
#[cfg(test)]
mod strings_tests;
mod table;
mod transactions;
mod zset_algebra;
mod zset_ranges;
mod zsets;

pub use connection::{Answer, Connection, unknown_subcommand};
pub use context::Context;
pub use keyspec::Keys;
pub use page::page;
pub use reply::{Bulks, Protocol, Reply};
pub use session::{Outside, Session};
pub use stream::Stream;
pub use table::{Command, Group, Handler, commands, find, flags};
