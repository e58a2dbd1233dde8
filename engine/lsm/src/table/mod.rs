//! Layer 3: sorted tables (SST files). The format is in `docs/format/sst.md`.

mod blocks;
mod cursor;
mod dictionary;
mod format;
mod index;
mod options;
mod piece;
mod policy;
mod prefix;
mod probe;
mod properties;
mod reader;
mod scan;
mod tables;
mod verify;
mod writer;

pub use blocks::{BlockPlace, Blocks};
pub use cursor::{Access, TableCursor};
pub use format::{FOOTER_BYTES, FORMAT_VERSION, Footer, Handle, MAGIC, TRAILER_BYTES};
pub use index::{Index, IndexBuilder, separator};
pub use options::{Origin, TableOptions};
pub use piece::{TableCache, TableSource};
pub use policy::TablePolicy;
pub use probe::Probe;
pub use properties::{InternalKey, Properties};
pub use reader::{Expected, TableReader};
pub use scan::BlockScan;
pub use tables::Tables;
pub use verify::Verified;
pub use writer::{TableSummary, TableWriter};

#[cfg(test)]
mod tests;
