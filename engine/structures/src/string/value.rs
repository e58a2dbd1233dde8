//! The bytes of a string, wherever they stand.

use crate::base::error::{Error, Result};
use crate::encoding::check::Check;
use crate::encoding::header::{Meta, Type, flag};
use crate::encoding::key::{self, kind};
use crate::encoding::limits::{CHUNK_BYTES, MAX_BITS_BYTES, MAX_INLINE_STRING_BYTES};
use crate::store::{Key, Table, Unit};
use std::ops::Range;

/// What no chunk is kept of.
static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// A string that was found: its header, and its bytes if they stand there.
pub(super) struct Found {
    pub(super) meta: Meta,
    pub(super) inline: Vec<u8>,
}

/// Header and inline bytes of a string, which is no longer than a string can be.
pub(super) fn find(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Found>> {
    let found = unit.load_of(key, Type::String)?;
    if found.as_ref().is_some_and(|(meta, _)| meta.length > MAX_BITS_BYTES as u64) {
        return Err(Error::malformed("the length of a string"));
    }
    Ok(found.map(|(meta, inline)| Found { meta, inline }))
}

/// All bytes of a string.
pub(super) fn whole(unit: &Unit<'_>, key: Key<'_>, found: Found) -> Result<Vec<u8>> {
    if !found.meta.records {
        return Ok(found.inline);
    }
    let length = found.meta.length;
    part(unit, key, &found, 0..length)
}

/// The bytes of a range that lies inside the string.
pub(super) fn part(unit: &Unit<'_>, key: Key<'_>, found: &Found, range: Range<u64>) -> Result<Vec<u8>> {
    if !found.meta.records {
        let range = range.start as usize..range.end as usize;
        return Ok(found.inline.get(range).unwrap_or_default().to_vec());
    }
    let bytes = range.end.saturating_sub(range.start) as usize;
    if bytes == 0 {
        return Ok(Vec::new());
    }
    // What no chunk holds is zeros.
    let mut out = vec![0; bytes];
    let chunk_bytes = CHUNK_BYTES as u64;
    let prefix = key::kind_prefix(key.keyspace, found.meta.incarnation, kind::CHUNK);
    let first = (range.start / chunk_bytes) as u32;
    if range.end <= (u64::from(first) + 1) * chunk_bytes {
        unit.get_with(Table::Elements, &chunk_key(key, &found.meta, first), |chunk| {
            copy_chunk(&mut out, range.start, first, chunk);
        })?;
        return Ok(out);
    }
    let mut cursor = unit.cursor(Table::Elements, &prefix)?;
    let mut at = cursor.seek(&chunk_key(key, &found.meta, first))?;
    while at {
        let number = chunk_number(cursor.key())?;
        if u64::from(number) * chunk_bytes >= range.end {
            break;
        }
        copy_chunk(&mut out, range.start, number, cursor.value());
        at = cursor.next()?;
    }
    Ok(out)
}

/// Copies what chunk `number` has of the bytes from `start` on that `out` holds.
fn copy_chunk(out: &mut [u8], start: u64, number: u32, chunk: &[u8]) {
    let stands = u64::from(number) * CHUNK_BYTES as u64;
    let skip = start.saturating_sub(stands) as usize;
    let to = stands.saturating_sub(start) as usize;
    if let (Some(chunk), Some(out)) = (chunk.get(skip..), out.get_mut(to..)) {
        let bytes = chunk.len().min(out.len());
        out[..bytes].copy_from_slice(&chunk[..bytes]);
    }
}

fn chunk_number(key: &[u8]) -> Result<u32> {
    let (.., rest) = key::split_element(key)?;
    let number = rest.try_into().map_err(|_| Error::malformed("the number of a chunk"))?;
    Ok(u32::from_be_bytes(number))
}

fn chunk_key(key: Key<'_>, meta: &Meta, number: u32) -> Vec<u8> {
    key::element(key.keyspace, meta.incarnation, kind::CHUNK, &number.to_be_bytes(), b"")
}

/// Sets the whole value. `before` is the header that is there, of whatever type; `after` brings flags and
/// expiry. The value is no longer than a string may be: the caller has seen to that.
pub(super) fn put(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    before: Option<&Meta>,
    mut after: Meta,
    value: &[u8],
) -> Result<()> {
    key.check()?;
    after.length = value.len() as u64;
    (after.records, after.incarnation) = (false, 0);
    if value.len() > MAX_INLINE_STRING_BYTES {
        after.incarnation = unit.new_incarnation(key)?;
        after.records = true;
    }
    if let Some(before) = before {
        unit.drop_records(key.keyspace, before);
    }
    if !after.records {
        return unit.put_header(key, before, &mut after, value);
    }
    for (number, chunk) in value.chunks(CHUNK_BYTES).enumerate() {
        if chunk != &ZEROS[..chunk.len()] {
            unit.put(Table::Elements, chunk_key(key, &after, number as u32), chunk.to_vec());
        }
    }
    unit.put_header(key, before, &mut after, b"")
}

/// Marks a string as raw that a command was about to change and left as it is: Redis has unpacked it by then.
/// That is no modification, and whoever watches need not know.
pub(super) fn unpack(unit: &mut Unit<'_>, key: Key<'_>, found: &Found) -> Result<()> {
    let before = found.meta;
    if before.has(flag::RAW) || before.records {
        return Ok(());
    }
    unit.put_header_quietly(key, &before, &mut Meta { flags: flag::RAW, ..before }, &found.inline)
}

/// Writes `bytes` at `offset` into a string, which grows as it must; zeros fill what lies between. The result
/// is no longer than a string may be: the caller has seen to that.
pub(super) fn write_at(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    found: Option<Found>,
    flags: u8,
    offset: u64,
    bytes: &[u8],
) -> Result<u64> {
    key.check()?;
    let before = found.as_ref().map(|found| found.meta);
    let Found { mut meta, mut inline } =
        found.unwrap_or_else(|| Found { meta: Meta::new(Type::String), inline: Vec::new() });
    meta.flags = flags;
    meta.length = meta.length.max(offset + bytes.len() as u64);
    if !meta.records && meta.length <= MAX_INLINE_STRING_BYTES as u64 {
        let offset = offset as usize;
        inline.resize(meta.length as usize, 0);
        inline[offset..offset + bytes.len()].copy_from_slice(bytes);
        unit.put_header(key, before.as_ref(), &mut meta, &inline)?;
        return Ok(meta.length);
    }
    if !meta.records {
        meta.incarnation = unit.new_incarnation(key)?;
        meta.records = true;
        if !inline.is_empty() {
            unit.put(Table::Elements, chunk_key(key, &meta, 0), inline);
        }
    }
    write_chunks(unit, key, &meta, offset, bytes)?;
    unit.put_header(key, before.as_ref(), &mut meta, b"")?;
    Ok(meta.length)
}

fn write_chunks(unit: &mut Unit<'_>, key: Key<'_>, meta: &Meta, offset: u64, bytes: &[u8]) -> Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        let place = offset + at as u64;
        let (number, skip) = ((place / CHUNK_BYTES as u64) as u32, (place % CHUNK_BYTES as u64) as usize);
        let len = (CHUNK_BYTES - skip).min(bytes.len() - at);
        let name = chunk_key(key, meta, number);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        if len < CHUNK_BYTES {
            unit.get_with(Table::Elements, &name, |old| chunk.extend_from_slice(old))?;
        }
        if chunk.len() < skip + len {
            chunk.resize(skip + len, 0);
        }
        chunk[skip..skip + len].copy_from_slice(&bytes[at..at + len]);
        unit.put(Table::Elements, name, chunk);
        at += len;
    }
    Ok(())
}

/// What `verify` asks of the chunks of a long string.
pub(crate) struct Chunks(pub(crate) Meta);

impl Check for Chunks {
    fn record(&mut self, kind: u8, rest: &[u8], value: &[u8]) -> Result<(), String> {
        let number = <[u8; 4]>::try_from(rest).map(u32::from_be_bytes);
        match number {
            Ok(number) if kind == kind::CHUNK && value.len() <= CHUNK_BYTES => {
                let end = u64::from(number) * CHUNK_BYTES as u64 + value.len() as u64;
                if end > self.0.length {
                    Err(format!("chunk {number} reaches beyond the string"))
                } else {
                    Ok(())
                }
            }
            _ => Err(format!("a record of kind {kind} among the chunks of a string")),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        let length = self.0.length;
        if length > MAX_BITS_BYTES as u64 { Err(format!("a string of {length} bytes")) } else { Ok(()) }
    }
}
