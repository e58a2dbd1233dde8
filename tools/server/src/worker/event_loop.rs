//! The event loop of a worker.
//!
//! Each round: take new connections; release replies that became durable; let connections with events
//! advance; ask once to be told when the last reply of the round that waits is durable. No round waits for
//! the disk.
//!
//! Connections with events are heard first, their commands carried out, and answered then, one after the
//! other: a client that is woken by the first reply would otherwise take the processor from those who have
//! not been heard. For the same reason a worker that has much to do lets others run before it goes to
//! sleep: those whom it has answered speak again together, which saves it being woken for each.
//!
//! Events are edges: a connection remembers that there is more to read until a read says otherwise, and one
//! that had its turn is put into `again`. A place of the list is given to a new connection only at the start
//! of a round, so that an event of an old one never meets it.

use super::client::{Broken, Client};
use super::desk::Desk;
use super::inbox::Inbox;
use super::output::Spare;
use crate::protocol::Commands;
use crate::shared::{ClientInfo, Shared};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Token};
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const WAKER: Token = Token(usize::MAX);
/// What is read at once, in bytes.
const SCRATCH_BYTES: usize = 64 << 10;
/// How often connections that stand still are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// So many connections are heard before any of them is answered.
const HEARD: usize = 64;
/// Or fewer, if so many bytes wait to be sent to them.
const OWED_BYTES: usize = 256 << 10;
/// A worker for which so many connections did something in a round does not sleep at once: more are about to
/// speak.
const BUSY: usize = 2;
/// So often it lets others run instead, and looks again.
const YIELDS: usize = 2;
/// How long clients have to read what is left when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);

pub(crate) struct Worker {
    poll: mio::Poll,
    inbox: Arc<Inbox>,
    /// The inbox, as one who waits for the log.
    waker: Waker,
    clients: Vec<Option<Box<Client>>>,
    free: Vec<usize>,
    /// Connections with more to do than they had time for.
    again: Vec<usize>,
    /// Connections whose commands of this round are carried out, and not answered yet.
    heard: Vec<usize>,
    /// The bytes that wait to be sent to them.
    owed_bytes: usize,
    /// How many connections did something in this round.
    advanced: usize,
    /// Connections with replies that wait for the disk.
    holding: Vec<usize>,
    /// The greatest sequence number that was asked for.
    asked: u64,
    /// When it stops for good.
    deadline: Option<Instant>,
    looked: Instant,
    /// A connection takes nothing of what waits for it.
    stalled: bool,
    desk: Desk,
}

impl Worker {
    pub(crate) fn poll() -> io::Result<(mio::Poll, Arc<mio::Waker>)> {
        let poll = mio::Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        Ok((poll, waker))
    }

