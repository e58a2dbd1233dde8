//! The filter of a container of keys, whatever its policy.

use super::blocked::{self, Blocked};
use super::keyed::{self, Keyed, Seed};
use super::policy::{FilterPolicy, TAIL_BYTES};
use crate::base::coding::Malformed;
use crate::base::hash::key_hash;
use crate::base::memory::{Account, Charge};
use crate::base::sync::Arc;

/// Collects the hashes of the distinct keys of a container.
#[derive(Debug)]
pub struct FilterBuilder {
    bits_per_key: u32,
    /// Of the keyed policy.
    seed: Option<Seed>,
    hashes: Vec<u64>,
}

impl FilterBuilder {
    /// A builder that spends `bits_per_key` bits on each key; 10 leave about 1 % false positives. `identity`
    /// is the random number of the table, from which the seed of the keyed policy follows. `None` for
    /// [`FilterPolicy::None`].
    #[must_use]
    pub fn new(policy: FilterPolicy, bits_per_key: u32, identity: u64) -> Option<FilterBuilder> {
        let seed = match policy {
            FilterPolicy::None => return None,
            FilterPolicy::Blocked => None,
            FilterPolicy::Keyed => Some(keyed::seed_of(identity)),
        };
        Some(FilterBuilder { bits_per_key: bits_per_key.clamp(1, 64), seed, hashes: Vec::new() })
    }

    /// Adds a key.
    #[inline]
    pub fn add(&mut self, key: &[u8]) {
        self.hashes.push(match &self.seed {
            None => key_hash(key),
            Some(seed) => keyed::hash(seed, key),
        });
    }

    /// How many keys were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether no key was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The size of the filter over what was added, in bytes.
    #[must_use]
    pub fn estimated_bytes(&self) -> usize {
        match &self.seed {
            None => blocked::stored_bytes(self.bits_per_key, self.len()),
            Some(_) => keyed::stored_bytes(self.bits_per_key, self.len()),
        }
    }

    /// Appends the filter to `out` and starts over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let hashes = self.hashes.drain(..);
        match &self.seed {
            None => blocked::build(self.bits_per_key, hashes, out),
            Some(seed) => keyed::build(seed, self.bits_per_key, hashes, out),
        }
    }
}

#[derive(Debug)]
enum Kind {
    Blocked(Blocked),
    /// Rare, and large beside the other.
    Keyed(Box<Keyed>),
}

/// A filter in memory.
#[derive(Debug)]
pub struct Filter {
    kind: Kind,
    _charge: Charge,
}

impl Filter {
    /// Decodes a filter and counts its bytes in `account`.
    ///
    /// # Errors
    /// [`Malformed`] if these are not the bytes of a filter that this version knows.
    pub fn decode(bytes: &[u8], account: Option<&Arc<Account>>) -> Result<Filter, Malformed> {
        let body = bytes.len().checked_sub(TAIL_BYTES);
        let body = body.ok_or(Malformed { at: 0, expected: "a filter with its tail" })?;
        let (bits, tail) = bytes.split_at(body);
        let kind = match tail.first().copied().and_then(FilterPolicy::from_byte) {
            Some(FilterPolicy::Blocked) => Kind::Blocked(Blocked::decode(bits, tail)?),
            Some(FilterPolicy::Keyed) => Kind::Keyed(Box::new(Keyed::decode(bits, tail)?)),
            _ => return Err(Malformed { at: body, expected: "filter policy 1 or 2" }),
        };
        let charge = account.map_or_else(Charge::none, |account| account.charge(body));
        Ok(Filter { kind, _charge: charge })
    }

    /// Whether `key` may be in the container; `hash` must be its [`crate::base::hash::key_hash`]. `false` is
    /// certain.
    #[inline]
    #[must_use]
    pub fn may_contain(&self, key: &[u8], hash: u64) -> bool {
        match &self.kind {
            Kind::Blocked(filter) => filter.may_contain(hash),
            Kind::Keyed(filter) => filter.may_contain(key),
        }
    }

