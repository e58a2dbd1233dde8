//! Layer 9: copies of a store that another one can be opened from.

mod check;
mod checkpoint;
mod copy;
mod create;
mod object;
mod prune;
mod record;
mod repository;
mod restore;

pub use check::{DamagedObject, Drill, VerifiedBackups};
pub use checkpoint::Checkpoint;
pub use create::BackupOptions;
pub use object::ObjectId;
pub use prune::{Keep, Pruned};
pub use record::Backup;
pub use repository::{BackupList, Backups};

#[cfg(all(test, not(any(loom, shuttle))))]
mod checkpoint_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
