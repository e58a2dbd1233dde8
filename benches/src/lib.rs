//! How fast Esker is, measured in four ways: operations per second against a store on disk
//! (`throughput`), the same beside other engines (`peers`, whose parts are in `arena`), instructions
//! of one operation (`instructions`), and the parts of the engine one by one (the criterion benches in
//! `benches/`). `docs/performance.md` tells how to use them. `opening` says how long
//! a store takes to open, and `growth` draws how a tree grows.

pub mod arena;
mod changes;
pub mod growth;
mod instructions;
mod latency;
pub mod opening;
mod process;
mod svg;
mod throughput;
mod workload;

pub use instructions::{CASES, Case, Fixture, measured, run_under_callgrind};
pub use latency::Latency;
pub use process::{Usage, dir_bytes, disk_bytes};
pub use throughput::{Options, Phase, Report, Row, run};
pub use workload::{KEY_BYTES, Key, VALUE_BYTES, Workload, rng};