    /// Has the processor fetch what [`Filter::may_contain`] looks at, if one hash tells.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Kind::Blocked(filter) = &self.kind {
            filter.prefetch(hash);
        }
    }

    /// Bytes that the filter takes in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match &self.kind {
            Kind::Blocked(filter) => filter.size_bytes(),
            Kind::Keyed(filter) => filter.size_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICIES: [FilterPolicy; 2] = [FilterPolicy::Blocked, FilterPolicy::Keyed];

    fn build<K: AsRef<[u8]>>(policy: FilterPolicy, bits: u32, keys: impl Iterator<Item = K>) -> Vec<u8> {
        let mut builder = FilterBuilder::new(policy, bits, 77).unwrap();
        keys.for_each(|key| builder.add(key.as_ref()));
        let mut out = Vec::new();
        let expected = builder.estimated_bytes();
        builder.finish(&mut out);
        assert_eq!(out.len(), expected);
        assert!(builder.is_empty());
        out
    }

    fn passes(filter: &Filter, key: &[u8]) -> bool {
        filter.may_contain(key, key_hash(key))
    }

    proptest! {
        #[test]
        fn no_key_is_denied(
            keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..500),
            bits in 1u32..65,
            keyed in any::<bool>(),
        ) {
            let bytes = build(POLICIES[usize::from(keyed)], bits, keys.iter());
            let filter = Filter::decode(&bytes, None).unwrap();
            prop_assert!(keys.iter().all(|key| passes(&filter, key)));
            prop_assert_eq!(filter.size_bytes() + TAIL_BYTES, bytes.len());
        }

        #[test]
        fn decoding_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200), key in any::<[u8; 8]>(),
        ) {
            if let Ok(filter) = Filter::decode(&bytes, None) {
                let _ = passes(&filter, &key);
            }
        }

        #[test]
        fn a_changed_byte_never_makes_a_filter_panic(
            keyed in any::<bool>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = build(POLICIES[usize::from(keyed)], 10, [b"ridge"].iter());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(filter) = Filter::decode(&bytes, None) {
                let _ = passes(&filter, b"ridge");
            }
        }
    }

    #[test]
    fn few_absent_keys_pass_at_ten_bits() {
        type KeyOf = fn(u64) -> Vec<u8>;
        let sequential: KeyOf = |i| format!("user{i:012}").into_bytes();
        let random: KeyOf = |i| key_hash(&i.to_le_bytes()).to_le_bytes().to_vec();
        for (key, policy) in [sequential, random].into_iter().flat_map(|key| POLICIES.map(|p| (key, p))) {
            let bytes = build(policy, 10, (0..100_000).map(key));
            let filter = Filter::decode(&bytes, None).unwrap();
            let passed = (100_000..300_000).filter(|&i| passes(&filter, &key(i))).count();
            let rate = passed as f64 / 200_000.0;
            assert!(rate < 0.015, "{policy:?}: {rate}");
        }
    }

    #[test]
    fn the_bits_of_a_key_never_move() {
        let bytes = build(FilterPolicy::Blocked, 10, [b"ridge"].iter());
        let set: Vec<usize> =
            (0..bytes.len() * 8).filter(|i| bytes[i / 8] & (1 << (i % 8)) != 0 && i / 8 < 64).collect();
        assert_eq!(set, [64, 108, 257, 280, 325, 433], "filters on disk depend on these positions");
        assert_eq!(bytes[64..], [1, 6, 0, 0, 1, 0, 0, 0]);

        let bytes = build(FilterPolicy::Keyed, 10, [b"ridge"].iter());
        assert_eq!(bytes[..13], [1, 8, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0], "version, bytes, probes");
        assert_eq!(bytes[45..], [136, 136, 136, 136, 136, 152, 136, 136, 2, 0, 0, 0, 0, 0, 0, 0]);
    }

    /// Keys that all pass the filter of one table, chosen by who knows it, are nothing to the next table's.
    #[test]
    fn keys_that_were_chosen_against_one_seed_do_not_pass_under_another() {
        let filters = [1, 2].map(|identity| {
            let mut builder = FilterBuilder::new(FilterPolicy::Keyed, 10, identity).unwrap();
            (0..10_000u32).for_each(|i| builder.add(&i.to_le_bytes()));
            let mut out = Vec::new();
            builder.finish(&mut out);
            Filter::decode(&out, None).unwrap()
        });
        let chosen: Vec<_> =
            (10_000..1_000_000u32).map(u32::to_le_bytes).filter(|key| passes(&filters[0], key)).collect();
        let passed = chosen.iter().filter(|key| passes(&filters[1], &key[..])).count();
        assert!(chosen.len() > 5_000 && passed * 50 < chosen.len(), "{passed} of {}", chosen.len());
    }

    #[test]
    fn other_policies_are_refused() {
        let mut bytes = build(FilterPolicy::Blocked, 10, [[1], [2], [3]].iter());
        let policy = bytes.len() - TAIL_BYTES;
        for other in [0, 3, 255] {
            bytes[policy] = other;
            assert_eq!(Filter::decode(&bytes, None).unwrap_err().at, policy);
        }
        bytes[policy] = FilterPolicy::Keyed as u8;
        assert!(Filter::decode(&bytes, None).is_err(), "the tail of another");
    }
}
