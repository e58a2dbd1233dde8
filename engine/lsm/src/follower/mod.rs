//! Layer 9: reading a store that somebody else writes to, or that nobody has open, at one moment
//! ([`ReadOnlyDb`]).
//!
//! Nothing here takes the lock of the directory, or writes, cuts, renames or removes anything in it, and the
//! one who writes to the store knows nothing of it. What is read is the manifest that `CURRENT` names, the
//! tables in it, and the log, each while it may be changing ([`crate::version::ManifestTail`],
//! [`crate::wal::LogTail`]).
//!
//! # What is shown
//! A state is made of one state of the manifest and of the log up to a position, with these
//! properties:
//!
//! - **Whole groups.** The log is taken up to the first record that is not whole; so is a recovery. All that
//!   is shown is in the system's page cache, where a kill of the writer loses nothing of it, and whoever
//!   opens the store after a kill reads at least as far. A loss of power, or a failed sync of the writer, can
//!   take back what was not synced; the store then begins a new history, which is told.
//! - **A prefix.** What a state of the manifest has in tables was in the log before, so the log is read
//!   behind the manifest. Tables that were ingested are not in the log; they come to the manifest before any
//!   later write comes to the log. So the manifest is looked at once more behind the log, and if something
//!   was ingested meanwhile the state is made with that.
//! - **Each write once.** An entry that a family has flushed is left out of what is kept of the log: tables
//!   may hold it folded into others by then.
//!
//! # What changes under the reader's feet
//! Whatever fails is judged by the manifest: if it has moved on since it was read, all is read again from
//! `CURRENT`, a bounded number of times; if not, the failure stands, and a file that is not there is damage.
//! Tables that a state shows are open, so that it can be read when they are removed. (Of more tables than
//! three quarters of [`max_open_files`](crate::Options::max_open_files) some are opened when they are needed,
//! and may then be gone: [`crate::Error::FileGone`].)

mod cursor;
mod family;
mod handle;
mod iter;
mod position;
mod prepared;
mod read_only;
mod source;
mod state;
mod stats;
mod walk;
mod worker;

#[cfg(all(test, not(any(loom, shuttle))))]
mod handle_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod leading;
#[cfg(all(test, not(any(loom, shuttle))))]
mod read_only_tests;

pub use cursor::ReadOnlyCursor;
pub use family::ReadOnlyFamily;
pub use handle::{CaughtUp, Follower, Lag, Restart};
pub use iter::ReadOnlyIter;
pub use prepared::ReadOnlyPrepared;
pub use read_only::{ReadOnlyDb, ReadOnlyFamilyStats, ReadOnlyStats};
pub use stats::FollowerStats;
