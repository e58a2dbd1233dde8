//! SORT and SORT_RO: the elements of a list, a set or a sorted set, in the order of themselves or of what
//! other keys hold.
//!
//! Everything is read at one moment and before anything is written: the keys that patterns name are not
//! locked.

use super::arguments::{Arguments, integer, is};
use super::budget::Budget;
use super::context::Context;
use super::keyspec::Keys;
use super::reply::Reply;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::base::number::parse_f64;
use crate::encoding::header::{Type, flag};
use crate::store::{Access, Key, Unit};
use crate::{hash, list, set, string, zset};
use std::cmp::Ordering;

/// What they are about.
const OF: Group = Group::Generic;

/// The commands of this group.
pub(super) const SORT: &[Command] = &[
    OF.command(
        "sort",
        -2,
        flags::WRITE | flags::LONG,
        Keys::Placed(named),
        "1.0.0",
        "O(N log N), and a read for each pattern and element",
        "The elements of a key in an order, or stores them.",
        sort,
    ),
    OF.command(
        "sort_ro",
        -2,
        flags::READ | flags::LONG,
        Keys::Placed(first),
        "7.0.0",
        "O(N log N), and a read for each pattern and element",
        "As SORT, to read.",
        sort_ro,
    ),
];

/// What is asked for.
#[derive(Debug, Default)]
struct Options<'a> {
    descending: bool,
    alphabetic: bool,
    limit: Option<(i64, i64)>,
    by: Option<&'a [u8]>,
    /// Whether the elements stay in the order in which they are: some BY had no `*`, be it the last or not.
    keeps_order: bool,
    get: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: &'a [&'a [u8]], stores: bool) -> Result<Options<'a>> {
        let mut options = Options::default();
        let mut rest = Arguments::new(args, 2);
        while let Some(word) = rest.next() {
            match word {
                _ if is(word, "asc") => options.descending = false,
                _ if is(word, "desc") => options.descending = true,
                _ if is(word, "alpha") => options.alphabetic = true,
                _ if is(word, "limit") && rest.left() >= 2 => {
                    options.limit = Some((integer(rest.required()?)?, integer(rest.required()?)?));
                }
                _ if is(word, "store") && stores && rest.left() >= 1 => {
                    options.store = Some(rest.required()?)
                }
                _ if is(word, "by") && rest.left() >= 1 => {
                    let by = rest.required()?;
                    options.keeps_order |= !by.contains(&b'*');
                    options.by = Some(by);
                }
                _ if is(word, "get") && rest.left() >= 1 => options.get.push(rest.required()?),
                _ => return Err(Error::SYNTAX),
            }
        }
        Ok(options)
    }

    /// Which of `count` elements are wanted: from, and up to.
    fn span(&self, count: usize) -> (usize, usize) {
        let Some((offset, limit)) = self.limit else { return (0, count) };
        let from = usize::try_from(offset.max(0)).unwrap_or(usize::MAX).min(count);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        (from, from.saturating_add(limit).min(count))
    }
}

/// The key that is read. Patterns name others, which only its elements tell: to clients the keys are movable.
fn first(_: &[&[u8]], database: u32) -> Vec<(u32, usize)> {
    vec![(database, 1)]
}

/// The keys of SORT: the one that is sorted, and the one that STORE names last.
fn named(args: &[&[u8]], own: u32) -> Vec<(u32, usize)> {
    let (mut at, mut target) = (2, None);
    while let Some(word) = args.get(at) {
        let takes = match word {
            _ if is(word, "limit") => 2,
            _ if is(word, "by") || is(word, "get") => 1,
            _ if is(word, "store") => {
                target = Some(at + 1).filter(|at| *at < args.len()).or(target);
                1
            }
            _ => 0,
        };
        at += 1 + takes;
    }
    std::iter::once(1).chain(target).map(|at| (own, at)).collect()
}

fn sort(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let options = Options::parse(args, true)?;
    let key = context.key(args[1])?;
    // The locks stay; keys that are not locked may be read, and must not be written.
    context.unit.begin(Access::Read);
    context.unit.pin();
    let rows = rows(context.unit, key, &options, &mut context.session.budget());
    context.unit.begin(Access::Write);
    // Whatever comes of it.
    unpack(context.unit, key)?;
    let rows = rows?;
    let Some(target) = options.store else { return Ok(shown(rows)) };
    let target = context.key(target)?;
    target.check()?;
    if let Some(before) = context.unit.meta(target)? {
        context.unit.delete_key(target, &before);
    }
    let values: Vec<&[u8]> = rows.iter().map(|value| value.as_deref().unwrap_or_default()).collect();
    if values.is_empty() {
        return Ok(Reply::Integer(0));
    }
    Ok(Reply::count(list::push(context.unit, target, list::Side::Right, &values)?))
}

