//! Layer 2: the framing of records, shared by the write-ahead log and the manifest.

mod format;
mod reader;
mod writer;

pub use format::{FileHeader, HEADER_BYTES, LogKind, RECORD_HEADER_BYTES, RecordHeader, VERSION, padded};
pub use reader::{ReadPlace, RecordReader, Step, Stop};
pub use writer::{RecordWriter, Way};

#[cfg(test)]
mod tests;
