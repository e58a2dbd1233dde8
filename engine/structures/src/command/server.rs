//! The connection itself and the databases as a whole.

use super::arguments::{integer, is};
use super::connection::wrong_number;
use super::context::Context;
use super::keyspec::Keys;
use super::reply::Reply;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};

const FAST: u32 = flags::FAST;

/// The commands of this group.
pub(super) const SERVER: &[Command] = &[
    Group::Connection.command(
        "ping",
        -1,
        FAST,
        Keys::None,
        "1.0.0",
        "O(1)",
        "Answers PONG, or what it is given.",
        ping,
    ),
    Group::Connection.command(
        "echo",
        2,
        FAST,
        Keys::None,
        "1.0.0",
        "O(1)",
        "Answers what it is given.",
        echo,
    ),
    Group::Connection.command(
        "select",
        2,
        FAST,
        Keys::None,
        "1.0.0",
        "O(1)",
        "Changes the database.",
        select,
    ),
    Group::Server.command(
        "dbsize",
        1,
        FAST | flags::READ,
        Keys::None,
        "1.0.0",
        "O(1)",
        "How many keys the database has.",
        dbsize,
    ),
    Group::Server.command(
        "flushdb",
        -1,
        flags::ALONE | flags::FREES,
        Keys::None,
        "1.0.0",
        "O(1)",
        "Removes all keys of the database.",
        flushdb,
    ),
    Group::Server.command(
        "flushall",
        -1,
        flags::ALONE | flags::FREES,
        Keys::None,
        "1.0.0",
        "O(1)",
        "Removes all keys.",
        flushall,
    ),
    Group::Server.command(
        "swapdb",
        3,
        flags::ALONE | flags::FAST,
        Keys::None,
        "4.0.0",
        "O(1)",
        "Exchanges two databases.",
        swapdb,
    ),
];

fn ping(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let _ = context;
    match args {
        [_] => Ok(Reply::Simple("PONG")),
        [_, text] => Ok(Reply::Bulk(text.to_vec())),
        _ => Err(wrong_number("ping")),
    }
}

fn echo(_: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    Ok(Reply::Bulk(args.get(1).copied().unwrap_or_default().to_vec()))
}

/// The number of a database, which Redis reads as an `int`.
pub(super) fn database(context: &Context<'_, '_>, text: &[u8]) -> Result<u32> {
    let number = integer(text)?;
    if i32::try_from(number).is_err() {
        return Err(Error::INT_RANGE);
    }
    let number = u32::try_from(number).ok().filter(|number| *number < context.unit.databases());
    number.ok_or(Error::DATABASE_RANGE)
}

fn select(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let text = args.get(1).copied().unwrap_or_default();
    context.session.database = database(context, text)?;
    Ok(Reply::OK)
}

fn dbsize(context: &mut Context<'_, '_>, _: &[&[u8]]) -> Result<Reply> {
    Ok(Reply::count(context.unit.count_keys(context.session.database)?))
}

/// The one option of both kinds of flush, which makes no difference here.
fn flush_option(args: &[&[u8]]) -> Result<()> {
    match args {
        [_] => Ok(()),
        [_, how] if is(how, "async") || is(how, "sync") => Ok(()),
        _ => Err(Error::SYNTAX),
    }
}

fn flushdb(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    flush_option(args)?;
    context.unit.flush_database(context.session.database)?;
    Ok(Reply::OK)
}

fn flushall(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    flush_option(args)?;
    context.unit.flush_all()?;
    Ok(Reply::OK)
}

fn swapdb(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let number = |at: usize, which: &str| {
        let number = args.get(at).and_then(|text| crate::base::number::parse_i64(text));
        let number = number.filter(|number| i32::try_from(*number).is_ok());
        number.ok_or_else(|| Error::text(format!("ERR invalid {which} DB index")))
    };
    let (a, b) = (number(1, "first")?, number(2, "second")?);
    let known = |number: i64| u32::try_from(number).ok().filter(|n| *n < context.unit.databases());
    let (a, b) = (known(a).ok_or(Error::DATABASE_RANGE)?, known(b).ok_or(Error::DATABASE_RANGE)?);
    context.unit.swap_databases(a, b)?;
    Ok(Reply::OK)
}
