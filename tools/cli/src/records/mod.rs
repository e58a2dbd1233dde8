//! Files of records: each reader gives keys and values with the line they stand in, holds one record
//! at a time in memory, and tells a bad record (which may be skipped) from a broken input.

pub mod delimited;
pub mod entries;
pub mod format;
pub mod json;
pub mod json_array;
pub mod json_lines;
pub mod lines;
pub mod open;
pub mod record;
pub mod separated;

pub use format::Format;
pub use open::{Shape, open};
pub use record::{KeySource, ReadError, Record, RecordReader, Selection, ValueSource};
