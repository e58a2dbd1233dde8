//! How fast Esker is, measured in three ways: operations per second against a store on disk
//! (`throughput`), instructions of one operation (`instructions`), and the parts of the engine one
//! by one (the criterion benches in `benches/`). `docs/performance.md` tells how to use them.

mod instructions;
mod process;
mod throughput;
mod workload;

pub use instructions::{CASES, Case, Fixture, measured, run_under_callgrind};
pub use process::{Usage, dir_bytes};
pub use throughput::{Options, Phase, Report, Row, run};
pub use workload::{KEY_BYTES, Key, VALUE_BYTES, Workload, rng};
