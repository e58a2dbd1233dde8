//! The commands, a file each: the arguments and the code that carries them out.

pub mod backup;
pub mod changes;
pub mod checkpoint;
pub mod compact;
pub mod delete;
pub mod dump;
pub mod explain;
pub mod export;
pub mod families;
pub mod get;
pub mod import;
pub mod ingest;
pub mod options;
pub mod prepared;
pub mod put;
pub mod repair;
pub mod scan;
pub mod serve;
pub mod stats;
pub mod stress;
pub mod verify;
