//! A store that works for a long time in a process of its own, on the real disk, while everything that can
//! happen to it happens again and again. The parent sends operations of the history language as lines of text
//! and keeps the oracle; the child carries them out and answers. See `docs/testing.md`.

pub mod actor;
mod answer;
mod callbacks;
mod child;
mod driver;
mod guarded;
mod ingest;
mod judge;
mod limited;
mod measure;
mod options;
mod plan;
mod print;
mod report;
mod stock;
mod workload;

pub use driver::run;
pub use plan::Plan;
pub use report::Report;
