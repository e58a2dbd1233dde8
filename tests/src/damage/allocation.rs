//! An allocator that counts, for each thread by itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of what each thread asks for. A test binary makes it its global one.
#[derive(Debug)]
pub struct Counting;

fn note(asked: usize, change: isize) {
    // A thread that is ending has no counters any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(asked)));
    let _ = LIVE.try_with(|live| {
        let now = live.get() + change;
        live.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: every call goes to the system's allocator unchanged. The counters are plain cells of the thread,
// made without an allocation and without a destructor, so that counting neither allocates nor calls back.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, -(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`; the block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `realloc`; the block came from `System`.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Does a job, and says how large the largest block is that this thread asked for meanwhile, in bytes. Zero
/// unless [`Counting`] is the global allocator.
pub fn largest_during<T>(job: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.with(|largest| largest.set(0));
    let result = job();
    (result, LARGEST.with(Cell::get))
}

/// The bytes that this thread has asked for and not given back. Blocks given back by another thread count
/// there.
#[must_use]
pub fn live_bytes() -> isize {
    LIVE.with(Cell::get)
}

/// Does a job, and says by how many bytes what this thread holds grew at most meanwhile. Zero unless
/// [`Counting`] is the global allocator.
pub fn growth_during<T>(job: impl FnOnce() -> T) -> (T, isize) {
    let before = live_bytes();
    PEAK.with(|peak| peak.set(before));
    let result = job();
    (result, PEAK.with(Cell::get) - before)
}
