//! Esker: a persistent, ordered key-value engine.
//!
//! The folders of this crate are layers; each imports only from layers below it (see
//! `docs/architecture.md`).

pub mod base;
pub mod batch;

pub mod fs;

pub mod record;

pub mod commit;
pub mod wal;
