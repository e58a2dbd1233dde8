//! Metrics over HTTP, for whoever collects them.
//!
//! One thread answers one request after the other, each within a few seconds: what a scraper asks for every
//! few seconds needs no more, and nothing here is shared with those who serve commands.

use super::acceptor;
use esker::Db;
use esker_structures::Store;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const LISTENER: Token = Token(1);

/// How long a client may let the thread wait for a piece of its request, or with a piece of the reply.
const PATIENCE: Duration = Duration::from_secs(2);
/// In so many pieces a request must have come.
const PIECES: usize = 8;
/// A request is no longer than this.
const REQUEST_BYTES: usize = 8 << 10;
/// So many of its headers are looked at.
const HEADERS: usize = 64;
/// How long to wait when no connection can be taken.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers `GET /metrics` with the engine's metrics in the text format of Prometheus, until it is dropped.
#[derive(Debug)]
pub struct MetricsEndpoint {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsEndpoint {
    /// Starts to listen; port 0 takes a free one.
    ///
    /// # Errors
    /// What listening and starting a thread give.
    pub fn start(store: &Store, address: SocketAddr) -> io::Result<MetricsEndpoint> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (poll, waker) = acceptor::poll()?;
        let mut watched = mio::net::TcpListener::from_std(listener.try_clone()?);
        poll.registry().register(&mut watched, LISTENER, Interest::READABLE)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let (db, stop) = (store.engine().clone(), stopping.clone());
        let run = move || {
            // Readiness is told of it; connections are taken by the other handle of the same socket.
            let _watched = watched;
            run(&db, &listener, poll, &stop);
        };
        let thread = std::thread::Builder::new().name("esker-metrics".into()).spawn(run)?;
        Ok(MetricsEndpoint { address, stopping, waker, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsEndpoint {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // A thread that cannot be woken is not waited for either.
        if self.waker.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            drop(thread.join());
        }
    }
}

fn run(db: &Db, listener: &TcpListener, mut poll: Poll, stopping: &AtomicBool) {
    let mut events = Events::with_capacity(4);
    let mut again = None;
    while !stopping.load(Ordering::Acquire) {
        match poll.poll(&mut events, again) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
        again = None;
        while !stopping.load(Ordering::Acquire) {
            match listener.accept() {
                // Who goes away amid it gets no reply.
                Ok((stream, _)) => drop(serve(db, stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(_) => {
                    again = Some(PAUSE);
                    break;
                }
            }
        }
    }
}

fn serve(db: &Db, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut piece = [0; REQUEST_BYTES];
    for _ in 0..PIECES {
        let read = stream.read(&mut piece)?;
        request.extend_from_slice(&piece[..read]);
        if let Some(reply) = answer(&request, || db.metrics().prometheus()) {
            return stream.write_all(&reply);
        }
        if read == 0 {
            break;
        }
    }
    stream.write_all(&reply("408 Request Timeout", "the request did not come\n", true))
}

/// The reply to a request; `None` if it is not whole yet.
fn answer(request: &[u8], metrics: impl FnOnce() -> String) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(request) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if request.len() < REQUEST_BYTES => return None,
        _ => return Some(reply("400 Bad Request", "this is no request\n", true)),
    }
    let with_body = match parsed.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Some(reply("405 Method Not Allowed", "only GET and HEAD\n", true)),
    };
    let path = parsed.path.unwrap_or_default();
    if path.split('?').next() != Some("/metrics") {
        return Some(reply("404 Not Found", "there is /metrics\n", with_body));
    }
    Some(reply("200 OK", &metrics(), with_body))
}

fn reply(status: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let body = if with_body { body } else { "" };
    [head.as_bytes(), body.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: &str) -> Option<String> {
        answer(request.as_bytes(), || "a 1\n".into()).map(|reply| String::from_utf8(reply).unwrap())
    }

    #[test]
    fn only_metrics_are_served_and_only_to_whole_requests() {
        let whole = ask("GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("\r\n\r\na 1\n"), "{whole}");
        assert!(whole.contains("Content-Length: 4\r\n"));
        let head = ask("HEAD /metrics HTTP/1.0\r\n\r\n").unwrap();
        assert!(head.contains("Content-Length: 4\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert_eq!(ask("GET /metrics HTTP/1.1\r\nHost: h\r\n"), None);
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("GET /metrics2 HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("*1\r\n$4\r\nPING\r\n", "400"),
            ("GET /metrics HTTP/7\r\n\r\n", "400"),
        ] {
            let reply = ask(request).unwrap();
            assert_eq!(reply.split(' ').nth(1), Some(status), "{request:?}: {reply}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(REQUEST_BYTES));
        assert_eq!(ask(&long).unwrap().split(' ').nth(1), Some("400"));
    }
}
