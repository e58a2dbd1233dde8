//! Commands that take several sorted sets together.

use super::arguments::{Arguments, integer, is};
use super::context::Context;
use super::reply::Reply;
use super::zsets::entries_reply;
use crate::base::error::{Error, Result};
use crate::base::number::parse_f64;
use crate::store::Key;
use crate::zset::{self, Aggregate, Algebra};

/// What is asked of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Union,
    Intersection,
    Difference,
    Count,
}

/// What stands behind the keys.
#[derive(Default)]
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: u64,
}

impl Options {
    fn parse(rest: &[&[u8]], keys: usize, asked: Asked, stores: bool) -> Result<Options> {
        let (mut rest, mut options) = (Arguments::new(rest, 0), Options::default());
        let weighted = matches!(asked, Asked::Union | Asked::Intersection);
        while let Some(word) = rest.next() {
            if weighted && is(word, "weights") && rest.left() >= keys {
                let weight = |text| parse_f64(text).ok_or(Error::fixed("ERR weight value is not a float"));
                options.weights = rest.by_ref().take(keys).map(weight).collect::<Result<_>>()?;
            } else if weighted && is(word, "aggregate") && rest.left() > 0 {
                let how = rest.required()?;
                options.aggregate = match () {
                    () if is(how, "sum") => Aggregate::Sum,
                    () if is(how, "min") => Aggregate::Min,
                    () if is(how, "max") => Aggregate::Max,
                    () => return Err(Error::SYNTAX),
                };
            } else if !stores && asked != Asked::Count && is(word, "withscores") {
                options.with_scores = true;
            } else if asked == Asked::Count && is(word, "limit") && rest.left() > 0 {
                let limit = integer(rest.required()?).ok().and_then(|limit| u64::try_from(limit).ok());
                options.limit = limit.ok_or(Error::fixed("ERR LIMIT can't be negative"))?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }

    fn algebra(&self, asked: Asked) -> Algebra<'_> {
        let (weights, aggregate) = (&self.weights[..], self.aggregate);
        match asked {
            Asked::Union => Algebra::Union { weights, aggregate },
            Asked::Difference => Algebra::Difference,
            Asked::Intersection | Asked::Count => Algebra::Intersection { weights, aggregate },
        }
    }
}

/// The keys, whose number stands at `at`, and the options behind them.
fn parse<'a>(
    context: &mut Context<'_, '_>,
    args: &[&'a [u8]],
    at: usize,
    asked: Asked,
) -> Result<(Vec<Key<'a>>, Options)> {
    let count = integer(args[at])?;
    let Some(count) = usize::try_from(count).ok().filter(|count| *count > 0) else {
        let name = String::from_utf8_lossy(args[0]).to_lowercase();
        return Err(Error::text(format!("ERR at least 1 input key is needed for '{name}' command")));
    };
    let Some((names, rest)) = args.get(at + 1..).and_then(|rest| rest.split_at_checked(count)) else {
        return Err(Error::SYNTAX);
    };
    let keys: Vec<Key<'a>> = context.keys(names)?;
    match Options::parse(rest, count, asked, at == 2) {
        Ok(options) => Ok((keys, options)),
        // A key of another type is complained of first.
        Err(error) => zset::check_sources(context.unit, &keys).and(Err(error)),
    }
}

fn shown(context: &mut Context<'_, '_>, args: &[&[u8]], asked: Asked) -> Result<Reply> {
    let (keys, options) = parse(context, args, 1, asked)?;
    let entries = zset::combined(context.unit, options.algebra(asked), &keys)?;
    context.fitting(entries_reply(context.session.protocol, entries, options.with_scores))
}

fn stored(context: &mut Context<'_, '_>, args: &[&[u8]], asked: Asked) -> Result<Reply> {
    let (keys, options) = parse(context, args, 2, asked)?;
    let target = context.key(args[1])?;
    Ok(Reply::count(zset::store(context.unit, target, options.algebra(asked), &keys)?))
}

pub(super) fn zunion(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    shown(context, args, Asked::Union)
}

pub(super) fn zinter(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    shown(context, args, Asked::Intersection)
}

pub(super) fn zdiff(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    shown(context, args, Asked::Difference)
}

pub(super) fn zunionstore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    stored(context, args, Asked::Union)
}

pub(super) fn zinterstore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    stored(context, args, Asked::Intersection)
}

pub(super) fn zdiffstore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    stored(context, args, Asked::Difference)
}

pub(super) fn zintercard(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let (keys, options) = parse(context, args, 1, Asked::Count)?;
    Ok(Reply::count(zset::intersection_count(context.unit, &keys, options.limit)?))
}