    pub(crate) fn new(shared: Arc<Shared>, poll: mio::Poll, inbox: Arc<Inbox>) -> Worker {
        let desk = Desk {
            shared,
            scratch: vec![0; SCRATCH_BYTES].into(),
            commands: Commands::default(),
            replies: Vec::new(),
            spare: Spare::default(),
            now: Instant::now(),
        };
        Worker {
            poll,
            waker: inbox.clone().into(),
            inbox,
            clients: Vec::new(),
            free: Vec::new(),
            again: Vec::new(),
            heard: Vec::new(),
            owed_bytes: 0,
            advanced: 0,
            holding: Vec::new(),
            asked: 0,
            deadline: None,
            looked: Instant::now(),
            stalled: false,
            desk,
        }
    }

    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.await_events(&mut events) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Without its poller it hears nothing more, nor do connections that it is handed.
                Err(_) => {
                    self.desk.shared.stop();
                    break;
                }
            }
            self.advanced = 0;
            self.desk.now = Instant::now();
            self.read_letters();
            if self.inbox.take_synced() {
                // One that waits for more is to be woken again.
                self.asked = 0;
            }
            self.release();
            let again = std::mem::take(&mut self.again);
            for event in &events {
                self.hear(event);
            }
            self.answer();
            for at in again {
                self.advance(at);
            }
            self.ask();
            self.look();
            if self.is_done() {
                break;
            }
        }
        (0..self.clients.len()).for_each(|at| self.close(at));
    }

    fn await_events(&mut self, events: &mut Events) -> io::Result<()> {
        if self.advanced >= BUSY && self.again.is_empty() {
            for _ in 0..YIELDS {
                thread::yield_now();
                self.poll.poll(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    return Ok(());
                }
            }
        }
        self.poll.poll(events, self.timeout())
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            Some(Duration::ZERO)
        } else if self.deadline.is_some() || self.stalled {
            Some(LOOK)
        } else {
            None
        }
    }

    fn read_letters(&mut self) {
        for stream in self.inbox.take() {
            if self.deadline.is_some() || self.add(stream).is_err() {
                self.desk.shared.connected.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Tells those who wait for what will never be durable.
    fn fail(&mut self, why: &esker::Error) {
        // Who waits for the same later is told so, too.
        self.asked = 0;
        let text: String = why.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let error = format!("-ERR the write may not survive a loss of power: {text}\r\n");
        let durable = self.desk.shared.store.engine().durable_seq();
        for at in std::mem::take(&mut self.holding) {
            if let Some(client) = self.clients.get_mut(at).and_then(Option::as_mut) {
                client.is_holding = false;
                client.output.release(durable);
                client.fail(error.as_bytes());
                self.advance(at);
            }
        }
    }

    fn add(&mut self, mut stream: TcpStream) -> io::Result<()> {
        let at = self.free.pop().unwrap_or(self.clients.len());
        let shared = &self.desk.shared;
        let info = || {
            let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
            Ok::<_, io::Error>(Arc::new(ClientInfo::new(id, stream.peer_addr()?, stream.local_addr()?)))
        };
        let registered = info().and_then(|info| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(at), interest)?;
            Ok(info)
        });
        let info = match registered {
            Ok(info) => info,
            Err(error) => {
                if at < self.clients.len() {
                    self.free.push(at);
                }
                return Err(error);
            }
        };
        shared.clients.lock().insert(info.id, info.clone());
        let client = Some(Box::new(Client::new(stream, info, shared)));
        match self.clients.get_mut(at) {
            Some(place) => *place = client,
            None => self.clients.push(client),
        }
        Ok(())
    }

    fn hear(&mut self, event: &Event) {
        if event.token() == WAKER {
            return;
        }
        let at = event.token().0;
        let Some(client) = self.clients.get_mut(at).and_then(Option::as_mut) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            client.now_readable(event.is_read_closed() || event.is_error());
        }
        match client.listen(&mut self.desk) {
            Ok(bytes) => self.owed_bytes += bytes,
            Err(broken) => return self.lose(at, broken),
        }
        self.heard.push(at);
        if self.heard.len() >= HEARD || self.owed_bytes >= OWED_BYTES {
            self.answer();
        }
    }

    /// Lets those who were heard go on, which begins with sending.
    fn answer(&mut self) {
        let mut heard = std::mem::take(&mut self.heard);
        for at in heard.drain(..) {
            self.advance(at);
        }
        self.heard = heard;
        self.owed_bytes = 0;
    }

    /// Lets a connection do what it can.
    fn advance(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at).and_then(Option::as_mut) else { return };
        self.advanced += 1;
        match client.advance(&mut self.desk) {
            Ok(more) => {
                self.stalled |= client.is_stalled();
                if more {
                    self.again.push(at);
                }
                if client.output.waits_for() > 0 && !client.is_holding {
                    client.is_holding = true;
                    self.holding.push(at);
                }
                if client.is_finished() {
                    self.close(at);
                }
            }
            Err(broken) => self.lose(at, broken),
        }
    }

    fn lose(&mut self, at: usize, broken: Broken) {
        if broken == Broken::Limit {
            self.desk.shared.counters.closed_for_limits.fetch_add(1, Ordering::Relaxed);
        }
        self.close(at);
    }

    fn close(&mut self, at: usize) {
        let Some(mut client) = self.clients.get_mut(at).and_then(Option::take) else { return };
        // Both fail only for a connection that the other side has closed already.
        let _ = self.poll.registry().deregister(&mut client.socket);
        let _ = client.socket.shutdown(Shutdown::Write);
        client.discharge(&self.desk.shared);
        self.free.push(at);
    }

    /// Sends the replies that have become durable.
    fn release(&mut self) {
        if self.holding.is_empty() {
            return;
        }
        let durable = self.desk.shared.store.engine().durable_seq();
        for at in std::mem::take(&mut self.holding) {
            let Some(client) = self.clients.get_mut(at).and_then(Option::as_mut) else { continue };
            client.output.release(durable);
            client.is_holding = client.output.waits_for() > 0;
            if client.is_holding {
                self.holding.push(at);
            }
            self.advance(at);
        }
    }

    /// Asks to be woken when the replies that wait now may be told.
    fn ask(&mut self) {
        let waits = |at: &usize| self.clients.get(*at).and_then(Option::as_ref).map(|c| c.output.waits_for());
        let last = self.holding.iter().filter_map(waits).max().unwrap_or(0);
        if last <= self.asked {
            return;
        }
        self.asked = last;
        match self.desk.shared.store.engine().poll_durable(last, &mut Context::from_waker(&self.waker)) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.waker.wake_by_ref(),
            Poll::Ready(Err(why)) => self.fail(&why),
        }
    }

    /// Closes who has taken nothing for too long; says farewell when the server stops.
    fn look(&mut self) {
        if self.deadline.is_none() && self.desk.shared.is_stopping() {
            self.deadline = Some(Instant::now() + FAREWELL);
            for at in 0..self.clients.len() {
                if let Some(client) = self.clients.get_mut(at).and_then(Option::as_mut) {
                    client.part();
                    self.advance(at);
                }
            }
        }
        if self.desk.now.saturating_duration_since(self.looked) < LOOK {
            return;
        }
        self.looked = self.desk.now;
        self.stalled = self.clients.iter().flatten().any(|client| client.is_stalled());
        for at in 0..self.clients.len() {
            let client = self.clients.get(at).and_then(Option::as_ref);
            if client.is_some_and(|client| client.is_overdue(&self.desk.shared)) {
                self.desk.shared.counters.closed_for_limits.fetch_add(1, Ordering::Relaxed);
                self.close(at);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline || self.clients.iter().all(Option::is_none))
    }
}
