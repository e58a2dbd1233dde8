//! What a store is asked for: much is overwritten, little is kept.

use super::judge::Judge;
use super::options::SETS;
use crate::history::{
    Asked, Change, Condition, DROPPING, Movement, Operation, Span, Step, TransactionKind, What,
};
use esker::Durability;
use esker::base::random::Random;
use std::ops::Bound;

/// Makes operations from a seed.
#[derive(Debug)]
pub struct Workload {
    random: Random,
    /// How many different keys there are.
    keys: u64,
    /// The first set of options: see `options`.
    first_options: u32,
}

/// The family that comes and goes.
const PASSING: &str = "f2";

/// The family whose values are merged, too.
pub(super) const MERGING: &str = "default";

/// Snapshots that are held at once.
const SLOTS: u64 = 3;

/// The key with this number: two in three are numbered, the others have a long prefix in common or are
/// binary.
fn key(n: u64) -> Vec<u8> {
    match n % 8 {
        6 => format!("shared/{}/{n:09}", "prefix-".repeat(6)).into_bytes(),
        // An odd factor is a permutation of 64 bits (Knuth's multiplicative hashing, 1973).
        7 => n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec(),
        _ => format!("user{n:012}").into_bytes(),
    }
}

impl Workload {
    /// Over so many keys, of a store with such options.
    #[must_use]
    pub fn new(seed: u64, keys: u64, first_options: u32) -> Workload {
        Workload { random: Random::seeded(seed), keys, first_options }
    }

    /// A random number below a bound.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// An operation that may be on its way together with others.
    #[must_use]
    pub fn next(&self, judge: &Judge) -> Operation {
        match self.below(1_000) {
            0..320 => self.write(judge),
            320..400 => self.transaction(judge),
            400..650 => {
                let n = self.number();
                let (at, family) = self.place(judge, n);
                // Keys of one family, since that is fixed by their number.
                let keys = (0..16).map(|i| key(n + i * 10)).collect();
                Operation::MultiGet { at, family, keys }
            }
            650..850 => {
                let n = self.number();
                let (at, family) = self.place(judge, n);
                Operation::Get { at, family, key: key(n) }
            }
            850..950 => self.scan(judge),
            950 | 951 => Operation::Snapshot(self.below(SLOTS) as u32),
            952 => Operation::Release(self.below(SLOTS) as u32),
            953 | 954 => self.cursor(judge),
            955..985 => self.movement(judge),
            985..989 => Operation::OnDurable,
            989 => self.ingest(judge),
            _ => Operation::Families,
        }
    }

    /// An operation before which, and behind which, nothing else is on its way.
    #[must_use]
    pub fn apart(&self, judge: &Judge) -> Operation {
        match self.below(10) {
            0 if self.below(2) == 0 => Operation::Backup,
            1 if self.below(4) == 0 => Operation::Adjust(self.first_options + self.below(SETS.into()) as u32),
            0..4 => Operation::Sync,
            4..6 => Operation::Flush,
            6 => {
                let n = self.number();
                let (a, b) = (key(n), key(n + self.keys / 10));
                let span = Span::Range(Bound::Included(a.clone().min(b.clone())), Bound::Excluded(a.max(b)));
                Operation::CompactRange { family: self.family(judge, n), span }
            }
            7 if judge.has_family(PASSING) => Operation::Drop(PASSING.into()),
            7 | 8 => {
                let missing = ["f0", "f1", PASSING].into_iter().find(|name| !judge.has_family(name));
                missing.map_or(Operation::Sync, |name| Operation::Create(name.into()))
            }
            _ => Operation::Verify,
        }
    }

    /// A write that hangs on what is there: it is judged by what is known when nothing is on its way.
    #[must_use]
    pub fn dependent(&self, judge: &Judge) -> Operation {
        if self.below(2) == 0 {
            return self.conditional(judge);
        }
        let n = self.number();
        let ttl_ms = [None, Some(500), Some(60_000)][self.below(3) as usize];
        Operation::Expire { family: self.family(judge, n), key: key(n), ttl_ms }
    }

    /// A write of one key that survives a kill.
    #[must_use]
    pub fn small_write(&self) -> Operation {
        let (family, key) = ("default".into(), b"a small write".to_vec());
        let changes = vec![Change { family, key, what: What::Put { bytes: 100 } }];
        Operation::Write { changes, durability: Durability::Os }
    }

    /// A sixteenth of the keys get a fifth of the attention besides their share.
    fn number(&self) -> u64 {
        if self.below(5) == 0 { self.below(self.keys.div_ceil(16)) } else { self.below(self.keys) }
    }

    fn family(&self, judge: &Judge, n: u64) -> String {
        let name = match n % 10 {
            6 | 7 => "f0",
            8 => "f1",
            9 => PASSING,
            _ => "default",
        };
        if judge.has_family(name) { name.into() } else { "default".into() }
    }

    /// Where to read: mostly the present. The family that passes is read there only.
    fn place(&self, judge: &Judge, n: u64) -> (Option<u32>, String) {
        let family = self.family(judge, n);
        let slot = self.below(SLOTS * 3) as u32;
        ((family != PASSING && judge.has_snapshot(slot)).then_some(slot), family)
    }

