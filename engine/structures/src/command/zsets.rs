//! Commands of sorted sets: members and scores, ends, members by chance.

use super::arguments::{count_by_chance, cursor, integer, is};
use super::connection::wrong_number;
use super::context::Context;
use super::hashes::{ScanOptions, scanned};
use super::keyspec::Keys;
use super::reply::{Protocol, Reply};
use super::table::{Command, Group, flags};
use super::zset_algebra::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
use super::zset_ranges::{
    zcount, zlexcount, zrange, zrangebylex, zrangebyscore, zrangestore, zremrangebylex, zremrangebyrank,
    zremrangebyscore, zrevrange, zrevrangebylex, zrevrangebyscore,
};
use crate::base::error::{Error, Result};
use crate::base::number::{format_f64, parse_f64};
use crate::encoding::header::{Type, flag};
use crate::zset::{self, Add, Added, Entry};

const WRITE: u32 = flags::WRITE | flags::FAST;
const FREE: u32 = flags::WRITE | flags::FREES;
const READ: u32 = flags::READ | flags::FAST;
const SLOW: u32 = flags::READ;
const FIRST: Keys = Keys::FIRST;
const COUNTED: Keys = Keys::Counted { at: 1, target: false };
const STORED: Keys = Keys::Counted { at: 2, target: true };

const LOG: &str = "O(log N)";
const LOG_EACH: &str = "O(log N) for each member";
const LOG_PLUS: &str = "O(log N + M), M members that come";
const LOG_GONE: &str = "O(M log N), M members that go";
const ALL: &str = "O(N log N), N members of all keys";
const SMALLEST: &str = "O(N K), N members of the smallest of K keys";

/// What they are about.
const OF: Group = Group::SortedSet;

/// The commands of this group.
pub(super) const ZSETS: &[Command] = &[
    OF.command("zadd", -4, WRITE, FIRST, "1.2.0", LOG_EACH, "Gives members scores.", zadd),
    OF.command("zscore", 3, READ, FIRST, "1.2.0", "O(1)", "The score of a member.", zscore),
    OF.command(
        "zmscore",
        -3,
        READ,
        FIRST,
        "6.2.0",
        "O(1) for each member",
        "The scores of members.",
        zmscore,
    ),
    OF.command("zcard", 2, READ, FIRST, "1.2.0", "O(1)", "How many members there are.", zcard),
    OF.command("zrem", -3, FREE | flags::FAST, FIRST, "1.2.0", LOG_EACH, "Removes members.", zrem),
    OF.command("zincrby", 4, WRITE, FIRST, "1.2.0", LOG, "Adds to the score of a member.", zincrby),
    OF.command("zrange", -4, SLOW, FIRST, "1.2.0", LOG_PLUS, "Members by index, score or name.", zrange),
    OF.command("zrevrange", -4, SLOW, FIRST, "1.2.0", LOG_PLUS, "Members by index from the end.", zrevrange),
    OF.command("zrangebyscore", -4, SLOW, FIRST, "1.0.5", LOG_PLUS, "Members by score.", zrangebyscore),
    OF.command(
        "zrevrangebyscore",
        -4,
        SLOW,
        FIRST,
        "2.2.0",
        LOG_PLUS,
        "Members by score from the greatest on.",
        zrevrangebyscore,
    ),
    OF.command("zrangebylex", -4, SLOW, FIRST, "2.8.9", LOG_PLUS, "Members by name.", zrangebylex),
    OF.command(
        "zrevrangebylex",
        -4,
        SLOW,
        FIRST,
        "2.8.9",
        LOG_PLUS,
        "Members by name from the last on.",
        zrevrangebylex,
    ),
    OF.command("zrank", -3, READ, FIRST, "2.0.0", LOG, "The index of a member.", zrank),
    OF.command("zrevrank", -3, READ, FIRST, "2.0.0", LOG, "The index of a member from the end.", zrevrank),
    OF.command("zcount", 4, READ, FIRST, "2.0.0", LOG, "How many members have scores in a range.", zcount),
    OF.command("zlexcount", 4, READ, FIRST, "2.8.9", LOG, "How many members are in a range.", zlexcount),
    OF.command(
        "zpopmin",
        -2,
        FREE | flags::FAST,
        FIRST,
        "5.0.0",
        LOG_GONE,
        "Takes members with the least scores.",
        zpopmin,
    ),
    OF.command(
        "zpopmax",
        -2,
        FREE | flags::FAST,
        FIRST,
        "5.0.0",
        LOG_GONE,
        "Takes members with the greatest scores.",
        zpopmax,
    ),
    OF.command("zmpop", -4, FREE, COUNTED, "7.0.0", LOG_GONE, "Takes members from an end of a key.", zmpop),
    OF.command(
        "zremrangebyrank",
        4,
        FREE,
        FIRST,
        "2.0.0",
        LOG_GONE,
        "Removes members by index.",
        zremrangebyrank,
    ),
    OF.command(
        "zremrangebyscore",
        4,
        FREE,
        FIRST,
        "1.2.0",
        LOG_GONE,
        "Removes members by score.",
        zremrangebyscore,
    ),
    OF.command(
        "zremrangebylex",
        4,
        FREE,
        FIRST,
        "2.8.9",
        LOG_GONE,
        "Removes members by name.",
        zremrangebylex,
    ),
    OF.command(
        "zrandmember",
        -2,
        SLOW | flags::CHANCE | flags::UNORDERED,
        FIRST,
        "6.2.0",
        LOG_EACH,
        "Members by chance.",
        zrandmember,
    ),
    OF.command(
        "zscan",
        -3,
        SLOW | flags::UNORDERED,
        FIRST,
        "2.8.0",
        "O(1) for each member",
        "Walks over a sorted set.",
        zscan,
    ),
    OF.command(
        "zrangestore",
        -5,
        flags::WRITE | flags::LONG,
        Keys::TWO,
        "6.2.0",
        "O(log N + M log M), M members that come",
        "Stores members by index, score or name.",
        zrangestore,
    ),
    OF.command("zunion", -3, SLOW | flags::LONG, COUNTED, "6.2.0", ALL, "Members of any key.", zunion),
    OF.command("zinter", -3, SLOW | flags::LONG, COUNTED, "6.2.0", SMALLEST, "Members of all keys.", zinter),
    OF.command(
        "zdiff",
        -3,
        SLOW | flags::LONG,
        COUNTED,
        "6.2.0",
        ALL,
        "Members of the first key alone.",
        zdiff,
    ),
    OF.command(
        "zunionstore",
        -4,
        flags::WRITE | flags::LONG,
        STORED,
        "2.0.0",
        ALL,
        "Stores members of any key.",
        zunionstore,
    ),
    OF.command(
        "zinterstore",
        -4,
        flags::WRITE | flags::LONG,
        STORED,
        "2.0.0",
        SMALLEST,
        "Stores members of all keys.",
        zinterstore,
    ),
    OF.command(
        "zdiffstore",
        -4,
        flags::WRITE | flags::LONG,
        STORED,
        "6.2.0",
        ALL,
        "Stores members of the first key alone.",
        zdiffstore,
    ),
    OF.command(
        "zintercard",
        -3,
        SLOW | flags::LONG,
        COUNTED,
        "7.0.0",
        SMALLEST,
        "How many members all have.",
        zintercard,
    ),
];

