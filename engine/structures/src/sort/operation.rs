//! Sorting, and keeping what comes of it.

use super::options::SortOptions;
use super::weights::{look_up, sorted};
use crate::base::error::{Error, Result};
use crate::encoding::header::{Type, flag};
use crate::store::{Access, Budget, Key, Unit};
use crate::zset::Window;
use crate::{list, set, zset};

/// An element, or what a pattern stands for, if it stands for anything.
pub type Row = Option<Vec<u8>>;

/// What sorting the elements of a key gives: a row for each that is wanted, or one for each pattern of `get`.
/// Reads all elements, and what each pattern stands for of each; with `limit` and without an order only the
/// elements that are wanted.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::COMMAND_TOO_LARGE`]; an element that is no number; what the engine gives.
pub fn rows(unit: &mut Unit<'_>, key: Key<'_>, options: &SortOptions<'_>) -> Result<Vec<Row>> {
    read(unit, key, options, false)
}

/// As [`rows`], and gives up the compact encoding of a sorted set, as Redis does to sort it.
///
/// # Errors
/// As [`rows`].
pub fn rows_unpacking(unit: &mut Unit<'_>, key: Key<'_>, options: &SortOptions<'_>) -> Result<Vec<Row>> {
    read_unpacking(unit, key, options, false)
}

/// Has `target` be the list of what sorting a key gives, whatever it held; nothing of that removes it. What
/// does not exist is an empty element. Returns the length.
///
/// # Errors
/// As [`rows`]; a name that is too long.
pub fn store(unit: &mut Unit<'_>, key: Key<'_>, target: Key<'_>, options: &SortOptions<'_>) -> Result<u64> {
    let rows = read_unpacking(unit, key, options, true)?;
    target.check()?;
    if let Some(before) = unit.meta(target)? {
        unit.delete_key(target, &before);
    }
    let values: Vec<&[u8]> = rows.iter().map(|row| row.as_deref().unwrap_or_default()).collect();
    if values.is_empty() {
        return Ok(0);
    }
    list::push(unit, target, list::Side::Right, &values)
}

fn read_unpacking(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    options: &SortOptions<'_>,
    stores: bool,
) -> Result<Vec<Row>> {
    // The locks stay; keys that are not locked may be read, and must not be written.
    unit.begin(Access::Read);
    let rows = read(unit, key, options, stores);
    unit.begin(Access::Write);
    // Whatever comes of it.
    unpack(unit, key)?;
    rows
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

fn read(unit: &mut Unit<'_>, key: Key<'_>, options: &SortOptions<'_>, stores: bool) -> Result<Vec<Row>> {
    unit.pin();
    let memory = &mut unit.memory();
    let elements = ordered(unit, key, options, stores, memory)?;
    if options.get.is_empty() {
        return Ok(elements.into_iter().map(Some).collect());
    }
    let mut rows = Vec::new();
    for element in &elements {
        for pattern in &options.get {
            let row = look_up(unit, key.keyspace, pattern, element)?;
            memory.take(row.as_ref().map_or(0, Vec::len))?;
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The elements that are wanted, in their order; `stores` if they are to be kept.
fn ordered(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    options: &SortOptions<'_>,
    stores: bool,
    memory: &mut Budget,
) -> Result<Vec<Vec<u8>>> {
    let Some(meta) = unit.meta(key)? else { return Ok(Vec::new()) };
    let length = usize::try_from(meta.length).unwrap_or(usize::MAX);
    let (from, to) = options.span(length);
    let mut by = options.by;
    let (mut alphabetic, mut keeps_order) = (options.alphabetic, options.keeps_order);
    if keeps_order {
        match meta.kind {
            Type::List | Type::SortedSet => {
                return in_place(unit, key, meta.kind, options.descending, (from, to), memory);
            }
            // What is stored of a set has an order that does not depend on chance.
            Type::Set if stores => (by, alphabetic, keeps_order) = (None, true, false),
            _ => {}
        }
    }
    let mut elements = match meta.kind {
        Type::List => list::range_within(unit, key, 0, -1, memory)?,
        Type::SortedSet => members(unit, key, Window::ALL, memory)?,
        Type::Set => {
            let mut members = Vec::new();
            set::all(unit, key, |member| {
                members.push(member.to_vec());
                memory.takes(member.len())
            })?;
            memory.check()?;
            members
        }
        _ => return Err(Error::WRONG_TYPE),
    };
    if !keeps_order {
        let order = (alphabetic, options.descending);
        elements = sorted(unit, key.keyspace, elements, by, order, memory)?;
    }
    Ok(elements.drain(from..to).collect())
}

fn members(unit: &mut Unit<'_>, key: Key<'_>, window: Window, memory: &mut Budget) -> Result<Vec<Vec<u8>>> {
    let entries = zset::members_within(unit, key, &zset::Range::ALL, window, memory)?;
    memory.check()?;
    Ok(entries.into_iter().map(|(member, _)| member).collect())
}

/// Elements of a list or a sorted set as they stand: only those that are wanted are read.
fn in_place(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    kind: Type,
    descending: bool,
    (from, to): (usize, usize),
    memory: &mut Budget,
) -> Result<Vec<Vec<u8>>> {
    if from >= to {
        return Ok(Vec::new());
    }
    if kind == Type::SortedSet {
        let window = Window { reverse: descending, offset: from as u64, limit: (to - from) as u64 };
        return members(unit, key, window, memory);
    }
    let (from, to) = (from as i64, to as i64);
    if !descending {
        return list::range_within(unit, key, from, to - 1, memory);
    }
    let mut elements = list::range_within(unit, key, -to, -from - 1, memory)?;
    elements.reverse();
    Ok(elements)
}
