//! A connection: commands in, replies out.

use super::arguments::is;
use super::context::Context;
use super::reply::Reply;
use super::session::Session;
use super::table::{Command, find, fits, flags};
use super::transactions;
use crate::base::error::{Error, Result};
use crate::store::{Access, Key, Store, Unit};

/// A unit of work that has more than this to write, in bytes, is committed before the next command.
const UNIT_BYTES: usize = 1 << 20;
/// So is one that removes more ranges.
const UNIT_RANGES: usize = 1024;
/// So is one of so many commands, and one that holds locks before a command that may take long: others would
/// wait for them.
const UNIT_COMMANDS: usize = 1024;

/// So many commands that follow each other are looked at, for what they read to be read together.
const READ_AHEAD: usize = 32;
/// These are no part of that.
const APART: u32 = flags::WRITE | flags::ALONE | flags::IMMEDIATE;

/// A reply, and what it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// The sequence number of the last write that it shows or made. When [`esker::Db::wait_durable`] or
    /// [`esker::Db::on_durable`] say that it is durable, nobody can be told by this reply what a loss of
    /// power takes back.
    pub depends_on: u64,
}

/// One client's commands, carried out on a store.
///
/// ```
/// use esker_structures::command::{Connection, Reply};
/// # fn main() -> esker_structures::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let store = esker_structures::Store::open(dir.path().join("data"))?;
/// let mut connection = Connection::new(&store);
/// assert_eq!(connection.execute(&["SET", "k", "1"]).reply, Reply::OK);
/// let answer = connection.execute(&["incrby", "k", "41"]);
/// assert_eq!(answer.reply, Reply::Integer(42));
/// store.wait(answer.depends_on)?; // now it may be told
/// # drop(connection);
/// # store.close() }
/// ```
#[derive(Debug)]
pub struct Connection {
    store: Store,
    session: Session,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.store.unwatch(&mut self.session.watching);
    }
}

impl Connection {
    /// A connection as a client finds it: RESP2, database 0.
    #[must_use]
    pub fn new(store: &Store) -> Connection {
        Connection { store: store.clone(), session: Session::default() }
    }

    /// What the connection remembers.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The same, to be changed.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Carries one command out: its name and its arguments. Returns when its writes are published; waits
    /// for no disk.
    pub fn execute<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Answer {
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        let mut replies = Vec::with_capacity(1);
        let depends_on = self.execute_all([&args[..]], &mut replies);
        Answer { reply: replies.pop().unwrap_or(Reply::Null), depends_on }
    }

    /// Carries a pipeline of commands out, one after the other, as few units of work: between them nothing
    /// is promised, but they cost one write together. Appends a reply for each, and returns what the replies
    /// depend on.
    pub fn execute_all<'a>(
        &mut self,
        commands: impl IntoIterator<Item = &'a [&'a [u8]]>,
        replies: &mut Vec<Reply>,
    ) -> u64 {
        self.execute_while(commands, replies, usize::MAX)
    }

    /// As [`Connection::execute_all`], but takes no further command once the replies have more than
    /// `enough_bytes`: who sends many commands with large replies does not have them all in memory. Nor
    /// does it behind a reply that is to be streamed ([`Session::streams`]).
    pub fn execute_while<'a>(
        &mut self,
        commands: impl IntoIterator<Item = &'a [&'a [u8]]>,
        replies: &mut Vec<Reply>,
        enough_bytes: usize,
    ) -> u64 {
        let mut bytes = 0;
        let Connection { store, session } = self;
        let mut pipeline = Pipeline { store, session, unit: None, depends_on: 0, falls_with_it: Vec::new() };
        let mut commands = commands.into_iter();
        let Some(first) = commands.next() else { return 0 };
        let rest: Vec<&[&[u8]]> = commands.collect();
        // Of these the headers are read, or need not be.
        let mut looked = 0;
        for (at, args) in [first].into_iter().chain(rest.iter().copied()).enumerate() {
            if at >= looked && at < rest.len() {
                looked = at + pipeline.read_ahead(args, &rest[at..]).max(1);
            }
            let reply = pipeline.one(args, replies);
            if enough_bytes < usize::MAX {
                bytes += reply.size_bytes();
            }
            replies.push(reply);
            if bytes > enough_bytes || pipeline.session.stream.is_some() {
                break;
            }
        }
        pipeline.commit(replies);
        pipeline.depends_on
    }
}

