//! Commands of sets.

use super::arguments::{Arguments, cursor, integer, is};
use super::context::Context;
use super::hashes::{ScanOptions, scanned};
use super::keyspec::Keys;
use super::reply::Reply;
use super::stream::Shape;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::base::number::parse_i64;
use crate::encoding::header::Type;
use crate::set::{self, Algebra};
use crate::store::{Budget, Unit};

const WRITE: u32 = flags::WRITE | flags::FAST;
const READ: u32 = flags::READ | flags::FAST;
const WALK: u32 = flags::READ | flags::UNORDERED;
const FREE: u32 = WRITE | flags::FREES;
const ONE: Keys = Keys::FIRST;
const ALL: Keys = Keys::ALL;
const COUNTED: Keys = Keys::Counted { at: 1, target: false };

/// What the commands cost that read several sets.
const ALGEBRA: &str = "O(N) in the members read";
const INTERSECTION: &str = "O(N*M), N members of the smallest set, M sets";
const DIFFERENCE: &str = "O(N*M), N members of the first set, M sets";

/// What they are about.
const OF: Group = Group::Set;

/// The commands of this group.
pub(super) const SETS: &[Command] = &[
    OF.command("sadd", -3, WRITE, ONE, "1.0.0", "O(1) for each member", "Adds members to a set.", sadd),
    OF.command("srem", -3, FREE, ONE, "1.0.0", "O(1) for each member", "Removes members.", srem),
    OF.command("sismember", 3, READ, ONE, "1.0.0", "O(1)", "Whether there is such a member.", sismember),
    OF.command(
        "smismember",
        -3,
        READ,
        ONE,
        "6.2.0",
        "O(1) for each member",
        "Which of several members there are.",
        smismember,
    ),
    OF.command("scard", 2, READ, ONE, "1.0.0", "O(1)", "How many members there are.", scard),
    OF.command("smembers", 2, WALK, ONE, "1.0.0", "O(N)", "All members.", smembers),
    OF.command(
        "spop",
        -2,
        FREE | flags::CHANCE,
        ONE,
        "1.0.0",
        "O(1) for each member",
        "Removes members by chance.",
        spop,
    ),
    OF.command(
        "srandmember",
        -2,
        flags::READ | flags::CHANCE,
        ONE,
        "1.0.0",
        "O(1) for each member",
        "Members by chance.",
        srandmember,
    ),
    OF.command("smove", 4, WRITE, Keys::TWO, "1.0.0", "O(1)", "Moves a member to another set.", smove),
    OF.command("sscan", -3, WALK, ONE, "2.8.0", "O(1) for each member", "Walks over a set.", sscan),
    OF.command(
        "sinter",
        -2,
        WALK | flags::LONG,
        ALL,
        "1.0.0",
        INTERSECTION,
        "The members that all sets have.",
        sinter,
    ),
    OF.command(
        "sinterstore",
        -3,
        flags::WRITE | flags::LONG,
        ALL,
        "1.0.0",
        INTERSECTION,
        "Keeps the members that all sets have.",
        sinterstore,
    ),
    OF.command(
        "sintercard",
        -3,
        flags::READ | flags::LONG,
        COUNTED,
        "7.0.0",
        INTERSECTION,
        "How many members all sets have.",
        sintercard,
    ),
    OF.command(
        "sunion",
        -2,
        WALK | flags::LONG,
        ALL,
        "1.0.0",
        ALGEBRA,
        "The members that any set has.",
        sunion,
    ),
    OF.command(
        "sunionstore",
        -3,
        flags::WRITE | flags::LONG,
        ALL,
        "1.0.0",
        ALGEBRA,
        "Keeps the members that any set has.",
        sunionstore,
    ),
    OF.command(
        "sdiff",
        -2,
        WALK | flags::LONG,
        ALL,
        "1.0.0",
        DIFFERENCE,
        "The members of the first set alone.",
        sdiff,
    ),
    OF.command(
        "sdiffstore",
        -3,
        flags::WRITE | flags::LONG,
        ALL,
        "1.0.0",
        DIFFERENCE,
        "Keeps the members of the first set alone.",
        sdiffstore,
    ),
];

fn members(members: Vec<Vec<u8>>) -> Reply {
    Reply::Set(members.into_iter().map(Reply::Bulk).collect())
}

fn sadd(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(set::add(context.unit, key, &args[2..])?))
}

