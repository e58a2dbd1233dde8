//! `esker import`: a file of records into a store.
//!
//! Three threads, so that reading, writing and waiting for the disk overlap:
//!
//! ```text
//! parser ──batches──▶ writer (commit, returns when readable) ──sequences──▶ waiter (wait_durable)
//! ```
//! Both channels are short, which bounds the memory. The waiter takes whatever has been committed when
//! it begins to wait, so that one sync covers many batches; what it reports is on disk. Records are
//! committed in the order of the file: "durable 12000" says that the first 12000 good ones are there.

pub mod args;
pub mod command;
pub mod hashes;
pub mod parser;
pub mod report;
pub mod show;
pub mod writer;

pub use args::ImportArgs;
pub use command::run;
