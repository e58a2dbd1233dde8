//! What must hold when a batch is ordered, and why it may be sent back.

use super::request::Request;
use crate::base::bounds::first_from;
use crate::base::error::Error;
use crate::base::key::{NEVER, SeqNum};
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
}

impl Default for Checks {
    fn default() -> Self {
        Checks { keys: Vec::new(), ranges: Vec::new(), before_ms: NEVER, owner: None, lock_timeout: None }
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
    /// The first key that it writes and somebody else has locked.
    pub(super) fn locked_key(&self, locks: &KeyLocks) -> Option<LockedKey> {
        if locks.held() == 0 {
            return None;
        }
        let owner = self.checks.as_ref().and_then(|checks| checks.owner);
        let mut key = LockedKey { family: 0, key: Vec::new() };
        for op in self.batch.iter().flatten() {
            if op.kind.is_range() {
                let to = op.range_end().map_or(Bound::Unbounded, Bound::Excluded);
                let held = locks.held_between(owner, op.family, (Bound::Included(op.key), to));
                if held.is_some() {
                    return held;
                }
                continue;
            }
            key.family = op.family;
            key.key.clear();
            key.key.extend_from_slice(op.key);
            if locks.holder(&key).is_some_and(|holder| Some(holder) != owner) {
                return Some(key);
            }
        }
        None
    }
}