fn sort_ro(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let options = Options::parse(args, false)?;
    let key = context.key(args[1])?;
    context.unit.pin();
    Ok(shown(rows(context.unit, key, &options, &mut context.session.budget())?))
}

fn shown(rows: Vec<Option<Vec<u8>>>) -> Reply {
    Reply::Array(rows.into_iter().map(Reply::bulk_or_null).collect())
}

/// Redis gives up the compact encoding of a sorted set to sort it, which OBJECT and ZSCAN show.
fn unpack(unit: &mut Unit<'_>, key: Key<'_>) -> Result<()> {
    if !unit.meta(key)?.is_some_and(|meta| meta.kind == Type::SortedSet && !meta.has(flag::WIDE)) {
        return Ok(());
    }
    let Some((before, payload)) = unit.load_of(key, Type::SortedSet)? else { return Ok(()) };
    let mut after = before;
    after.flags |= flag::WIDE;
    unit.put_header_quietly(key, &before, &mut after, &payload)
}

/// What the command answers, or stores: of a budget, since patterns can show the same again and again.
fn rows(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    options: &Options<'_>,
    budget: &mut Budget,
) -> Result<Vec<Option<Vec<u8>>>> {
    let elements = ordered(unit, key, options, budget)?;
    if options.get.is_empty() {
        return Ok(elements.into_iter().map(Some).collect());
    }
    let mut rows = Vec::new();
    for element in &elements {
        for pattern in &options.get {
            rows.push(budgeted(look_up(unit, key.keyspace, pattern, element)?, budget)?);
        }
    }
    Ok(rows)
}

/// What a pattern stands for, as far as there is room for it.
fn budgeted(value: Option<Vec<u8>>, budget: &mut Budget) -> Result<Option<Vec<u8>>> {
    budget.take(value.as_ref().map_or(0, Vec::len))?;
    Ok(value)
}

/// The elements that are wanted, in their order.
fn ordered(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    options: &Options<'_>,
    budget: &mut Budget,
) -> Result<Vec<Vec<u8>>> {
    let Some(meta) = unit.meta(key)? else { return Ok(Vec::new()) };
    let length = usize::try_from(meta.length).unwrap_or(usize::MAX);
    let (from, to) = options.span(length);
    let mut by = options.by;
    let (mut alphabetic, mut keeps_order) = (options.alphabetic, options.keeps_order);
    if keeps_order {
        match meta.kind {
            Type::List | Type::SortedSet => {
                return in_place(unit, key, meta.kind, options.descending, from, to);
            }
            // What is stored of a set has an order that does not depend on chance.
            Type::Set if options.store.is_some() => (by, alphabetic, keeps_order) = (None, true, false),
            _ => {}
        }
    }
    let mut elements = match meta.kind {
        Type::List => list::range(unit, key, 0, -1)?,
        Type::SortedSet => names(zset::members(unit, key, &zset::Range::ALL, false, 0, u64::MAX)?),
        Type::Set => {
            let mut members = Vec::new();
            set::all(unit, key, |member| {
                members.push(member.to_vec());
                true
            })?;
            members
        }
        _ => return Err(Error::WRONG_TYPE),
    };
    if !keeps_order {
        let by = by.map(|by| (by, budget));
        elements = sorted(unit, key.keyspace, elements, by, alphabetic, options.descending)?;
    }
    Ok(elements.drain(from..to).collect())
}

fn names(entries: Vec<zset::Entry>) -> Vec<Vec<u8>> {
    entries.into_iter().map(|(member, _)| member).collect()
}

/// Elements of a list or a sorted set as they stand: only those that are wanted are read.
fn in_place(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    kind: Type,
    descending: bool,
    from: usize,
    to: usize,
) -> Result<Vec<Vec<u8>>> {
    if from >= to {
        return Ok(Vec::new());
    }
    let (from, to) = (from as i64, to as i64);
    if kind == Type::SortedSet {
        let (offset, count) = (from.unsigned_abs(), (to - from).unsigned_abs());
        return Ok(names(zset::members(unit, key, &zset::Range::ALL, descending, offset, count)?));
    }
    if !descending {
        return list::range(unit, key, from, to - 1);
    }
    let mut elements = list::range(unit, key, -to, -from - 1)?;
    elements.reverse();
    Ok(elements)
}

/// What an element is ordered by.
enum Weight {
    Number(f64),
    Text(Option<Vec<u8>>),
    Itself,
}

