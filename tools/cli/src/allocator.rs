//! The allocator of the program.
//!
//! A server's workers make and free many small things each round, and now and then a large one: this
//! allocator takes fewer instructions for the small ones than the C library's, and gives the large ones back
//! to the system, where the C library's keeps them in the arena of each thread.

use std::ffi::c_int;

/// What a binary names as its `#[global_allocator]`.
pub use mimalloc::MiMalloc as Allocator;

/// The number of `mi_option_purge_delay` in `mimalloc.h`; the same in both of its major versions.
const PURGE_DELAY: c_int = 15;

/// Has memory that is free go back to the system at once. By itself the allocator waits for a while first,
/// and then for a thread that uses it: workers that have nothing to do would keep what a large value took.
pub fn give_back_at_once() {
    // SAFETY: this stores a number in a table of the allocator, atomically; every number is sound.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) };
}
