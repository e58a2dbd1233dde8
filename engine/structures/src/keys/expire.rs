//! When keys end.

use crate::base::error::{Error, Result};
use crate::encoding::header::{Meta, NEVER};
use crate::store::{Key, Unit};

/// Under which conditions an expiry is set; all that are asked for must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The key has none.
    pub absent: bool,
    /// The key has one.
    pub present: bool,
    /// The new one is later; none is the latest.
    pub greater: bool,
    /// The new one is earlier; none is the latest.
    pub less: bool,
}

impl Limit {
    /// Refuses what does not go together.
    ///
    /// # Errors
    /// Redis' texts for that.
    pub fn check(&self) -> Result<()> {
        if self.absent && (self.present || self.greater || self.less) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(Error::fixed(text));
        }
        if self.greater && self.less {
            return Err(Error::fixed("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(())
    }
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// There is no such key.
    Absent,
    /// It does not expire.
    Forever,
    /// It expires at this time, in ms since the epoch, which is so many ms away.
    Until(u64, u64),
}

/// How long a key lives. One read.
///
/// # Errors
/// What the engine gives.
pub fn remaining(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Remaining> {
    Ok(match unit.meta(key)? {
        None => Remaining::Absent,
        Some(Meta { expires_at: NEVER, .. }) => Remaining::Forever,
        Some(meta) => Remaining::Until(meta.expires_at, meta.expires_at.saturating_sub(unit.now_ms())),
    })
}

/// Has a key expire at a time, in ms since the epoch; one that has come removes it. Says whether it was done.
/// One read and one record, and one or two more if the expiry becomes earlier.
///
/// # Errors
/// What [`Limit::check`] refuses; what the engine gives.
pub fn expire_at(unit: &mut Unit<'_>, key: Key<'_>, at_ms: u64, limit: Limit) -> Result<bool> {
    limit.check()?;
    let found = unit.read_header(key, |meta, payload| (*meta, payload.to_vec()))?;
    let Some((before, payload)) = found else { return Ok(false) };
    let now = before.expires_at;
    let refused = (limit.absent && now != NEVER)
        || (limit.present && now == NEVER)
        || (limit.greater && at_ms <= now)
        || (limit.less && at_ms >= now);
    if refused {
        return Ok(false);
    }
    if at_ms <= unit.now_ms() {
        unit.delete_key(key, &before);
        return Ok(true);
    }
    let mut after = Meta { expires_at: at_ms, ..before };
    unit.put_header(key, Some(&before), &mut after, &payload)?;
    Ok(true)
}

/// Has a key not expire. Says whether it did before.
///
/// # Errors
/// What the engine gives.
pub fn persist(unit: &mut Unit<'_>, key: Key<'_>) -> Result<bool> {
    let found = unit.read_header(key, |meta, payload| (*meta, payload.to_vec()))?;
    let Some((before, payload)) = found.filter(|(meta, _)| meta.expires_at != NEVER) else {
        return Ok(false);
    };
    let mut after = Meta { expires_at: NEVER, ..before };
    unit.put_header(key, Some(&before), &mut after, &payload)?;
    Ok(true)
}
