//! The keys of the arena in several shapes, and choosing among them.

use crate::workload::{VALUE_BYTES, Workload, rng};
use std::ops::Deref;

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 64;

/// A key on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    bytes: [u8; MAX_KEY_BYTES],
    len: usize,
}

impl Key {
    fn of(parts: [&[u8]; 2]) -> Key {
        let mut key = Key { bytes: [0; MAX_KEY_BYTES], len: 0 };
        for part in parts {
            key.bytes[key.len..key.len + part.len()].copy_from_slice(part);
            key.len += part.len();
        }
        key
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// How keys look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `user` and twelve digits, in the order of entries.
    User,
    /// Sixteen random bytes, in no order.
    Random,
    /// A prefix of forty bytes that all share, then as [`Shape::User`].
    Prefix,
    /// As [`Shape::User`], but ten at a time share all but the last two bytes, and no other does.
    Groups,
}

/// Entries of a group.
pub const GROUP: u32 = 10;
/// Bytes that a group shares.
const GROUP_BYTES: usize = 14;

/// A value: short ones stand on the stack.
#[derive(Clone, Debug)]
pub enum Value {
    /// As long as that of a [`Workload`].
    Short([u8; VALUE_BYTES]),
    /// Of any length.
    Long(Vec<u8>),
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Value::Short(bytes) => bytes,
            Value::Long(bytes) => bytes,
        }
    }
}

const PREFIX: &[u8; 40] = b"organisation/0042/collection/7/document/";

/// The entries of an arena: keys of a shape, values and orders of a [`Workload`]. Any number has a key:
/// those from `entries()` on are put later, if at all.
#[derive(Clone, Debug)]
pub struct Keys {
    shape: Shape,
    value_bytes: usize,
    workload: Workload,
}

impl Keys {
    /// `entries` keys, with orders and values of `value_bytes` that follow from `seed`.
    #[must_use]
    pub fn new(shape: Shape, value_bytes: usize, entries: u32, seed: u64) -> Keys {
        Keys { shape, value_bytes, workload: Workload::new(entries, seed) }
    }

    /// How many entries there are at first.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.workload.entries()
    }

    /// All entries in random order.
    #[must_use]
    pub fn shuffled(&self) -> &[u32] {
        self.workload.shuffled()
    }

    /// The key of entry `i`.
    #[must_use]
    pub fn key(&self, i: u32) -> Key {
        match self.shape {
            Shape::User => Key::of([&self.workload.key(i), b""]),
            Shape::Random => scattered(u64::from(i)),
            Shape::Prefix => Key::of([PREFIX, &self.workload.key(i)]),
            Shape::Groups => Key::of([&self.workload.grouped_key(i, GROUP), b""]),
        }
    }

    /// A key that no entry has, among them.
    #[must_use]
    pub fn missing_key(&self, i: u32) -> Key {
        match self.shape {
            Shape::User => Key::of([&self.workload.missing_key(i), b""]),
            Shape::Random => scattered(u64::from(i) | 1 << 40),
            Shape::Prefix => Key::of([PREFIX, &self.workload.missing_key(i)]),
            Shape::Groups => Key::of([&self.workload.missing_grouped_key(i, GROUP), b""]),
        }
    }

    /// Of how many bytes the prefix is by which entries are grouped, if they are.
    #[must_use]
    pub fn prefix_bytes(&self) -> Option<usize> {
        (self.shape == Shape::Groups).then_some(GROUP_BYTES)
    }

    /// The value of entry `i` in its `version`.
    #[must_use]
    pub fn value(&self, i: u32, version: u32) -> Value {
        if self.value_bytes == VALUE_BYTES {
            return Value::Short(self.workload.value(i, version));
        }
        let mut value = vec![0; self.value_bytes];
        self.workload.fill_value(i, version, &mut value);
        Value::Long(value)
    }

    /// Whether entry `i` had this value in one of its versions up to `last`.
    #[must_use]
    pub fn had(&self, i: u32, value: &[u8], last: u32) -> bool {
        (0..=last).any(|version| *self.value(i, version) == *value)
    }

    /// Bytes of a value.
    #[must_use]
    pub fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// Bytes of an entry, key and value.
    #[must_use]
    pub fn entry_bytes(&self) -> u64 {
        (self.key(0).len() + self.value_bytes) as u64
    }
}

fn scattered(number: u64) -> Key {
    let mut next = rng(number);
    Key::of([&next().to_be_bytes(), &next().to_be_bytes()])
}

/// Which entries are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// All alike.
    Uniform,
    /// Always the same twentieth, one beside the other.
    Hot,
    /// A few much more often than the others, anywhere among them (Zipf's law, exponent 0.99).
    Zipf,
    /// The last ones much more often than the others.
    Latest,
}