/// Members, with their scores if asked for: in RESP3 in pairs.
pub(super) fn entries_reply(protocol: Protocol, entries: Vec<Entry>, with_scores: bool) -> Reply {
    if !with_scores {
        return Reply::bulks(entries.into_iter().map(|(member, _)| member));
    }
    if protocol == Protocol::Resp3 {
        return pairs_reply(entries);
    }
    let flat = entries.into_iter().flat_map(|(member, score)| [Reply::Bulk(member), Reply::Double(score)]);
    Reply::Array(flat.collect())
}

fn pairs_reply(entries: Vec<Entry>) -> Reply {
    let pair = |(member, score): Entry| Reply::Array(vec![Reply::Bulk(member), Reply::Double(score)]);
    Reply::Array(entries.into_iter().map(pair).collect())
}

fn score_or_null(score: Option<f64>) -> Reply {
    score.map_or(Reply::Null, Reply::Double)
}

fn zadd(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (mut options, mut change, mut at) = (Add::default(), false, 2);
    while let Some(word) = args.get(at) {
        match () {
            () if is(word, "nx") => options.only_new = true,
            () if is(word, "xx") => options.only_present = true,
            () if is(word, "gt") => options.greater = true,
            () if is(word, "lt") => options.less = true,
            () if is(word, "ch") => change = true,
            () if is(word, "incr") => options.increment = true,
            () => break,
        }
        at += 1;
    }
    let (pairs, odd) = args.get(at..).unwrap_or_default().as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return Err(Error::SYNTAX);
    }
    options.check(pairs.len())?;
    let done = add(context, args[1], pairs, options)?;
    Ok(match () {
        () if options.increment => score_or_null(done.score),
        () if change => Reply::count(done.added + done.updated),
        () => Reply::count(done.added),
    })
}

fn add<'m>(
    context: &mut Context<'_, '_>,
    name: &[u8],
    pairs: &[[&'m [u8]; 2]],
    options: Add,
) -> Result<Added> {
    let member = |[score, member]: &[&'m [u8]; 2]| Ok((parse_f64(score).ok_or(Error::NOT_FLOAT)?, *member));
    let members: Vec<(f64, &[u8])> = pairs.iter().map(member).collect::<Result<_>>()?;
    let key = context.key(name)?;
    zset::add(context.unit, key, &members, options)
}

fn zincrby(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let options = Add { increment: true, ..Add::default() };
    Ok(score_or_null(add(context, args[1], &[[args[2], args[3]]], options)?.score))
}

fn zscore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(score_or_null(zset::score(context.unit, key, args[2])?))
}

fn zmscore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let scores = zset::scores(context.unit, key, &args[2..])?;
    Ok(Reply::Array(scores.into_iter().map(score_or_null).collect()))
}

