//! A cursor over a range of keys.

use super::family::ReadOnlyFamily;
use super::walk::Walk;
use crate::base::error::Result;
use crate::base::key::NEVER;
use crate::base::observe::ReadContext;
use crate::base::slice::Slice;
use crate::db::ScanOptions;
use crate::tree::TreeCursor;
use std::fmt;

/// A position in a range of keys of a [`ReadOnlyFamily`] that moves both ways and anywhere: key and value are
/// borrowed where they stand. Owned: it holds what it reads.
///
/// Every movement says whether the cursor now stands on an entry. After an error it stands nowhere, and every
/// later movement returns the error again.
pub struct ReadOnlyCursor {
    walk: Walk,
    at: TreeCursor,
}

impl fmt::Debug for ReadOnlyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyCursor").field("valid", &self.valid()).finish_non_exhaustive()
    }
}

impl ReadOnlyCursor {
    pub(super) fn new(family: &ReadOnlyFamily, options: ScanOptions) -> ReadOnlyCursor {
        let walk = Walk::new(family, options);
        let at = walk.cursor();
        ReadOnlyCursor { walk, at }
    }

    /// Whether it stands on an entry.
    #[must_use]
    pub fn valid(&self) -> bool {
        self.at.valid()
    }

    /// The key. Empty while the cursor stands nowhere.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        if self.valid() { self.at.key() } else { b"" }
    }

    /// The value. Empty while the cursor stands nowhere, and with [`ScanOptions::keys_only`].
    #[must_use]
    pub fn value(&self) -> &[u8] {
        if self.shows_values() { self.at.value() } else { b"" }
    }

    /// The value, to be held beyond the next movement.
    #[must_use]
    pub fn value_slice(&self) -> Slice {
        if self.shows_values() { self.at.value_slice() } else { Slice::default() }
    }

    /// When the entry expires, in milliseconds since the epoch; `None` if it does not, or the cursor stands
    /// nowhere.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.valid().then(|| self.at.expires_at()).filter(|at| *at != NEVER)
    }

    /// What it has cost so far; `None` without [`ScanOptions::with_context`].
    #[must_use]
    pub fn context(&self) -> Option<ReadContext> {
        self.walk.context(self.at.skipped(), self.at.operands())
    }

    fn shows_values(&self) -> bool {
        self.valid() && !self.walk.options.leaves_values_out()
    }

    fn go(&mut self, movement: impl FnOnce(&mut TreeCursor) -> Result<()>) -> Result<bool> {
        self.at.check().and_then(|()| movement(&mut self.at)).map_err(Walk::told)?;
        Ok(self.valid())
    }

    /// Moves to the first entry.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] if a block on the way is damaged; [`crate::Error::FileGone`]; I/O errors.
    /// They are sticky. The same goes for every movement.
    pub fn seek_to_first(&mut self) -> Result<bool> {
        self.go(TreeCursor::seek_to_first)
    }

    /// Moves to the last entry.
    ///
    /// # Errors
    /// As [`ReadOnlyCursor::seek_to_first`].
    pub fn seek_to_last(&mut self) -> Result<bool> {
        self.go(TreeCursor::seek_to_last)
    }

    /// Moves to the first entry at or after `key`.
    ///
    /// # Errors
    /// As [`ReadOnlyCursor::seek_to_first`].
    pub fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.go(|at| at.seek(key.as_ref()))
    }

    /// Moves to the last entry at or before `key`.
    ///
    /// # Errors
    /// As [`ReadOnlyCursor::seek_to_first`].
    pub fn seek_for_prev(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.go(|at| at.seek_for_prev(key.as_ref()))
    }

    /// Moves to the next entry. A cursor that stands nowhere stays there.
    ///
    /// # Errors
    /// As [`ReadOnlyCursor::seek_to_first`].
    #[allow(clippy::should_implement_trait, reason = "a cursor, which can also go back and fail")]
    pub fn next(&mut self) -> Result<bool> {
        self.go(|at| if at.valid() { at.next() } else { Ok(()) })
    }

    /// Moves to the previous entry. A cursor that stands nowhere stays there.
    ///
    /// # Errors
    /// As [`ReadOnlyCursor::seek_to_first`].
    pub fn prev(&mut self) -> Result<bool> {
        self.go(|at| if at.valid() { at.prev() } else { Ok(()) })
    }
}
