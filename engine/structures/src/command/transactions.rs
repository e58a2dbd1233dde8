//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: several commands as one unit of work.

use super::arguments::is;
use super::connection::{named_keys, note};
use super::context::Context;
use super::keyspec::Keys;
use super::reply::Reply;
use super::session::{Queue, Queued, Session};
use super::sort;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::base::number::parse_i64;
use crate::store::{Access, Store, Unit};

/// The commands of this group.
pub(super) const TRANSACTIONS: &[Command] = &[
    command("multi", 1, Keys::None, "1.2.0", "O(1)", "Starts a transaction."),
    Command {
        flags: flags::IMMEDIATE,
        ..command(
            "exec",
            1,
            Keys::None,
            "1.2.0",
            "as its commands",
            "Executes all commands in a transaction.",
        )
    },
    command("discard", 1, Keys::None, "2.0.0", "O(N) in the queued commands", "Discards a transaction."),
    command(
        "watch",
        -2,
        Keys::ALL,
        "2.2.0",
        "O(1) for each key",
        "Has EXEC depend on keys that are not modified.",
    ),
    command("unwatch", 1, Keys::None, "2.2.0", "O(1)", "Forgets about watched keys."),
];

const fn command(
    name: &'static str,
    arity: i32,
    keys: Keys,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
) -> Command {
    let kind = if matches!(keys, Keys::None) { 0 } else { flags::READ };
    let flags = flags::IMMEDIATE | flags::FAST | kind;
    Command {
        name,
        arity,
        flags,
        keys,
        group: Group::Transactions,
        since,
        complexity,
        summary,
        handler: misplaced,
        subcommands: &[],
    }
}

/// Whether a command is queued between MULTI and EXEC, where it does nothing: EXEC forgets what is watched
/// anyway.
pub(super) fn is_queued(command: &Command) -> bool {
    command.name == "unwatch"
}

/// These commands are about units of work, and do not stand in one.
fn misplaced(_: &mut Context<'_, '_>, _: &[&[u8]]) -> Result<Reply> {
    Ok(Reply::OK)
}

/// Carries out a command that makes its own unit of work. Returns what the reply depends on.
pub(super) fn immediate(
    store: &Store,
    session: &mut Session,
    command: &Command,
    args: &[&[u8]],
) -> (Reply, u64) {
    let result = match command.name {
        "multi" => multi(session),
        "exec" => return exec(store, session),
        "discard" => discard(store, session),
        "watch" => watch(store, session, args),
        _ => unwatch(store, session),
    };
    (result.unwrap_or_else(Reply::from), 0)
}

fn multi(session: &mut Session) -> Result<Reply> {
    if session.queue.is_some() {
        return Err(Error::fixed("ERR MULTI calls can not be nested"));
    }
    session.queue = Some(Queue::default());
    Ok(Reply::OK)
}

fn discard(store: &Store, session: &mut Session) -> Result<Reply> {
    if session.queue.take().is_none() {
        return Err(Error::fixed("ERR DISCARD without MULTI"));
    }
    store.unwatch(&mut session.watching);
    Ok(Reply::OK)
}

/// The reply to an EXEC that is itself wrong: it ends the transaction.
pub(super) fn abort(store: &Store, session: &mut Session, error: &Error) -> Reply {
    session.queue = None;
    store.unwatch(&mut session.watching);
    let text = error.to_string();
    let why = text.strip_prefix("ERR ").unwrap_or(&text);
    Reply::Error(format!("EXECABORT Transaction discarded because of: {why}"))
}

fn watch(store: &Store, session: &mut Session, args: &[&[u8]]) -> Result<Reply> {
    if session.queue.is_some() {
        return Err(Error::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    for name in args.iter().skip(1) {
        store.watch(&mut session.watching, session.database, name)?;
    }
    Ok(Reply::OK)
}

fn unwatch(store: &Store, session: &mut Session) -> Result<Reply> {
    if session.queue.is_none() {
        store.unwatch(&mut session.watching);
    }
    Ok(Reply::OK)
}

fn exec(store: &Store, session: &mut Session) -> (Reply, u64) {
    let Some(queue) = session.queue.take() else {
        return (Error::fixed("ERR EXEC without MULTI").into(), 0);
    };
    let result = if queue.spoiled {
        Err(Error::fixed("EXECABORT Transaction discarded because of previous errors."))
    } else {
        let (database, streams) = (session.database, std::mem::take(&mut session.streams));
        let result = together(store, session, &queue.commands);
        (session.streams, session.replied_bytes) = (streams, 0);
        // Nothing was done: nor is another database selected.
        session.database = if result.is_ok() { session.database } else { database };
        result
    };
    if matches!(result, Ok((Reply::Array(_), _))) {
        session.outside = queue.outside();
    }
    store.unwatch(&mut session.watching);
    result.unwrap_or_else(|error| (error.into(), 0))
}

/// Carries the queued commands out as one unit, if no watched key was modified.
fn together(store: &Store, session: &mut Session, commands: &[Queued]) -> Result<(Reply, u64)> {
    let mut unit = begin(store, session, commands)?;
    // What is watched is there at the time that the commands see, too.
    if commands.len() > 1 || !session.watching.is_empty() {
        unit.freeze();
    }
    if !unit.check_watched(&session.watching)? {
        // The reply tells of somebody's write.
        unit.depends_on_all();
        return Ok((Reply::NullArray, unit.depends_on()));
    }
    let mut replies = Vec::with_capacity(commands.len());
    for Queued { command, args } in commands {
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        unit.begin(if command.has(flags::WRITE) { Access::Write } else { Access::Read });
        note(&mut unit, command);
        let reply = (command.handler)(&mut Context { unit: &mut unit, session }, &args);
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) if error.is_refusal() => error.into(),
            Err(error) => return Err(error),
        };
        let bytes = reply.size_bytes();
        if bytes > session.left_bytes() {
            return Err(Error::REPLY_TOO_LARGE);
        }
        session.replied_bytes += bytes;
        replies.push(reply);
        unit.check_size()?;
    }
    let seq = unit.commit()?;
    Ok((Reply::Array(replies), seq))
}

