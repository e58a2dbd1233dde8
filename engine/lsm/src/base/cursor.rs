//! The one interface through which sorted runs of entries are walked.

use super::error::Result;
use super::key::{EntryRef, SeqNum, Trailer};
use super::slice::Slice;

/// A position in a sorted run of entries, in internal-key order (see [`super::key::compare`]).
///
/// A cursor starts out invalid. After an error it is invalid and stays so: each later step returns
/// the error again (errors are sticky).
pub trait Cursor {
    /// Whether the cursor stands on an entry.
    fn valid(&self) -> bool;

    /// The user key of the current entry. Requires [`Cursor::valid`].
    fn user_key(&self) -> &[u8];

    /// Sequence number and tag of the current entry. Requires [`Cursor::valid`].
    fn trailer(&self) -> Trailer;

    /// The current entry. Requires [`Cursor::valid`].
    fn entry(&self) -> EntryRef<'_>;

    /// The value of the current entry as a [`Slice`] that outlives the cursor's position.
    /// Requires [`Cursor::valid`].
    fn value_slice(&self) -> Slice;

    /// Moves to the first entry.
    fn seek_to_first(&mut self) -> Result<()>;

    /// Moves to the last entry.
    fn seek_to_last(&mut self) -> Result<()>;

    /// Moves to the first entry at or after `key` as seen at `seq`: of the entries of `key` itself
    /// those newer than `seq` are passed over.
    fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<()>;

    /// Moves to the last entry that stands before where [`Cursor::seek`] with the same arguments
    /// would stop.
    fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<()>;

    /// Moves to the next entry; invalid after the last. Requires [`Cursor::valid`].
    fn next(&mut self) -> Result<()>;

    /// Moves to the next entry and shows it; `None` after the last. As [`Cursor::next`] otherwise.
    #[inline]
    fn advance(&mut self) -> Result<Option<EntryRef<'_>>> {
        self.next()?;
        Ok(if self.valid() { Some(self.entry()) } else { None })
    }

    /// Moves to the previous entry; invalid before the first. Requires [`Cursor::valid`].
    fn prev(&mut self) -> Result<()>;

    /// As [`Cursor::advance`] the other way.
    #[inline]
    fn retreat(&mut self) -> Result<Option<EntryRef<'_>>> {
        self.prev()?;
        Ok(if self.valid() { Some(self.entry()) } else { None })
    }

    /// Passes over entries that are all older than `seq`, to the first one at or after `key`, or to the end
    /// without a key. Returns false, and stays, where it cannot tell without looking at each: what it
    /// passes over costs nothing. Requires [`Cursor::valid`], and that it stands before `key`.
    fn skip_to(&mut self, _key: Option<&[u8]>, _seq: SeqNum) -> Result<bool> {
        Ok(false)
    }

    /// As [`Cursor::skip_to`] the other way: to the last entry before `key`, or nowhere if that is empty.
    /// Requires that it does not stand before it yet.
    fn skip_before(&mut self, _key: &[u8], _seq: SeqNum) -> Result<bool> {
        Ok(false)
    }
}
