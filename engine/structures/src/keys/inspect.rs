//! What a key is, and removing it.

use crate::base::error::Result;
use crate::base::number::parse_i64;
use crate::encoding::header::{Meta, Type, flag};
use crate::store::{Key, Unit};

/// Redis' `OBJ_ENCODING_EMBSTR_SIZE_LIMIT`.
const EMBEDDED_BYTES: u64 = 44;

/// Whether a key exists. One read.
///
/// # Errors
/// What the engine gives.
pub fn exists(unit: &mut Unit<'_>, key: Key<'_>) -> Result<bool> {
    Ok(unit.meta(key)?.is_some())
}

/// How many of the keys exist, one that is named twice counting twice. A read for each, in step.
///
/// # Errors
/// What the engine gives.
pub fn count_existing(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<u64> {
    let mut found = 0;
    unit.one_by_one(keys, |unit, key| {
        found += u64::from(exists(unit, key)?);
        Ok(())
    })?;
    Ok(found)
}

/// What a key holds. One read.
///
/// # Errors
/// What the engine gives.
pub fn kind(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Type>> {
    Ok(unit.meta(key)?.map(|meta| meta.kind))
}

/// Removes a key; says whether it existed. A constant number of records, whatever it holds.
///
/// # Errors
/// What the engine gives.
pub fn delete(unit: &mut Unit<'_>, key: Key<'_>) -> Result<bool> {
    let meta = unit.meta(key)?;
    if let Some(meta) = &meta {
        unit.delete_key(key, meta);
    }
    Ok(meta.is_some())
}

/// Removes keys, and returns how many existed.
///
/// # Errors
/// What the engine gives.
pub fn delete_many(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<u64> {
    let mut removed = 0;
    for key in keys {
        removed += u64::from(delete(unit, *key)?);
    }
    Ok(removed)
}

/// The encoding that Redis 7.0 would show.
///
/// # Errors
/// What the engine gives.
pub fn encoding_name(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<&'static str>> {
    unit.read_header(key, |meta, payload| match meta.kind {
        Type::String => string(meta, payload),
        Type::Hash if meta.has(flag::WIDE) => "hashtable",
        Type::Hash => "listpack",
        Type::List => "quicklist",
        Type::Set if meta.has(flag::WIDE) => "hashtable",
        Type::Set => "intset",
        Type::SortedSet if meta.has(flag::WIDE) => "skiplist",
        Type::SortedSet => "listpack",
    })
}

fn string(meta: &Meta, payload: &[u8]) -> &'static str {
    if meta.has(flag::RAW) || meta.records {
        return "raw";
    }
    match () {
        () if !meta.has(flag::OWN) && parse_i64(payload).is_some() => "int",
        () if meta.length <= EMBEDDED_BYTES => "embstr",
        () => "raw",
    }
}
