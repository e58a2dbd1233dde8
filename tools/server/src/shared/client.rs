//! What is told of a connection to others.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// A connection, as CLIENT LIST shows it.
#[derive(Debug)]
pub(crate) struct ClientInfo {
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) names: Mutex<Names>,
    pub(crate) database: AtomicU32,
    pub(crate) protocol: AtomicU32,
    /// When the last command came, in milliseconds since the connection.
    pub(crate) active_ms: AtomicU64,
    /// Bytes of commands and of replies that wait.
    pub(crate) input: AtomicUsize,
    pub(crate) output: AtomicUsize,
}

/// How a client calls itself.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) name: Vec<u8>,
    pub(crate) library: Vec<u8>,
    pub(crate) version: Vec<u8>,
}

impl ClientInfo {
    pub(crate) fn new(id: u64, peer: SocketAddr, local: SocketAddr) -> ClientInfo {
        ClientInfo {
            id,
            peer,
            local,
            since: Instant::now(),
            names: Mutex::default(),
            database: AtomicU32::new(0),
            protocol: AtomicU32::new(2),
            active_ms: AtomicU64::new(0),
            input: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
        }
    }

    /// The line of CLIENT LIST and CLIENT INFO, without its end.
    pub(crate) fn line(&self) -> String {
        let age_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let idle_ms = age_ms.saturating_sub(self.active_ms.load(Ordering::Relaxed));
        let names = self.names.lock();
        let text = String::from_utf8_lossy;
        format!(
            "id={} addr={} laddr={} name={} age={} idle={} flags=N db={} qbuf={} omem={} user=default \
             resp={} lib-name={} lib-ver={}",
            self.id,
            self.peer,
            self.local,
            text(&names.name),
            age_ms / 1000,
            idle_ms / 1000,
            self.database.load(Ordering::Relaxed),
            self.input.load(Ordering::Relaxed),
            self.output.load(Ordering::Relaxed),
            self.protocol.load(Ordering::Relaxed),
            text(&names.library),
            text(&names.version),
        )
    }
}