const EXPONENT: f64 = 0.99;

/// Numbers from 0 on by Zipf's law, the smallest the likeliest (J. Gray, P. Sundaresan, S. Englert,
/// K. Baclawski, P. J. Weinberger: Quickly generating billion-record synthetic databases, 1994).
#[derive(Clone, Copy, Debug)]
pub struct Zipf {
    below: f64,
    sum: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    /// Numbers below `below`. Takes time in proportion to it.
    #[must_use]
    pub fn new(below: u32) -> Zipf {
        let sum_to = |n: u32| (1..=n).map(|i| f64::from(i).powf(-EXPONENT)).sum::<f64>();
        let n = f64::from(below.max(2));
        let sum = sum_to(below.max(2));
        let eta = (1.0 - (2.0 / n).powf(1.0 - EXPONENT)) / (1.0 - sum_to(2) / sum);
        Zipf { below: n, sum, alpha: 1.0 / (1.0 - EXPONENT), eta }
    }

    /// The number that belongs to 64 random bits.
    #[must_use]
    pub fn at(&self, random: u64) -> u32 {
        let unit = random as f64 / u64::MAX as f64;
        let scaled = unit * self.sum;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(EXPONENT) {
            return 1;
        }
        let number = self.below * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        number.min(self.below - 1.0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_shape_has_keys_of_its_own_for_all() {
        let shapes = [(Shape::User, 16), (Shape::Random, 16), (Shape::Prefix, 56), (Shape::Groups, 16)];
        for (shape, len) in shapes {
            let keys = Keys::new(shape, VALUE_BYTES, 500, 1);
            let there: BTreeSet<Vec<u8>> = (0..500).map(|i| keys.key(i).to_vec()).collect();
            let missing: BTreeSet<Vec<u8>> = (0..500).map(|i| keys.missing_key(i).to_vec()).collect();
            assert_eq!((there.len(), missing.len()), (500, 500), "{shape:?}");
            assert!(there.is_disjoint(&missing) && there.iter().all(|key| key.len() == len), "{shape:?}");
            assert_eq!(keys.entry_bytes(), len as u64 + 100);
            let ordered = (0..500).map(|i| keys.key(i).to_vec()).is_sorted();
            assert_eq!(ordered, shape != Shape::Random);
        }
    }

    #[test]
    fn values_are_known_by_their_versions() {
        for bytes in [VALUE_BYTES, 4096] {
            let keys = Keys::new(Shape::User, bytes, 10, 1);
            assert!(keys.value(3, 2).len() == bytes && keys.entry_bytes() == 16 + bytes as u64);
            assert!(keys.had(3, &keys.value(3, 2), 2) && !keys.had(3, &keys.value(3, 2), 1));
            assert!(!keys.had(3, &keys.value(4, 0), 9));
        }
    }

    #[test]
    fn groups_are_ten_keys_of_one_prefix() {
        let keys = Keys::new(Shape::Groups, VALUE_BYTES, 500, 1);
        let prefix_bytes = keys.prefix_bytes().unwrap();
        let prefix = |key: Key| key[..prefix_bytes].to_vec();
        let there: BTreeSet<Vec<u8>> = (0..500).map(|i| prefix(keys.key(i))).collect();
        let missing: BTreeSet<Vec<u8>> = (0..500).map(|i| prefix(keys.missing_key(i))).collect();
        assert_eq!((there.len(), missing.len()), (50, 50));
        assert!(there.is_disjoint(&missing));
        assert!((0..500).all(|i| prefix(keys.key(i)) == prefix(keys.key(i / GROUP * GROUP))));
        assert_eq!(Keys::new(Shape::User, VALUE_BYTES, 5, 1).prefix_bytes(), None);
    }

    #[test]
    fn zipf_prefers_the_small_and_reaches_the_large() {
        let (zipf, mut next) = (Zipf::new(10_000), rng(5));
        let drawn: Vec<u32> = (0..100_000).map(|_| zipf.at(next())).collect();
        let share = |n: u32| drawn.iter().filter(|&&number| number < n).count() as f64 / 1e5;
        // By the law: 1/9.9, and the sums of the first 10 and 100 by that of all.
        assert!((share(1) - 0.098).abs() < 0.02, "{}", share(1));
        assert!((share(10) - 0.29).abs() < 0.03, "{}", share(10));
        assert!((share(100) - 0.53).abs() < 0.04, "{}", share(100));
        assert!(drawn.iter().any(|&n| n > 9_000) && drawn.iter().all(|&n| n < 10_000));
        assert_eq!((Zipf::new(1).at(0), Zipf::new(10).at(u64::MAX)), (0, 9));
    }
}
