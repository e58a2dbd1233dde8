//! Commands of hashes.

use super::arguments::{Arguments, count_by_chance, cursor, integer, is};
use super::connection::wrong_number;
use super::context::Context;
use super::keyspec::Keys;
use super::reply::{Protocol, Reply};
use super::stream::Shape;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::base::glob;
use crate::base::real::Real;
use crate::encoding::header::Type;
use crate::hash;
use crate::store::{Budget, Unit};

const WRITE: u32 = flags::WRITE | flags::FAST;
const READ: u32 = flags::READ | flags::FAST;
const WALK: u32 = flags::READ | flags::UNORDERED;

/// What they are about.
const OF: Group = Group::Hash;

/// The commands of this group.
pub(super) const HASHES: &[Command] = &[
    OF.command(
        "hset",
        -4,
        WRITE,
        Keys::FIRST,
        "2.0.0",
        "O(1) for each field",
        "Sets fields of a hash.",
        hset,
    ),
    OF.command(
        "hmset",
        -4,
        WRITE,
        Keys::FIRST,
        "2.0.0",
        "O(1) for each field",
        "Sets fields of a hash.",
        hmset,
    ),
    OF.command(
        "hsetnx",
        4,
        WRITE,
        Keys::FIRST,
        "2.0.0",
        "O(1)",
        "Sets a field of a hash that is not there.",
        hsetnx,
    ),
    OF.command("hget", 3, READ, Keys::FIRST, "2.0.0", "O(1)", "The value of a field.", hget),
    OF.command(
        "hmget",
        -3,
        READ,
        Keys::FIRST,
        "2.0.0",
        "O(1) for each field",
        "The values of several fields.",
        hmget,
    ),
    OF.command(
        "hdel",
        -3,
        WRITE | flags::FREES,
        Keys::FIRST,
        "2.0.0",
        "O(1) for each field",
        "Removes fields.",
        hdel,
    ),
    OF.command("hexists", 3, READ, Keys::FIRST, "2.0.0", "O(1)", "Whether there is such a field.", hexists),
    OF.command("hlen", 2, READ, Keys::FIRST, "2.0.0", "O(1)", "How many fields there are.", hlen),
    OF.command(
        "hstrlen",
        3,
        READ,
        Keys::FIRST,
        "3.2.0",
        "O(1)",
        "The length of the value of a field.",
        hstrlen,
    ),
    OF.command("hincrby", 4, WRITE, Keys::FIRST, "2.0.0", "O(1)", "Adds to the integer of a field.", hincrby),
    OF.command(
        "hincrbyfloat",
        4,
        WRITE,
        Keys::FIRST,
        "2.6.0",
        "O(1)",
        "Adds to the number of a field.",
        hincrbyfloat,
    ),
    OF.command("hgetall", 2, WALK, Keys::FIRST, "2.0.0", "O(N)", "All fields with their values.", hgetall),
    OF.command("hkeys", 2, WALK, Keys::FIRST, "2.0.0", "O(N)", "All fields.", hkeys),
    OF.command("hvals", 2, WALK, Keys::FIRST, "2.0.0", "O(N)", "The values of all fields.", hvals),
    OF.command("hscan", -3, WALK, Keys::FIRST, "2.8.0", "O(1) for each field", "Walks over a hash.", hscan),
    OF.command(
        "hrandfield",
        -2,
        WALK | flags::CHANCE,
        Keys::FIRST,
        "6.2.0",
        "O(1) for each field",
        "Fields by chance.",
        hrandfield,
    ),
];

fn set(context: &mut Context<'_, '_>, args: &[&[u8]], name: &str) -> Result<u64> {
    let key = context.key(args[1])?;
    let (pairs, odd) = args[2..].as_chunks::<2>();
    if !odd.is_empty() {
        return Err(wrong_number(name));
    }
    let fields: Vec<(&[u8], &[u8])> = pairs.iter().map(|[field, value]| (*field, *value)).collect();
    hash::set(context.unit, key, &fields)
}

fn hset(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    set(context, args, "hset").map(Reply::count)
}

fn hmset(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    set(context, args, "hmset").map(|_| Reply::OK)
}

fn hsetnx(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::flag(hash::set_if_absent(context.unit, key, args[2], args[3])?))
}

fn hget(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::bulk_or_null(hash::get(context.unit, key, args[2])?))
}

fn hmget(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let mut values = Vec::with_capacity(args.len() - 2);
    let mut budget = context.budget();
    hash::each_of(context.unit, key, &args[2..], |value| {
        values.push(Reply::bulk_or_null(value));
        budget.takes(value.map_or(0, <[u8]>::len))
    })?;
    budget.check()?;
    Ok(Reply::Array(values))
}

fn hdel(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(hash::delete(context.unit, key, &args[2..])?))
}

