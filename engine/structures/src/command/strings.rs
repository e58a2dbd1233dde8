//! Commands of strings.

use super::arguments::{Arguments, integer, is};
use super::connection::wrong_number;
use super::context::Context;
use super::expiry::{Scale, positive_time};
use super::keyspec::Keys;
use super::reply::Reply;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::base::real::Real;
use crate::string::{self, Condition, Expiry, SetOptions};

const WRITE: u32 = flags::WRITE | flags::FAST;
const READ: u32 = flags::READ | flags::FAST;
const ONE: Keys = Keys::FIRST;
const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };

/// What they are about.
const OF: Group = Group::String;

/// The commands of this group.
pub(super) const STRINGS: &[Command] = &[
    OF.command("set", -3, flags::WRITE, ONE, "1.0.0", "O(1)", "Sets the value of a key.", set),
    OF.command("get", 2, READ, ONE, "1.0.0", "O(1)", "The value of a key.", get),
    OF.command(
        "getex",
        -2,
        WRITE,
        ONE,
        "6.2.0",
        "O(1)",
        "The value of a key, which gets another expiry.",
        getex,
    ),
    OF.command(
        "getdel",
        2,
        WRITE | flags::FREES,
        ONE,
        "6.2.0",
        "O(1)",
        "The value of a key, which is removed.",
        getdel,
    ),
    OF.command("getset", 3, WRITE, ONE, "1.0.0", "O(1)", "The value of a key, which gets another.", getset),
    OF.command(
        "setnx",
        3,
        WRITE,
        ONE,
        "1.0.0",
        "O(1)",
        "Sets the value of a key that does not exist.",
        setnx,
    ),
    OF.command(
        "setex",
        4,
        flags::WRITE,
        ONE,
        "2.0.0",
        "O(1)",
        "Sets value and expiry of a key, in seconds.",
        setex,
    ),
    OF.command(
        "psetex",
        4,
        flags::WRITE,
        ONE,
        "2.6.0",
        "O(1)",
        "Sets value and expiry of a key, in milliseconds.",
        psetex,
    ),
    OF.command(
        "mset",
        -3,
        flags::WRITE,
        PAIRS,
        "1.0.1",
        "O(N) in the keys",
        "Sets the values of several keys.",
        mset,
    ),
    OF.command(
        "msetnx",
        -3,
        flags::WRITE,
        PAIRS,
        "1.0.1",
        "O(N) in the keys",
        "Sets the values of several keys, if none exists.",
        msetnx,
    ),
    OF.command("mget", -2, READ, Keys::ALL, "1.0.0", "O(N) in the keys", "The values of several keys.", mget),
    OF.command(
        "append",
        3,
        WRITE,
        ONE,
        "2.0.0",
        "O(N) in what is appended",
        "Appends to the value of a key.",
        append,
    ),
    OF.command("strlen", 2, READ, ONE, "2.2.0", "O(1)", "The length of the value of a key.", strlen),
    OF.command(
        "getrange",
        4,
        flags::READ,
        ONE,
        "2.4.0",
        "O(N) in what is returned",
        "A part of the value of a key.",
        getrange,
    ),
    OF.command(
        "substr",
        4,
        flags::READ,
        ONE,
        "1.0.0",
        "O(N) in what is returned",
        "A part of the value of a key.",
        getrange,
    ),
    OF.command(
        "setrange",
        4,
        flags::WRITE,
        ONE,
        "2.2.0",
        "O(N) in what is written",
        "Overwrites a part of the value of a key.",
        setrange,
    ),
    OF.command("incr", 2, WRITE, ONE, "1.0.0", "O(1)", "Adds one to the integer of a key.", incr),
    OF.command("decr", 2, WRITE, ONE, "1.0.0", "O(1)", "Takes one from the integer of a key.", decr),
    OF.command("incrby", 3, WRITE, ONE, "1.0.0", "O(1)", "Adds to the integer of a key.", incrby),
    OF.command("decrby", 3, WRITE, ONE, "1.0.0", "O(1)", "Takes from the integer of a key.", decrby),
    OF.command("incrbyfloat", 3, WRITE, ONE, "2.6.0", "O(1)", "Adds to the number of a key.", incrbyfloat),
    OF.command(
        "lcs",
        -3,
        flags::READ | flags::LONG,
        Keys::TWO,
        "7.0.0",
        "O(N*M)",
        "The longest common subsequence of two strings.",
        lcs,
    ),
];

