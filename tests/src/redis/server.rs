//! Starting a `redis-server`, and talking to it.

use super::value::Value;
use crate::served::encode;
use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server of its own on a free port of the loopback; killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Server {
    /// Starts one; `None` if there is no `redis-server` on this machine, and that is allowed
    /// ([`crate::needs::is_there`]).
    ///
    /// # Panics
    /// If there must be one, and if it does not come up within ten seconds.
    #[must_use]
    pub fn start() -> Option<Server> {
        if !crate::needs::is_there("redis-server", "redis-server") {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .current_dir(dir.path())
            // SORT .. ALPHA compares by the locale; here by bytes.
            .env("LC_ALL", "C")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let server = Server { child, port, _dir: dir };
        let limit = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < limit, "redis-server does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    /// A connection to it.
    ///
    /// # Panics
    /// If there is none to be had.
    #[must_use]
    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Client::new(stream)
    }

    /// Its port on the loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// A client on a connection.
    #[must_use]
    pub fn new(stream: TcpStream) -> Client {
        Client(BufReader::new(stream))
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// What the connection gives.
    pub fn execute(&mut self, args: &[Vec<u8>]) -> io::Result<Value> {
        self.send(&[args])?;
        self.receive()
    }

    /// Sends commands in one piece.
    ///
    /// # Errors
    /// What the connection gives.
    pub fn send(&mut self, commands: &[&[Vec<u8>]]) -> io::Result<()> {
        let bytes: Vec<u8> = commands.iter().flat_map(|args| encode(args)).collect();
        self.0.get_mut().write_all(&bytes)
    }

    /// Waits for a reply.
    ///
    /// # Errors
    /// What the connection gives.
    pub fn receive(&mut self) -> io::Result<Value> {
        Value::read(&mut self.0)
    }

    /// Has the server forget the error that its last failed conversion of a number left in `errno`: its
    /// SORT takes that for an error of its own. Accepting a connection ends with another.
    ///
    /// # Errors
    /// What the connection gives.
    pub fn settle(&self) -> io::Result<()> {
        let stream = TcpStream::connect(self.0.get_ref().peer_addr()?)?;
        Client(BufReader::new(stream)).execute(&[b"ping".to_vec()]).map(drop)
    }
}
