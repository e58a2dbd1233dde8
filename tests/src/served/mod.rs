//! The server as a process of its own, and a client that speaks its protocol without a library.

mod client;
mod process;

pub use client::{Client, encode};
pub use process::Served;
