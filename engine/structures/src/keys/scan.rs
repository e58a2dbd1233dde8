//! Walking over the keys of a database.

use crate::base::error::{Error, Result};
use crate::base::glob;
use crate::encoding::header::{Meta, Type};
use crate::encoding::key::{self, POSITIONS, split_position, table};
use crate::store::{Key, PAGE, PLACES, Pages, Store, Table, Unit};

/// Which keys are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Those that match a pattern, as `KEYS` reads it: `*`, `?`, `[a-z]`, `\\` in front of what stands for
    /// itself.
    pub pattern: Option<&'a [u8]>,
    /// Those that hold this.
    pub kind: Option<Type>,
}

/// A page ends behind so many bytes of names, however many are wanted.
const PAGE_BYTES: usize = 1 << 20;
/// What a name takes besides its bytes.
const NAME_BYTES: usize = 48;

/// About `count` keys from `cursor` on, and the cursor to go on with, 0 at the end: those that match a
/// pattern, are of a kind and have not expired. A key that is there from the first call to the last is
/// shown. Reads the index, and the headers of what matches. If the pattern begins with letters, it reads
/// the headers that begin with them alone; a cursor of such a walk goes on with the same pattern, and one
/// that was forgotten meanwhile starts anew over all keys. A page ends behind a mebibyte of names.
///
/// # Errors
/// What the engine gives.
pub fn scan(
    unit: &mut Unit<'_>,
    keyspace: u64,
    cursor: u64,
    count: u64,
    Filter { pattern, kind }: Filter<'_>,
) -> Result<(u64, Vec<Vec<u8>>)> {
    if cursor >= POSITIONS {
        return Ok((0, Vec::new()));
    }
    unit.pin();
    let prefix = pattern.map(glob::literal_prefix).unwrap_or_default();
    let mut cursor = cursor;
    if cursor < PLACES {
        let from =
            if cursor == 0 { Some(prefix.clone()) } else { unit.scan_place(cursor, keyspace, &prefix) };
        if let (Some(from), Some(pattern), false) = (from, pattern, prefix.is_empty()) {
            return scan_prefix(unit, (keyspace, &prefix, &from), count, pattern, kind);
        }
        cursor = 0;
    }
    let (next, names) = positioned(unit, keyspace, cursor, count)?;
    let mut shown = Vec::new();
    for name in names {
        if pattern.is_some_and(|pattern| !glob::matches(pattern, &name)) {
            continue;
        }
        let meta = unit.meta(Key { keyspace, name: &name })?;
        if meta.is_some_and(|meta| kind.is_none_or(|kind| meta.kind == kind)) {
            shown.push(name);
        }
    }
    Ok((next, shown))
}

/// The same over the headers that begin with a prefix, from a name on.
fn scan_prefix(
    unit: &Unit<'_>,
    (keyspace, prefix, from): (u64, &[u8], &[u8]),
    count: u64,
    pattern: &[u8],
    kind: Option<Type>,
) -> Result<(u64, Vec<Vec<u8>>)> {
    unit.depends_on_all();
    let now = unit.now_ms();
    let mut cursor = unit.cursor(Table::Headers, &key::header(keyspace, prefix))?;
    let mut found = cursor.seek(&key::header(keyspace, from))?;
    let (mut shown, mut looked_at, mut bytes) = (Vec::new(), 0, 0);
    while found {
        let (_, name) = key::split_header(cursor.key())?;
        if looked_at >= count || bytes > PAGE_BYTES {
            return Ok((unit.keep_scan_place(keyspace, prefix, name), shown));
        }
        looked_at += 1;
        let meta = Meta::decode(cursor.value())?.0;
        if kind.is_none_or(|kind| meta.kind == kind) && !meta.is_expired(now) && glob::matches(pattern, name)
        {
            bytes += name.len() + NAME_BYTES;
            shown.push(name.to_vec());
        }
        found = cursor.next()?;
    }
    Ok((0, shown))
}

/// The names of about `count` keys from a position on, and the position to go on with.
fn positioned(unit: &Unit<'_>, keyspace: u64, from: u64, count: u64) -> Result<(u64, Vec<Vec<u8>>)> {
    // What is not there shows, too.
    unit.depends_on_all();
    let prefix = key::index_prefix(table::POSITION, keyspace);
    let mut cursor = unit.cursor(Table::Index, &prefix)?;
    let mut found = cursor.seek(&key::positioned(keyspace, from, b""))?;
    let (mut names, mut last, mut bytes) = (Vec::new(), None, 0);
    while found {
        let rest = cursor.key().get(prefix.len()..).unwrap_or_default();
        let (position, name) = split_position(rest)?;
        // Keys of one position are shown together: a cursor cannot tell them apart. The first positions are
        // numbers of other cursors.
        let enough = names.len() as u64 >= count || bytes > PAGE_BYTES;
        if enough && last.is_some_and(|last| last + 1 >= PLACES && last != position) {
            return Ok((last.map_or(0, |last| last + 1), names));
        }
        bytes += name.len() + NAME_BYTES;
        names.push(name.to_vec());
        last = Some(position);
        found = cursor.next()?;
    }
    Ok((0, names))
}

