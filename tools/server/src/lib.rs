//! A server that speaks Redis' protocol over a store of structures. What it promises stands in
//! `docs/server.md`.
//!
//! ```
//! use esker_server::{Options, Server};
//! use std::io::{Read, Write};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = esker_structures::Store::open(dir.path().join("data"))?;
//! let server = Server::start(&store, &Options { address: "127.0.0.1:0".parse()?, ..Options::default() })?;
//! let mut client = std::net::TcpStream::connect(server.address())?;
//! client.write_all(b"SET greeting hello\r\n")?;
//! let mut reply = [0; 5];
//! client.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"+OK\r\n"); // on disk
//! server.stopper().stop();
//! server.wait().expect("no thread of it panicked");
//! store.close()?;
//! # Ok(()) }
//! ```

mod command;
mod server;
mod shared;
mod worker;

pub mod protocol;

pub use server::{MetricsEndpoint, Options, Server, Stopper};
pub use shared::BackupTo;
