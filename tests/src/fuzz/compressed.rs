//! Compressed payloads.

use super::allocation;
use super::source::Source;
use esker::compress::{Codec, Compressor, decompress};

/// The stored bytes of a block; then the same bytes compressed.
pub(super) fn compressed(data: &[u8]) {
    for codec in [Codec::None, Codec::Zstd] {
        for limit in [1 << 10, 1 << 20] {
            let raw = allocation::within(allocation::plain(data.len()).max(limit), || {
                decompress(codec, data, limit)
            });
            if let Ok(raw) = raw {
                assert!(raw.len() <= limit, "no more than is allowed");
                round_trip(&raw, 1);
            }
        }
    }
    let mut source = Source::new(data);
    let level = source.below(10) as i32 - 3;
    round_trip(source.take(data.len()), level);
}

fn round_trip(raw: &[u8], level: i32) {
    let mut compressor = Compressor::new(Codec::Zstd, level).expect("a level of zstd's");
    let mut out = Vec::new();
    let codec = compressor.compress(raw, &mut out);
    assert!(out.len() <= raw.len(), "compression never makes a block larger");
    assert_eq!(decompress(codec, &out, raw.len()).as_deref(), Ok(raw));
    if let Some(less) = raw.len().checked_sub(1) {
        assert!(decompress(codec, &out, less).is_err(), "a limit is kept");
    }
}
