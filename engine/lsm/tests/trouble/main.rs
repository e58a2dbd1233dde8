//! What happens when the disk, or the engine itself, does not do what it should.

mod closing;
mod damaged_block;
mod failed_sync;
mod full_disk;
mod panics;
mod pressure;
mod store;
