//! Esker: a persistent, ordered key-value engine.
//!
//! The folders of this crate are layers; each imports only from layers below it (see
//! `docs/architecture.md`).

pub mod base;
pub mod batch;
pub mod block;
pub mod cache;
pub mod compress;
pub mod filter;
pub mod fs;
pub mod iter;
pub mod memtable;
pub mod metrics;
pub mod record;
pub mod table;
pub mod wal;
