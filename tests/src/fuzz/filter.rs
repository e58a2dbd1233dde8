//! Filters.

use super::allocation;
use super::source::Source;
use esker::base::hash::key_hash;
use esker::filter::{Filter, FilterBuilder, FilterPolicy};

/// The raw payload of a filter; then a filter over keys made from the same bytes.
pub(super) fn filter(data: &[u8]) {
    let loaded = allocation::within(allocation::plain(data.len()), || Filter::decode(data, None));
    if let Ok(filter) = loaded {
        assert_eq!(filter.size_bytes() + 8, data.len(), "every byte of it is in use");
        let keyed = data[data.len() - 8] == FilterPolicy::Keyed as u8;
        for (key, hash) in data.chunks(8).map(|key| (key, key_hash(key))) {
            let found = filter.may_contain(key, hash);
            assert!(keyed || found == says(data, hash));
        }
        for hash in [0, u64::MAX, 1 << 32].into_iter().filter(|_| !keyed) {
            assert_eq!(filter.may_contain(b"", hash), says(data, hash));
        }
    }
    let mut source = Source::new(data);
    let policy = if source.below(4) == 0 { FilterPolicy::Keyed } else { FilterPolicy::Blocked };
    let bits = u32::from(source.byte());
    let mut builder = FilterBuilder::new(policy, bits, source.long()).expect("a policy with a filter");
    let mut keys = Vec::new();
    while !source.is_empty() {
        keys.push(source.string(16));
    }
    keys.iter().for_each(|key| builder.add(key));
    let (mut payload, bytes) = (Vec::new(), builder.estimated_bytes());
    builder.finish(&mut payload);
    assert_eq!(payload.len(), bytes);
    let filter = Filter::decode(&payload, None).expect("a filter that was just built");
    for key in keys {
        let hash = key_hash(key);
        assert!(filter.may_contain(key, hash), "no key is denied");
        assert!(policy == FilterPolicy::Keyed || says(&payload, hash));
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
