//! Layer 2: what is kept in memory of the files, and which files are kept open.

mod blocks;
mod files;

pub use blocks::{BlockCache, BlockKey, CacheStats, Weigh};
pub use files::FilePool;