/// What SET and GETEX are told of the expiry. The same option may come again, and the last one counts; two
/// different ones do not go together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    Keep,
    Persist,
    /// A time on a scale, from now or not.
    Until(Scale, bool),
}

impl Lifetime {
    /// What a word says.
    fn of(word: &[u8]) -> Option<Lifetime> {
        Some(match word {
            _ if is(word, "keepttl") => Lifetime::Keep,
            _ if is(word, "persist") => Lifetime::Persist,
            _ if is(word, "ex") => Lifetime::Until(Scale::Seconds, true),
            _ if is(word, "px") => Lifetime::Until(Scale::Milliseconds, true),
            _ if is(word, "exat") => Lifetime::Until(Scale::Seconds, false),
            _ if is(word, "pxat") => Lifetime::Until(Scale::Milliseconds, false),
            _ => return None,
        })
    }

    /// Takes an option with its time, if it goes together with what came `before`.
    fn take<'a>(
        before: Option<(Lifetime, &'a [u8])>,
        word: &[u8],
        rest: &mut Arguments<'a>,
        other_than: Lifetime,
    ) -> Result<(Lifetime, &'a [u8])> {
        let lifetime = Lifetime::of(word).filter(|lifetime| *lifetime != other_than).ok_or(Error::SYNTAX)?;
        if before.is_some_and(|(before, _)| before != lifetime) {
            return Err(Error::SYNTAX);
        }
        let text = if let Lifetime::Until(..) = lifetime { rest.required()? } else { b"" };
        Ok((lifetime, text))
    }

    fn expiry(self, context: &Context<'_, '_>, text: &[u8], name: &str) -> Result<Expiry> {
        match self {
            Lifetime::Keep => Ok(Expiry::Keep),
            Lifetime::Persist => Ok(Expiry::Clear),
            Lifetime::Until(scale, from_now) => {
                let base_ms = if from_now { context.unit.now_ms() } else { 0 };
                positive_time(text, scale, base_ms, name).map(Expiry::At)
            }
        }
    }
}

fn set(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let mut options = SetOptions::default();
    let (mut rest, mut lifetime) = (Arguments::new(args, 3), None);
    while let Some(word) = rest.next() {
        if is(word, "nx") && options.condition != Condition::IfPresent {
            options.condition = Condition::IfAbsent;
        } else if is(word, "xx") && options.condition != Condition::IfAbsent {
            options.condition = Condition::IfPresent;
        } else if is(word, "get") {
            options.get = true;
        } else {
            lifetime = Some(Lifetime::take(lifetime, word, &mut rest, Lifetime::Persist)?);
        }
    }
    if let Some((lifetime, text)) = lifetime {
        options.expiry = lifetime.expiry(context, text, "set")?;
    }
    let outcome = string::set(context.unit, key, args[2], options)?;
    Ok(match outcome {
        _ if options.get => Reply::bulk_or_null(outcome.old),
        _ if outcome.is_set => Reply::OK,
        _ => Reply::Null,
    })
}

fn get(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::bulk_or_null(string::get(context.unit, key)?))
}

fn getex(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let mut rest = Arguments::new(args, 2);
    let (mut lifetime, mut expiry) = (None, Expiry::Keep);
    while let Some(word) = rest.next() {
        lifetime = Some(Lifetime::take(lifetime, word, &mut rest, Lifetime::Keep)?);
    }
    // A key of another type, or none, comes before a time that is wrong.
    if let Some((lifetime, text)) = lifetime
        && string_exists(context, key)?
    {
        expiry = lifetime.expiry(context, text, "getex")?;
    }
    let value = string::get_expiring(context.unit, key, expiry)?;
    Ok(Reply::bulk_or_null(value))
}

fn string_exists(context: &mut Context<'_, '_>, key: crate::store::Key<'_>) -> Result<bool> {
    Ok(context.unit.meta_of(key, crate::encoding::header::Type::String)?.is_some())
}

fn getdel(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::bulk_or_null(string::get_delete(context.unit, key)?))
}

fn getset(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let options = SetOptions { get: true, ..SetOptions::default() };
    Ok(Reply::bulk_or_null(string::set(context.unit, key, args[2], options)?.old))
}

fn setnx(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let options = SetOptions { condition: Condition::IfAbsent, ..SetOptions::default() };
    Ok(Reply::flag(string::set(context.unit, key, args[2], options)?.is_set))
}

fn setex(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    set_for(context, args, Scale::Seconds, "setex")
}

fn psetex(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    set_for(context, args, Scale::Milliseconds, "psetex")
}

