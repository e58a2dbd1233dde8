//! Commands of keys, whatever they hold.

use super::arguments::{Arguments, cursor, is};
use super::context::Context;
use super::expiry::{Scale, moment, time};
use super::hashes::{ScanOptions, scanned};
use super::keyspec::Keys;
use super::reply::Reply;
use super::server::database;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::base::number::parse_i64;
use crate::encoding::header::Type;
use crate::keys::{self, Filter, Limit, Remaining};
use crate::store::Key;

const WRITE: u32 = flags::WRITE | flags::FAST;
const READ: u32 = flags::READ | flags::FAST;
const FREE: u32 = flags::WRITE | flags::FREES;
const WALK: u32 = flags::READ | flags::UNORDERED;
const ONE: Keys = Keys::FIRST;

/// What they are about.
const OF: Group = Group::Generic;

/// The commands of this group.
pub(super) const KEYS: &[Command] = &[
    OF.command("del", -2, FREE, Keys::ALL, "1.0.0", "O(1) for each key", "Removes keys.", del),
    OF.command(
        "unlink",
        -2,
        FREE | flags::FAST,
        Keys::ALL,
        "4.0.0",
        "O(1) for each key",
        "Removes keys.",
        del,
    ),
    OF.command(
        "exists",
        -2,
        READ,
        Keys::ALL,
        "1.0.0",
        "O(1) for each key",
        "How many of the keys exist.",
        exists,
    ),
    OF.command(
        "touch",
        -2,
        READ,
        Keys::ALL,
        "3.2.1",
        "O(1) for each key",
        "How many of the keys exist.",
        exists,
    ),
    OF.command("type", 2, READ, ONE, "1.0.0", "O(1)", "What a key holds.", kind),
    OF.command("rename", 3, flags::WRITE, Keys::TWO, "1.0.0", "O(1)", "Gives a key another name.", rename),
    OF.command(
        "renamenx",
        3,
        WRITE,
        Keys::TWO,
        "1.0.0",
        "O(1)",
        "Gives a key a name that is free.",
        renamenx,
    ),
    OF.command(
        "copy",
        -3,
        flags::WRITE | flags::LONG,
        Keys::Placed(copied),
        "6.2.0",
        "O(N)",
        "Copies what a key holds.",
        copy,
    ),
    OF.command(
        "move",
        3,
        flags::WRITE | flags::FAST | flags::LONG,
        Keys::Placed(moved),
        "1.0.0",
        "O(N)",
        "Moves a key to another database.",
        move_key,
    ),
    OF.command("expire", -3, WRITE, ONE, "1.0.0", "O(1)", "Has a key expire in so many seconds.", expire),
    OF.command(
        "pexpire",
        -3,
        WRITE,
        ONE,
        "2.6.0",
        "O(1)",
        "Has a key expire in so many milliseconds.",
        pexpire,
    ),
    OF.command("expireat", -3, WRITE, ONE, "1.2.0", "O(1)", "Has a key expire at a second.", expireat),
    OF.command("pexpireat", -3, WRITE, ONE, "2.6.0", "O(1)", "Has a key expire at a millisecond.", pexpireat),
    OF.command("ttl", 2, READ, ONE, "1.0.0", "O(1)", "In how many seconds a key expires.", ttl),
    OF.command("pttl", 2, READ, ONE, "2.6.0", "O(1)", "In how many milliseconds a key expires.", pttl),
    OF.command("expiretime", 2, READ, ONE, "7.0.0", "O(1)", "The second at which a key expires.", expiretime),
    OF.command(
        "pexpiretime",
        2,
        READ,
        ONE,
        "7.0.0",
        "O(1)",
        "The millisecond at which a key expires.",
        pexpiretime,
    ),
    OF.command("persist", 2, WRITE, ONE, "2.2.0", "O(1)", "Has a key not expire.", persist),
    OF.command("scan", -2, WALK, Keys::None, "2.8.0", "O(1) for each key", "Walks over the keys.", scan),
    OF.command(
        "keys",
        2,
        WALK | flags::LONG,
        Keys::None,
        "1.0.0",
        "O(N) in the keys with the prefix",
        "The keys that match.",
        matching,
    ),
    OF.command(
        "randomkey",
        1,
        flags::READ | flags::CHANCE,
        Keys::None,
        "1.0.0",
        "O(1)",
        "A key by chance.",
        randomkey,
    ),
    Command {
        subcommands: OBJECT,
        ..OF.command(
            "object",
            -2,
            flags::READ,
            Keys::Range { first: 2, last: 2, step: 1 },
            "2.2.3",
            "O(1)",
            "How a key is kept.",
            object,
        )
    },
];

