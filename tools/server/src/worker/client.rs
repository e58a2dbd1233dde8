//! A connection: its bytes in, its commands, its bytes out.

use super::desk::{Desk, few};
use super::input::append;
use super::output::Output;
use crate::command::{self, ReplyMode};
use crate::protocol::{Commands, Limits, Parser};
use crate::shared::{ClientInfo, Shared};
use esker_structures::command::{Connection, Protocol, Reply, Stream};
use mio::net::TcpStream;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Nothing more is read or carried out while so many bytes of replies wait to be taken.
const PAUSE_BYTES: usize = 1 << 20;
/// The most commands that are carried out before their replies are looked at.
const BATCH: usize = 1024;
/// How often a connection may read before others have their turn.
const TURNS: usize = 8;
/// So much is still read of each connection when the server stops.
const PARTING_BYTES: usize = 1 << 20;
/// Of a reply that is encoded while it is read so much is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// A connection with less than this is not closed for what all hold together.
const SMALL_BYTES: usize = 64 << 10;

/// Why a connection is closed without ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The other side is gone.
    Gone,
    /// It holds more than it may.
    Limit,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Broken {
        Broken::Gone
    }
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: TcpStream,
    pub(super) info: Arc<ClientInfo>,
    pub(super) output: Output,
    /// The worker keeps it in its list of those whose replies wait for the disk.
    pub(super) is_holding: bool,
    connection: Connection,
    mode: ReplyMode,
    /// The reply that is on its way out piece by piece; nothing is carried out before its end.
    stream: Option<Stream>,
    parser: Parser,
    /// What is there of commands that are not carried out.
    input: Vec<u8>,
    /// The input may hold complete commands: their turn had to end.
    backlog: bool,
    /// There may be more to read.
    readable: bool,
    /// The other side will send no more: read to its end.
    read_closed: bool,
    /// Nothing more is carried out; closed when all is sent.
    closing: bool,
    /// The server stops: so many bytes of what has arrived are still read and carried out.
    parting: Option<usize>,
    /// Since when it has taken nothing of more than it should leave waiting.
    stalled: Option<Instant>,
    /// The bytes that it has in the sum of all connections.
    charged: usize,
}

