//! An index partition: flat arrays that are searched in place.
//!
//! Entry i names block i by a *separator*: an internal key at or after the last entry of block i
//! and before the first one of block i + 1. The block that may hold a target is therefore the first
//! one whose separator is not before it. Heads stand together, so that a search touches one array
//! until a head is equal. The byte grammar is in `docs/format/sst.md`, "Index".

use super::format::Handle;
use crate::base::coding::{Decoder, Malformed};
use crate::base::key::{Trailer, common_prefix, compare, head};
use crate::base::memory::{Account, Charge};
use crate::base::sync::Arc;
use std::cmp::Ordering;
use std::ops::Range;

/// Flag: the separators have trailers. Without it all are [`Trailer::LAST`].
const FLAG_TRAILERS: u32 = 1;
/// Count, flags, length of the prefix.
const HEADER_BYTES: usize = 12;
/// Head, key end and handle of one entry.
const ENTRY_BYTES: usize = 8 + 4 + Handle::BYTES;

/// Appends the shortest user key `s` with `last <= s < next` to `out`, which is cleared first.
/// Requires `last < next`.
pub fn separator(last: &[u8], next: &[u8], out: &mut Vec<u8>) {
    debug_assert!(last < next);
    out.clear();
    let same = common_prefix(last, next);
    if same + 1 >= last.len() {
        // Nothing is shorter than `last` itself, or as short and any better.
        out.extend_from_slice(last);
        return;
    }
    if next.len() > same + 1 {
        // A prefix of `next` is before it, and after `last` because of its last byte.
        out.extend_from_slice(&next[..=same]);
        return;
    }
    if last[same] + 1 < next[same] {
        out.extend_from_slice(&last[..same]);
        out.push(last[same] + 1);
        return;
    }
    // `next` ends one step above `last` at its last byte: only a longer key fits in between.
    let mut end = same + 1;
    while end + 1 < last.len() && last[end] == 0xff {
        end += 1;
    }
    out.extend_from_slice(&last[..=end]);
    if end + 1 < last.len() {
        out[end] += 1;
    }
}

/// Collects the entries of a partition.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    keys: Vec<u8>,
    ends: Vec<usize>,
    trailers: Vec<Trailer>,
    /// Whether any trailer is other than [`Trailer::LAST`].
    has_trailers: bool,
    handles: Vec<Handle>,
}

impl IndexBuilder {
    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// The size of the partition, in bytes, the common prefix not yet taken out.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let trailers = if self.has_trailers { self.trailers.len() * 8 } else { 0 };
        HEADER_BYTES + self.keys.len() + self.handles.len() * ENTRY_BYTES + trailers
    }

    /// Adds a separator, at or after all before it, and its block.
    pub fn add(&mut self, key: &[u8], trailer: Trailer, handle: Handle) {
        self.keys.extend_from_slice(key);
        self.ends.push(self.keys.len());
        self.trailers.push(trailer);
        self.has_trailers |= trailer != Trailer::LAST;
        self.handles.push(handle);
    }

    fn key(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start..self.ends[i]]
    }

    /// The last separator.
    pub(super) fn last(&self) -> Option<(&[u8], Trailer)> {
        let last = self.handles.len().checked_sub(1)?;
        Some((self.key(last), self.trailers[last]))
    }

    /// Appends the partition to `out` and starts over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let count = self.handles.len();
        let prefix = match count {
            0 => &[],
            _ => &self.key(0)[..common_prefix(self.key(0), self.key(count - 1))],
        };
        let has_trailers = self.has_trailers;
        out.extend_from_slice(&(count as u32).to_le_bytes());
        out.extend_from_slice(&(if has_trailers { FLAG_TRAILERS } else { 0 }).to_le_bytes());
        out.extend_from_slice(&(prefix.len() as u32).to_le_bytes());
        out.extend_from_slice(prefix);
        for i in 0..count {
            out.extend_from_slice(&head(self.key(i), prefix.len()).to_le_bytes());
        }
        for (i, end) in self.ends.iter().enumerate() {
            out.extend_from_slice(&((end - (i + 1) * prefix.len()) as u32).to_le_bytes());
        }
        for handle in &self.handles {
            handle.encode(out);
        }
        if has_trailers {
            for trailer in &self.trailers {
                out.extend_from_slice(&trailer.0.to_le_bytes());
            }
        }
        for i in 0..count {
            out.extend_from_slice(&self.key(i)[prefix.len()..]);
        }
        self.keys.clear();
        self.ends.clear();
        self.trailers.clear();
        self.has_trailers = false;
        self.handles.clear();
    }
}

/// An index partition in memory, validated.
#[derive(Debug)]
pub struct Index {
    bytes: Box<[u8]>,
    count: usize,
    prefix: Range<usize>,
    heads: Range<usize>,
    ends: Range<usize>,
    handles: Range<usize>,
    /// Empty if the separators have no trailers.
    trailers: Range<usize>,
    keys: Range<usize>,
    _charge: Charge,
}

