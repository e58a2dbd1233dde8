//! `esker sst dump`, `esker blob dump`, `esker wal dump`, `esker manifest dump`: looking into single files.
//! They read only, and need no store around the file.

pub mod args;
pub mod blob;
pub mod manifest;
mod printing;
pub mod sst;
pub mod wal;

pub use args::{BlobArgs, ManifestArgs, SstArgs, WalArgs};
pub use blob::run_blob;
pub use manifest::run_manifest;
pub use sst::run_sst;
pub use wal::run_wal;
