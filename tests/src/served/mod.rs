//! The server as a process of its own, a client that speaks its protocol without a library, and work for
//! it that can be judged after a kill.

mod client;
mod load;
mod process;

pub use client::{Client, encode};
pub use load::Load;
pub use process::Served;