impl Index {
    /// Validates a partition whose blocks lie within the first `end` bytes of the file, and counts
    /// its bytes in `account`.
    ///
    /// # Errors
    /// [`Malformed`] if an array, a key or a handle does not fit.
    pub fn new(bytes: Box<[u8]>, end: u64, account: Option<&Arc<Account>>) -> Result<Index, Malformed> {
        let mut decoder = Decoder::new(&bytes);
        let count = decoder.fixed32("number of index entries")? as usize;
        let flags = decoder.fixed32("index flags")?;
        if flags & !FLAG_TRAILERS != 0 {
            return Err(Malformed { at: 4, expected: "known index flags" });
        }
        let prefix_len = decoder.fixed32("length of the index prefix")? as usize;
        let mut array = |width: usize, count: usize, expected| {
            let start = decoder.position();
            // A count of 32 bits times a width of a few bytes: no overflow in 64 bits.
            decoder.take(count.saturating_mul(width), expected)?;
            Ok(start..decoder.position())
        };
        let prefix = array(1, prefix_len, "index prefix")?;
        let heads = array(8, count, "index heads")?;
        let ends = array(4, count, "index key ends")?;
        let handles = array(Handle::BYTES, count, "index handles")?;
        let trailers = array(8, if flags & FLAG_TRAILERS != 0 { count } else { 0 }, "index trailers")?;
        let keys = decoder.position()..bytes.len();
        let charge = account.map_or_else(Charge::none, |account| account.charge(bytes.len()));
        let index = Index { bytes, count, prefix, heads, ends, handles, trailers, keys, _charge: charge };
        index.validate(end)?;
        Ok(index)
    }

    fn validate(&self, end: u64) -> Result<(), Malformed> {
        let mut before = 0;
        for (i, raw) in self.ends().iter().enumerate() {
            let key_end = u32::from_le_bytes(*raw) as usize;
            if key_end < before || key_end > self.keys.len() {
                return Err(Malformed { at: self.ends.start + i * 4, expected: "ascending key ends" });
            }
            before = key_end;
        }
        if before != self.keys.len() {
            return Err(Malformed { at: self.keys.start, expected: "as many key bytes as the ends say" });
        }
        let (handles, _) = self.bytes[self.handles.clone()].as_chunks::<{ Handle::BYTES }>();
        match handles.iter().position(|raw| !Handle::decode(raw).within(end)) {
            Some(i) => {
                let at = self.handles.start + i * Handle::BYTES;
                Err(Malformed { at, expected: "a handle within the file" })
            }
            None => Ok(()),
        }
    }

    /// Checks that the heads, by which searches go, are those of the separators.
    ///
    /// # Errors
    /// [`Malformed`] at the first that is not.
    pub fn check(&self) -> Result<(), Malformed> {
        let wrong = |(i, stored): (usize, &[u8; 8])| u64::from_le_bytes(*stored) != head(self.suffix(i), 0);
        match self.heads().iter().enumerate().position(wrong) {
            Some(i) => Err(Malformed { at: self.heads.start + i * 8, expected: "the head of a separator" }),
            None => Ok(()),
        }
    }

    fn heads(&self) -> &[[u8; 8]] {
        self.bytes[self.heads.clone()].as_chunks::<8>().0
    }

    fn ends(&self) -> &[[u8; 4]] {
        self.bytes[self.ends.clone()].as_chunks::<4>().0
    }

    /// How many blocks the partition names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the partition names no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the index takes in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The block of entry `i`, if there is such an entry.
    #[inline]
    #[must_use]
    pub fn handle(&self, i: usize) -> Option<Handle> {
        let (handles, _) = self.bytes[self.handles.clone()].as_chunks::<{ Handle::BYTES }>();
        handles.get(i).map(Handle::decode)
    }

    /// The separator of entry `i`, without the common prefix. Requires `i < len`.
    fn suffix(&self, i: usize) -> &[u8] {
        let ends = self.ends();
        let start = i.checked_sub(1).map_or(0, |before| u32::from_le_bytes(ends[before]) as usize);
        // Validated: ends ascend within the key bytes.
        &self.bytes[self.keys.clone()][start..u32::from_le_bytes(ends[i]) as usize]
    }

    fn trailer(&self, i: usize) -> Trailer {
        let (trailers, _) = self.bytes[self.trailers.clone()].as_chunks::<8>();
        trailers.get(i).map_or(Trailer::LAST, |raw| Trailer(u64::from_le_bytes(*raw)))
    }

    /// The separator of entry `i`: its user key and its trailer. Requires `i < len`.
    #[must_use]
    pub fn key(&self, i: usize) -> (Vec<u8>, Trailer) {
        ([&self.bytes[self.prefix.clone()], self.suffix(i)].concat(), self.trailer(i))
    }