/// Whether a command reads more keys than it names.
fn reads_unnamed(Queued { command, args }: &Queued) -> bool {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let by_patterns = ["sort", "sort_ro"].contains(&command.name) && sort::follows_patterns(&args);
    by_patterns || (command.has(flags::READ) && matches!(command.keys, Keys::None))
}

/// A unit of work that holds what the commands need: nobody may write what they read before they have
/// written, or else of two transactions that read what the other writes neither would see it. Commands that
/// only read need no lock: they see one moment.
fn begin<'s>(store: &'s Store, session: &Session, commands: &[Queued]) -> Result<Unit<'s>> {
    let any = |what: &dyn Fn(&Queued) -> bool| commands.iter().any(what);
    let writes = any(&|queued| queued.command.has(flags::WRITE));
    let alone = any(&|queued| queued.command.has(flags::ALONE)) || (writes && any(&reads_unnamed));
    let mut unit = if alone { store.unit_alone() } else { store.unit() };
    lock(&mut unit, session, commands, writes)?;
    Ok(unit)
}

/// Takes the locks of all keys that are watched and, if any of the commands writes, of all that they name, in
/// order.
fn lock(unit: &mut Unit<'_>, session: &Session, commands: &[Queued], writes: bool) -> Result<()> {
    let mut keys = unit.watched(&session.watching)?;
    let mut database = session.database;
    let args: Vec<Vec<&[u8]>> = commands.iter().map(|q| q.args.iter().map(Vec::as_slice).collect()).collect();
    // A swap renames keyspaces on the way: but then nobody else is there.
    for (Queued { command, .. }, args) in commands.iter().zip(&args) {
        if is(command.name.as_bytes(), "select") {
            let selected = args.get(1).and_then(|text| parse_i64(text)).and_then(|db| u32::try_from(db).ok());
            database = selected.filter(|db| *db < unit.databases()).unwrap_or(database);
        }
        if writes {
            keys.extend(named_keys(unit, database, command, args)?);
        }
    }
    unit.lock(keys)
}

#[cfg(test)]
mod tests {
    use super::super::table::find;
    use super::*;
    use crate::store::Key;
    use esker::fs::{Fs, SimFs};

    /// Whether others are kept from the keys `a` and `b` while these commands are carried out together.
    fn kept_from(lines: &[&str]) -> [bool; 2] {
        let engine = |engine: esker::Builder| engine.fs(Fs::Sim(SimFs::new()));
        let store = Store::builder("/data").deterministic(1).engine(engine).open().unwrap();
        let queued = |line: &&str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            Queued { command: find(&args[0]).unwrap(), args }
        };
        let commands: Vec<Queued> = lines.iter().map(queued).collect();
        let unit = begin(&store, &Session::default(), &commands).unwrap();
        let keyspace = unit.keyspace(0).unwrap();
        [b"a", b"b"].map(|name| unit.has_locked(Key { keyspace, name }))
    }

    #[test]
    fn who_writes_keeps_others_from_what_it_reads() {
        for (lines, expected) in [
            (&["get a", "mget a b"][..], [false, false]),
            (&["set a 1"], [true, false]),
            (&["get a", "set b 1"], [true, true]),
            (&["set b 1", "hgetall a"], [true, true]),
            (&["select 1", "get a", "select 0", "set b 1"], [false, true]),
            (&["zinter 2 x a", "set c 1"], [true, false]),
            (&["dbsize", "keys *"], [false, false]),
            (&["dbsize", "set c 1"], [true, true]),
            (&["scan 0", "set c 1"], [true, true]),
            (&["sort x", "set c 1"], [false, false]),
            (&["sort x by w* store c"], [true, true]),
            (&["ping", "set c 1"], [false, false]),
            (&["flushdb"], [true, true]),
        ] {
            assert_eq!(kept_from(lines), expected, "{lines:?}");
        }
    }
}
