//! A value that is handed out without being copied.
//!
//! Invariant of the shared form: `bytes` points into memory that `owner` keeps alive and unchanged
//! for as long as it exists. It is established by the only constructor, [`Slice::from_owner`],
//! whose caller shows the owner and the bytes at the same time.

use crate::base::memory::{Account, Charge};
use crate::base::sync::Arc;
use std::any::Any;
use std::fmt;
use std::ops::Deref;

const INLINE_BYTES: usize = 30;

/// Bytes read from the store: cheap to clone, `Send` and `Sync`, valid for as long as it is held.
///
/// Short values stand inside the slice itself. A longer one shares the cached block (or the
/// memtable) that it was read from and keeps that block in memory until the last clone is dropped;
/// copy it with [`to_vec`](slice::to_vec) to hold a few bytes for a long time.
#[derive(Clone)]
pub struct Slice(Repr);

#[derive(Clone)]
enum Repr {
    Inline {
        len: u8,
        bytes: [u8; INLINE_BYTES],
    },
    /// A copy: counted and kept in one piece of memory.
    Copied(Arc<[u8]>),
    Shared {
        #[expect(dead_code, reason = "held so that `bytes` stays alive")]
        owner: Arc<dyn Any + Send + Sync>,
        bytes: *const [u8],
    },
}

// SAFETY: the shared form points into memory that its owner (`Send + Sync`) keeps alive and never
// changes, so that reading it from any thread is sound; the inline form is plain bytes.
unsafe impl Send for Slice {}
// SAFETY: as above: only shared, immutable access is given out.
unsafe impl Sync for Slice {}

impl Slice {
    /// Copies `bytes`: inline when short, into memory of its own otherwise.
    #[must_use]
    pub fn copy(bytes: &[u8]) -> Slice {
        if let Some(slice) = Slice::inline(bytes) {
            return slice;
        }
        Slice(Repr::Copied(Arc::from(bytes)))
    }

    /// Takes `bytes` over without copying them, unless they are short.
    #[must_use]
    pub fn own(bytes: Vec<u8>) -> Slice {
        if let Some(slice) = Slice::inline(&bytes) {
            return slice;
        }
        let owner: Arc<Vec<u8>> = Arc::new(bytes);
        let bytes: *const [u8] = owner.as_slice();
        Slice(Repr::Shared { owner, bytes })
    }

    /// As [`Slice::own`]; the bytes count in `account` until the last clone is dropped.
    #[must_use]
    pub fn own_counted(bytes: Vec<u8>, account: &Arc<Account>) -> Slice {
        if let Some(slice) = Slice::inline(&bytes) {
            return slice;
        }
        let charge = account.charge(bytes.capacity());
        let owner: Arc<(Vec<u8>, Charge)> = Arc::new((bytes, charge));
        let bytes: *const [u8] = owner.0.as_slice();
        Slice(Repr::Shared { owner, bytes })
    }

    fn inline(bytes: &[u8]) -> Option<Slice> {
        let len = bytes.len();
        if len > INLINE_BYTES {
            return None;
        }
        let mut inline = [0; INLINE_BYTES];
        inline[..len].copy_from_slice(bytes);
        Some(Slice(Repr::Inline { len: len as u8, bytes: inline }))
    }

    /// Shares `bytes`, which live in `owner`; short values are copied inline and pin nothing.
    ///
    /// # Safety
    /// `bytes` must point into memory that stays valid and unchanged for as long as any clone of
    /// `owner` exists.
    #[must_use]
    pub unsafe fn from_owner<T: Any + Send + Sync>(owner: &Arc<T>, bytes: *const [u8]) -> Slice {
        // SAFETY: the caller says that `bytes` is valid while `owner` exists, and we borrow it now.
        if let Some(slice) = Slice::inline(unsafe { &*bytes }) {
            return slice;
        }
        Slice(Repr::Shared { owner: owner.clone(), bytes })
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Copied(bytes) => bytes,
            // SAFETY: `owner`, held beside the pointer, keeps the bytes alive and unchanged.
            Repr::Shared { bytes, .. } => unsafe { &**bytes },
        }
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

impl Default for Slice {
    fn default() -> Self {
        Slice::copy(b"")
    }
}

impl From<&[u8]> for Slice {
    fn from(bytes: &[u8]) -> Self {
        Slice::copy(bytes)
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Slice {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for Slice {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_outlive_their_source_and_compare_as_bytes() {
        for len in [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 5000] {
            let owner = Arc::new(vec![7u8; len]);
            // SAFETY: the vector is never changed after this point.
            let shared = unsafe { Slice::from_owner(&owner, owner.as_slice()) };
            let copied = Slice::copy(&owner);
            drop(owner);
            let clone = shared.clone();
            drop(shared);
            assert_eq!(clone, vec![7u8; len]);
            assert_eq!(clone, copied);
        }
    }

    #[test]
    fn short_values_pin_nothing() {
        let owner = Arc::new(vec![1u8; INLINE_BYTES]);
        // SAFETY: the vector is never changed after this point.
        let _short = unsafe { Slice::from_owner(&owner, owner.as_slice()) };
        assert_eq!(Arc::strong_count(&owner), 1);
    }
}