/// The names of all keys that match a pattern, in their order. Reads the headers that begin with what the
/// pattern begins with.
///
/// # Errors
/// [`Error::COMMAND_TOO_LARGE`]; what the engine gives.
pub fn matching(unit: &mut Unit<'_>, keyspace: u64, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
    unit.pin();
    unit.depends_on_all();
    let prefix = key::header(keyspace, &glob::literal_prefix(pattern));
    let now = unit.now_ms();
    let mut cursor = unit.cursor(Table::Headers, &prefix)?;
    let mut found = cursor.seek_to_first()?;
    let (mut names, mut memory) = (Vec::new(), unit.memory());
    while found {
        let (_, name) = key::split_header(cursor.key())?;
        if glob::matches(pattern, name) && !Meta::decode(cursor.value())?.0.is_expired(now) {
            memory.take(name.len())?;
            names.push(name.to_vec());
        }
        found = cursor.next()?;
    }
    Ok(names)
}

/// The names of keys, a page of them in memory at a time, with the guarantee of [`scan`].
pub type Names = Pages<u64, Vec<u8>>;

/// Walks over the keys of a database.
#[must_use]
pub fn names(store: &Store, database: u32, filter: Filter<'_>) -> Names {
    let (pattern, kind) = (filter.pattern.map(<[u8]>::to_vec), filter.kind);
    Pages::new(store, (database, b""), 0, move |unit, key, cursor| {
        let filter = Filter { pattern: pattern.as_deref(), kind };
        let (next, names) = scan(unit, key.keyspace, cursor, PAGE, filter)?;
        Ok((names, (next != 0).then_some(next)))
    })
}

/// A range of positions within a slot is chosen so that it holds about this many keys.
const MEAN: u64 = 16;
/// And is taken to hold at most this many.
const MOST: u64 = 64;
/// How often an expired key is met before the answer is whatever comes.
const ATTEMPTS: usize = 100;

/// A key by chance; each has the same. As in Redis, of keys that have all expired one may be returned.
///
/// A slot is chosen by its keys, then a key in it as for the fields of a hash: by rejection. See there.
///
/// # Errors
/// What the engine gives.
pub fn random(unit: &mut Unit<'_>, keyspace: u64) -> Result<Option<Vec<u8>>> {
    unit.pin();
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let Some(slot) = unit.random_slot(keyspace) else { return first(unit, keyspace) };
        let Some(name) = in_slot(unit, keyspace, slot)? else { continue };
        if unit.meta(Key { keyspace, name: &name })?.is_some() {
            return Ok(Some(name));
        }
        last = Some(name);
    }
    if last.is_some() { Ok(last) } else { first(unit, keyspace) }
}

/// The first key there is: what only this unit has written is not counted by slot yet.
fn first(unit: &mut Unit<'_>, keyspace: u64) -> Result<Option<Vec<u8>>> {
    let (_, names) = positioned(unit, keyspace, 0, 1)?;
    Ok(names.into_iter().next())
}

fn in_slot(unit: &Unit<'_>, keyspace: u64, slot: u16) -> Result<Option<Vec<u8>>> {
    let (start, end) = (key::position(slot, 0), key::position(slot, u64::MAX) + 1);
    let keys = unit.keys_in_slot(keyspace, slot);
    let ranges = (keys / MEAN).max(1);
    let prefix = key::index_prefix(table::POSITION, keyspace);
    let mut cursor = unit.cursor(Table::Index, &prefix)?;
    let position = |key: &[u8]| {
        let rest = key.get(prefix.len()..).ok_or_else(|| Error::malformed("a position"))?;
        split_position(rest).map(|(at, name)| (at, name.to_vec()))
    };
    // A few keys are chosen from directly; so is a slot that turns out to hold fewer than were counted.
    let rounds = if keys <= MOST { 0 } else { 64 };
    for _ in 0..rounds {
        let (range, index) = (unit.random_below(ranges), unit.random_below(MOST));
        let bound = |range: u64| start + ((end - start) as u128 * range as u128 / ranges as u128) as u64;
        let to = bound(range + 1);
        let mut found = cursor.seek(&key::positioned(keyspace, bound(range), b""))?;
        for _ in 0..index {
            if !found || position(cursor.key())?.0 >= to {
                break;
            }
            found = cursor.next()?;
        }
        if found {
            let (at, name) = position(cursor.key())?;
            if at < to {
                return Ok(Some(name));
            }
        }
    }
    let mut names = Vec::new();
    let mut found = cursor.seek(&key::positioned(keyspace, start, b""))?;
    while found && names.len() < MOST as usize {
        let (at, name) = position(cursor.key())?;
        if at >= end {
            break;
        }
        names.push(name);
        found = cursor.next()?;
    }
    if names.is_empty() {
        return Ok(None);
    }
    let at = unit.random_below(names.len() as u64) as usize;
    Ok(names.into_iter().nth(at))
}
