//! Layer 1: codecs of blocks on disk.

mod codec;

pub use codec::{Codec, Compressor, DEFAULT_ZSTD_LEVEL, decompress};
