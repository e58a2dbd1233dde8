//! What other threads tell a worker.

use mio::Waker;
use mio::net::TcpStream;
use parking_lot::Mutex;
use std::sync::Arc;

/// The letters to a worker.
#[derive(Debug)]
pub(crate) struct Inbox {
    waker: Arc<Waker>,
    letters: Mutex<Letters>,
}

#[derive(Debug, Default)]
pub(super) struct Letters {
    /// New connections.
    pub(super) connections: Vec<TcpStream>,
    /// What was awaited will never be durable.
    pub(super) failure: Option<String>,
}

impl Inbox {
    pub(crate) fn new(waker: Arc<Waker>) -> Inbox {
        Inbox { waker, letters: Mutex::default() }
    }

    /// Hands a connection over.
    pub(crate) fn send(&self, stream: TcpStream) {
        self.letters.lock().connections.push(stream);
        self.wake();
    }

    /// The log is synced further, or will never be.
    pub(super) fn synced(&self, result: esker::Result<()>) {
        if let Err(error) = result {
            self.letters.lock().failure = Some(error.to_string());
        }
        self.wake();
    }

    pub(super) fn take(&self) -> Letters {
        std::mem::take(&mut *self.letters.lock())
    }

    fn wake(&self) {
        // It fails only if the worker's poller is gone, and then nobody waits.
        let _ = self.waker.wake();
    }
}
