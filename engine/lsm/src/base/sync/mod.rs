//! The only module that names `std::sync`, `parking_lot`, loom or shuttle.
//!
//! Under `--cfg loom` the primitives are loom's, so that the lock-free protocols written against this
//! module can be model-checked as they stand. Under `--cfg shuttle` they are shuttle's: the whole
//! engine then runs on threads whose every step a seeded scheduler chooses.
//!
//! `Arc` is always the standard one: handles are shared as trait objects, which the checkers' cannot
//! do, and reference counts are not what they explore.
//!
//! [`quiet`] holds atomics at which shuttle does not switch threads: counters that nothing is decided
//! by, which are also touched while a lock of another crate's is held, and the links of the memtable,
//! whose protocol is loom's to explore. Under loom they are atomics like all others.

pub use std::sync::{Arc, OnceLock, Weak};
pub use std::thread::panicking;

mod number;
pub use number::unique_number;

#[cfg(not(any(loom, shuttle)))]
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(any(loom, shuttle)))]
pub use std::{sync::atomic, sync::atomic as quiet, thread};

#[cfg(loom)]
mod under_loom;
#[cfg(loom)]
pub use loom::{cell::UnsafeCell as TrackedCell, sync::Arc as TrackedArc, sync::atomic};
#[cfg(loom)]
pub use loom::{sync::atomic as quiet, thread};
#[cfg(loom)]
pub use under_loom::{Condvar, Mutex, MutexGuard, RwLock};

#[cfg(shuttle)]
mod under_shuttle;
#[cfg(shuttle)]
pub use shuttle::{sync::atomic, thread};
#[cfg(shuttle)]
pub use std::sync::atomic as quiet;
#[cfg(shuttle)]
pub use under_shuttle::{Condvar, Mutex, MutexGuard, RwLock, elapsed};
