//! Layer 2: what is kept in memory of the files, and which files are kept open.

mod blocks;
mod files;
mod slots;

pub use blocks::{BlockCache, CacheStats, Through, Weigh};
pub use files::FilePool;
pub use slots::{Counted, Slots};
