//! What decoding allocates. A number in damaged bytes must not decide over the memory of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// The largest allocation of this thread since it was last set to zero.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator; it remembers the largest allocation of each thread. A program that wants the
/// targets to watch their allocations makes it the global one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting;

fn note(bytes: usize) {
    // A thread that is ending has no cell any more, and decodes nothing.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
}

// SAFETY: every call is handed on to the system's allocator as it came, which keeps the contract; `note`
// allocates nothing, does not unwind and touches no memory but a cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises about `layout` are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note(bytes);
        // SAFETY: as above; whatever this allocator handed out, the system did.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What a reader may allocate besides its input: windows for reading files, messages, a cache's tables.
const LEAST_BYTES: usize = 512 << 10;

/// What three bytes of a zstd frame can stand for.
const ZSTD_BLOCK_BYTES: usize = 128 << 10;

/// The limit for an input in which nothing is compressed.
pub(super) fn plain(input: usize) -> usize {
    (2 * input).max(LEAST_BYTES)
}

/// The limit for an input that may hold compressed blocks.
pub(super) fn compressible(input: usize) -> usize {
    plain(input).max((input / 3 + 1) * ZSTD_BLOCK_BYTES)
}

/// Does a job that must not allocate more than `limit` bytes at once.
pub(super) fn within<R>(limit: usize, job: impl FnOnce() -> R) -> R {
    LARGEST.set(0);
    let result = job();
    let largest = LARGEST.get();
    assert!(largest <= limit, "{largest} bytes were allocated at once; the limit is {limit}");
    result
}

/// Does something within such a job that does not count: what a target notes for itself.
pub(super) fn aside<R>(job: impl FnOnce() -> R) -> R {
    let before = LARGEST.get();
    let result = job();
    LARGEST.set(before);
    result
}
