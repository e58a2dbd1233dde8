//! When a value expires, and changing it.

use super::family::ColumnFamily;
use super::read;
use super::snapshot::Snapshot;
use crate::base::error::{Error, Result};
use crate::base::key::NEVER;
use crate::base::slice::Slice;
use crate::batch::{FamilyRef, WriteBatch};
use crate::commit::{Checks, Durability, KeyCheck, Watch};
use std::time::Duration;

/// How long a value has left to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// It does not expire.
    Never,
    /// It expires after this time, by the store's expiry clock.
    Remaining(Duration),
}

impl Ttl {
    /// What is left at `now_ms` of a value's life; `None` once it is over.
    pub(crate) fn until(expires_at: u64, now_ms: u64) -> Option<Ttl> {
        if expires_at == NEVER {
            return Some(Ttl::Never);
        }
        let left = expires_at.saturating_sub(now_ms);
        (left > 0).then_some(Ttl::Remaining(Duration::from_millis(left)))
    }
}

/// How often an expiry is set anew when somebody else writes the key meanwhile.
const ATTEMPTS: u32 = 64;

/// The value of `key` at a snapshot, or in the present, and when it expires.
pub(crate) fn value_and_expiry(
    family: &ColumnFamily,
    snapshot: Option<&Snapshot>,
    key: &[u8],
) -> Result<Option<(Slice, u64)>> {
    read::get(family, snapshot, key, |found| (found.slice(), found.expires_at()))
}

impl ColumnFamily {
    /// How long the value of `key` has left to live; `None` if there is no such key.
    ///
    /// # Errors
    /// As [`ColumnFamily::get`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"user", b"ada")?;
    /// db.put_with_ttl(b"session", b"ada", Duration::from_secs(60))?;
    /// assert_eq!(db.ttl(b"user")?, Some(esker::Ttl::Never));
    /// assert!(matches!(db.ttl(b"session")?, Some(esker::Ttl::Remaining(left)) if left.as_secs() > 50));
    /// assert_eq!(db.ttl(b"nobody")?, None);
    /// # Ok(()) }
    /// ```
    pub fn ttl(&self, key: impl AsRef<[u8]>) -> Result<Option<Ttl>> {
        let expires_at = read::look(self, None, key.as_ref(), |found| found.expires_at())?;
        // Between the read and now it may have expired.
        Ok(expires_at.and_then(|at| Ttl::until(at, self.now_ms())))
    }

    /// Has the value of `key` expire `ttl` from now. Returns whether there is such a key. The value is
    /// written again, with the store's default durability.
    ///
    /// # Errors
    /// As [`super::Db::write`]; [`Error::Conflict`] if others write the key all the time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"session", b"ada")?;
    /// assert!(db.expire(b"session", Duration::from_secs(60))?);
    /// assert!(db.persist(b"session")?);
    /// assert_eq!(db.ttl(b"session")?, Some(esker::Ttl::Never));
    /// assert!(!db.expire(b"nobody", Duration::from_secs(60))?);
    /// # Ok(()) }
    /// ```
    pub fn expire(&self, key: impl AsRef<[u8]>, ttl: Duration) -> Result<bool> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.set_expiry(key.as_ref(), self.now_ms().saturating_add(ttl_ms).min(NEVER - 1))
    }

    /// Has the value of `key` expire at a moment, in milliseconds since the epoch. Returns whether there
    /// is such a key.
    ///
    /// # Errors
    /// As [`ColumnFamily::expire`].
    pub fn expire_at(&self, key: impl AsRef<[u8]>, expires_at_ms: u64) -> Result<bool> {
        self.set_expiry(key.as_ref(), expires_at_ms.min(NEVER - 1))
    }

    /// Has the value of `key` never expire. Returns whether there is such a key.
    ///
    /// # Errors
    /// As [`ColumnFamily::expire`].
    pub fn persist(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.set_expiry(key.as_ref(), NEVER)
    }

    /// Writes the value again with another expiry, if nobody writes the key meanwhile; else anew.
    fn set_expiry(&self, key: &[u8], expires_at: u64) -> Result<bool> {
        let inner = self.inner();
        let durability = inner.default_durability.get();
        let _watch = Watch::new(inner.store.clone());
        let mut conflict = None;
        for _ in 0..ATTEMPTS {
            let snapshot = Snapshot::new(inner.clone());
            let found = value_and_expiry(self, Some(&snapshot), key)?;
            let Some((value, before_ms)) = found else { return Ok(false) };
            if before_ms == expires_at {
                return Ok(true);
            }
            let mut batch = WriteBatch::new();
            batch.put_until(self, key, value, expires_at);
            let check = KeyCheck { family: self.family_id(), key: key.to_vec(), since: snapshot.seq() };
            let checks = Checks { keys: vec![check], before_ms, ..Checks::default() };
            match inner.store.commit_checked(batch, durability, checks) {
                Ok(ticket) => {
                    if durability == Durability::Sync {
                        inner.store.wait_durable(ticket.seq())?;
                    }
                    inner.scheduler.step();
                    return Ok(true);
                }
                Err(error @ Error::Conflict { .. }) => conflict = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(conflict.unwrap_or(Error::Closed))
    }
}
