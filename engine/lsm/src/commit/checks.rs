//! What must hold when a batch is ordered, and why it may be sent back.

use super::hold::Hold;
use super::request::Request;
use crate::base::bounds::first_from;
use crate::base::error::Error;
use crate::base::key::{NEVER, SeqNum};
use crate::base::sync::Arc;
use crate::batch::WriteBatch;
use crate::locks::{KeyLocks, LockedKey, OwnerId, Recent, RecentWrites};
use std::ops::Bound;
use std::time::Duration;

/// A key that must not have been written behind a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCheck {
    /// The column family's number.
    pub family: u32,
    /// The user key.
    pub key: Vec<u8>,
    /// The sequence number.
    pub since: SeqNum,
}

/// A range of which nothing must have been written behind a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeCheck {
    /// The column family's number.
    pub family: u32,
    /// Where it starts.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends.
    pub upper: Bound<Vec<u8>>,
    /// The sequence number.
    pub since: SeqNum,
}

/// What must hold when a batch is ordered.
#[derive(Clone, Debug)]
pub struct Checks {
    /// Keys that must be unwritten.
    pub keys: Vec<KeyCheck>,
    /// Ranges that must be unwritten.
    pub ranges: Vec<RangeCheck>,
    /// It must be ordered before this time, in milliseconds since the epoch: then a value expires that
    /// it relies on.
    pub before_ms: u64,
    /// Whose locks do not stand in its way.
    pub owner: Option<OwnerId>,
    /// How long it waits for the locks of others; the store's option if it does not say.
    pub lock_timeout: Option<Duration>,
    /// What is locked and guarded for the owner in the same step, if the batch prepares a transaction.
    pub hold: Option<Arc<Hold>>,
    /// Whether it ends a prepared transaction: all that it writes is held by its owner, and what others lock
    /// for a moment, before they find that out, is not in its way.
    pub resolves: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Checks {
            keys: Vec::new(),
            ranges: Vec::new(),
            before_ms: NEVER,
            owner: None,
            lock_timeout: None,
            hold: None,
            resolves: false,
        }
    }
}

/// How a request fared that was not written.
#[derive(Debug)]
pub enum Refused {
    /// For good.
    Failed(Error),
    /// It comes back and may be submitted again.
    Again(Box<Again>),
}

/// A request that comes back.
#[derive(Debug)]
pub struct Again {
    /// The request.
    pub request: Request,
    /// Why.
    pub why: Why,
}

/// Why a request comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum Why {
    /// The table of recent writes does not reach back far enough: look into the tree.
    Stale,
    /// A key was written.
    Written(LockedKey),
    /// A value has expired that it relies on.
    Expired,
    /// Somebody else has locked a key that it writes.
    Locked(LockedKey),
    /// It writes a key that somebody else guards, or guards one that somebody else will remove.
    Guarded {
        /// The key.
        key: LockedKey,
        /// Who holds the guard.
        holder: OwnerId,
    },
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Failed(error)
    }
}

impl KeyCheck {
    /// The key with its family.
    #[must_use]
    pub fn locked_key(&self) -> LockedKey {
        LockedKey { family: self.family, key: self.key.clone() }
    }
}

fn as_slices<'b>(lower: &'b Bound<Vec<u8>>, upper: &'b Bound<Vec<u8>>) -> (Bound<&'b [u8]>, Bound<&'b [u8]>) {
    (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice))
}

impl Checks {
    /// Judges by what was written of late; in the ordering section, at `now_ms`.
    ///
    /// # Errors
    /// Why the request must come back.
    pub fn judge(&self, recent: &RecentWrites, now_ms: u64) -> Result<(), Why> {
        if now_ms >= self.before_ms {
            return Err(Why::Expired);
        }
        let mut stale = false;
        for check in &self.keys {
            match recent.key(check.family, &check.key, check.since) {
                Recent::Unwritten => {}
                Recent::Unknown => stale = true,
                Recent::Written(_) => {
                    return Err(Why::Written(check.locked_key()));
                }
            }
        }
        for check in &self.ranges {
            let bounds = as_slices(&check.lower, &check.upper);
            match recent.range(check.family, bounds, check.since) {
                Recent::Unwritten => {}
                Recent::Unknown => stale = true,
                Recent::Written(_) => {
                    let key = recent.written_key(check.family, bounds, check.since);
                    let key = key.unwrap_or_else(|| first_from(bounds.0, &[]));
                    return Err(Why::Written(LockedKey { family: check.family, key }));
                }
            }
        }
        if stale { Err(Why::Stale) } else { Ok(()) }
    }
}

impl Request {
    /// Whether no lock and no guard of others is in the way. What a batch that prepares a transaction is to
    /// hold is held then.
    pub(super) fn pass_locks(&self, locks: &KeyLocks) -> Result<(), Why> {
        let checks = self.checks.as_deref();
        if checks.is_some_and(|checks| checks.resolves) {
            return Ok(());
        }
        let owner = checks.and_then(|checks| checks.owner);
        match (checks.and_then(|checks| checks.hold.as_ref()), owner) {
            (Some(hold), Some(owner)) => hold.take(locks, owner),
            _ => may_write(&self.batch, locks, owner),
        }
    }
}

/// Whether nobody else has locked or guards anything that a batch writes.
pub(super) fn may_write(batch: &WriteBatch, locks: &KeyLocks, owner: Option<OwnerId>) -> Result<(), Why> {
    if locks.is_free() {
        return Ok(());
    }
    let guards = locks.guards();
    let mut key = LockedKey { family: 0, key: Vec::new() };
    let mut behind = Vec::new();
    for op in batch.iter().flatten() {
        if op.kind.is_range() {
            let to = op.range_end().map_or(Bound::Unbounded, Bound::Excluded);
            if let Some(held) = locks.held_between(owner, op.family, (Bound::Included(op.key), to)) {
                return Err(Why::Locked(held));
            }
            if let Some((holder, key)) = guards.against_write(owner, op.family, op.key, op.range_end()) {
                return Err(Why::Guarded { key, holder });
            }
            continue;
        }
        key.family = op.family;
        key.key.clear();
        key.key.extend_from_slice(op.key);
        if locks.holder(&key).is_some_and(|holder| Some(holder) != owner) {
            return Err(Why::Locked(key));
        }
        if guards.is_empty() {
            continue;
        }
        behind.clear();
        behind.extend_from_slice(op.key);
        behind.push(0);
        if let Some((holder, key)) = guards.against_write(owner, op.family, op.key, Some(&behind)) {
            return Err(Why::Guarded { key, holder });
        }
    }
    Ok(())
}
