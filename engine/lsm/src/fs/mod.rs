//! Layer 1: the file-system contract, and everything that stands behind it.
//!
//! # The contract: what a crash may lose
//!
//! All input and output of the engine goes through [`Fs`] and [`FileHandle`]. The engine relies on
//! exactly this, and the simulated file system ([`sim`]) takes away everything else:
//!
//! - **File content** written by [`File::write_at`] or changed by [`File::truncate`] or
//!   [`File::allocate`] is volatile until a [`File::sync`] that *began after the write
//!   returned* has returned `Ok`. Until then a power loss may keep any subset of the 512-byte
//!   sectors that were written, in any order, each in its old or its new state, and the file's
//!   length may be the old or the new one or any length between. The sector in which a write ends
//!   may be torn: old in one part, new in the other. Sectors that were written behind the durable
//!   length may hold bytes that nobody wrote.
//! - **Directory entries** (creation, rename, removal) are volatile until [`Fs::sync_dir`] of that
//!   directory has returned `Ok`. Until then each of them, on its own, may or may not survive; a
//!   rename is atomic: the target is the old file or the new one, never neither.
//! - **A failed sync** says nothing: the pages may have been dropped, and a later sync may return
//!   `Ok` without having written them. It must never be retried as if it could succeed.
//! - **A kill of the process** loses nothing that a call has returned from.
//!   Of a write that is under way any part may be there.
//! - Calls may fail at any time; a write may be short. Reads see every write of this process.
//!
//! Paths are given whole; nothing here knows what a store looks like.

#[cfg(test)]
mod behaviour_tests;
mod contract;
mod mapping;
mod os;
pub mod sim;

pub use contract::{File, FileHandle, FileSystem, Fs, LockGuard, LockToken, OpenDir, OpenFile};
pub use os::OsFs;
pub use sim::SimFs;
