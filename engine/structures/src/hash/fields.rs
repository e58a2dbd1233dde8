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

/// The values of several fields. The header, and the fields' records read together.
///
/// # Errors
/// As [`length`].
pub fn get_many(unit: &mut Unit<'_>, key: Key<'_>, names: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
    let found = unit.read_of(key, Type::Hash, |meta, payload| {
        if meta.records {
            return Ok::<_, crate::base::error::Error>((*meta, Vec::new()));
        }
        let value =
            |name: &&[u8]| Ok(Fields::new(payload).find(name)?.map(|(field, _)| field.value.to_vec()));
        Ok((*meta, names.iter().map(value).collect::<Result<Vec<_>>>()?))
    })?;
    let Some((meta, inline)) = found.transpose()? else { return Ok(vec![None; names.len()]) };
    if !meta.records {
        return Ok(inline);
    }
    let records: Vec<Vec<u8>> =
        names.iter().map(|name| field_key(unit, key.keyspace, meta.incarnation, name)).collect();
    let values = unit.multi_get(Table::Elements, &records)?;
    let value = |(name, record): (&&[u8], Option<esker::Slice>)| {
        let Some(record) = record else { return Ok(None) };
        Ok(Some(Field::from_record(name, &record)?.value.to_vec()))
    };
    names.iter().zip(values).map(value).collect()
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