fn sorted(
    unit: &mut Unit<'_>,
    keyspace: u64,
    elements: Vec<Vec<u8>>,
    mut by: Option<(&[u8], &mut Budget)>,
    alphabetic: bool,
    descending: bool,
) -> Result<Vec<Vec<u8>>> {
    let mut weighed = Vec::with_capacity(elements.len());
    let mut all_numbers = true;
    for element in elements {
        let weight = match &mut by {
            Some((by, budget)) => {
                let text = look_up(unit, keyspace, by, &element)?;
                if alphabetic {
                    Weight::Text(budgeted(text, budget)?)
                } else {
                    number(text.as_deref(), &mut all_numbers)
                }
            }
            None if alphabetic => Weight::Itself,
            None => number(Some(&element), &mut all_numbers),
        };
        weighed.push((weight, element));
    }
    if !all_numbers {
        return Err(Error::fixed("ERR One or more scores can't be converted into double"));
    }
    weighed.sort_by(|(a, own), (b, other)| {
        let order = match (a, b) {
            (Weight::Number(a), Weight::Number(b)) => {
                a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| own.cmp(other))
            }
            (Weight::Text(a), Weight::Text(b)) => a.cmp(b),
            _ => own.cmp(other),
        };
        if descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

/// The number that a text is; none counts as 0, and so does an empty one. A zero byte ends it, as `strtod`
/// has it.
fn number(text: Option<&[u8]>, all_numbers: &mut bool) -> Weight {
    let text = text.and_then(|text| text.split(|byte| *byte == 0).next());
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Weight::Number(0.0) };
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
    let number = parse_f64(text.get(blanks..).unwrap_or_default());
    *all_numbers &= number.is_some();
    Weight::Number(number.unwrap_or(0.0))
}

/// What a pattern stands for: `#` for the element itself, otherwise the string of the key that has the
/// element for the first `*`, or the field behind `->` of the hash there.
fn look_up(unit: &mut Unit<'_>, keyspace: u64, pattern: &[u8], element: &[u8]) -> Result<Option<Vec<u8>>> {
    if pattern == b"#" {
        return Ok(Some(element.to_vec()));
    }
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else { return Ok(None) };
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < after.len());
    let (after, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    let name = [before, element, after].concat();
    let key = Key { keyspace, name: &name };
    let found = match field {
        Some(field) => hash::get(unit, key, field),
        None => string::get(unit, key),
    };
    match found {
        Err(error) if error.is_wrong_type() => Ok(None),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Connection;
    use crate::store::Store;
    use esker::fs::{Fs, SimFs};

    #[test]
    fn weights_are_read_like_strtod() {
        for (text, expected) in [
            (&b""[..], Some(0.0)),
            (b"\0x", Some(0.0)),
            (b"2.5\0x", Some(2.5)),
            (b" -3", Some(-3.0)),
            (b" \0", None),
            (b"3 ", None),
        ] {
            let mut all = true;
            let Weight::Number(number) = number(Some(text), &mut all) else { panic!("a number") };
            assert_eq!(all.then_some(number), expected, "{text:?}");
        }
    }

    #[test]
    fn one_by_without_a_star_keeps_the_order_whatever_the_last_says() {
        let builder = Store::builder("/data").deterministic(1);
        let store = builder.engine(|engine| engine.fs(Fs::Sim(SimFs::new()))).open().unwrap();
        let mut connection = Connection::new(&store);
        let mut ask = |line: &str| connection.execute(&line.split(' ').collect::<Vec<_>>()).reply;
        for line in ["rpush l 3 1 2 10", "sadd s 3 1 2 10", "set w3 9", "set w1 1", "set w2 8", "set w10 0"] {
            ask(line);
        }
        for (line, expected) in [
            ("sort l by nosort by w*", "3 1 2 10"),
            ("sort l by w* by nosort", "3 1 2 10"),
            ("sort l by nosort by w* desc", "10 2 1 3"),
            ("sort l by nosort by w* limit 0 2", "3 1"),
            ("sort l by k* by w*", "10 1 2 3"),
        ] {
            let expected: Vec<Reply> = expected.split(' ').map(Reply::from).collect();
            assert_eq!(ask(line), Reply::Array(expected), "{line}");
        }
        // What is stored of a set has an order of its own.
        assert_eq!(ask("sort s by nosort by w* store to"), Reply::Integer(4));
        let expected: Vec<Reply> = ["1", "10", "2", "3"].map(Reply::from).into();
        assert_eq!(ask("lrange to 0 -1"), Reply::Array(expected));
    }
}
