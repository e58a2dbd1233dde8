//! SORT and SORT_RO.

use super::arguments::{Arguments, integer, is};
use super::context::Context;
use super::keyspec::Keys;
use super::reply::Reply;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::sort::{self, Row, SortOptions};

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

/// The options, and the key that STORE names.
fn parse<'a>(args: &'a [&'a [u8]], stores: bool) -> Result<(SortOptions<'a>, Option<&'a [u8]>)> {
    let (mut options, mut store) = (SortOptions::default(), None);
    let mut rest = Arguments::new(args, 2);
    while let Some(word) = rest.next() {
        match word {
            _ if is(word, "asc") => options.descending = false,
            _ if is(word, "desc") => options.descending = true,
            _ if is(word, "alpha") => options.alphabetic = true,
            _ if is(word, "limit") && rest.left() >= 2 => {
                options.limit = Some((integer(rest.required()?)?, integer(rest.required()?)?));
            }
            _ if is(word, "store") && stores && rest.left() >= 1 => store = Some(rest.required()?),
            _ if is(word, "by") && rest.left() >= 1 => {
                let by = rest.required()?;
                // One without a star is enough, be it the last or not.
                options.keeps_order |= !by.contains(&b'*');
                options.by = Some(by);
            }
            _ if is(word, "get") && rest.left() >= 1 => options.get.push(rest.required()?),
            _ => return Err(Error::SYNTAX),
        }
    }
    Ok((options, store))
}

/// Whether SORT or SORT_RO with these arguments reads keys that its elements name.
pub(super) fn follows_patterns(args: &[&[u8]]) -> bool {
    parse(args, true).is_ok_and(|(options, _)| {
        (options.by.is_some() && !options.keeps_order) || options.get.iter().any(|get| *get != b"#")
    })
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
    let (options, store) = parse(args, true)?;
    let key = context.key(args[1])?;
    let Some(target) = store else {
        let rows = sort::rows_unpacking(context.unit, key, &options)?;
        return context.fitting(shown(rows));
    };
    let target = context.key(target)?;
    Ok(Reply::count(sort::store(context.unit, key, target, &options)?))
}

fn sort_ro(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (options, _) = parse(args, false)?;
    let key = context.key(args[1])?;
    let rows = sort::rows(context.unit, key, &options)?;
    context.fitting(shown(rows))
}

fn shown(rows: Vec<Row>) -> Reply {
    Reply::Array(rows.into_iter().map(Reply::bulk_or_null).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Connection;
    use crate::store::Store;
    use esker::fs::{Fs, SimFs};

    #[test]
    fn patterns_are_what_by_and_get_ask_for() {
        for (line, expected) in [
            ("sort l by w*", true),
            ("sort l get # get w*", true),
            ("sort l by nosort get #", false),
            ("sort by limit 0 get", false),
            ("sort get store by", false),
        ] {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            assert_eq!(follows_patterns(&args), expected, "{line}");
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
