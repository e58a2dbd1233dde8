//! `esker serve` as a process.

use super::client::Client;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A server on a free port of the loopback; killed when it is dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    address: SocketAddr,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Served {
    /// Starts `program serve` over the store in `dir`, with more arguments.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(program: &str, dir: &Path, more: &[&str]) -> Served {
        Served::spawn(Command::new(program), dir, more)
    }

    /// The same, with a soft limit on its descriptors.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start_limited(program: &str, dir: &Path, descriptors: u32) -> Served {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -S -n {descriptors}; exec \"$0\" \"$@\""), program]);
        Served::spawn(shell, dir, &[])
    }

    /// The same, traced into the file `trace` (see [`crate::trace`]); `None` where there is no `strace`.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start_traced(program: &str, dir: &Path, trace: &Path, more: &[&str]) -> Option<Served> {
        if !crate::trace::is_there() {
            return None;
        }
        let mut command = Command::new("strace");
        command.args(crate::trace::OPTIONS).arg("-o").arg(trace).arg(program);
        Some(Served::spawn(command, dir, more))
    }

    fn spawn(mut command: Command, dir: &Path, more: &[&str]) -> Served {
        let mut child = command
            .args(["serve", "--port", "0", "--memory", "64MB", "--dir"])
            .arg(dir)
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("its standard error"));
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            let count = stderr.read_line(&mut line).expect("a line");
            said += &line;
            assert!(count > 0, "the server did not start: {said}");
            if let Some((_, rest)) = line.split_once("ready on ") {
                let address = rest.split(';').next().unwrap_or_default();
                break address.parse().expect("an address");
            }
        };
        Served { child, address, stderr, said }
    }

    /// A connection.
    ///
    /// # Panics
    /// If there is none to be had.
    #[must_use]
    pub fn connect(&self) -> Client {
        Client::new(self.stream())
    }

    /// A connection without a client around it.
    ///
    /// # Panics
    /// If there is none to be had.
    #[must_use]
    pub fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        // Long enough for a busy machine; without it a reply that never comes would hang the test.
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("an option");
        stream
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it said until it was ready.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }

    /// Waits for its end; returns what it said since it was ready.
    ///
    /// # Panics
    /// If that cannot be read.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("its standard error");
        (self.child.wait().expect("it ends"), said)
    }

    /// What it has in memory, in bytes; `None` where the system does not tell.
    #[must_use]
    pub fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