    /// The first entry whose separator is at or after the target: the only block that can hold the
    /// first entry at or after it, unless that is the first of the block behind. `None` if the
    /// target is after all separators.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8], trailer: Trailer) -> Option<usize> {
        let prefix = &self.bytes[self.prefix.clone()];
        let Some(suffix) = key.strip_prefix(prefix) else {
            return (key < prefix && self.count > 0).then_some(0);
        };
        let wanted = head(suffix, 0);
        let heads = self.heads();
        let low = heads.partition_point(|head| u64::from_le_bytes(*head) < wanted);
        let found = match heads.get(low) {
            Some(head) if u64::from_le_bytes(*head) == wanted => self.settle(low, wanted, suffix, trailer),
            _ => low,
        };
        (found < self.count).then_some(found)
    }

    /// The search among equal heads, from `low` on, by full comparison.
    fn settle(&self, low: usize, wanted: u64, suffix: &[u8], trailer: Trailer) -> usize {
        let heads = &self.heads()[low..];
        let mut high = low + heads.partition_point(|head| u64::from_le_bytes(*head) <= wanted);
        let mut low = low;
        while low < high {
            let middle = low + (high - low) / 2;
            let here = (self.suffix(middle), self.trailer(middle));
            if compare(here, (suffix, trailer)) == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(254), Just(255)], 0..6),
            prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #[test]
        fn separators_are_between_and_shortest(a in any_key(), b in any_key()) {
            prop_assume!(a != b);
            let (last, next) = if a < b { (a, b) } else { (b, a) };
            let mut s = b"rubbish".to_vec();
            separator(&last, &next, &mut s);
            prop_assert!(last <= s && s < next, "{last:?} {s:?} {next:?}");
            // A shorter key would be a prefix of `next` or of `last` with its last byte raised.
            for len in 0..s.len() {
                let mut candidates = vec![next[..len.min(next.len())].to_vec()];
                if len > 0 && len <= last.len() {
                    let mut raised = last[..len].to_vec();
                    raised[len - 1] = raised[len - 1].saturating_add(1);
                    candidates.push(raised);
                }
                for c in candidates {
                    prop_assert!(c.len() > len || !(last <= c && c < next), "{c:?} is shorter");
                }
            }
        }

        #[test]
        fn an_index_is_a_sorted_vector(
            prefix in any_key(),
            mut keys in prop::collection::vec((any_key(), prop_oneof![Just(0u64), 0u64..50]), 0..60),
            targets in prop::collection::vec((any_key(), 0u64..60), 20),
        ) {
            for key in &mut keys {
                key.0 = [&prefix[..], &key.0].concat();
            }
            keys.sort_by(|a, b| compare((&a.0, Trailer(a.1)), (&b.0, Trailer(b.1))));
            let mut builder = IndexBuilder::default();
            for (i, (key, trailer)) in keys.iter().enumerate() {
                builder.add(key, Trailer(*trailer), Handle { offset: i as u64 * 10, size: 5 });
            }
            let (mut bytes, bound) = (Vec::new(), builder.size_bytes());
            builder.finish(&mut bytes);
            prop_assert!(bytes.len() <= bound && builder.is_empty());
            let index = Index::new(bytes.into(), 1000, None).unwrap();
            index.check().unwrap();
            prop_assert_eq!(index.len(), keys.len());
            for (i, (key, trailer)) in keys.iter().enumerate() {
                prop_assert_eq!(index.key(i), (key.clone(), Trailer(*trailer)));
                prop_assert_eq!(index.handle(i), Some(Handle { offset: i as u64 * 10, size: 5 }));
            }
            let with_prefix = targets.iter().map(|(k, t)| ([&prefix[..], k].concat(), *t));
            for (key, trailer) in with_prefix.chain(targets.iter().cloned()).chain(keys.iter().cloned()) {
                let target = (&key[..], Trailer(trailer));
                let wanted = keys.iter().position(|(k, t)| compare((k, Trailer(*t)), target).is_ge());
                prop_assert_eq!(index.find(target.0, target.1), wanted);
            }
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(0u8..3, 0..120), key in any_key()) {
            if let Ok(index) = Index::new(bytes.into(), 1000, None) {
                let found = index.find(&key, Trailer::seek(3));
                prop_assert!(found.is_none_or(|i| index.handle(i).is_some()));
                (0..index.len()).for_each(|i| drop(index.key(i)));
            }
        }
    }

    #[test]
    fn a_handle_behind_the_data_is_refused() {
        let mut builder = IndexBuilder::default();
        builder.add(b"k", Trailer::LAST, Handle { offset: 90, size: 6 });
        let mut bytes = Vec::new();
        builder.finish(&mut bytes);
        assert!(Index::new(bytes.clone().into(), 101, None).is_ok());
        assert!(Index::new(bytes.into(), 100, None).is_err());
    }

    #[test]
    fn heads_that_are_not_those_of_the_separators_are_found() {
        let mut builder = IndexBuilder::default();
        for key in [&b"ridge"[..], b"sediment"] {
            builder.add(key, Trailer::LAST, Handle { offset: 0, size: 5 });
        }
        let mut bytes = Vec::new();
        builder.finish(&mut bytes);
        Index::new(bytes.clone().into(), 1000, None).unwrap().check().unwrap();
        // The head of the second separator: nothing is shared, so that heads follow the header.
        bytes[HEADER_BYTES + 8 + 7] ^= 1;
        let malformed = Index::new(bytes.into(), 1000, None).unwrap().check().unwrap_err();
        assert_eq!(malformed.at, HEADER_BYTES + 8);
    }
}
