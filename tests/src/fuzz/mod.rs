//! Fuzzing: functions from any bytes to a verdict. What each takes and what it holds the engine to stands in
//! `docs/testing.md`; `tests/fuzz/` runs them under a coverage-guided fuzzer, `tests/tests/fuzz_corpus.rs`
//! with what that fuzzer has found.
//!
//! Everything on disk is checksummed, so that bytes changed at random would get no further than the
//! checksums. Each target therefore tries its input twice: as it is, and *mended*, with every checksum in it
//! made to fit.

mod agreement;
mod allocation;
mod batch;
mod block;
mod commands;
mod compressed;
mod corpus;
mod disk;
mod filter;
mod index;
mod log;
mod manifest;
mod mend;
mod mend_table;
mod operations;
mod pipelines;
mod records;
mod requests;
mod seeds;
mod source;
mod store;
mod table;
mod target;

pub use allocation::Counting;
pub use corpus::{corpus, corpus_dir};
pub use seeds::seeds;
pub use target::{TARGETS, Target, target};
