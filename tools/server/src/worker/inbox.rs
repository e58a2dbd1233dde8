//! What other threads tell a worker.

use mio::Waker;
use mio::net::TcpStream;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

/// The letters to a worker.
#[derive(Debug)]
pub(crate) struct Inbox {
    waker: Arc<Waker>,
    connections: Mutex<Vec<TcpStream>>,
    /// The log is synced further, or will never be.
    synced: AtomicBool,
}

impl Inbox {
    pub(crate) fn new(waker: Arc<Waker>) -> Inbox {
        Inbox { waker, connections: Mutex::default(), synced: AtomicBool::new(false) }
    }

    /// Hands a connection over.
    pub(crate) fn send(&self, stream: TcpStream) {
        self.connections.lock().push(stream);
        self.wake_worker();
    }

    /// Whether what the worker waits for may have become durable since it last asked.
    pub(super) fn take_synced(&self) -> bool {
        self.synced.swap(false, Ordering::AcqRel)
    }

    /// The connections that were handed over.
    pub(super) fn take(&self) -> Vec<TcpStream> {
        std::mem::take(&mut *self.connections.lock())
    }

    fn wake_worker(&self) {
        // It fails only if the worker's poller is gone, and then nobody waits.
        let _ = self.waker.wake();
    }
}

/// The thread that syncs the log wakes the worker itself.
impl Wake for Inbox {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.synced.store(true, Ordering::Release);
        self.wake_worker();
    }
}