    fn write(&self, judge: &Judge) -> Operation {
        let count = if self.below(5) == 0 { 1 } else { 16 + self.below(48) };
        let changes = (0..count).map(|_| self.change(judge)).collect();
        let durability = match self.below(25) {
            0 => Durability::Sync,
            1 => Durability::None,
            _ => Durability::Os,
        };
        Operation::Write { changes, durability }
    }

    /// A run of keys of one family, which goes by their number.
    fn ingest(&self, judge: &Judge) -> Operation {
        let n = self.number();
        let family = self.family(judge, n);
        let change = |i| {
            let bytes = 100 + self.below(400) as usize;
            let what = if self.below(8) == 0 { What::Delete } else { What::Put { bytes } };
            Change { family: family.clone(), key: key(n + i * 10), what }
        };
        Operation::Ingest { changes: (0..1 + self.below(64)).map(change).collect(), move_files: true }
    }

    /// Nobody writes beside it.
    fn transaction(&self, judge: &Judge) -> Operation {
        let kinds =
            [TransactionKind::Optimistic, TransactionKind::Pessimistic, TransactionKind::Serialisable];
        let kind = kinds[self.below(3) as usize];
        let changes = (0..1 + self.below(8)).map(|_| self.change(judge));
        // A transaction gives up no ranges.
        let changes: Vec<_> = changes.filter(|change| change.family != DROPPING).collect();
        if changes.is_empty() {
            return self.write(judge);
        }
        let durability = if self.below(25) == 0 { Durability::Sync } else { Durability::Os };
        Operation::Transaction { kind, changes, meddle: Vec::new(), durability }
    }

    fn conditional(&self, judge: &Judge) -> Operation {
        let n = self.number();
        let asked = [Asked::Absent, Asked::Value, Asked::OtherValue][self.below(3) as usize];
        let condition = Condition { family: self.family(judge, n), key: key(n), asked };
        let changes = (0..1 + self.below(4)).map(|_| self.change(judge)).collect();
        Operation::If { condition, changes, durability: Durability::Os }
    }

    /// A cursor over some keys; not of the family that passes.
    fn cursor(&self, judge: &Judge) -> Operation {
        let n = self.number();
        let (at, family) = self.place(judge, n);
        let family = if family == PASSING { "default".into() } else { family };
        let (a, b) = (key(n), key(n + self.below(256) * 8));
        let span = Span::Range(Bound::Included(a.clone().min(b.clone())), Bound::Excluded(a.max(b)));
        Operation::Cursor { slot: self.below(SLOTS) as u32, at, family, span }
    }

    fn movement(&self, judge: &Judge) -> Operation {
        let slot = self.below(SLOTS) as u32;
        if !judge.has_cursor(slot) {
            return Operation::Families;
        }
        let to = match self.below(12) {
            0 => Movement::First,
            1 => Movement::Last,
            2 => Movement::Refresh,
            3 => Movement::Seek(key(self.number())),
            4 => Movement::SeekForPrev(key(self.number())),
            5..9 => Movement::Next,
            9 => return Operation::LetGo(slot),
            _ => Movement::Prev,
        };
        Operation::Move { slot, to }
    }

    fn change(&self, judge: &Judge) -> Change {
        let n = self.number();
        let bytes = match self.below(6) {
            0 => 100 + self.below(4_000),
            _ => 100 + self.below(400),
        } as usize;
        let what = match self.below(16) {
            0 | 1 => What::Delete,
            2 => What::PutTtl { bytes, ttl_ms: [100, 2_000, 30_000, 600_000][self.below(4) as usize] },
            _ => What::Put { bytes },
        };
        let family = self.family(judge, n);
        let what = match what {
            What::Put { bytes } if family == MERGING && self.below(6) == 0 => {
                What::Merge { bytes, ttl_ms: [0, 0, 2_000, 600_000][self.below(4) as usize] }
            }
            what => what,
        };
        if self.below(100) == 0 && judge.has_family(DROPPING) {
            // Nobody reads there: see `docs/testing.md`.
            let what = match self.below(4) {
                0 => return Change::of_range(DROPPING, What::DropRange(Span::Prefix(key(n / 8 * 8)))),
                _ => What::Put { bytes },
            };
            return Change { family: DROPPING.into(), key: key(n), what };
        }
        if self.below(400) == 0 {
            // A few keys: the stock of them must not run out.
            let (a, b) = (key(n), key(n + self.below(8) * 8));
            let span = Span::Range(Bound::Included(a.clone().min(b.clone())), Bound::Excluded(a.max(b)));
            return Change::of_range(&family, What::DeleteRange(span));
        }
        Change { family, key: key(n), what }
    }

    fn scan(&self, judge: &Judge) -> Operation {
        let (n, way) = (self.number(), self.below(4));
        let n = if way > 0 && n % 8 == 7 { n - 1 } else { n };
        let (at, family) = self.place(judge, n);
        let span = match way {
            // Up to a hundred keys; between two binary ones there may be any number.
            0 => {
                let start = key(n);
                Span::Prefix(start[..start.len().saturating_sub(2)].to_vec())
            }
            1 => Span::Range(Bound::Excluded(key(n)), Bound::Included(key(n + self.below(64) * 8))),
            _ => Span::Range(Bound::Included(key(n)), Bound::Excluded(key(n + self.below(256) * 8))),
        };
        let step = match self.below(3) {
            0 => Step::Forward,
            1 => Step::Reverse,
            _ => Step::Mixed(self.random.next_u64() >> 1),
        };
        Operation::Scan { at, family, span, step }
    }
}