fn set_for(context: &mut Context<'_, '_>, args: &[&[u8]], scale: Scale, name: &str) -> Result<Reply> {
    let key = context.key(args[1])?;
    let at = positive_time(args[2], scale, context.unit.now_ms(), name)?;
    let options = SetOptions { expiry: Expiry::At(at), ..SetOptions::default() };
    string::set(context.unit, key, args[3], options)?;
    Ok(Reply::OK)
}

fn many(context: &mut Context<'_, '_>, args: &[&[u8]], name: &str, if_absent: bool) -> Result<bool> {
    let (pairs, odd) = args[1..].as_chunks::<2>();
    if !odd.is_empty() {
        return Err(wrong_number(name));
    }
    let entries: Result<Vec<_>> = pairs.iter().map(|[key, value]| Ok((context.key(key)?, *value))).collect();
    string::set_many(context.unit, &entries?, if_absent)
}

fn mset(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    many(context, args, "mset", false)?;
    Ok(Reply::OK)
}

fn msetnx(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    Ok(Reply::flag(many(context, args, "msetnx", true)?))
}

fn mget(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let keys = context.keys(&args[1..])?;
    let (mut values, mut budget) = (Vec::with_capacity(keys.len()), context.budget());
    string::each_of(context.unit, &keys, |value| {
        budget.take(value.as_ref().map_or(0, Vec::len))?;
        values.push(Reply::bulk_or_null(value));
        Ok(())
    })?;
    Ok(Reply::Array(values))
}

fn append(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(string::append(context.unit, key, args[2])?))
}

fn strlen(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(string::length(context.unit, key)?))
}

fn getrange(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let (start, end) = (integer(args[2])?, integer(args[3])?);
    Ok(Reply::Bulk(string::get_range(context.unit, key, start, end)?))
}

fn setrange(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let offset = integer(args[2])?;
    let offset = u64::try_from(offset).map_err(|_| Error::fixed("ERR offset is out of range"))?;
    Ok(Reply::count(string::set_range(context.unit, key, offset, args[3])?))
}

fn add(context: &mut Context<'_, '_>, name: &[u8], delta: i64) -> Result<Reply> {
    let key = context.key(name)?;
    Ok(Reply::Integer(string::add_integer(context.unit, key, delta)?))
}

fn incr(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    add(context, args[1], 1)
}

fn decr(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    add(context, args[1], -1)
}

fn incrby(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    add(context, args[1], integer(args[2])?)
}

fn decrby(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let by = integer(args[2])?;
    let delta = by.checked_neg().ok_or(Error::fixed("ERR decrement would overflow"))?;
    add(context, args[1], delta)
}

fn incrbyfloat(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    string_exists(context, key)?;
    let delta = Real::parse(args[2]).ok_or(Error::NOT_FLOAT)?;
    string::add_float(context.unit, key, delta).map(Reply::Bulk)
}

fn lcs(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (a, b) = (context.key(args[1])?, context.key(args[2])?);
    context.unit.pin();
    for key in [a, b] {
        string_exists(context, key).map_err(string::not_strings)?;
    }
    let mut rest = Arguments::new(args, 3);
    let (mut length, mut places, mut with_length, mut least) = (false, false, false, 0);
    while let Some(word) = rest.next() {
        if is(word, "len") {
            length = true;
        } else if is(word, "idx") {
            places = true;
        } else if is(word, "withmatchlen") {
            with_length = true;
        } else if is(word, "minmatchlen") && rest.left() > 0 {
            least = integer(rest.required()?)?.max(0) as u64;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    if length && places {
        let text = "ERR If you want both the length and indexes, please just use IDX.";
        return Err(Error::fixed(text));
    }
    let common = string::longest_common(context.unit, a, b)?;
    if length {
        return Ok(Reply::count(common.bytes.len() as u64));
    }
    if !places {
        return Ok(Reply::Bulk(common.bytes));
    }
    let pair = |(from, to): (u64, u64)| Reply::Array(vec![Reply::count(from), Reply::count(to)]);
    let matches = common.matches.iter().filter(|stretch| stretch.a.1 - stretch.a.0 + 1 >= least);
    let matches = matches.map(|stretch| {
        let mut parts = vec![pair(stretch.a), pair(stretch.b)];
        if with_length {
            parts.push(Reply::count(stretch.a.1 - stretch.a.0 + 1));
        }
        Reply::Array(parts)
    });
    Ok(Reply::Map(vec![
        ("matches".into(), Reply::Array(matches.collect())),
        ("len".into(), Reply::count(common.bytes.len() as u64)),
    ]))
}