fn zcard(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(zset::length(context.unit, key)?))
}

fn zrem(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(zset::remove(context.unit, key, &args[2..])?))
}

fn zrank(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    rank(context, args, false)
}

fn zrevrank(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    rank(context, args, true)
}

fn rank(context: &mut Context<'_, '_>, args: &[&[u8]], reverse: bool) -> Result<Reply> {
    let with_score = match &args[3..] {
        [] => false,
        [word] if is(word, "withscore") => true,
        [_] => return Err(Error::SYNTAX),
        _ => return Err(wrong_number(if reverse { "zrevrank" } else { "zrank" })),
    };
    let key = context.key(args[1])?;
    Ok(match zset::rank(context.unit, key, args[2], reverse)? {
        None if with_score => Reply::NullArray,
        None => Reply::Null,
        Some((rank, score)) if with_score => Reply::Array(vec![Reply::count(rank), Reply::Double(score)]),
        Some((rank, _)) => Reply::count(rank),
    })
}

fn zpopmin(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    pop(context, args, false)
}

fn zpopmax(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    pop(context, args, true)
}

fn pop(context: &mut Context<'_, '_>, args: &[&[u8]], greatest: bool) -> Result<Reply> {
    let count = match &args[2..] {
        [] => None,
        [count] => Some(integer(count).ok().and_then(|n| u64::try_from(n).ok()).ok_or(Error::NOT_POSITIVE)?),
        _ => return Err(Error::SYNTAX),
    };
    let key = context.key(args[1])?;
    let entries = zset::pop(context.unit, key, greatest, count.unwrap_or(1))?;
    if count.is_some() {
        return Ok(entries_reply(context.session.protocol, entries, true));
    }
    let flat = entries.into_iter().flat_map(|(member, score)| [Reply::Bulk(member), Reply::Double(score)]);
    Ok(Reply::Array(flat.collect()))
}

/// A number of at least 1, with an error of its own.
fn positive(text: &[u8], what: &'static str) -> Result<u64> {
    let number = integer(text).ok().and_then(|number| u64::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or(Error::fixed(what))
}

fn zmpop(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let count = positive(args[1], "ERR numkeys should be greater than 0")?;
    let end = usize::try_from(count).ok().and_then(|count| count.checked_add(2));
    let Some((end, place)) = end.and_then(|end| args.get(end).map(|place| (end, place))) else {
        return Err(Error::SYNTAX);
    };
    let greatest = match () {
        () if is(place, "min") => false,
        () if is(place, "max") => true,
        () => return Err(Error::SYNTAX),
    };
    let count = match &args[end + 1..] {
        [] => 1,
        [word, count, rest @ ..] if is(word, "count") => {
            let count = positive(count, "ERR count should be greater than 0")?;
            if !rest.is_empty() {
                return Err(Error::SYNTAX);
            }
            count
        }
        _ => return Err(Error::SYNTAX),
    };
    let names = &args[2..end];
    let keys = context.keys(names)?;
    let popped = zset::pop_first(context.unit, &keys, greatest, count)?;
    Ok(popped.map_or(Reply::NullArray, |(at, entries)| {
        Reply::Array(vec![Reply::Bulk(names[at].to_vec()), pairs_reply(entries)])
    }))
}

fn zrandmember(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    if args.len() == 2 {
        let entry = zset::random(context.unit, key)?;
        return Ok(Reply::bulk_or_null(entry.map(|(member, _)| member)));
    }
    let (count, with_scores) = count_by_chance(args, "withscores")?;
    let entries = if count < 0 {
        zset::random_many(context.unit, key, count.unsigned_abs())?
    } else {
        zset::random_distinct(context.unit, key, count as u64)?
    };
    context.fitting(entries_reply(context.session.protocol, entries, with_scores))
}

fn zscan(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let at = cursor(args[2])?;
    let key = context.key(args[1])?;
    // Of a key that does not exist, or holds something else, the rest does not matter.
    let Some(meta) = context.unit.meta_of(key, Type::SortedSet)? else { return Ok(scanned(0, [])) };
    let options = ScanOptions::parse(args, 3, false)?;
    let (next, entries) = zset::scan(context.unit, key, at, options.count)?;
    let entries = entries.into_iter().filter(|(member, _)| options.shows(member));
    let text = |score| scan_text(score, !meta.has(flag::WIDE));
    Ok(scanned(next, entries.flat_map(|(member, score)| [member, text(score)])))
}

/// A score as ZSCAN shows it: what Redis keeps as an integer in its compact encoding stays one.
fn scan_text(score: f64, compact: bool) -> Vec<u8> {
    const MOST: f64 = (i64::MAX / 2) as f64;
    let is_integer = compact && score.trunc() == score && score.abs() <= MOST;
    if is_integer { (score as i64).to_string() } else { format_f64(score) }.into_bytes()
}
