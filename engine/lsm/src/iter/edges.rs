//! Small steps of a walk: where a bound lies, whether a key is the same.

use crate::base::cursor::Cursor;
use crate::base::error::Result;
use crate::base::key::MAX_SEQ;
use crate::base::key_buffer::KeyBuffer;
use std::ops::Bound;

/// Moves to the last entry whose user key is at most `key`; `buffer` is overwritten.
pub(super) fn seek_past_backward<C: Cursor>(below: &mut C, buffer: &mut KeyBuffer, key: &[u8]) -> Result<()> {
    // The key right after it in byte order.
    buffer.set(key);
    buffer.replace_from(key.len(), &[0]);
    below.seek_before(buffer, MAX_SEQ)
}

/// Whether `key` lies beyond an upper bound.
#[inline]
pub(super) fn is_beyond(upper: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match upper {
        Bound::Unbounded => false,
        Bound::Included(upper) => key > &upper[..],
        Bound::Excluded(upper) => key >= &upper[..],
    }
}

/// Whether two keys are the same. Neighbours differ at their ends.
#[inline]
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.last() == b.last() && a == b
}

pub(super) fn copy_into(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(bytes);
}
