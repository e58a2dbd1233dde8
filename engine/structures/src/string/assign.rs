//! Reading and setting whole strings.

use super::value::{self, Found};
use crate::base::error::{Error, Result};
use crate::encoding::header::{Meta, NEVER, Type};
use crate::encoding::limits::MAX_STRING_BYTES;
use crate::store::{Key, Unit};
use std::time::Duration;

/// When a value is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    #[default]
    Always,
    /// If the key does not exist.
    IfAbsent,
    /// If the key exists.
    IfPresent,
}

/// What becomes of a key's expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// The key does not expire.
    #[default]
    Clear,
    /// It stays as it is.
    Keep,
    /// The key expires at this time, in ms since the epoch.
    At(u64),
    /// The key expires so long from now; parts of a millisecond are left out.
    In(Duration),
}

impl Expiry {
    /// The time of a header, given that of before.
    fn time(self, unit: &Unit<'_>, before: Option<&Meta>) -> u64 {
        match self {
            Expiry::Clear => NEVER,
            Expiry::Keep => before.map_or(NEVER, |before| before.expires_at),
            Expiry::At(at) => at,
            Expiry::In(left) => unit.moment_in(left),
        }
    }
}

/// How a value is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetOptions {
    /// When.
    pub condition: Condition,
    /// Until when.
    pub expiry: Expiry,
    /// Whether the old value is wanted, which must then be a string.
    pub get: bool,
}

/// What setting a value came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetOutcome {
    /// Whether it was set.
    pub is_set: bool,
    /// What was there, if that was asked for.
    pub old: Option<Vec<u8>>,
}

/// The value. One read, and one for each 4 KiB of a long string.
///
/// # Errors
/// [`Error::WRONG_TYPE`]; what the engine gives.
pub fn get(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Vec<u8>>> {
    value::find(unit, key)?.map(|found| value::whole(unit, key, found)).transpose()
}

/// The length in bytes; 0 if there is no such key. One read.
///
/// # Errors
/// As [`get`].
pub fn length(unit: &mut Unit<'_>, key: Key<'_>) -> Result<u64> {
    Ok(unit.meta_of(key, Type::String)?.map_or(0, |meta| meta.length))
}

/// Sets the value. One read; one record for a short value of a key that is there.
///
/// # Errors
/// [`Error::STRING_TOO_LONG`]; [`Error::WRONG_TYPE`] if the old value is wanted and is none; what the
/// engine gives.
pub fn set(unit: &mut Unit<'_>, key: Key<'_>, value: &[u8], options: SetOptions) -> Result<SetOutcome> {
    let (before, old) = if options.get {
        let found = value::find(unit, key)?;
        let meta = found.as_ref().map(|found| found.meta);
        (meta, found.map(|found| value::whole(unit, key, found)).transpose()?)
    } else {
        (unit.meta(key)?, None)
    };
    let allowed = match options.condition {
        Condition::Always => true,
        Condition::IfAbsent => before.is_none(),
        Condition::IfPresent => before.is_some(),
    };
    if allowed {
        check(value)?;
        let expires_at = options.expiry.time(unit, before.as_ref());
        let after = Meta { expires_at, ..Meta::new(Type::String) };
        value::put(unit, key, before.as_ref(), after, value)?;
    }
    Ok(SetOutcome { is_set: allowed, old })
}

fn check(value: &[u8]) -> Result<()> {
    if value.len() > MAX_STRING_BYTES { Err(Error::STRING_TOO_LONG) } else { Ok(()) }
}

/// Sets several values, all or - if one of the keys exists and `if_absent` - none. Says whether they were
/// set.
///
/// # Errors
/// As [`set`].
pub fn set_many(unit: &mut Unit<'_>, entries: &[(Key<'_>, &[u8])], if_absent: bool) -> Result<bool> {
    for (key, value) in entries {
        key.check()?;
        check(value)?;
        if if_absent && unit.meta(*key)?.is_some() {
            return Ok(false);
        }
    }
    for (key, value) in entries {
        set(unit, *key, value, SetOptions::default())?;
    }
    Ok(true)
}

/// Hands the values of several keys to `each` in their order, as of one moment; what is no string counts as
/// none. Their headers are read together.
///
/// # Errors
/// Those of `each`; what the engine gives.
pub fn each_of(
    unit: &mut Unit<'_>,
    keys: &[Key<'_>],
    mut each: impl FnMut(Option<Vec<u8>>) -> Result<()>,
) -> Result<()> {
    unit.one_by_one(keys, |unit, key| match get(unit, key) {
        Err(error) if error.is_wrong_type() => each(None),
        value => each(value?),
    })
}

/// The values of several keys.
///
/// # Errors
/// [`Error::COMMAND_TOO_LARGE`]; what the engine gives.
pub fn get_many(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<Vec<Option<Vec<u8>>>> {
    let (mut values, mut memory) = (Vec::with_capacity(keys.len()), unit.memory());
    each_of(unit, keys, |value| {
        memory.take(value.as_ref().map_or(0, Vec::len))?;
        values.push(value);
        Ok(())
    })?;
    Ok(values)
}

/// The value, and removes it.
///
/// # Errors
/// As [`get`].
pub fn get_delete(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Vec<u8>>> {
    let Some(found) = value::find(unit, key)? else { return Ok(None) };
    let meta = found.meta;
    let old = value::whole(unit, key, found)?;
    unit.delete_key(key, &meta);
    Ok(Some(old))
}

/// The value, and gives it another expiry. One whose time has come is removed.
///
/// # Errors
/// As [`get`].
pub fn get_expiring(unit: &mut Unit<'_>, key: Key<'_>, expiry: Expiry) -> Result<Option<Vec<u8>>> {
    let Some(found) = value::find(unit, key)? else { return Ok(None) };
    let before = found.meta;
    let mut after = before;
    after.expires_at = expiry.time(unit, Some(&before));
    if after.is_expired(unit.now_ms()) {
        let old = value::whole(unit, key, found)?;
        unit.delete_key(key, &before);
        return Ok(Some(old));
    }
    // To set the expiry that is there already is to modify the key, for whoever watches it.
    if matches!(expiry, Expiry::At(_) | Expiry::In(_)) || after.expires_at != before.expires_at {
        unit.put_header(key, Some(&before), &mut after, &found.inline)?;
    }
    Ok(Some(value::whole(unit, key, Found { meta: before, inline: found.inline })?))
}
