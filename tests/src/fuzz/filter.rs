//! Filters.

use super::allocation;
use super::source::Source;
use esker::base::hash::key_hash;
use esker::filter::{Filter, FilterBuilder};

/// The raw payload of a filter; then a filter over keys made from the same bytes.
pub(super) fn filter(data: &[u8]) {
    let loaded = allocation::within(allocation::plain(data.len()), || Filter::decode(data, None));
    if let Ok(filter) = loaded {
        assert_eq!(filter.size_bytes() + 8, data.len(), "every byte of it is in use");
        for hash in data.chunks(8).map(key_hash).chain([0, u64::MAX, 1 << 32]) {
            assert_eq!(filter.may_contain(hash), says(data, hash));
        }
    }
    let mut source = Source::new(data);
    let mut builder = FilterBuilder::new(u32::from(source.byte()));
    let mut hashes = Vec::new();
    while !source.is_empty() {
        hashes.push(if source.below(8) == 0 { source.long() } else { key_hash(source.string(16)) });
    }
    hashes.iter().for_each(|hash| builder.add(*hash));
    let (mut payload, bytes) = (Vec::new(), builder.estimated_bytes());
    builder.finish(&mut payload);
    assert_eq!(payload.len(), bytes);
    let filter = Filter::decode(&payload, None).expect("a filter that was just built");
    for hash in hashes {
        assert!(filter.may_contain(hash) && says(&payload, hash), "no key is denied");
    }
}

/// What a payload says of a hash, by the words of `docs/format/sst.md` and by nothing else.
fn says(payload: &[u8], hash: u64) -> bool {
    let (lines, tail) = payload.split_at(payload.len() - 8);
    let line = (((hash >> 32) * (lines.len() as u64 / 64)) >> 32) as usize;
    let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..tail[1]).all(|probe| {
        let bit = (spread >> (55 - 9 * u32::from(probe))) as usize % 512;
        lines[line * 64 + bit / 8] & (1 << (bit % 8)) != 0
    })
}