fn del(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let keys = context.keys(&args[1..])?;
    Ok(Reply::count(keys::delete_many(context.unit, &keys)?))
}

fn exists(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let keys = context.keys(&args[1..])?;
    Ok(Reply::count(keys::count_existing(context.unit, &keys)?))
}

fn kind(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::Simple(keys::kind(context.unit, key)?.map_or("none", Type::name)))
}

fn rename(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (from, to) = (context.key(args[1])?, context.key(args[2])?);
    keys::rename(context.unit, from, to, false)?.ok_or(Error::NO_KEY)?;
    Ok(Reply::OK)
}

fn renamenx(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (from, to) = (context.key(args[1])?, context.key(args[2])?);
    Ok(Reply::flag(keys::rename(context.unit, from, to, true)?.ok_or(Error::NO_KEY)?))
}

/// A number as the database of a key that is to be locked.
fn place(text: &[u8]) -> Option<u32> {
    parse_i64(text).and_then(|number| u32::try_from(number).ok())
}

/// The keys of COPY: the second may stand in another database.
fn copied(args: &[&[u8]], own: u32) -> Vec<(u32, usize)> {
    // As `copy` reads them: the last one counts, and keys may have the name of the option.
    let (mut at, mut target) = (3, own);
    while let Some(word) = args.get(at) {
        if is(word, "db") {
            at += 1;
            target = args.get(at).and_then(|text| place(text)).unwrap_or(target);
        }
        at += 1;
    }
    vec![(own, 1), (target, 2)]
}

/// The keys of MOVE: the same in two databases.
fn moved(args: &[&[u8]], own: u32) -> Vec<(u32, usize)> {
    let target = args.get(2).and_then(|text| place(text)).unwrap_or(own);
    vec![(own, 1), (target, 1)]
}

fn copy(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (mut target, mut replace) = (context.session.database, false);
    let mut rest = Arguments::new(args, 3);
    while let Some(word) = rest.next() {
        if is(word, "replace") {
            replace = true;
        } else if is(word, "db") && rest.left() > 0 {
            target = database(context, rest.required()?)?;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let from = context.key(args[1])?;
    let to = Key { keyspace: context.unit.keyspace(target)?, name: args[2] };
    Ok(Reply::flag(keys::copy(context.unit, from, to, replace, false)?))
}

fn move_key(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let target = database(context, args[2]).map_err(|error| match parse_i64(args[2]) {
        Some(_) => error,
        None => Error::NOT_INTEGER,
    })?;
    let from = context.key(args[1])?;
    let to = Key { keyspace: context.unit.keyspace(target)?, name: args[1] };
    Ok(Reply::flag(keys::copy(context.unit, from, to, false, true)?))
}

fn limit(args: &[&[u8]]) -> Result<Limit> {
    let mut limit = Limit::default();
    for word in &args[3..] {
        match word {
            word if is(word, "nx") => limit.absent = true,
            word if is(word, "xx") => limit.present = true,
            word if is(word, "gt") => limit.greater = true,
            word if is(word, "lt") => limit.less = true,
            word => return Err(Error::quoting("ERR Unsupported option ", word, "")),
        }
    }
    limit.check()?;
    Ok(limit)
}

fn expires(
    context: &mut Context<'_, '_>,
    args: &[&[u8]],
    scale: Scale,
    from_now: bool,
    name: &str,
) -> Result<Reply> {
    let limit = limit(args)?;
    let base_ms = if from_now { context.unit.now_ms() } else { 0 };
    let at = time(args[2], scale, base_ms, name)?;
    let key = context.key(args[1])?;
    Ok(Reply::flag(keys::expire_at(context.unit, key, moment(at), limit)?))
}

fn expire(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    expires(context, args, Scale::Seconds, true, "expire")
}

fn pexpire(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    expires(context, args, Scale::Milliseconds, true, "pexpire")
}

fn expireat(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    expires(context, args, Scale::Seconds, false, "expireat")
}

fn pexpireat(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    expires(context, args, Scale::Milliseconds, false, "pexpireat")
}

fn remaining(context: &mut Context<'_, '_>, args: &[&[u8]], show: fn(u64, u64) -> u64) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(match keys::remaining(context.unit, key)? {
        Remaining::Absent => Reply::Integer(-2),
        Remaining::Forever => Reply::Integer(-1),
        Remaining::Until(at, left) => Reply::count(show(at, left)),
    })
}

fn ttl(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    remaining(context, args, |_, left| (left + 500) / 1000)
}

fn pttl(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    remaining(context, args, |_, left| left)
}

fn expiretime(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    remaining(context, args, |at, _| (at + 500) / 1000)
}

fn pexpiretime(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    remaining(context, args, |at, _| at)
}

fn persist(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::flag(keys::persist(context.unit, key)?))
}

