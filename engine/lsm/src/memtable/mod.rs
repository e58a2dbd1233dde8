//! Layer 3: the newest entries, in memory, sorted.
//!
//! `skiplist` tells the protocol between the one inserting thread and its readers; all `unsafe` of
//! this folder stands in `arena`, `entry`, `node` and at the few places that bound a lifetime.
//!
//! The protocol is model-checked (`loom_tests`):
//! `RUSTFLAGS="--cfg loom" cargo test -p esker --lib --release loom_`
//!
//! and its memory accesses are exercised under AddressSanitizer by
//! `RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p esker --lib --target
//! x86_64-unknown-linux-gnu memtable` (set `ASAN_OPTIONS=detect_leaks=1` to look for leaks too).

mod arena;
mod cursor;
mod entry;
mod heads;
mod keys;
mod node;
mod order;
mod skiplist;
mod spare;
mod table;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

pub use cursor::MemtableCursor;
pub use heads::Heads;
pub use spare::Spare;
pub use table::{Memtable, MemtableWriter, PIN_VALUE_BYTES};
