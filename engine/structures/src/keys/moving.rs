//! Giving what a key holds to another.

use crate::base::error::{Error, Result};
use crate::encoding::key::{self, kind};
use crate::store::{Key, Table, Unit};

/// Gives what `from` holds to `to` of the same keyspace, which loses what it held; `only_new` refuses if `to`
/// exists. `None` if there is no `from`, otherwise whether it was done. A constant number of records.
///
/// # Errors
/// What the engine gives; a name that is too long.
pub fn rename(unit: &mut Unit<'_>, from: Key<'_>, to: Key<'_>, only_new: bool) -> Result<Option<bool>> {
    let Some((meta, payload)) = unit.read_header(from, |meta, payload| (*meta, payload.to_vec()))? else {
        return Ok(None);
    };
    if from == to {
        return Ok(Some(!only_new));
    }
    to.check()?;
    let target = unit.meta(to)?;
    if target.is_some() && only_new {
        return Ok(Some(false));
    }
    if let Some(target) = &target {
        unit.delete_key(to, target);
    }
    unit.forget_key(from, &meta);
    if meta.records {
        unit.name_incarnation(to, meta.incarnation);
    }
    let mut moved = meta;
    unit.put_header(to, None, &mut moved, &payload)?;
    Ok(Some(true))
}

/// Copies what `from` holds to `to`, which loses what it held if `replace`; `removing` takes it from `from`.
/// Says whether it was done. Records are read and written one by one.
///
/// # Errors
/// As [`rename`]; [`Error::SAME_OBJECT`]; those of [`Unit::check_size`].
pub fn copy(unit: &mut Unit<'_>, from: Key<'_>, to: Key<'_>, replace: bool, removing: bool) -> Result<bool> {
    if from == to {
        return Err(Error::SAME_OBJECT);
    }
    let Some((meta, payload)) = unit.read_header(from, |meta, payload| (*meta, payload.to_vec()))? else {
        return Ok(false);
    };
    to.check()?;
    let target = unit.meta(to)?;
    if target.is_some() && !replace {
        return Ok(false);
    }
    let mut copied = meta;
    if meta.records {
        copied.incarnation = unit.new_incarnation(to)?;
        copy_records(unit, from.keyspace, meta.incarnation, to.keyspace, copied.incarnation)?;
    }
    if let Some(target) = &target {
        unit.delete_key(to, target);
    }
    if removing {
        unit.delete_key(from, &meta);
    }
    unit.put_header(to, None, &mut copied, &payload)?;
    Ok(true)
}

/// How many records are copied between two looks at the cursor, and of how many bytes: the last may be
/// larger.
const PAGE: usize = 1024;
const PAGE_BYTES: usize = 1 << 20;

fn copy_records(unit: &mut Unit<'_>, from: u64, number: u64, to: u64, new: u64) -> Result<()> {
    let prefix = key::incarnation(from, number);
    let mut next = key::kind_prefix(from, number, kind::NAME + 1).to_vec();
    loop {
        let (mut page, mut bytes) = (Vec::with_capacity(PAGE), 0);
        let mut cursor = unit.cursor(Table::Elements, &prefix)?;
        let mut found = cursor.seek(&next)?;
        while found && page.len() < PAGE && bytes < PAGE_BYTES {
            bytes += cursor.key().len() + cursor.value().len();
            page.push((cursor.key().to_vec(), cursor.value().to_vec()));
            found = cursor.next()?;
        }
        let Some((last, _)) = page.last() else { return Ok(()) };
        next = [&last[..], &[0]].concat();
        for (old, value) in page {
            let rest = old.get(key::INCARNATION_BYTES..).unwrap_or_default();
            unit.put(Table::Elements, [&key::incarnation(to, new)[..], rest].concat(), value);
        }
        unit.check_size()?;
    }
}
