//! How a server is started.

use crate::shared::BackupTo;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Options of a server. Durability is the store's.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one. Default: 127.0.0.1:6379.
    pub address: SocketAddr,
    /// How many workers there are; 0, the default: one for each core, at least two.
    pub workers: usize,
    /// The most connections. Default: 10,000; fewer if the process may not have so many descriptors.
    pub max_clients: u64,
    /// Where BGSAVE puts backups; `None`, the default: it is refused. One that is under way when the server
    /// stops goes on until it is done or the store is closed.
    pub backups: Option<BackupTo>,
}

impl Default for Options {
    fn default() -> Options {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6379);
        Options { address, workers: 0, max_clients: 10_000, backups: None }
    }
}
