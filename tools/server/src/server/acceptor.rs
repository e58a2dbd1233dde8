//! Takes connections and hands them out to the workers in turn.

use crate::shared::Shared;
use crate::worker::Inbox;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{SockRef, TcpKeepalive};
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
        // So does one that refuses this.
        let _ = keep_alive(&stream, shared.settings.keepalive_seconds.get());
        shared.connected.fetch_add(1, Ordering::Relaxed);
        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        self.next = (self.next + 1) % self.workers.len().max(1);
        if let Some(worker) = self.workers.get(self.next) {
            worker.send(stream);
        }
    }
}

/// Has the system ask whether the other side of a silent connection is still there: after so many seconds,
/// and then three times more often. Three times without an answer end it. 0 for never.
fn keep_alive(stream: &TcpStream, seconds: u64) -> io::Result<()> {
    if seconds == 0 {
        return Ok(());
    }
    let (first, next) = (Duration::from_secs(seconds), Duration::from_secs((seconds / 3).max(1)));
    let how = TcpKeepalive::new().with_time(first).with_interval(next).with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_connections_are_asked_whether_they_are_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for (seconds, expected) in [(0, None), (1, Some((1, 1))), (300, Some((300, 100)))] {
            let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            stream.set_nonblocking(true).unwrap();
            let stream = TcpStream::from_std(stream);
            keep_alive(&stream, seconds).unwrap();
            let socket = SockRef::from(&stream);
            assert_eq!(socket.keepalive().unwrap(), expected.is_some());
            if let Some((first, next)) = expected {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(first));
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(next));
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
            }
        }
    }
}