fn hexists(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::flag(hash::contains(context.unit, key, args[2])?))
}

fn hlen(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(hash::length(context.unit, key)?))
}

fn hstrlen(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(hash::value_length(context.unit, key, args[2])?))
}

fn hincrby(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let delta = integer(args[3])?;
    Ok(Reply::Integer(hash::add_integer(context.unit, key, args[2], delta)?))
}

fn hincrbyfloat(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let delta = Real::parse(args[3]).ok_or(Error::NOT_FLOAT)?;
    hash::add_float(context.unit, key, args[2], delta).map(Reply::Bulk)
}

/// The reply to a command that shows all fields.
fn fields<T>(
    context: &mut Context<'_, '_>,
    args: &[&[u8]],
    shape: Shape,
    show: impl Fn(&[u8], &[u8]) -> T,
    reply: impl FnOnce(Vec<T>) -> Reply,
) -> Result<Reply> {
    let key = context.key(args[1])?;
    let read = |unit: &mut Unit<'_>, budget: &mut Budget| {
        let mut shown = Vec::new();
        hash::all(unit, key, |name, value| {
            shown.push(show(name, value));
            budget.takes(match shape {
                Shape::Fields => name.len(),
                Shape::Values => value.len(),
                _ => name.len() + value.len(),
            })
        })?;
        Ok(shown)
    };
    context.at_once_or_streamed(shape, read, |unit, _| hash::stretch(unit, key), reply)
}

fn hgetall(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let show = |name: &[u8], value: &[u8]| (Reply::Bulk(name.to_vec()), Reply::Bulk(value.to_vec()));
    fields(context, args, Shape::Pairs, show, Reply::Map)
}

fn hkeys(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    fields(context, args, Shape::Fields, |name, _| Reply::Bulk(name.to_vec()), Reply::Array)
}

fn hvals(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    fields(context, args, Shape::Values, |_, value| Reply::Bulk(value.to_vec()), Reply::Array)
}

fn hscan(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let at = cursor(args[2])?;
    let key = context.key(args[1])?;
    // Of a key that does not exist, or holds something else, the rest does not matter.
    if context.unit.meta_of(key, Type::Hash)?.is_none() {
        return Ok(scanned(0, []));
    }
    let options = ScanOptions::parse(args, 3, false)?;
    let (next, pairs) = hash::scan(context.unit, key, at, options.count)?;
    let pairs = pairs.into_iter().filter(|(name, _)| options.shows(name));
    Ok(scanned(next, pairs.flat_map(|(name, value)| [name, value])))
}

/// What SCAN and its kin take behind the cursor.
#[derive(Debug)]
pub(super) struct ScanOptions<'a> {
    pub(super) pattern: Option<&'a [u8]>,
    pub(super) count: u64,
    pub(super) kind: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    pub(super) fn parse(args: &'a [&'a [u8]], from: usize, kinds: bool) -> Result<ScanOptions<'a>> {
        let mut rest = Arguments::new(args, from);
        let mut options = ScanOptions { pattern: None, count: 10, kind: None };
        while let Some(word) = rest.next() {
            if is(word, "count") && rest.left() > 0 {
                options.count = match integer(rest.required()?)? {
                    count @ 1.. => count as u64,
                    _ => return Err(Error::SYNTAX),
                };
            } else if is(word, "match") && rest.left() > 0 {
                options.pattern = Some(rest.required()?);
            } else if kinds && is(word, "type") && rest.left() > 0 {
                options.kind = Some(rest.required()?);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }

    pub(super) fn shows(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }
}

/// The reply of SCAN and its kin.
pub(super) fn scanned(next: u64, items: impl IntoIterator<Item = Vec<u8>>) -> Reply {
    Reply::Array(vec![Reply::Bulk(next.to_string().into_bytes()), Reply::bulks(items)])
}

fn hrandfield(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    if args.len() == 2 {
        let pair = hash::random(context.unit, key)?;
        return Ok(Reply::bulk_or_null(pair.map(|(name, _)| name)));
    }
    let (count, with_values) = count_by_chance(args, "withvalues")?;
    let pairs = if count < 0 {
        hash::random_many(context.unit, key, count.unsigned_abs())?
    } else {
        hash::random_distinct(context.unit, key, count as u64)?
    };
    if !with_values {
        return context.fitting(Reply::bulks(pairs.into_iter().map(|(name, _)| name)));
    }
    if context.session.protocol == Protocol::Resp3 {
        let pair =
            |(name, value): (Vec<u8>, Vec<u8>)| Reply::Array(vec![Reply::Bulk(name), Reply::Bulk(value)]);
        return context.fitting(Reply::Array(pairs.into_iter().map(pair).collect()));
    }
    context.fitting(Reply::bulks(pairs.into_iter().flat_map(|(name, value)| [name, value])))
}
