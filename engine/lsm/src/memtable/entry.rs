//! One entry as it stands in the arena: a header, the expiry time if there is one, key, value.
//!
//! An entry is written once, before anyone else knows its address, and never changed. Its address
//! is passed on by release stores and taken up by acquire loads (see `skiplist`), which is what
//! makes its bytes visible to readers.

use super::arena::{ALIGN, Arena};
use crate::base::key::{EntryRef, NEVER, Trailer};
use crate::base::limits;
#[cfg(loom)]
use crate::base::sync::TrackedCell;
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The fixed part of an entry. The bytes follow it.
#[repr(C)]
pub(super) struct Header {
    trailer: Trailer,
    key_len: u32,
    value_len: u32,
    /// Lets the model checker see accesses to the bytes, which are none of its own types.
    #[cfg(loom)]
    bytes: TrackedCell<()>,
}

const _: () = assert!(align_of::<Header>() <= ALIGN);
const _: () = assert!(limits::MAX_KEY_BYTES <= u32::MAX as usize);
const _: () = assert!(limits::MAX_VALUE_BYTES <= u32::MAX as usize);

/// A reference to an entry in an arena that lives for `'a`.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    header: NonNull<Header>,
    arena: PhantomData<&'a [u8]>,
}

// SAFETY: a shared reference to memory that is never written again.
unsafe impl Send for Entry<'_> {}
// SAFETY: as above.
unsafe impl Sync for Entry<'_> {}

impl<'a> Entry<'a> {
    /// Copies `entry` into the arena and returns its address there.
    ///
    /// # Safety
    /// The caller bounds the lifetime: the arena must outlive every use.
    #[inline]
    pub(super) unsafe fn write(arena: &mut Arena, entry: &EntryRef<'_>) -> Entry<'a> {
        assert!(entry.key.len() <= limits::MAX_KEY_BYTES && entry.value.len() <= limits::MAX_VALUE_BYTES);
        let trailer = entry.trailer();
        let expiry_bytes = if trailer.has_expiry() { 8 } else { 0 };
        let bytes = size_of::<Header>() + expiry_bytes + entry.key.len() + entry.value.len();
        let header = arena.allocate(bytes).cast::<Header>();
        // SAFETY: the piece is `bytes` long, aligned for a header, and known to nobody else; the
        // three copies stay within it by the sum above.
        unsafe {
            header.write(Header {
                trailer,
                key_len: entry.key.len() as u32,
                value_len: entry.value.len() as u32,
                #[cfg(loom)]
                bytes: TrackedCell::new(()),
            });
            let mut to = header.add(1).cast::<u8>().as_ptr();
            if trailer.has_expiry() {
                to.cast::<u64>().write_unaligned(entry.expires_at);
                to = to.add(8);
            }
            to.copy_from_nonoverlapping(entry.key.as_ptr(), entry.key.len());
            to.add(entry.key.len()).copy_from_nonoverlapping(entry.value.as_ptr(), entry.value.len());
            #[cfg(loom)]
            header.as_ref().bytes.with_mut(|_| ());
        }
        Entry { header, arena: PhantomData }
    }

    /// Takes up an address that was published.
    ///
    /// # Safety
    /// `header` came from [`Entry::into_raw`], its bytes are visible to this thread, and the arena
    /// lives for `'a`.
    pub(super) unsafe fn from_raw(header: *mut Header) -> Entry<'a> {
        debug_assert!(!header.is_null());
        // SAFETY: `into_raw` returns no null.
        Entry { header: unsafe { NonNull::new_unchecked(header) }, arena: PhantomData }
    }

    /// The address, to be published.
    pub(super) fn into_raw(self) -> *mut Header {
        self.header.as_ptr()
    }

    fn header(self) -> &'a Header {
        // SAFETY: the type's invariant: the header is initialised, unchanging, and lives for `'a`.
        let header = unsafe { self.header.as_ref() };
        #[cfg(loom)]
        header.bytes.with(|_| ());
        header
    }

    /// Where the key starts: behind the header and the expiry time.
    fn body(self) -> *const u8 {
        let expiry_bytes = if self.header().trailer.has_expiry() { 8 } else { 0 };
        // SAFETY: both stand within the piece that `write` allocated.
        unsafe { self.header.as_ptr().add(1).cast::<u8>().add(expiry_bytes) }
    }

    pub(super) fn trailer(self) -> Trailer {
        self.header().trailer
    }

    pub(super) fn key(self) -> &'a [u8] {
        // SAFETY: `write` put `key_len` bytes there, which live unchanged for `'a`.
        unsafe { std::slice::from_raw_parts(self.body(), self.header().key_len as usize) }
    }

    pub(super) fn value(self) -> &'a [u8] {
        let header = self.header();
        // SAFETY: `write` put `value_len` bytes behind the key, which live unchanged for `'a`.
        unsafe {
            std::slice::from_raw_parts(self.body().add(header.key_len as usize), header.value_len as usize)
        }
    }

    fn expires_at(self) -> u64 {
        if !self.header().trailer.has_expiry() {
            return NEVER;
        }
        // SAFETY: with the flag set, `write` put the time right behind the header.
        unsafe { self.header.as_ptr().add(1).cast::<u64>().read_unaligned() }
    }

    pub(super) fn to_ref(self) -> EntryRef<'a> {
        let trailer = self.trailer();
        EntryRef {
            key: self.key(),
            seq: trailer.seq(),
            kind: trailer.kind().expect("only known kinds are inserted"),
            expires_at: self.expires_at(),
            value: self.value(),
        }
    }

    /// The order of internal keys: user key ascending, then newest first.
    pub(super) fn compare(self, key: &[u8], trailer: Trailer) -> Ordering {
        crate::base::key::compare((self.key(), self.trailer()), (key, trailer))
    }
}
