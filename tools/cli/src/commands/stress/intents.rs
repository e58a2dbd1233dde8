//! What the writers do: a sequence of commits for each that follows from the seed alone, so that the process
//! that carries it out and the oracle outside make the same one.

use super::value::{self, Mark, Origin};
use esker::Durability;
use esker::base::random::Random;

/// How many threads write.
pub const WRITERS: u8 = 2;

/// The column families, by the number that operations name them with.
pub const FAMILIES: [&str; 4] = ["default", "odds", "ends", "passing"];

/// The number of the family that is created and dropped now and then. Only writer 0 does that, and only
/// writer 0 writes to it, so that what is in it follows from the order of one writer.
pub const PASSING: u8 = 3;

/// Keys of each shape in each family.
const KEYS: u64 = 1500;
/// Keys that may have large values.
const LARGE_KEYS: u64 = 8;
/// The largest value, in bytes.
pub const MAX_VALUE_BYTES: u64 = 1 << 20;
const LONG_PREFIX: &str = "stress/a prefix that is longer than what a head of eight bytes can tell apart/";

/// One change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Where it stands.
    pub origin: Origin,
    /// The column family: an index into [`FAMILIES`].
    pub family: u8,
    /// The key.
    pub key: Vec<u8>,
    /// The size of the new value; `None` removes the key.
    pub len: Option<u32>,
    /// From when on it counts as absent, in milliseconds since the epoch.
    pub expires_at: u64,
}

impl Operation {
    /// The mark of the new value.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.len.map(|len| value::mark(self.origin, len))
    }

    /// Bytes of key and value.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.key.len() as u64 + u64::from(self.len.unwrap_or(0))
    }
}

/// What a writer does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Writes a batch.
    Write(Durability, Vec<Operation>),
    /// Creates the family [`PASSING`].
    Create,
    /// Drops it.
    Drop,
}

/// The commits of one writer in one round.
#[derive(Debug)]
pub struct Intents {
    random: Random,
    round: u32,
    writer: u8,
    commit: u32,
    passing: bool,
    clock_ms: u64,
}

impl Intents {
    /// The commits of a writer from the start of a round on. `passing`: whether the family of that name is
    /// there then; `clock_ms`: from when times to live count.
    #[must_use]
    pub fn new(seed: u64, round: u32, writer: u8, passing: bool, clock_ms: u64) -> Intents {
        let random = Random::seeded(value::mix(seed ^ value::mix(u64::from(round) << 8 | u64::from(writer))));
        Intents { random, round, writer, commit: 0, passing, clock_ms }
    }

    /// The writer's next commit.
    pub fn advance(&mut self) -> Intent {
        let intent = match self.random.below(400) {
            0 if self.writer == 0 => {
                self.passing = !self.passing;
                if self.passing { Intent::Create } else { Intent::Drop }
            }
            _ => self.write(),
        };
        self.commit += 1;
        intent
    }

    fn write(&mut self) -> Intent {
        let durability = match self.random.below(4) {
            0 => Durability::Sync,
            1 => Durability::None,
            _ => Durability::Os,
        };
        let operations = match self.random.below(20) {
            0..12 => 1,
            12..19 => 2 + self.random.below(9),
            _ => 11 + self.random.below(50),
        };
        Intent::Write(durability, (0..operations).map(|number| self.operation(number as u16)).collect())
    }

    fn operation(&mut self, number: u16) -> Operation {
        let random = &self.random;
        let origin =
            Origin { round: self.round, writer: self.writer, commit: self.commit, operation: number };
        let families = if self.passing && self.writer == 0 { 4 } else { 3 };
        let family = random.below(families) as u8;
        let large = random.below(400) == 0;
        let number = match random.below(4) {
            _ if large => random.below(LARGE_KEYS),
            // Some keys are written far more often than others.
            0 => random.below(50),
            _ => random.below(KEYS),
        };
        let key = key(if large { 0 } else { random.below(3) }, number);
        let len = match random.below(100) {
            _ if large => Some(random.below(MAX_VALUE_BYTES + 1)),
            0..20 => None,
            20..26 => Some(random.below(value::STAMP_BYTES as u64)),
            26..92 => Some(16 + random.below(200)),
            92..99 => Some(200 + random.below(4000)),
            _ => Some(random.below(32 << 10)),
        };
        let len = len.map(|len| len as u32);
        // A value without a stamp cannot be told from another one that does not expire with it.
        let stamped = len.is_some_and(|len| len as usize >= value::STAMP_BYTES);
        let lives = stamped && random.below(7) == 0;
        let expires_at = if lives { self.clock_ms + random.below(3000) } else { u64::MAX };
        Operation { origin, family, key, len, expires_at }
    }
}

/// A key: with digits behind a short prefix, of random bytes, or behind a long prefix.
fn key(shape: u64, number: u64) -> Vec<u8> {
    match shape {
        0 => format!("user{number:012}").into_bytes(),
        1 => {
            let hash = value::mix(number);
            let bytes = [hash.to_le_bytes(), value::mix(hash).to_le_bytes()].concat();
            bytes[..4 + (hash % 13) as usize].to_vec()
        }
        _ => format!("{LONG_PREFIX}{number:04x}").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_gives_the_same_commits() {
        let commits = |seed, round, writer| {
            let mut intents = Intents::new(seed, round, writer, false, 1000);
            (0..200).map(|_| intents.advance()).collect::<Vec<_>>()
        };
        assert_eq!(commits(1, 2, 0), commits(1, 2, 0));
        for other in [commits(2, 2, 0), commits(1, 3, 0), commits(1, 2, 1)] {
            assert_ne!(commits(1, 2, 0), other);
        }
    }

    #[test]
    fn commits_are_of_all_kinds() {
        let mut intents = Intents::new(7, 0, 0, false, 1000);
        let (mut kinds, mut families, mut created) = (BTreeSet::new(), BTreeSet::new(), 0);
        let (mut least, mut most, mut expiring) = (u32::MAX, 0, 0);
        for _ in 0..5000 {
            match intents.advance() {
                Intent::Create => created += 1,
                Intent::Drop => {}
                Intent::Write(durability, operations) => {
                    kinds.insert(format!("{durability:?}"));
                    for operation in operations {
                        families.insert(operation.family);
                        least = least.min(operation.len.unwrap_or(u32::MAX));
                        most = most.max(operation.len.unwrap_or(0));
                        expiring += u32::from(operation.expires_at != u64::MAX);
                    }
                }
            }
        }
        assert_eq!((kinds.len(), families.len()), (3, 4));
        assert!(created > 2 && least == 0 && most > 900_000 && expiring > 500, "{created} {most} {expiring}");
    }

    #[test]
    fn keys_are_different() {
        let all: BTreeSet<Vec<u8>> = (0..3).flat_map(|shape| (0..KEYS).map(move |n| key(shape, n))).collect();
        assert_eq!(all.len() as u64, 3 * KEYS);
    }
}
