//! Single fields.

use super::records::{Draft, check, field_key};
use crate::base::error::Result;
use crate::encoding::fields::{Field, Fields};
use crate::encoding::header::Type;
use crate::store::{FETCH, Key, Table, Unit};

/// How many fields there are; 0 if there is no such key. One read.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn length(unit: &mut Unit<'_>, key: Key<'_>) -> Result<u64> {
    Ok(unit.meta_of(key, Type::Hash)?.map_or(0, |meta| meta.length))
}

/// Hands the value of a field to `read`. One read for a small hash, two otherwise.
fn read<R>(unit: &mut Unit<'_>, key: Key<'_>, name: &[u8], read: impl Fn(&[u8]) -> R) -> Result<Option<R>> {
    let found = unit.read_of(key, Type::Hash, |meta, payload| {
        let inline = if meta.records { None } else { Some(Fields::new(payload).find(name)) };
        (*meta, inline.map(|found| found.map(|found| found.map(|(field, _)| read(field.value)))))
    })?;
    match found {
        None => Ok(None),
        Some((_, Some(value))) => value,
        Some((meta, None)) => {
            let record = field_key(unit, key.keyspace, meta.incarnation, name);
            let read = |record: &[u8]| Field::from_record(name, record).map(|field| read(field.value));
            unit.get_with(Table::Elements, &record, read)?.transpose()
        }
    }
}

/// The value of a field.
///
/// # Errors
/// As [`length`].
pub fn get(unit: &mut Unit<'_>, key: Key<'_>, name: &[u8]) -> Result<Option<Vec<u8>>> {
    read(unit, key, name, <[u8]>::to_vec)
}

/// The length of a field's value; 0 if there is no such field.
///
/// # Errors
/// As [`length`].
pub fn value_length(unit: &mut Unit<'_>, key: Key<'_>, name: &[u8]) -> Result<u64> {
    Ok(read(unit, key, name, |value| value.len() as u64)?.unwrap_or(0))
}

/// Whether there is such a field.
///
/// # Errors
/// As [`length`].
pub fn contains(unit: &mut Unit<'_>, key: Key<'_>, name: &[u8]) -> Result<bool> {
    Ok(read(unit, key, name, |_| ())?.is_some())
}

/// How many fields' records are read together at first; more as long as they are small.
const TOGETHER: usize = 16;
/// Values of more bytes than this are read one by one.
const TOGETHER_BYTES: usize = 64 << 10;

/// Hands the values of several fields to `each`, until it says `false`. The header, and the fields' records
/// read together.
///
/// # Errors
/// As [`length`].
pub fn each_of(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    names: &[&[u8]],
    mut each: impl FnMut(Option<&[u8]>) -> bool,
) -> Result<()> {
    let found = unit.read_of(key, Type::Hash, |meta, payload| {
        for name in names.iter().filter(|_| !meta.records) {
            let found = Fields::new(payload).find(name)?;
            if !each(found.map(|(field, _)| field.value)) {
                break;
            }
        }
        Ok::<_, crate::base::error::Error>(*meta)
    })?;
    let Some(meta) = found.transpose()? else {
        let _ = names.iter().all(|_| each(None));
        return Ok(());
    };
    let (mut rest, mut together) = (if meta.records { names } else { &[] }, TOGETHER);
    while !rest.is_empty() {
        let (page, behind) = rest.split_at(together.min(rest.len()));
        rest = behind;
        let record = |name: &&[u8]| field_key(unit, key.keyspace, meta.incarnation, name);
        let records = unit.multi_get(Table::Elements, &page.iter().map(record).collect::<Vec<_>>())?;
        let bytes: usize = records.iter().flatten().map(|record| record.len()).sum();
        together = if bytes > TOGETHER_BYTES { 1 } else { (together * 2).min(FETCH) };
        for (name, record) in page.iter().zip(&records) {
            let value = record.as_ref().map(|record| Field::from_record(name, record)).transpose()?;
            if !each(value.map(|field| field.value)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The values of several fields.
///
/// # Errors
/// As [`length`]; [`crate::Error::COMMAND_TOO_LARGE`].
pub fn get_many(unit: &mut Unit<'_>, key: Key<'_>, names: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
    let (mut values, mut memory) = (Vec::new(), unit.memory());
    each_of(unit, key, names, |value| {
        values.push(value.map(<[u8]>::to_vec));
        memory.takes(value.map_or(0, <[u8]>::len))
    })?;
    memory.check()?;
    Ok(values)
}

/// Sets fields, and returns how many are new. One header, and for a large hash a read and a record for each
/// field.
///
/// # Errors
/// As [`length`]; a name or a value that is too long.
pub fn set(unit: &mut Unit<'_>, key: Key<'_>, fields: &[(&[u8], &[u8])]) -> Result<u64> {
    key.check()?;
    fields.iter().try_for_each(|(name, value)| check(name, value))?;
    let mut draft = Draft::open(unit, key)?;
    let mut added = 0;
    for page in fields.chunks(FETCH) {
        draft.fetch(unit, page.iter().map(|(name, _)| *name))?;
        for (name, value) in page {
            added += u64::from(draft.set(unit, name, value)?);
        }
    }
    draft.finish(unit)?;
    Ok(added)
}

/// Sets a field that is not there; says whether it was set.
///
/// # Errors
/// As [`set`].
pub fn set_if_absent(unit: &mut Unit<'_>, key: Key<'_>, name: &[u8], value: &[u8]) -> Result<bool> {
    key.check()?;
    check(name, value)?;
    let mut draft = Draft::open(unit, key)?;
    let absent = draft.get(unit, name)?.is_none();
    if absent {
        draft.set(unit, name, value)?;
    }
    draft.finish(unit)?;
    Ok(absent)
}

/// Removes fields, and returns how many there were. The key goes with its last field.
///
/// # Errors
/// As [`length`].
pub fn delete(unit: &mut Unit<'_>, key: Key<'_>, names: &[&[u8]]) -> Result<u64> {
    let mut draft = Draft::open(unit, key)?;
    let mut removed = 0;
    for page in names.chunks(FETCH) {
        draft.fetch(unit, page.iter().copied())?;
        for name in page {
            removed += u64::from(draft.delete(unit, name)?);
        }
    }
    draft.finish(unit)?;
    Ok(removed)
}