fn scan(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let at = cursor(args[1])?;
    let options = ScanOptions::parse(args, 2, true)?;
    let keyspace = context.unit.keyspace(context.session.database)?;
    let kind = options.kind.map(|kind| Type::ALL.into_iter().find(|known| is(kind, known.name())));
    // A type that does not exist is that of no key; the walk goes on all the same.
    let nothing = kind == Some(None);
    let kind = kind.flatten();
    let filter = Filter { pattern: options.pattern, kind };
    let (next, names) = keys::scan(context.unit, keyspace, at, options.count, filter)?;
    Ok(scanned(next, names.into_iter().filter(|_| !nothing)))
}

fn matching(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let keyspace = context.unit.keyspace(context.session.database)?;
    let names = keys::matching(context.unit, keyspace, args[1])?;
    context.fitting(Reply::bulks(names))
}

fn randomkey(context: &mut Context<'_, '_>, _: &[&[u8]]) -> Result<Reply> {
    let keyspace = context.unit.keyspace(context.session.database)?;
    Ok(Reply::bulk_or_null(keys::random(context.unit, keyspace)?))
}

fn object(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let what = args[1];
    let Some(name) = args.get(2) else {
        return Ok(Reply::Array(OBJECT_HELP.iter().map(|line| Reply::Simple(line)).collect()));
    };
    let key = context.key(name)?;
    let Some(encoding) = keys::encoding_name(context.unit, key)? else { return Ok(Reply::Null) };
    Ok(match what {
        what if is(what, "encoding") => encoding.into(),
        what if is(what, "refcount") => Reply::Integer(1),
        // When a key was read is not kept.
        what if is(what, "idletime") => Reply::Integer(0),
        _ => {
            let text = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
                        note \
                        that when switching between policies at runtime LRU and LFU data will take some time \
                        to adjust.";
            return Err(Error::fixed(text));
        }
    })
}

/// The subcommands of OBJECT.
const OBJECT: &[(&str, i32)] = &[("encoding", 3), ("refcount", 3), ("idletime", 3), ("freq", 3), ("help", 2)];

/// What OBJECT HELP says.
const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    The encoding that Redis would show.",
    "REFCOUNT <key>",
    "    Always 1.",
    "IDLETIME <key>",
    "    Always 0: when a key was read is not kept.",
];

#[cfg(test)]
mod tests {
    use crate::command::find;

    #[test]
    fn copy_locks_where_it_writes() {
        for (line, target) in [
            ("copy a b", 7),
            ("copy a b db 1", 1),
            ("copy db x DB 1", 1),
            ("copy a DB DB 1", 1),
            ("copy a b DB 1 DB 2", 2),
            ("copy a b replace db 1 replace", 1),
            ("copy a b db", 7),
        ] {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let mut found = Vec::new();
            find(b"copy").unwrap().keys.each(&args, 7, |database, at| found.push((database, at)));
            assert_eq!(found, [(7, 1), (target, 2)], "{line}");
        }
    }
}