/// Whether this is no command but what a browser sends that was tricked into speaking to this port. What
/// follows it may be commands that nobody wants carried out, and a server on a loopback address has nothing
/// else that keeps a web page from it.
fn is_of_the_web(args: &[&[u8]]) -> bool {
    let name = args.first().copied().unwrap_or_default();
    matches!(name.len(), 4 | 5) && (name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:"))
}

impl Client {
    pub(super) fn new(socket: TcpStream, info: Arc<ClientInfo>, shared: &Shared) -> Client {
        Client {
            socket,
            info,
            output: Output::default(),
            is_holding: false,
            connection: shared.connect(),
            mode: ReplyMode::On,
            stream: None,
            parser: Parser::default(),
            input: Vec::new(),
            backlog: false,
            readable: false,
            read_closed: false,
            closing: false,
            parting: None,
            stalled: None,
            charged: 0,
        }
    }

    /// The poller says that there is something to read.
    pub(super) fn now_readable(&mut self, is_end: bool) {
        // Of a server that stops no more is read than what had arrived.
        self.readable |= self.parting.is_none();
        self.read_closed |= is_end;
    }

    /// Carries out what has arrived, and then no more.
    pub(super) fn part(&mut self) {
        self.parting = Some(PARTING_BYTES);
        self.readable = true;
    }

    /// Reads and carries out nothing more; what is there to send is sent.
    pub(super) fn finish(&mut self) {
        self.closing = true;
        self.input = Vec::new();
    }

    /// Whether it can be closed.
    pub(super) fn is_finished(&self) -> bool {
        self.closing && self.stream.is_none() && self.output.pending() == 0
    }

    /// Puts an error in the place of each reply that waits for the disk.
    pub(super) fn fail(&mut self, error: &[u8]) {
        // Of a reply that goes out piece by piece all pieces wait, or none.
        if self.output.waits_for() > 0 {
            self.stream = None;
        }
        self.output.fail(error);
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Whether it has stood still for too long.
    pub(super) fn is_overdue(&self, shared: &Shared) -> bool {
        let limit = Duration::from_secs(shared.settings.output_soft_seconds.get());
        !limit.is_zero() && self.stalled.is_some_and(|since| since.elapsed() >= limit)
    }

    fn is_paused(&self) -> bool {
        self.output.pending() > PAUSE_BYTES
    }

    /// Whether nothing more is carried out for now.
    fn is_held_back(&self) -> bool {
        self.stream.is_some() || self.is_paused()
    }

    /// Reads and carries out what has arrived, if nothing stands before it. Returns how many bytes wait to be
    /// sent: by [`Client::advance`], which must follow.
    pub(super) fn listen(&mut self, desk: &mut Desk) -> Result<usize, Broken> {
        let waits = self.backlog || self.closing || self.is_held_back();
        if self.readable && !waits {
            self.read(desk)?;
        }
        Ok(self.output.pending())
    }

    /// Does what can be done: sends, carries out, reads. Returns whether there is more to do at once.
    pub(super) fn advance(&mut self, desk: &mut Desk) -> Result<bool, Broken> {
        let mut turns = 0;
        let more = loop {
            self.send(desk)?;
            if self.is_paused() || (self.closing && self.stream.is_none()) {
                break false;
            }
            if self.stream.is_none() && !self.backlog && !self.readable {
                if self.parting.is_none() {
                    break false;
                }
                self.finish();
                continue;
            }
            if turns == TURNS {
                break true;
            }
            turns += 1;
            if self.stream.is_some() {
                self.output.prepare(&mut desk.spare);
                self.next_piece()?;
                self.told(0, 0, desk);
            } else if self.backlog {
                self.work_off(desk)?;
            } else {
                self.read(desk)?;
            }
        };
        self.account(&desk.shared)?;
        Ok(more)
    }

    fn read(&mut self, desk: &mut Desk) -> Result<(), Broken> {
        let count = match self.socket.read(&mut desk.scratch) {
            Ok(0) => {
                // A half command will never be whole.
                self.readable = false;
                self.finish();
                return Ok(());
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // A stream that gave less than was asked for has no more, as epoll(7) has it, unless it has ended.
        self.readable = count == desk.scratch.len() || self.read_closed;
        if let Some(left) = &mut self.parting {
            *left = left.saturating_sub(count);
            self.readable &= *left > 0;
        }
        let active = desk.now.saturating_duration_since(self.info.since);
        let active = u64::try_from(active.as_millis()).unwrap_or(u64::MAX);
        self.info.active_ms.store(active, Ordering::Relaxed);
        if !self.input.is_empty() {
            append(&mut self.input, &desk.scratch[..count]);
            return self.work_off(desk);
        }
        // Most often all of it is complete commands, and nothing is kept.
        let mut scratch = std::mem::take(&mut desk.scratch);
        let taken = self.carry_out(&mut scratch[..count], desk);
        if let Ok(taken) = taken
            && !self.closing
        {
            self.input.extend_from_slice(&scratch[taken..count]);
        }
        desk.scratch = scratch;
        taken.map(|_| ())
    }

    /// Carries out what is complete in the input.
    fn work_off(&mut self, desk: &mut Desk) -> Result<(), Broken> {
        let mut input = std::mem::take(&mut self.input);
        let taken = self.carry_out(&mut input, desk)?;
        if !self.closing && taken < input.len() {
            input.drain(..taken);
            // A large argument that is gone does not leave its buffer behind.
            if input.capacity() > SMALL_BYTES && input.capacity() / 4 > input.len() {
                input.shrink_to(input.len() * 2);
            }
            self.input = input;
        }
        Ok(())
    }

    /// Carries out complete commands until there are none, or replies enough. Returns how many bytes they
    /// took.
    fn carry_out(&mut self, bytes: &mut [u8], desk: &mut Desk) -> Result<usize, Broken> {
        let limits = Limits { bulk_bytes: desk.shared.settings.bulk_bytes.limit() };
        let mut commands = std::mem::take(&mut desk.commands);
        let mut start = 0;
        let mut result = Ok(());
        self.backlog = true;
        while result.is_ok() && !self.closing && !self.is_held_back() {
            commands.clear();
            let (taken, parsed) = self.parser.take(&mut bytes[start..], limits, BATCH, &mut commands);
            let count = commands.len();
            let done = if count > 0 { self.execute(&bytes[start..], &commands, desk) } else { Ok(0) };
            match done {
                Ok(done) if done < count => {
                    self.parser = Parser::default();
                    start += commands.bytes(done);
                }
                Ok(_) => {
                    start += taken;
                    if let (Err(error), false) = (parsed, self.closing) {
                        desk.shared.counters.protocol_errors.fetch_add(1, Ordering::Relaxed);
                        self.output.prepare(&mut desk.spare);
                        self.reply(&Reply::Error(error.to_string()));
                        self.output.appended(0, 0, 1);
                        self.finish();
                    }
                    if count == 0 {
                        self.backlog = false;
                        break;
                    }
                }
                Err(error) => result = Err(error),
            }
        }
        commands.clear();
        desk.commands = commands;
        result.map(|()| start)
    }

    fn reply(&mut self, reply: &Reply) {
        let protocol = self.connection.session().protocol;
        reply.encode(protocol, self.output.bytes());
    }

    /// Carries commands out until their replies are enough. Returns how many.
    fn execute(&mut self, bytes: &[u8], commands: &Commands, desk: &mut Desk) -> Result<usize, Broken> {
        if commands.len() == 1
            && let Some((args, count)) = few(bytes, commands.args(0))
        {
            return self.execute_each(&[&args[..count]], desk);
        }
        let flat: Vec<&[u8]> = (0..commands.len())
            .flat_map(|number| commands.args(number).iter().map(|place| &bytes[place.clone()]))
            .collect();
        let mut rest = &flat[..];
        let each: Vec<&[&[u8]]> = (0..commands.len())
            .map(|number| {
                let (args, behind) = rest.split_at(commands.args(number).len());
                rest = behind;
                args
            })
            .collect();
        self.execute_each(&each, desk)
    }

    fn execute_each(&mut self, each: &[&[&[u8]]], desk: &mut Desk) -> Result<usize, Broken> {
        self.output.prepare(&mut desk.spare);
        let most_bytes = desk.shared.settings.output_hard_bytes.limit();
        self.connection.session_mut().most_reply_bytes = most_bytes;
        let mut at = 0;
        while at < each.len() && !self.closing && !self.is_held_back() {
            if is_of_the_web(each[at]) {
                desk.shared.counters.protocol_errors.fetch_add(1, Ordering::Relaxed);
                self.finish();
                break;
            }
            let own = |args: &&[&[u8]]| args.first().and_then(|name| command::find(name));
            if let Some(command) = own(&each[at]) {
                self.execute_own(command, each[at], desk);
                at += 1;
                continue;
            }
            // EXEC stands alone when it brings up commands of the server.
            let has_own = self.connection.session().has_outside();
            let is_exec = |args: &&[&[u8]]| {
                has_own && args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"exec"))
            };
            if is_exec(&each[at]) {
                self.execute_together(each[at], desk);
                at += 1;
                continue;
            }
            let ends = |args: &&[&[u8]]| is_exec(args) || own(args).is_some() || is_of_the_web(args);
            let until = each[at + 1..].iter().position(ends).map_or(each.len(), |n| at + 1 + n);
            let mut replies = std::mem::take(&mut desk.replies);
            let stretch = each[at..until].iter().copied();
            let seq = self.connection.execute_while(stretch, &mut replies, PAUSE_BYTES);
            at += replies.len();
            let stream = self.connection.session_mut().take_stream();
            if stream.is_some() {
                replies.pop();
            }
            self.append(&replies, seq, desk);
            replies.clear();
            desk.replies = replies;
            if let Some(stream) = stream {
                self.begin_stream(stream, seq, desk)?;
            }
        }
        desk.shared.counters.commands.fetch_add(at as u64, Ordering::Relaxed);
        self.info.database.store(self.connection.session().database, Ordering::Relaxed);
        self.check_output(&desk.shared)?;
        Ok(if self.closing { each.len() } else { at })
    }

    fn execute_own(&mut self, command: &'static command::Own, args: &[&[u8]], desk: &mut Desk) {
        let (reply, seq) = self.call(desk, |call| command::execute(command, call, args));
        if let Some(reply) = reply {
            self.append(std::slice::from_ref(&reply), seq, desk);
        }
    }

    /// Has a command of the server work on this connection. Returns what it gives, and what that depends on.
    fn call<T>(&mut self, desk: &Desk, body: impl FnOnce(&mut command::Call<'_>) -> T) -> (T, u64) {
        let mut call = command::Call {
            shared: &desk.shared,
            connection: &mut self.connection,
            info: &self.info,
            mode: &mut self.mode,
            close: false,
            depends_on: 0,
        };
        let done = body(&mut call);
        let (close, depends_on) = (call.close, call.depends_on);
        let protocol = if self.connection.session().protocol == Protocol::Resp3 { 3 } else { 2 };
        self.info.protocol.store(protocol, Ordering::Relaxed);
        if close {
            self.finish();
        }
        (done, depends_on)
    }

    /// EXEC, with commands of the server among those that it carries out: they come behind the others, which
    /// hold locks; nothing that they do can be seen of those. The parts of the reply are encoded one by one,
    /// since HELLO may change how, amid them.
    fn execute_together(&mut self, args: &[&[u8]], desk: &mut Desk) {
        let mut replies = Vec::with_capacity(1);
        let mut seq = self.connection.execute_all([args], &mut replies);
        let outside = self.connection.session_mut().take_outside();
        let parts = match replies.pop() {
            Some(Reply::Array(parts)) => parts,
            other => return self.append(other.as_slice(), seq, desk),
        };
        let is_shown = self.mode.lets_through();
        let start = self.output.bytes().len();
        self.output.bytes().extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
        let mut outside = outside.into_iter().peekable();
        for (at, mut part) in parts.into_iter().enumerate() {
            if let Some(own) = outside.next_if(|own| own.at == at) {
                let args: Vec<&[u8]> = own.args.iter().map(Vec::as_slice).collect();
                let Some(command) = args.first().and_then(|name| command::find(name)) else { continue };
                let (reply, depends_on) = self.call(desk, |call| command::run(command, call, &args));
                seq = seq.max(depends_on);
                match reply {
                    Some(reply) => part = reply,
                    None => continue,
                }
            }
            if self.mode != ReplyMode::Off {
                self.reply(&part);
            }
        }
        if !is_shown {
            self.output.bytes().truncate(start);
        }
        self.told(seq, usize::from(is_shown), desk);
    }

    fn append(&mut self, replies: &[Reply], seq: u64, desk: &Desk) {
        let mut count = 0;
        for reply in replies {
            if self.mode.lets_through() {
                self.reply(reply);
                count += 1;
            }
        }
        self.told(seq, count, desk);
    }

    /// A reply that is encoded while it is read: as much of it at once as a connection may have waiting.
    fn begin_stream(&mut self, stream: Stream, seq: u64, desk: &Desk) -> Result<(), Broken> {
        if !self.mode.lets_through() {
            return Ok(());
        }
        self.stream = Some(stream);
        self.next_piece()?;
        self.told(seq, 1, desk);
        while self.stream.is_some() && !self.is_paused() {
            self.next_piece()?;
            self.told(0, 0, desk);
        }
        Ok(())
    }

    /// Appends the next piece of the reply that is on its way. Pieces behind the first wait with it for the
    /// disk, or not at all.
    fn next_piece(&mut self) -> Result<(), Broken> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let bytes = self.output.bytes();
        let enough = bytes.len() + PIECE_BYTES;
        // It was said how many elements would come: without all of them no reply can follow.
        stream.encode(bytes, enough).map_err(|_| Broken::Gone)?;
        if stream.is_done() {
            self.stream = None;
        }
        Ok(())
    }

    /// So many replies were appended, which depend on `seq`.
    fn told(&mut self, seq: u64, count: usize, desk: &Desk) {
        let store = &desk.shared.store;
        let waits = store.durability() == esker::Durability::Sync && count > 0;
        let (seq, durable) = if waits { (seq, store.engine().durable_seq()) } else { (0, 0) };
        self.output.appended(seq, durable, count);
    }

    /// Sends what may be sent.
    pub(super) fn send(&mut self, desk: &mut Desk) -> Result<(), Broken> {
        let was_ready = self.output.is_ready();
        let taken = self.output.send(&mut self.socket, &mut desk.spare)?;
        let soft = desk.shared.settings.output_soft_bytes.limit();
        if !was_ready || taken > 0 || self.output.pending() <= soft.min(PAUSE_BYTES) {
            self.stalled = None;
        }
        // Replies that wait for the disk are not the client's fault.
        if self.output.is_ready() && self.output.pending() > soft.min(PAUSE_BYTES) {
            self.stalled.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    fn check_output(&self, shared: &Shared) -> Result<(), Broken> {
        let too_many = self.output.pending() > shared.settings.output_hard_bytes.limit();
        if too_many { Err(Broken::Limit) } else { Ok(()) }
    }

    /// Keeps the sum of all buffers, and to the limits.
    fn account(&mut self, shared: &Shared) -> Result<(), Broken> {
        let queued = self.connection.session().held_bytes();
        let input = self.input.capacity() + self.parser.memory() + queued;
        let mine = input + self.output.memory();
        if mine == self.charged {
            return Ok(());
        }
        let grows = mine > self.charged;
        shared.buffered.fetch_add(mine.wrapping_sub(self.charged), Ordering::Relaxed);
        self.charged = mine;
        self.info.input.store(input, Ordering::Relaxed);
        self.info.output.store(self.output.pending(), Ordering::Relaxed);
        let query = self.input.len() + self.parser.memory() + queued;
        let sum = shared.buffered.load(Ordering::Relaxed);
        let too_many = query > shared.settings.query_bytes.limit()
            || (grows && mine > SMALL_BYTES && sum > shared.settings.all_clients_bytes.limit());
        if too_many { Err(Broken::Limit) } else { Ok(()) }
    }

    /// Gives back its part of what all share.
    pub(super) fn discharge(&self, shared: &Shared) {
        shared.buffered.fetch_sub(self.charged, Ordering::Relaxed);
        shared.clients.lock().remove(&self.info.id);
        shared.connected.fetch_sub(1, Ordering::Relaxed);
    }
}
