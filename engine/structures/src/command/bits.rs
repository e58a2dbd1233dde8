//! Commands of strings as bits.

use super::arguments::{Arguments, integer, is};
use super::context::Context;
use super::keyspec::Keys;
use super::reply::Reply;
use super::table::{Command, Group, flags};
use crate::base::error::{Error, Result};
use crate::base::number::parse_i64;
use crate::encoding::header::Type;
use crate::encoding::limits::MAX_STRING_BYTES;
use crate::string::{self, BitOperation, BitRange, Field, FieldOp, Overflow, Width};

const ONE: Keys = Keys::FIRST;

/// What they are about.
const OF: Group = Group::Bitmap;

/// The commands of this group.
pub(super) const BITS: &[Command] = &[
    OF.command("getbit", 3, flags::READ | flags::FAST, ONE, "2.2.0", "O(1)", "A bit of a string.", getbit),
    OF.command("setbit", 4, flags::WRITE, ONE, "2.2.0", "O(1)", "Sets a bit of a string.", setbit),
    OF.command(
        "bitcount",
        -2,
        flags::READ | flags::LONG,
        ONE,
        "2.6.0",
        "O(N) in the range",
        "How many bits are set.",
        bitcount,
    ),
    OF.command(
        "bitpos",
        -3,
        flags::READ | flags::LONG,
        ONE,
        "2.8.7",
        "O(N) in the range",
        "The first bit that is 1, or 0.",
        bitpos,
    ),
    OF.command(
        "bitop",
        -4,
        flags::WRITE | flags::LONG,
        Keys::Range { first: 2, last: -1, step: 1 },
        "2.6.0",
        "O(N) in the strings",
        "Joins strings bit by bit.",
        bitop,
    ),
    OF.command(
        "bitfield",
        -2,
        flags::WRITE,
        ONE,
        "3.2.0",
        "O(1) for each field",
        "Integers of any width in a string.",
        bitfield,
    ),
    OF.command(
        "bitfield_ro",
        -2,
        flags::READ | flags::FAST,
        ONE,
        "6.0.0",
        "O(1) for each field",
        "As BITFIELD, to read.",
        bitfield_ro,
    ),
];

/// The number of a bit; `#` in front counts in fields of `width` where that is allowed.
fn offset(text: &[u8], width: Option<u32>) -> Result<u64> {
    let (text, times) = match (text, width) {
        ([b'#', rest @ ..], Some(width)) => (rest, u64::from(width)),
        (text, _) => (text, 1),
    };
    let number = parse_i64(text).and_then(|number| u64::try_from(number).ok()).ok_or(Error::BIT_OFFSET)?;
    let offset = number.checked_mul(times).ok_or(Error::BIT_OFFSET)?;
    if offset >> 3 >= MAX_STRING_BYTES as u64 { Err(Error::BIT_OFFSET) } else { Ok(offset) }
}

fn bit(text: &[u8], error: Error) -> Result<bool> {
    match parse_i64(text) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(error),
    }
}

fn getbit(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    Ok(Reply::flag(string::get_bit(context.unit, key, offset(args[2], None)?)?))
}

fn setbit(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let offset = offset(args[2], None)?;
    let on = bit(args[3], Error::fixed("ERR bit is not an integer or out of range"))?;
    Ok(Reply::flag(string::set_bit(context.unit, key, offset, on)?))
}

fn in_bits(text: &[u8]) -> Result<bool> {
    match text {
        _ if is(text, "bit") => Ok(true),
        _ if is(text, "byte") => Ok(false),
        _ => Err(Error::SYNTAX),
    }
}

fn bitcount(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    // Of a key that does not exist the rest does not matter.
    if context.unit.meta_of(key, Type::String)?.is_none() {
        return Ok(Reply::Integer(0));
    }
    let range = match &args[2..] {
        [] => None,
        [start, end, unit @ ..] if unit.len() <= 1 => {
            let (start, end) = (integer(start)?, integer(end)?);
            // Such a range is empty, and Redis asks no further.
            if start < 0 && end < 0 && start > end {
                return Ok(Reply::Integer(0));
            }
            Some(BitRange { start, end, in_bits: unit.first().map_or(Ok(false), |unit| in_bits(unit))? })
        }
        _ => return Err(Error::SYNTAX),
    };
    Ok(Reply::count(string::bit_count(context.unit, key, range)?))
}

