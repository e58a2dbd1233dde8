//! Takes connections and hands them out to the workers in turn.

use crate::shared::Shared;
use crate::worker::Inbox;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);

/// How long to wait when no connection can be taken: for want of descriptors, most often.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn poll() -> io::Result<(Poll, Arc<Waker>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    Ok((poll, waker))
}

pub(super) struct Acceptor {
    shared: Arc<Shared>,
    listener: TcpListener,
    poll: Poll,
    workers: Vec<Arc<Inbox>>,
    next: usize,
}

impl Acceptor {
    pub(super) fn new(
        shared: Arc<Shared>,
        mut listener: TcpListener,
        poll: Poll,
        workers: Vec<Arc<Inbox>>,
    ) -> io::Result<Acceptor> {
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Acceptor { shared, listener, poll, workers, next: 0 })
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(16);
        let mut again = None;
        while !self.shared.is_stopping() {
            match self.poll.poll(&mut events, again) {
                Ok(()) => again = self.accept_all(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Without its poller it can take nobody; the connections that there are go on.
                Err(_) => return,
            }
        }
    }

    /// Takes all that wait. Returns when to try again, if that did not go well.
    fn accept_all(&mut self) -> Option<Duration> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.hand_out(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(_) => return Some(PAUSE),
            }
        }
    }

    fn hand_out(&mut self, mut stream: TcpStream) {
        let shared = &self.shared;
        if shared.connected.load(Ordering::Relaxed) as u64 >= shared.settings.max_clients.get() {
            shared.counters.rejected.fetch_add(1, Ordering::Relaxed);
            // As much as its empty buffer takes; it is closed anyway.
            let _ = stream.write(b"-ERR max number of clients reached\r\n");
            return;
        }
        // Without it small replies would wait for others; a socket that refuses it works.
        let _ = stream.set_nodelay(true);
        shared.connected.fetch_add(1, Ordering::Relaxed);
        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        self.next = (self.next + 1) % self.workers.len().max(1);
        if let Some(worker) = self.workers.get(self.next) {
            worker.send(stream);
        }
    }
}
