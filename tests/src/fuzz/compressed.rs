//! Compressed payloads.

use super::allocation;
use super::source::Source;
use esker::compress::{Codec, Compressor, Dictionary, decompress, decompress_with, train};
use std::sync::LazyLock;

/// What was trained on a few records, to read whatever comes with it.
static TRAINED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let sample = |i: u32| format!(r#"{{"layer":{i},"kind":"sand","depth":{}}}"#, i * 7919 % 1009).repeat(3);
    let samples: Vec<String> = (0..50).map(sample).collect();
    let sizes: Vec<usize> = samples.iter().map(String::len).collect();
    train(samples.concat().as_bytes(), &sizes, 512).expect("enough samples")
});
static DICTIONARY: LazyLock<Dictionary> =
    LazyLock::new(|| Dictionary::new(&TRAINED, None).expect("the dictionary of a moment ago"));

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
    with_a_dictionary(data);
    let mut source = Source::new(data);
    let level = source.below(10) as i32 - 3;
    round_trip(source.take(data.len()), level);
}

/// The bytes as a block that needs a dictionary, as a dictionary, and compressed with one.
fn with_a_dictionary(data: &[u8]) {
    let codec = Codec::ZstdDictionary;
    let dictionary = &*DICTIONARY;
    assert!(decompress(codec, data, 1 << 20).is_err(), "not without a dictionary");
    if let Ok(raw) = decompress_with(codec, data, 1 << 20, Some(dictionary)) {
        assert!(raw.len() <= 1 << 20, "no more than is allowed");
    }
    let mut compressor = Compressor::with_dictionary(&TRAINED, 1).expect("a level of zstd's");
    let mut out = Vec::new();
    let used = compressor.compress(data, &mut out);
    assert!(out.len() <= data.len(), "compression never makes a block larger");
    assert_eq!(decompress_with(used, &out, data.len(), Some(dictionary)).as_deref(), Ok(data));
    if let Ok(strange) = Dictionary::new(data, None) {
        let _ = decompress_with(codec, &out, 1 << 20, Some(&strange));
    }
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
