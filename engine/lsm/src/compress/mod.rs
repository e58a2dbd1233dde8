//! Layer 1: codecs of blocks on disk.

mod codec;
mod dictionary;

pub use codec::{Codec, Compressor, DEFAULT_ZSTD_LEVEL, decompress, decompress_with};
pub use dictionary::{Dictionary, MAX_DICTIONARY_BYTES, MIN_DICTIONARY_BYTES, train};