/// A pipeline under way.
struct Pipeline<'c> {
    store: &'c Store,
    session: &'c mut Session,
    unit: Option<Unit<'c>>,
    depends_on: u64,
    /// The replies that are wrong if the open unit is not written: those of its writes, and of reads behind
    /// the first of them.
    falls_with_it: Vec<usize>,
}

impl<'c> Pipeline<'c> {
    fn one(&mut self, args: &[&[u8]], replies: &mut [Reply]) -> Reply {
        let command = match checked(args) {
            Ok(command) => command,
            Err(error) if args.first().is_some_and(|name| is(name, "exec")) => {
                self.commit(replies);
                return transactions::abort(self.store, self.session, &error);
            }
            Err(error) => {
                self.spoil();
                return error.into();
            }
        };
        let queued = self.session.queue.is_some() && transactions::is_queued(command);
        if command.has(flags::IMMEDIATE) && !queued {
            self.commit(replies);
            let (reply, depends_on) = transactions::immediate(self.store, self.session, command, args);
            self.depends_on = self.depends_on.max(depends_on);
            return reply;
        }
        if let Some(queue) = &mut self.session.queue {
            return queue.push(command, args);
        }
        let full = |unit: &Unit<'_>| unit.pending_bytes() > UNIT_BYTES || unit.pending_ranges() > UNIT_RANGES;
        let waits = |unit: &Unit<'_>| command.has(flags::LONG) && unit.holds_locks();
        let ends = |unit: &Unit<'_>| full(unit) || waits(unit);
        if self.falls_with_it.len() >= UNIT_COMMANDS || self.unit.as_ref().is_some_and(ends) {
            self.commit(replies);
        }
        // On a full disk each stands for itself: what adds is refused, and takes nothing else with it.
        if self.unit.is_some() && self.store.is_full() {
            self.commit(replies);
        }
        if command.has(flags::ALONE) {
            return self.alone(command, args, replies);
        }
        let store = self.store;
        loop {
            let unit = self.unit.get_or_insert_with(|| store.unit());
            match run(unit, self.session, command, args) {
                // What the unit holds is in the way; alone the command waits in order.
                Err(Error::Busy) => self.commit(replies),
                Err(error) if !error.is_refusal() => {
                    unit.roll_back();
                    self.fail(&error, replies);
                    return error.into();
                }
                result => {
                    let behind_a_write = !self.falls_with_it.is_empty() && command.has(flags::READ);
                    if behind_a_write || command.has(flags::WRITE) {
                        self.falls_with_it.push(replies.len());
                    }
                    return result.unwrap_or_else(Reply::from);
                }
            }
        }
    }

    /// Where commands that only read follow each other: reads the headers of their keys together. Returns how
    /// many commands that were.
    fn read_ahead(&mut self, first: &[&[u8]], rest: &[&[&[u8]]]) -> usize {
        if self.session.queue.is_some() {
            return 0;
        }
        let reads = |args: &[&[u8]]| checked(args).ok().filter(|c| c.has(flags::READ) && !c.has(APART));
        let each = [first].into_iter().chain(rest.iter().copied()).take(READ_AHEAD);
        let stretch: Vec<_> = each.map_while(|args| Some((reads(args)?, args))).collect();
        let (count, store) = (stretch.len(), self.store);
        if count > 1 {
            let unit = self.unit.get_or_insert_with(|| store.unit());
            let database = self.session.database;
            let keys = stretch.iter().map(|(command, args)| named_keys(unit, database, command, args));
            let keys: Vec<_> = keys.flatten().flatten().collect();
            unit.read_ahead(keys);
        }
        count
    }

    fn alone(&mut self, command: &'static Command, args: &[&[u8]], replies: &mut [Reply]) -> Reply {
        self.commit(replies);
        let store = self.store;
        let mut unit = store.unit_alone();
        let result = run(&mut unit, self.session, command, args);
        let committed = result.and_then(|reply| Ok((reply, unit.commit()?)));
        match committed {
            Ok((reply, seq)) => {
                self.depends_on = self.depends_on.max(seq);
                reply
            }
            Err(error) => error.into(),
        }
    }

    /// Ends the open unit.
    fn commit(&mut self, replies: &mut [Reply]) {
        if let Some(mut unit) = self.unit.take() {
            let result = unit.commit();
            // Whatever becomes of its writes: replies show what it has read.
            self.depends_on = self.depends_on.max(unit.depends_on());
            if let Err(error) = result {
                self.fail(&error, replies);
            }
        }
        self.falls_with_it.clear();
    }

