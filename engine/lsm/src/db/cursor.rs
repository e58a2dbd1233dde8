//! A cursor over a range of keys.

use super::family::ColumnFamily;
use super::scan::{Scan, ScanOptions};
use super::snapshot::Snapshot;
use crate::base::error::Result;
use crate::base::key::{NEVER, SeqNum};
use crate::base::observe::ReadContext;
use crate::base::slice::Slice;
use crate::tree::TreeCursor;
use std::fmt;

/// A position in a range of keys that moves both ways and anywhere, for loops that must not allocate:
/// key and value are borrowed where they stand. Owned: it holds what it reads, and keeps the store
/// open. It shows the state of the moment at which it was made, until [`Cursor::refresh`].
///
/// Every movement says whether the cursor now stands on an entry. After an error it stands nowhere, and
/// every later movement returns the error again: what stands behind damage is not skipped in silence.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = esker::Db::open(dir.path().join("data"))?;
/// for (name, score) in [("ada", "9"), ("bob", "7"), ("cyd", "8")] {
///     db.put(name, score)?;
/// }
/// let mut cursor = db.cursor(esker::ScanOptions::default())?;
/// let mut found = cursor.seek("b")?;
/// while found {
///     println!("{:?} {:?}", cursor.key(), cursor.value());
///     found = cursor.next()?;
/// }
/// assert!(cursor.seek_for_prev("b")?);
/// assert_eq!(cursor.key(), b"ada");
/// # Ok(()) }
/// ```
pub struct Cursor {
    scan: Scan,
    at: TreeCursor,
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("seq", &self.scan.seq()).finish_non_exhaustive()
    }
}

impl Cursor {
    fn new(family: &ColumnFamily, snapshot: Option<&Snapshot>, options: ScanOptions) -> Result<Cursor> {
        let scan = Scan::new(family, snapshot, options)?;
        let at = scan.cursor();
        Ok(Cursor { scan, at })
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

    /// When the entry expires, in milliseconds since the epoch; `None` if it does not, or the cursor
    /// stands nowhere.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.valid().then(|| self.at.expires_at()).filter(|at| *at != NEVER)
    }

    /// The last sequence number that it sees.
    #[must_use]
    pub fn seq(&self) -> SeqNum {
        self.scan.seq()
    }

    /// What it has cost so far; `None` without [`ScanOptions::with_context`].
    #[must_use]
    pub fn context(&self) -> Option<ReadContext> {
        self.scan.context(self.at.skipped(), self.at.operands())
    }

    /// Begins to walk anew over what is held.
    fn begin_anew(&mut self) {
        self.scan.keep_context(&self.at);
        self.at = self.scan.cursor();
    }

    fn shows_values(&self) -> bool {
        self.valid() && !self.scan.options.leaves_values_out()
    }

    /// Moves to the first entry.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] if a block on the way is damaged; I/O errors. They are sticky. The
    /// same goes for every movement.
    pub fn seek_to_first(&mut self) -> Result<bool> {
        self.go(TreeCursor::seek_to_first)
    }

    /// Moves to the last entry.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    pub fn seek_to_last(&mut self) -> Result<bool> {
        self.go(TreeCursor::seek_to_last)
    }

    /// Moves to the first entry at or after `key`.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    pub fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.go(|at| at.seek(key.as_ref()))
    }

    /// Moves to the last entry at or before `key`.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    pub fn seek_for_prev(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.go(|at| at.seek_for_prev(key.as_ref()))
    }

    /// Moves to the next entry. A cursor that stands nowhere stays there.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    #[allow(clippy::should_implement_trait, reason = "a cursor, which can also go back and fail")]
    pub fn next(&mut self) -> Result<bool> {
        match self.rejoin(TreeCursor::seek_for_prev)? {
            Stand::Lost => self.at.seek_to_first()?,
            Stand::Kept if self.valid() => self.at.next()?,
            Stand::Kept => self.at.check()?,
        }
        Ok(self.valid())
    }

    /// Moves to the previous entry. A cursor that stands nowhere stays there.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`].
    pub fn prev(&mut self) -> Result<bool> {
        match self.rejoin(TreeCursor::seek)? {
            Stand::Lost => self.at.seek_to_last()?,
            Stand::Kept if self.valid() => self.at.prev()?,
            Stand::Kept => self.at.check()?,
        }
        Ok(self.valid())
    }

    /// Moves on to the state of this moment, and to the first entry at or after the key that it stood
    /// on. If nothing was flushed or compacted meanwhile, the cursor goes on with what it holds. On a
    /// cursor of a snapshot it changes nothing.
    ///
    /// # Errors
    /// As [`Cursor::seek_to_first`]; [`crate::Error::Closed`], [`crate::Error::FamilyDropped`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put("a", "1")?;
    /// let mut cursor = db.cursor(esker::ScanOptions::default())?;
    /// assert!(cursor.seek_to_first()?);
    /// db.put("b", "2")?;
    /// assert!(!cursor.next()?, "it shows the state that it was made in");
    /// cursor.refresh()?;
    /// assert!(cursor.seek("b")?);
    /// # Ok(()) }
    /// ```
    pub fn refresh(&mut self) -> Result<bool> {
        self.scan.step();
        let stood = self.valid().then(|| self.at.key().to_vec());
        self.at.check()?;
        let same = self.scan.refresh()?;
        if same {
            self.scan.show(&mut self.at);
        } else {
            self.begin_anew();
        }
        if let Some(key) = stood {
            self.at.seek(&key)?;
        }
        Ok(self.valid())
    }

    fn go(&mut self, movement: impl FnOnce(&mut TreeCursor) -> Result<()>) -> Result<bool> {
        self.at.check()?;
        if self.scan.keeps_to_durable()? {
            self.begin_anew();
        }
        let timed = self.scan.begin_seek();
        movement(&mut self.at)?;
        self.scan.end_seek(timed);
        Ok(self.valid())
    }

    /// After a failed sync goes on with what is durable, from where the cursor stands: at the same key,
    /// or where `seek` leads to from there.
    fn rejoin(&mut self, seek: impl FnOnce(&mut TreeCursor, &[u8]) -> Result<()>) -> Result<Stand> {
        self.at.check()?;
        if !self.scan.keeps_to_durable()? {
            return Ok(Stand::Kept);
        }
        let stood = self.valid().then(|| self.at.key().to_vec());
        self.begin_anew();
        let Some(key) = stood else { return Ok(Stand::Kept) };
        seek(&mut self.at, &key)?;
        Ok(if self.valid() { Stand::Kept } else { Stand::Lost })
    }
}

/// What has become of the place that a cursor stood at.
enum Stand {
    /// It is there, or the one before it in the direction from which the cursor came.
    Kept,
    /// Nothing is left in that direction.
    Lost,
}

impl ColumnFamily {
    /// A cursor over what `options` say, which stands nowhere yet.
    ///
    /// # Errors
    /// [`crate::Error::Closed`], [`crate::Error::FamilyDropped`].
    pub fn cursor(&self, options: ScanOptions) -> Result<Cursor> {
        Cursor::new(self, None, options)
    }
}

impl Snapshot {
    /// A cursor over what `options` say of `family`, which stands nowhere yet.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn cursor(&self, family: &ColumnFamily, options: ScanOptions) -> Result<Cursor> {
        Cursor::new(family, Some(self), options)
    }
}
