//! The state of a running server.

use super::client::ClientInfo;
use super::saving::Saving;
use super::settings::Settings;
use esker_structures::Store;
use esker_structures::command::Connection;
use mio::Waker;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// What is counted since the start, or since CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) closed_for_limits: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
}

/// Shared by the acceptor and all workers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    pub(crate) settings: Settings,
    pub(crate) counters: Counters,
    pub(crate) saving: Arc<Saving>,
    pub(crate) clients: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    /// How many connections there are, those on their way to a worker included.
    pub(crate) connected: AtomicUsize,
    /// The bytes of all buffers of all connections.
    pub(crate) buffered: AtomicUsize,
    pub(crate) next_id: AtomicU64,
    pub(crate) started: Instant,
    stopping: AtomicBool,
    /// Those of the acceptor and the workers.
    wakers: Vec<Arc<Waker>>,
}

impl Shared {
    pub(crate) fn new(
        store: Store,
        address: SocketAddr,
        max_clients: u64,
        saving: Arc<Saving>,
        wakers: Vec<Arc<Waker>>,
    ) -> Shared {
        Shared {
            store,
            address,
            settings: Settings::new(max_clients),
            counters: Counters::default(),
            saving,
            clients: Mutex::default(),
            connected: AtomicUsize::new(0),
            buffered: AtomicUsize::new(0),
            next_id: AtomicU64::new(1),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            wakers,
        }
    }

    /// What a client finds: large collections are read while their replies are sent.
    pub(crate) fn connect(&self) -> Connection {
        let mut connection = Connection::new(&self.store);
        connection.session_mut().streams = true;
        connection
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for waker in &self.wakers {
            // A thread that has ended needs no waking.
            let _ = waker.wake();
        }
    }
}
