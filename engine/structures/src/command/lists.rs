//! Commands of lists.

use super::arguments::{Arguments, integer, is};
use super::connection::wrong_number;
use super::context::Context;
use super::keyspec::Keys;
use super::reply::{Bulks, Reply};
use super::stream::{Shape, whole};
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::base::number::parse_i64;
use crate::encoding::header::Type;
use crate::list::{self, Search, Side};

const WRITE: u32 = flags::WRITE | flags::FAST;
const READ: u32 = flags::READ | flags::FAST;
const FREE: u32 = WRITE | flags::FREES;
const ONE: Keys = Keys::FIRST;
const EACH: &str = "O(1) for each element";
const INDEX: &str = "O(1), O(log N) after changes in the middle";
const LOOKED: &str = "O(N) in the elements looked at";

/// What LRANGE makes room for: a page of short elements.
const LRANGE_BYTES: usize = 2 << 10;

/// What they are about.
const OF: Group = Group::List;

/// The commands of this group.
pub(super) const LISTS: &[Command] = &[
    OF.command("lpush", -3, WRITE, ONE, "1.0.0", EACH, "Adds elements in front.", lpush),
    OF.command("rpush", -3, WRITE, ONE, "1.0.0", EACH, "Adds elements at the end.", rpush),
    OF.command("lpushx", -3, WRITE, ONE, "2.2.0", EACH, "Adds in front of a list that exists.", lpushx),
    OF.command("rpushx", -3, WRITE, ONE, "2.2.0", EACH, "Adds at the end of a list that exists.", rpushx),
    OF.command("lpop", -2, FREE, ONE, "1.0.0", EACH, "Removes the first elements.", lpop),
    OF.command("rpop", -2, FREE, ONE, "1.0.0", EACH, "Removes the last elements.", rpop),
    OF.command("llen", 2, READ, ONE, "1.0.0", "O(1)", "How many elements there are.", llen),
    OF.command("lrange", 4, flags::READ, ONE, "1.0.0", EACH, "The elements between two indices.", lrange),
    OF.command("lindex", 3, flags::READ, ONE, "1.0.0", INDEX, "The element of an index.", lindex),
    OF.command("lset", 4, flags::WRITE, ONE, "1.0.0", INDEX, "Sets the element of an index.", lset),
    OF.command("linsert", 5, flags::WRITE, ONE, "2.2.0", LOOKED, "Inserts beside an element.", linsert),
    OF.command(
        "lrem",
        4,
        flags::WRITE | flags::FREES,
        ONE,
        "1.0.0",
        LOOKED,
        "Removes elements by value.",
        lrem,
    ),
    OF.command(
        "ltrim",
        4,
        flags::WRITE | flags::FREES,
        ONE,
        "1.0.0",
        INDEX,
        "Keeps the elements between two indices.",
        ltrim,
    ),
    OF.command("lpos", -3, flags::READ | flags::LONG, ONE, "6.0.6", LOOKED, "The indices of a value.", lpos),
    OF.command(
        "lmove",
        5,
        flags::WRITE,
        Keys::TWO,
        "6.2.0",
        "O(1)",
        "Moves an element between lists.",
        lmove,
    ),
    OF.command(
        "rpoplpush",
        3,
        flags::WRITE,
        Keys::TWO,
        "1.2.0",
        "O(1)",
        "Moves the last element in front of a list.",
        rpoplpush,
    ),
    OF.command(
        "lmpop",
        -4,
        flags::WRITE | flags::FREES,
        Keys::Counted { at: 1, target: false },
        "7.0.0",
        EACH,
        "Removes elements of the first list that has any.",
        lmpop,
    ),
];

fn lpush(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(list::push(context.unit, key, Side::Left, &args[2..])?))
}

fn rpush(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(list::push(context.unit, key, Side::Right, &args[2..])?))
}

fn lpushx(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(list::push_if_exists(context.unit, key, Side::Left, &args[2..])?))
}

fn rpushx(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(list::push_if_exists(context.unit, key, Side::Right, &args[2..])?))
}

fn pop(context: &mut Context<'_, '_>, args: &[&[u8]], name: &str, side: Side) -> Result<Reply> {
    let key = context.key(args[1])?;
    match args[2..] {
        [] => {
            let popped = list::pop(context.unit, key, side, 1)?;
            Ok(Reply::bulk_or_null(popped.and_then(|mut values| values.pop())))
        }
        [count] => {
            let count = not_negative(count, Error::NOT_POSITIVE)?;
            let popped = list::pop(context.unit, key, side, count)?;
            Ok(popped.map_or(Reply::NullArray, Reply::bulks))
        }
        _ => Err(wrong_number(name)),
    }
}

fn lpop(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    pop(context, args, "lpop", Side::Left)
}

fn rpop(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    pop(context, args, "rpop", Side::Right)
}

fn llen(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::count(list::length(context.unit, key)?))
}

fn lrange(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (start, stop) = (integer(args[2])?, integer(args[3])?);
    let key = context.key(args[1])?;
    if context.session.streams {
        let mut bulks = Bulks::with_capacity(LRANGE_BYTES);
        let mut whole = whole();
        list::each_of_range(context.unit, key, start, stop, |value| {
            bulks.push(value);
            whole.takes(value.len())
        })?;
        if !whole.is_exceeded() {
            return Ok(Reply::Bulks(bulks));
        }
        if let Some(stretch) = list::stretch(context.unit, key, start, stop)? {
            return Ok(context.stream(Shape::Elements, stretch));
        }
    }
    let (mut values, mut budget) = (Vec::new(), context.budget());
    list::each_of_range(context.unit, key, start, stop, |value| {
        values.push(Reply::Bulk(value.to_vec()));
        budget.takes(value.len())
    })?;
    budget.check()?;
    Ok(Reply::Array(values))
}

