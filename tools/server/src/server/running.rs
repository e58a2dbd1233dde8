//! A running server.

use super::acceptor::{self, Acceptor};
use super::descriptors;
use super::options::Options;
use crate::shared::{Saving, Shared};
use crate::worker::{Inbox, Worker};
use esker_structures::Store;
use mio::net::TcpListener;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// A server that runs on threads of its own until it is stopped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// A server that lacks a thread would leave some of its connections without an answer: it stops.
struct StopOnPanic(Arc<Shared>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

/// Stops a server from any thread.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// Asks the server to stop; [`Server::wait`] returns when it has.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Server {
    /// Starts a server over a store, which stays the caller's to close.
    ///
    /// # Errors
    /// The address cannot be listened on; threads or descriptors are lacking.
    pub fn start(store: &Store, options: &Options) -> io::Result<Server> {
        let listener = TcpListener::bind(options.address)?;
        let address = listener.local_addr()?;
        let cores = thread::available_parallelism().map_or(2, usize::from).max(2);
        let count = if options.workers == 0 { cores } else { options.workers };
        let polls: Vec<_> = (0..count).map(|_| Worker::poll()).collect::<io::Result<_>>()?;
        let acceptor_poll = acceptor::poll()?;
        let mut wakers: Vec<_> = polls.iter().map(|(_, waker)| waker.clone()).collect();
        wakers.push(acceptor_poll.1.clone());
        descriptors::raise(options.max_clients);
        let max_clients = descriptors::affordable(options.max_clients);
        let shared = Arc::new(Shared::new(
            store.clone(),
            address,
            max_clients,
            Saving::new(options.backups.clone()),
            wakers,
        ));
        let (mut workers, mut inboxes) = (Vec::new(), Vec::new());
        for (poll, waker) in polls {
            let inbox = Arc::new(Inbox::new(waker));
            inboxes.push(inbox.clone());
            workers.push(Worker::new(shared.clone(), poll, inbox));
        }
        // Before any thread runs: where this fails nothing is left behind.
        let acceptor = Acceptor::new(shared.clone(), listener, acceptor_poll.0, inboxes)?;
        let mut server = Server { shared, threads: Vec::new() };
        for (number, worker) in workers.into_iter().enumerate() {
            server.spawn(format!("esker-worker-{number}"), move || worker.run())?;
        }
        server.spawn("esker-acceptor".into(), move || acceptor.run())?;
        Ok(server)
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let guard = StopOnPanic(self.shared.clone());
        let thread = thread::Builder::new().name(name).spawn(move || {
            let _guard = guard;
            body();
        });
        let thread = thread.inspect_err(|_| self.shared.stop())?;
        self.threads.push(thread);
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The most connections it takes.
    #[must_use]
    pub fn max_clients(&self) -> u64 {
        self.shared.settings.max_clients.get()
    }

    /// What stops it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.shared.clone())
    }

    /// Waits until it is stopped, by [`Stopper::stop`] or by a client's SHUTDOWN, and all connections are
    /// closed.
    ///
    /// # Errors
    /// A thread of the server panicked, which stops all of them; what the panic carried.
    pub fn wait(self) -> thread::Result<()> {
        let ends: Vec<thread::Result<()>> = self.threads.into_iter().map(JoinHandle::join).collect();
        ends.into_iter().collect()
    }
}
