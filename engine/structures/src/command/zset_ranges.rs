//! Commands of sorted sets that name their members by a range.

use super::arguments::{integer, is};
use super::context::Context;
use super::reply::Reply;
use super::stream::Shape;
use super::zsets::entries_reply;
use crate::base::error::{Error, Result};
use crate::base::number::read_f64;
use crate::store::{Budget, Unit};
use crate::zset::{self, Entry, LexBound, Range, ScoreRange, Window};

/// How a range is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A number as `strtod` reads it for a bound: blanks in front do not matter, nothing is 0, and what is too
/// large has no end.
fn bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let text = &text[text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))?..];
    read_f64(text)
}

fn score_bound(text: &[u8]) -> Option<(f64, bool)> {
    match text {
        [b'(', rest @ ..] => Some((bound(rest)?, true)),
        text => Some((bound(text)?, false)),
    }
}

fn score_range(min: &[u8], max: &[u8]) -> Result<Range<'static>> {
    let (Some((min, min_open)), Some((max, max_open))) = (score_bound(min), score_bound(max)) else {
        return Err(Error::fixed("ERR min or max is not a float"));
    };
    Ok(Range::Score(ScoreRange { min, min_open, max, max_open }))
}

fn lex_bound(text: &[u8]) -> Option<LexBound<'_>> {
    match text {
        b"-" => Some(LexBound::Lowest),
        b"+" => Some(LexBound::Highest),
        [b'(', member @ ..] => Some(LexBound::At { member, open: true }),
        [b'[', member @ ..] => Some(LexBound::At { member, open: false }),
        _ => None,
    }
}

fn range<'a>(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Range<'a>> {
    match by {
        By::Rank => Ok(Range::Rank(integer(min)?, integer(max)?)),
        By::Score => score_range(min, max),
        By::Lex => match (lex_bound(min), lex_bound(max)) {
            (Some(min), Some(max)) => Ok(Range::Lex(min, max)),
            _ => Err(Error::fixed("ERR min or max not valid string range item")),
        },
    }
}

/// What ZRANGE and its kin ask for.
struct Question<'a> {
    range: Range<'a>,
    reverse: bool,
    offset: i64,
    limit: i64,
    with_scores: bool,
}

impl<'a> Question<'a> {
    /// The key stands at `at`. What the name of the command says already (`by`, `reverse`) is no option.
    fn parse(
        args: &'a [&'a [u8]],
        at: usize,
        by: Option<By>,
        reverse: Option<bool>,
        stores: bool,
    ) -> Result<Question<'a>> {
        let (mut kind, mut backward, mut with_scores) = (by, reverse, false);
        let (mut offset, mut limit) = (0, -1);
        let mut next = at + 3;
        while let Some(word) = args.get(next) {
            match args.get(next + 1..).unwrap_or_default() {
                _ if !stores && is(word, "withscores") => with_scores = true,
                [from, most, ..] if is(word, "limit") => {
                    (offset, limit) = (integer(from)?, integer(most)?);
                    next += 2;
                }
                _ if backward.is_none() && is(word, "rev") => backward = Some(true),
                _ if kind.is_none() && is(word, "bylex") => kind = Some(By::Lex),
                _ if kind.is_none() && is(word, "byscore") => kind = Some(By::Score),
                _ => return Err(Error::SYNTAX),
            }
            next += 1;
        }
        let (by, reverse) = (kind.unwrap_or(By::Rank), backward.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            let text =
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
            return Err(Error::fixed(text));
        }
        if with_scores && by == By::Lex {
            let text = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
            return Err(Error::fixed(text));
        }
        let (mut min, mut max) = (args[at + 1], args[at + 2]);
        if reverse && by != By::Rank {
            (min, max) = (max, min);
        }
        if by == By::Rank {
            offset = 0;
        }
        Ok(Question { range: range(by, min, max)?, reverse, offset, limit, with_scores })
    }

    fn window(&self) -> Window {
        // A negative offset is never used up; a negative limit is none.
        let limit = if self.offset < 0 { 0 } else { u64::try_from(self.limit).unwrap_or(u64::MAX) };
        Window { reverse: self.reverse, offset: u64::try_from(self.offset).unwrap_or(0), limit }
    }
}

fn asked(
    context: &mut Context<'_, '_>,
    args: &[&[u8]],
    by: Option<By>,
    reverse: Option<bool>,
) -> Result<Reply> {
    let question = Question::parse(args, 1, by, reverse, false)?;
    let (key, protocol) = (context.key(args[1])?, context.session.protocol);
    let read = |unit: &mut Unit<'_>, budget: &mut Budget| {
        zset::members_within(unit, key, &question.range, question.window(), budget)
    };
    let stretch = |unit: &mut Unit<'_>, first: &Entry| {
        zset::stretch(unit, key, &question.range, question.window(), first)
    };
    let shape = if question.with_scores { Shape::Scored } else { Shape::Ranked };
    let reply = |entries| entries_reply(protocol, entries, question.with_scores);
    context.at_once_or_streamed(shape, read, stretch, reply)
}

pub(super) fn zrange(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    asked(context, args, None, None)
}

pub(super) fn zrevrange(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    asked(context, args, Some(By::Rank), Some(true))
}

pub(super) fn zrangebyscore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    asked(context, args, Some(By::Score), Some(false))
}

pub(super) fn zrevrangebyscore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    asked(context, args, Some(By::Score), Some(true))
}

pub(super) fn zrangebylex(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    asked(context, args, Some(By::Lex), Some(false))
}

pub(super) fn zrevrangebylex(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    asked(context, args, Some(By::Lex), Some(true))
}

pub(super) fn zrangestore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let question = Question::parse(args, 2, None, None, true)?;
    let (key, source) = (context.key(args[1])?, context.key(args[2])?);
    let window = question.window();
    Ok(Reply::count(zset::store_range(context.unit, key, source, &question.range, window)?))
}

fn counted(context: &mut Context<'_, '_>, args: &[&[u8]], by: By) -> Result<Reply> {
    let range = range(by, args[2], args[3])?;
    let key = context.key(args[1])?;
    Ok(Reply::count(zset::count(context.unit, key, &range)?))
}

pub(super) fn zcount(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    counted(context, args, By::Score)
}

pub(super) fn zlexcount(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    counted(context, args, By::Lex)
}

fn removed(context: &mut Context<'_, '_>, args: &[&[u8]], by: By) -> Result<Reply> {
    let range = range(by, args[2], args[3])?;
    let key = context.key(args[1])?;
    Ok(Reply::count(zset::remove_range(context.unit, key, &range)?))
}

pub(super) fn zremrangebyrank(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    removed(context, args, By::Rank)
}

pub(super) fn zremrangebyscore(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    removed(context, args, By::Score)
}

pub(super) fn zremrangebylex(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    removed(context, args, By::Lex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_like_strtod() {
        for (text, expected) in [
            ("", Some((0.0, false))),
            ("(", Some((0.0, true))),
            ("(1.5", Some((1.5, true))),
            (" 2", Some((2.0, false))),
            ("-inf", Some((f64::NEG_INFINITY, false))),
            ("1e400", Some((f64::INFINITY, false))),
            ("1e-400", Some((0.0, false))),
            (" ", None),
            ("((1", None),
            ("nan", None),
            ("1x", None),
        ] {
            assert_eq!(score_bound(text.as_bytes()), expected, "{text:?}");
        }
    }
}