fn lindex(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    // Of a key that does not exist, or holds something else, the index does not matter.
    if context.unit.meta_of(key, Type::List)?.is_none() {
        return Ok(Reply::Null);
    }
    Ok(Reply::bulk_or_null(list::get(context.unit, key, integer(args[2])?)?))
}

fn lset(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    if context.unit.meta_of(key, Type::List)?.is_none() {
        return Err(Error::NO_KEY);
    }
    list::set(context.unit, key, integer(args[2])?, args[3])?;
    Ok(Reply::OK)
}

fn linsert(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let before = match args[2] {
        place if is(place, "before") => true,
        place if is(place, "after") => false,
        _ => return Err(Error::SYNTAX),
    };
    let key = context.key(args[1])?;
    Ok(Reply::Integer(list::insert(context.unit, key, before, args[3], args[4])?))
}

fn lrem(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let count = integer(args[2])?;
    let key = context.key(args[1])?;
    Ok(Reply::count(list::remove(context.unit, key, count, args[3])?))
}

fn ltrim(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (start, stop) = (integer(args[2])?, integer(args[3])?);
    let key = context.key(args[1])?;
    list::trim(context.unit, key, start, stop)?;
    Ok(Reply::OK)
}

/// An integer whose opposite is one, too.
fn symmetric(text: &[u8]) -> Result<i64> {
    match integer(text)? {
        i64::MIN => Err(Error::SYMMETRIC_RANGE),
        value => Ok(value),
    }
}

fn not_negative(text: &[u8], wrong: Error) -> Result<u64> {
    parse_i64(text).and_then(|value| u64::try_from(value).ok()).ok_or(wrong)
}

fn positive(text: &[u8], wrong: &'static str) -> Result<u64> {
    let value = not_negative(text, Error::fixed(wrong))?;
    if value > 0 { Ok(value) } else { Err(Error::fixed(wrong)) }
}

fn lpos(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let mut rest = Arguments::new(args, 3);
    let (mut rank, mut count, mut elements) = (1, None, 0);
    while let Some(word) = rest.next() {
        if rest.left() == 0 {
            return Err(Error::SYNTAX);
        }
        if is(word, "rank") {
            rank = symmetric(rest.required()?)?;
            if rank == 0 {
                return Err(Error::fixed(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                     or use negative to start from the end of the list",
                ));
            }
        } else if is(word, "count") {
            count = Some(not_negative(rest.required()?, Error::fixed("ERR COUNT can't be negative"))?);
        } else if is(word, "maxlen") {
            elements = not_negative(rest.required()?, Error::fixed("ERR MAXLEN can't be negative"))?;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let all = |limit: u64| if limit == 0 { u64::MAX } else { limit };
    let what = Search {
        from: if rank < 0 { Side::Right } else { Side::Left },
        skip: rank.unsigned_abs() - 1,
        matches: all(count.unwrap_or(1)),
        elements: all(elements),
    };
    let key = context.key(args[1])?;
    let found = list::search(context.unit, key, args[2], what)?;
    Ok(match count {
        Some(_) => Reply::Array(found.into_iter().map(Reply::count).collect()),
        None => found.first().map_or(Reply::Null, |index| Reply::count(*index)),
    })
}

fn side(text: &[u8]) -> Result<Side> {
    match text {
        text if is(text, "left") => Ok(Side::Left),
        text if is(text, "right") => Ok(Side::Right),
        _ => Err(Error::SYNTAX),
    }
}

fn lmove(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (from, to) = (side(args[3])?, side(args[4])?);
    let (source, target) = (context.key(args[1])?, context.key(args[2])?);
    Ok(Reply::bulk_or_null(list::move_element(context.unit, (source, from), (target, to))?))
}

fn rpoplpush(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (source, target) = (context.key(args[1])?, context.key(args[2])?);
    let moved = list::move_element(context.unit, (source, Side::Right), (target, Side::Left))?;
    Ok(Reply::bulk_or_null(moved))
}

fn lmpop(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let keys = positive(args[1], "ERR numkeys should be greater than 0")?;
    let at = usize::try_from(keys).ok().and_then(|keys| keys.checked_add(2)).ok_or(Error::SYNTAX)?;
    let from = side(args.get(at).ok_or(Error::SYNTAX)?)?;
    let count = match args.get(at + 1..).unwrap_or_default() {
        [] => 1,
        [word, count, rest @ ..] if is(word, "count") => {
            let count = positive(count, "ERR count should be greater than 0")?;
            if rest.is_empty() { count } else { return Err(Error::SYNTAX) }
        }
        _ => return Err(Error::SYNTAX),
    };
    let names = &args[2..at];
    let keys = context.keys(names)?;
    let popped = list::pop_first(context.unit, &keys, from, count)?;
    Ok(popped.map_or(Reply::NullArray, |(at, values)| {
        Reply::Array(vec![Reply::Bulk(names[at].to_vec()), Reply::bulks(values)])
    }))
}