fn bitpos(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let key = context.key(args[1])?;
    let number = integer(args[2])?;
    if number != 0 && number != 1 {
        return Err(Error::fixed("ERR The bit argument must be 1 or 0."));
    }
    if context.unit.meta_of(key, Type::String)?.is_none() {
        return Ok(Reply::Integer(if number == 1 { -1 } else { 0 }));
    }
    let (range, has_end) = match &args[3..] {
        [] => (None, false),
        [start] => (Some(BitRange { start: integer(start)?, end: -1, in_bits: false }), false),
        [start, end, unit @ ..] if unit.len() <= 1 => {
            let start = integer(start)?;
            let in_bits = unit.first().map_or(Ok(false), |unit| in_bits(unit))?;
            (Some(BitRange { start, end: integer(end)?, in_bits }), true)
        }
        _ => return Err(Error::SYNTAX),
    };
    Ok(Reply::Integer(string::bit_position(context.unit, key, number == 1, range, has_end)?))
}

fn bitop(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    let operation = match args[1] {
        name if is(name, "and") => BitOperation::And,
        name if is(name, "or") => BitOperation::Or,
        name if is(name, "xor") => BitOperation::Xor,
        name if is(name, "not") => BitOperation::Not,
        _ => return Err(Error::SYNTAX),
    };
    let target = context.key(args[2])?;
    let sources = context.keys(&args[3..])?;
    Ok(Reply::count(string::bit_operation(context.unit, operation, target, &sources)?))
}

fn width(text: &[u8]) -> Result<Width> {
    let (signed, bits) = match text {
        [b'i', bits @ ..] => (true, bits),
        [b'u', bits @ ..] => (false, bits),
        _ => return Err(Error::BIT_WIDTH),
    };
    let bits = parse_i64(bits).and_then(|bits| u32::try_from(bits).ok());
    Width::new(signed, bits.ok_or(Error::BIT_WIDTH)?)
}

fn fields(args: &[&[u8]], writes: bool) -> Result<Vec<Field>> {
    let mut rest = Arguments::new(args, 2);
    let (mut fields, mut overflow) = (Vec::new(), Overflow::default());
    while let Some(word) = rest.next() {
        if is(word, "overflow") && rest.left() >= 1 {
            overflow = match rest.required()? {
                how if is(how, "wrap") => Overflow::Wrap,
                how if is(how, "sat") => Overflow::Saturate,
                how if is(how, "fail") => Overflow::Fail,
                _ => return Err(Error::fixed("ERR Invalid OVERFLOW type specified")),
            };
            continue;
        }
        let (get, set) = (is(word, "get"), is(word, "set"));
        let needed = if get { 2 } else { 3 };
        if !(get || set || is(word, "incrby")) || rest.left() < needed {
            return Err(Error::SYNTAX);
        }
        let width = width(rest.required()?)?;
        let offset = offset(rest.required()?, Some(width.bits))?;
        let operation = match (get, set) {
            (true, _) => FieldOp::Get,
            (_, true) => FieldOp::Set(integer(rest.required()?)?),
            _ => FieldOp::Increment(integer(rest.required()?)?),
        };
        fields.push(Field { width, offset, operation, overflow });
    }
    if !writes && fields.iter().any(|field| field.operation != FieldOp::Get) {
        return Err(Error::fixed("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    Ok(fields)
}

fn run_fields(context: &mut Context<'_, '_>, args: &[&[u8]], writes: bool) -> Result<Reply> {
    let key = context.key(args[1])?;
    let fields = fields(args, writes)?;
    let answers = string::bit_field(context.unit, key, &fields)?;
    Ok(Reply::Array(answers.into_iter().map(|answer| answer.map_or(Reply::Null, Reply::Integer)).collect()))
}

fn bitfield(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    run_fields(context, args, true)
}

fn bitfield_ro(context: &mut Context<'_, '_>, args: &[&[u8]]) -> Result<Reply> {
    run_fields(context, args, false)
}