    /// What the open unit has written is not there.
    fn fail(&mut self, error: &Error, replies: &mut [Reply]) {
        for at in self.falls_with_it.drain(..) {
            if let Some(reply) = replies.get_mut(at) {
                *reply = error.clone().into();
            }
        }
    }

    /// A command between MULTI and EXEC that cannot be queued.
    fn spoil(&mut self) {
        if let Some(queue) = &mut self.session.queue {
            queue.spoiled = true;
        }
    }
}

/// The command that is asked for, with so many arguments.
fn checked(args: &[&[u8]]) -> Result<&'static Command> {
    let name = args.first().copied().unwrap_or_default();
    let Some(command) = find(name) else { return Err(unknown(name, args)) };
    if !command.takes(args.len()) {
        return Err(wrong_number(command.name));
    }
    if let (Some(name), false) = (args.get(1), command.subcommands.is_empty()) {
        let known = command.subcommands.iter().find(|(known, _)| is(name, known));
        match known {
            None => {
                return Err(unknown_subcommand(command.name, name));
            }
            Some((known, arity)) if !fits(*arity, args.len()) => {
                return Err(wrong_number(&format!("{}|{known}", command.name)));
            }
            Some(_) => {}
        }
    }
    Ok(command)
}

/// The error for too few or too many arguments.
pub(super) fn wrong_number(name: &str) -> Error {
    Error::text(format!("ERR wrong number of arguments for '{name}' command"))
}

/// The longest that the name and the arguments of an unknown command are shown, in bytes.
const SHOWN_BYTES: usize = 128;

/// What is shown of an argument, up to its first zero byte.
fn shown(bytes: &[u8], most: usize) -> &[u8] {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    &bytes[..bytes.len().min(most)]
}

/// The error for a subcommand that a command does not have.
#[must_use]
pub fn unknown_subcommand(command: &str, name: &[u8]) -> Error {
    let of = command.to_uppercase();
    Error::quoting("ERR unknown subcommand '", shown(name, SHOWN_BYTES), &format!("'. Try {of} HELP."))
}

fn unknown(name: &[u8], args: &[&[u8]]) -> Error {
    let mut text = [b"ERR unknown command '", shown(name, SHOWN_BYTES)].concat();
    text.extend_from_slice(b"', with args beginning with: ");
    let mut rest = Vec::new();
    for arg in args.iter().skip(1) {
        if rest.len() >= SHOWN_BYTES {
            break;
        }
        let arg = shown(arg, SHOWN_BYTES - rest.len());
        rest.extend([b"'", arg, b"' "].concat());
    }
    text.extend(rest);
    Error::bytes(text)
}

/// Carries a command out in a unit of work.
fn run(
    unit: &mut Unit<'_>,
    session: &mut Session,
    command: &'static Command,
    args: &[&[u8]],
) -> Result<Reply> {
    if command.has(flags::WRITE) {
        unit.begin(Access::Write);
        if let crate::command::Keys::Range { first: 1, last: 1, .. } = command.keys {
            let keyspace = unit.keyspace(session.database)?;
            unit.lock(args.get(1).map(|name| Key { keyspace, name }))?;
        } else {
            let keys = named_keys(unit, session.database, command, args)?;
            unit.lock(keys)?;
        }
    } else {
        unit.begin(Access::Read);
    }
    note(unit, command);
    (command.handler)(&mut Context { unit, session }, args)
}

/// Has a unit of work know whether a command makes room or adds something.
pub(super) fn note(unit: &mut Unit<'_>, command: &Command) {
    if command.has(flags::FREES) {
        unit.frees();
    } else if command.has(flags::WRITE | flags::ALONE) {
        unit.adds();
    }
}

/// The keys that a command names. Those in databases that do not exist are left out: it will refuse them.
pub(super) fn named_keys<'a>(
    unit: &Unit<'_>,
    database: u32,
    command: &Command,
    args: &[&'a [u8]],
) -> Result<Vec<Key<'a>>> {
    let mut keys = Vec::with_capacity(args.len());
    command.keys.each(args, database, |database, at| {
        if let (Some(name), Ok(keyspace)) = (args.get(at).copied(), unit.keyspace(database)) {
            keys.push(Key { keyspace, name });
        }
    });
    Ok(keys)
}
