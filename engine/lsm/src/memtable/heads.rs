//! Heads: eight bytes of a key that decide most comparisons in a memtable.
//!
//! What all keys have in common decides nothing, so a head is made of what comes behind it. Keys of several
//! kinds (`user:0007`, `session:0007`) have little in common, and yet only their ends differ: so the keys
//! that have been seen before are divided into groups, each with all that its keys have in common, and the
//! head of a key is the number of its group and the seven bytes behind the group's prefix. A key that belongs
//! to no group stands in the gap between two, which has a number, too.
//!
//! `head(a) < head(b)` implies `a < b` for every pair of keys, whatever the groups are: groups are in the
//! order of their prefixes, of which none starts with another. Equal heads decide nothing.

use crate::base::key::{self, common_prefix};

/// The most groups. Gaps and groups together are numbered with one byte.
const MOST_GROUPS: usize = 100;

/// Fewer keys than this are no group.
const LEAST_KEYS: usize = 4;

/// Of so many neighbours one pair may have equal heads before a group is divided.
const ALIKE: usize = 8;

/// Which bytes of a key are its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// What is expected at the start of every key.
    common: Box<[u8]>,
    /// What groups of keys have in common behind that; ascending. None if all keys are of one group.
    groups: Box<[Box<[u8]>]>,
}

impl From<&[u8]> for Heads {
    /// Of keys that start with `common`.
    fn from(common: &[u8]) -> Heads {
        Heads { common: common.into(), groups: Box::default() }
    }
}

impl<const N: usize> From<&[u8; N]> for Heads {
    fn from(common: &[u8; N]) -> Heads {
        Heads::from(&common[..])
    }
}

impl Heads {
    /// Those that tell keys like these best apart. `keys` are ascending; some hundred are enough.
    #[must_use]
    pub fn of(keys: &[&[u8]]) -> Heads {
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Heads::default() };
        let common = &first[..common_prefix(first, last)];
        let mut rests: Vec<&[u8]> = keys.iter().map(|key| &key[common.len()..]).collect();
        rests.dedup();
        let mut groups = Vec::new();
        if are_alike(&rests, 0, 8) {
            divide(&rests, &mut groups);
        }
        Heads { common: common.into(), groups: groups.into() }
    }

    /// Whether they are those of any keys: nothing is known of them.
    #[must_use]
    pub fn are_plain(&self) -> bool {
        self.common.is_empty() && self.groups.is_empty()
    }

    /// The head of a key.
    #[inline]
    pub(super) fn head(&self, key: &[u8]) -> u64 {
        if key.starts_with(&self.common) {
            if self.groups.is_empty() {
                key::head(key, self.common.len())
            } else {
                self.head_by_group(&key[self.common.len()..])
            }
        } else if *key < *self.common {
            0
        } else {
            u64::MAX
        }
    }

    #[inline(never)]
    fn head_by_group(&self, rest: &[u8]) -> u64 {
        let behind = self.groups.partition_point(|group| **group <= *rest);
        let group = behind.checked_sub(1).and_then(|at| self.groups.get(at));
        let (number, skip) = match group {
            Some(group) if rest.starts_with(group) => (2 * behind - 1, group.len()),
            _ => (2 * behind, 0),
        };
        (number as u64) << 56 | key::head(rest, skip) >> 8
    }
}

/// Whether the first bytes behind `skip` tell too few of these keys apart.
fn are_alike(keys: &[&[u8]], skip: usize, bytes: u32) -> bool {
    let head = |key: &[u8]| key::head(key, skip) >> (64 - 8 * bytes);
    let alike = keys.windows(2).filter(|pair| head(pair[0]) == head(pair[1])).count();
    alike * ALIKE > keys.len()
}

/// Divides keys until those of each group can be told apart. They are ascending and all different.
fn divide(keys: &[&[u8]], groups: &mut Vec<Box<[u8]>>) {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return };
    if keys.len() < LEAST_KEYS || groups.len() == MOST_GROUPS {
        return;
    }
    let common = common_prefix(first, last);
    if common > 0 && !are_alike(keys, common, 7) {
        groups.push(first[..common].into());
        return;
    }
    // Each part has another byte there, so this comes to an end.
    for part in keys.chunk_by(|a, b| a.get(common) == b.get(common)) {
        divide(part, groups);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (0u32..2000).prop_map(|i| format!("user:{:012}", i * 77).into_bytes()),
            (0u32..2000).prop_map(|i| format!("session:{:06}", i).into_bytes()),
            (0u32..50).prop_map(|i| format!("s{i}").into_bytes()),
            (any::<u16>(), any::<u8>()).prop_map(|(n, kind)| {
                [&1u64.to_be_bytes()[..], &[kind % 4], &n.to_be_bytes(), b"member"].concat()
            }),
            prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..12),
        ]
    }

    proptest! {
        #[test]
        fn heads_order_as_their_keys(
            mut sample in prop::collection::vec(key(), 0..200),
            keys in prop::collection::vec(key(), 2..60),
        ) {
            sample.sort();
            let sample: Vec<&[u8]> = sample.iter().map(Vec::as_slice).collect();
            let heads = Heads::of(&sample);
            prop_assert!(heads.groups.len() <= MOST_GROUPS && heads.groups.is_sorted());
            let nested = |pair: &[Box<[u8]>]| pair[1].starts_with(&pair[0]);
            prop_assert!(!heads.groups.windows(2).any(nested), "{heads:?}");
            for a in &keys {
                for b in &keys {
                    let (of_a, of_b) = (heads.head(a), heads.head(b));
                    prop_assert!(of_a == of_b || (of_a < of_b) == (a < b), "{a:?} {b:?} {heads:?}");
                }
            }
        }
    }

    fn told_apart(heads: &Heads, keys: &[&[u8]]) -> usize {
        1 + keys.windows(2).filter(|pair| heads.head(pair[0]) != heads.head(pair[1])).count()
    }

    #[test]
    fn keys_of_several_kinds_are_told_apart() {
        let mut keys: Vec<String> = (0..100).map(|i| format!("user:000000{:06}", i * 7919)).collect();
        keys.extend((0..100).map(|i| format!("counter:{:012}", i * 7919)));
        keys.push("jobs".into());
        keys.sort();
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let heads = Heads::of(&keys);
        assert_eq!(told_apart(&heads, &keys), 201);
        assert_eq!(*heads.groups, [b"counter:000000"[..].into(), b"user:000000"[..].into()]);
        assert_eq!(told_apart(&Heads::from(b""), &keys), 3);
        let users: Vec<&[u8]> = keys[101..].to_vec();
        assert_eq!(Heads::of(&users), Heads::from(b"user:000000"));
        assert!(Heads::of(&[]).are_plain() && !heads.are_plain());
    }
}