fn srem(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(set::remove(context.unit, key, &args[2..])?))
}

fn sismember(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::flag(set::contains_many(context.unit, key, &args[2..])?.contains(&true)))
}

fn smismember(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let found = set::contains_many(context.unit, key, &args[2..])?;
    Ok(Reply::Array(found.into_iter().map(Reply::flag).collect()))
}

fn scard(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(set::length(context.unit, key)?))
}

fn smembers(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let read = |unit: &mut Unit<'_>, budget: &mut Budget| {
        let mut found = Vec::new();
        set::all(unit, key, |member| {
            found.push(member.to_vec());
            budget.takes(member.len())
        })?;
        Ok(found)
    };
    context.at_once_or_streamed(Shape::Members, read, |unit, _| set::stretch(unit, key), members)
}

fn spop(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    match args[2..] {
        [] => Ok(Reply::bulk_or_null(set::pop(context.unit, key, 1)?.pop())),
        [count] => {
            let count = parse_i64(count).and_then(|count| u64::try_from(count).ok());
            Ok(members(set::pop(context.unit, key, count.ok_or(Error::NOT_POSITIVE)?)?))
        }
        _ => Err(Error::SYNTAX),
    }
}

fn srandmember(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let count = match args[2..] {
        [] => return Ok(Reply::bulk_or_null(set::random_many(context.unit, key, 1)?.pop())),
        [count] => integer(count)?,
        _ => return Err(Error::SYNTAX),
    };
    let chosen = match u64::try_from(count) {
        Ok(count) => set::random_distinct(context.unit, key, count)?,
        Err(_) if count == i64::MIN => return Err(Error::SYMMETRIC_RANGE),
        Err(_) => set::random_many(context.unit, key, count.unsigned_abs())?,
    };
    context.fitting(Reply::bulks(chosen))
}

fn smove(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (from, to) = (context.key(args[1])?, context.key(args[2])?);
    Ok(Reply::flag(set::move_member(context.unit, from, to, args[3])?))
}

fn sscan(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let at = cursor(args[2])?;
    let key = context.key(args[1])?;
    // Of a key that does not exist, or holds something else, the rest does not matter.
    if context.unit.meta_of(key, Type::Set)?.is_none() {
        return Ok(scanned(0, []));
    }
    let options = ScanOptions::parse(args, 3, false)?;
    let (next, found) = set::scan(context.unit, key, at, options.count)?;
    Ok(scanned(next, found.into_iter().filter(|member| options.shows(member))))
}

fn sintercard(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let count = parse_i64(args[1]).filter(|count| *count > 0);
    let count = count.ok_or(Error::fixed("ERR numkeys should be greater than 0"))?;
    let names = usize::try_from(count).ok().and_then(|count| args[2..].get(..count));
    let names = names.ok_or(Error::fixed("ERR Number of keys can't be greater than number of args"))?;
    let mut rest = Arguments::new(args, 2 + names.len());
    let mut limit = 0;
    while let Some(word) = rest.next() {
        if !is(word, "limit") || rest.left() == 0 {
            return Err(Error::SYNTAX);
        }
        let text = rest.required()?;
        let given = parse_i64(text).and_then(|limit| u64::try_from(limit).ok());
        limit = given.ok_or(Error::fixed("ERR LIMIT can't be negative"))?;
    }
    let keys = context.keys(names)?;
    Ok(Reply::count(set::intersection_count(context.unit, &keys, limit)?))
}

fn shown(context: &mut Context<'_, '_>, args: &[&[u8]], how: Algebra) -> Result<Reply> {
    let keys = context.keys(&args[1..])?;
    let found = set::combined(context.unit, how, &keys)?;
    context.fitting(members(found))
}

fn stored(context: &mut Context<'_, '_>, args: &[&[u8]], how: Algebra) -> Result<Reply> {
    let (target, keys) = (context.key(args[1])?, context.keys(&args[2..])?);
    Ok(Reply::count(set::store(context.unit, target, how, &keys)?))
}

fn sinter(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    shown(context, args, Algebra::Intersection)
}

fn sinterstore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    stored(context, args, Algebra::Intersection)
}

fn sunion(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    shown(context, args, Algebra::Union)
}

fn sunionstore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    stored(context, args, Algebra::Union)
}

fn sdiff(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    shown(context, args, Algebra::Difference)
}

fn sdiffstore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    stored(context, args, Algebra::Difference)
}
