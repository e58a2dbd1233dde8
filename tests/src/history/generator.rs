//! Histories from a seed.

use super::operation::{
    Asked, Change, Condition, DROPPING, LEAST_TTL_BYTES, Movement, Operation, Span, Step, TransactionKind,
    What,
};
use super::profile::{Kind, Profile};
use esker::Durability;
use esker::base::limits::MAX_KEY_BYTES;
use esker::base::random::Random;
use esker::fs::sim::Image;
use std::ops::Bound;

/// The largest value, in bytes.
const LARGEST_VALUE_BYTES: u64 = 1 << 20;

/// So many transactions are prepared at a time at most.
const SLOTS: u64 = 3;

/// Sizes at which something begins: small and default blocks, memtables, log segments, 64 KiB.
const EDGES: [u64; 6] = [256, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10];

/// The number of the options that make the smallest tables and levels; see `session/options.rs`.
pub const SMALLEST_OPTIONS: u32 = 1;

/// The history that a seed stands for.
#[must_use]
pub fn generate(seed: u64, profile: &Profile) -> Vec<Operation> {
    let random = Random::seeded(seed ^ 0x6573_6b65_7200);
    // Comparing very long keys takes long: few histories have one.
    let longest =
        if random.below(8) == 0 { [300, 5_000, MAX_KEY_BYTES][random.below(3) as usize] } else { 0 };
    let keys = (0..profile.keys).map(|n| key(&random, n, longest)).collect();
    let families = vec!["default".to_string()];
    let (snapshots, cursors) = (Vec::new(), Vec::new());
    let lean = Lean::ALL[random.below(Lean::ALL.len() as u64) as usize];
    let dropping = random.below(3) == 0;
    let weights = swarm(profile, &random);
    let mut writer = Writer {
        profile,
        weights,
        keys,
        families,
        created: 0,
        snapshots,
        cursors,
        random,
        lean,
        turn: 0,
        dropping,
    };
    let count = profile.operations.0 + writer.random.below(profile.operations.1 + 1);
    // What goes wrong between families needs some from the beginning.
    let families = if writer.random.below(4) == 0 { 0 } else { 2 };
    let mut history = if profile.deep { writer.depth() } else { Vec::new() };
    history.extend((0..families).map(|_| writer.create_or_drop()));
    history.extend(dropping.then(|| Operation::Create(DROPPING.into())));
    history.extend((0..count).map(|_| writer.operation()));
    history
}

/// Leaves each kind of operation that a store can do without out of every third history. What is left comes
/// up more often, and things happen that a little of everything would prevent: a snapshot that is always
/// there, say, keeps compactions from dropping anything. (Groce et al., "Swarm Testing", 2012.)
fn swarm(profile: &Profile, random: &Random) -> Vec<(Kind, u64)> {
    let stays = |kind| matches!(kind, Kind::Single | Kind::Batch | Kind::Flush | Kind::Tick | Kind::Crash);
    let mut weights = profile.weights.to_vec();
    weights.retain(|(kind, _)| stays(*kind) || random.below(3) > 0);
    weights
}

/// Ordinary keys, keys with a long shared prefix, binary keys, the empty one, and two of length `longest`.
fn key(random: &Random, n: u64, longest: usize) -> Vec<u8> {
    match n {
        0 => Vec::new(),
        4 | 5 if longest > 0 => [vec![b'l'; longest - 1], vec![n as u8]].concat(),
        n if n % 8 == 1 => format!("shared/{}/{}", "prefix-".repeat(9), random.below(1_000)).into_bytes(),
        n if n % 8 == 2 => {
            (0..=random.below(9)).map(|_| [0, 255, random.next_u64() as u8][n as usize % 3]).collect()
        }
        n if n % 8 == 3 => (0..=random.below(9)).map(|_| random.next_u64() as u8).collect(),
        _ => format!("user{:012}", random.below(1_000)).into_bytes(),
    }
}

/// Which durability a history leans to. Where most writes are synced at once, there is little to lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lean {
    /// Runs of each.
    Runs,
    /// Logged writes that are not synced.
    Os,
    /// Writes that are not synced, logged or not.
    Lazy,
}

impl Lean {
    const ALL: [Lean; 4] = [Lean::Runs, Lean::Runs, Lean::Os, Lean::Lazy];
}

/// In milliseconds.
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

struct Writer<'a> {
    profile: &'a Profile,
    weights: Vec<(Kind, u64)>,
    keys: Vec<Vec<u8>>,
    families: Vec<String>,
    created: u32,
    snapshots: Vec<u32>,
    cursors: Vec<u32>,
    random: Random,
    lean: Lean,
    /// Which durability is preferred for the moment.
    turn: u64,
    /// Whether there is a family in which ranges are dropped.
    dropping: bool,
}

impl Writer<'_> {
    fn operation(&mut self) -> Operation {
        let sum: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.below(sum);
        let mut chosen = Kind::Single;
        for (kind, weight) in &self.weights {
            if left < *weight {
                chosen = *kind;
                break;
            }
            left -= weight;
        }
        self.of_kind(chosen)
    }

    fn of_kind(&mut self, kind: Kind) -> Operation {
        match kind {
            Kind::Single => self.write(1),
            Kind::Batch => {
                let count = 2 + self.random.below(4);
                self.write(count)
            }
            Kind::Transaction => self.transaction(),
            Kind::Prepare => self.prepare(),
            Kind::Resolve => {
                let slot = self.random.below(SLOTS) as u32;
                if self.random.below(3) == 0 {
                    return Operation::RollbackPrepared(slot);
                }
                Operation::CommitPrepared { slot, durability: self.durability() }
            }
            Kind::If => self.conditional(),
            Kind::Expire => {
                let ttl_ms = (self.random.below(3) > 0).then(|| self.choose(&[1, 50, 400, 60_000]));
                Operation::Expire { family: self.family(), key: self.choose(&self.keys), ttl_ms }
            }
            Kind::Ingest => self.ingest(),
            Kind::Sync => Operation::Sync,
            Kind::Flush => Operation::Flush,
            Kind::Compact if self.random.below(2) == 0 => Operation::Compact,
            Kind::Compact => Operation::CompactRange { family: self.family(), span: self.span() },
            Kind::Tick => Operation::Tick(1 + self.random.below(4) as u32),
            Kind::Advance if self.random.below(8) == 0 => {
                Operation::Advance(self.choose(&[31 * MINUTE, DAY]))
            }
            Kind::Advance => Operation::Advance(self.choose(&[1, 20, 150, 1_200])),
            Kind::Clock => {
                let by = self.choose(&[300, 3_000, MINUTE, DAY]) as i64;
                Operation::Clock(if self.random.below(2) == 0 { by } else { -by })
            }
            Kind::Options if self.random.below(2) == 0 => Operation::Adjust(self.random.below(16) as u32),
            Kind::Options => Operation::Options(self.random.below(16) as u32),
            Kind::OnDurable => Operation::OnDurable,
            Kind::Family => self.create_or_drop(),
            Kind::Snapshot => self.snapshot_or_release(),
            Kind::Read => self.read(),
            Kind::Cursor => self.cursor(),
            Kind::Verify => Operation::Verify,
            Kind::Copy if self.random.below(2) == 0 => Operation::Backup,
            Kind::Copy => Operation::Checkpoint,
            Kind::Look => Operation::Look,
            Kind::Reopen => {
                self.let_go();
                Operation::Reopen
            }
            Kind::Crash => {
                self.let_go();
                if self.random.below(2) == 0 {
                    return Operation::Kill;
                }
                let image = self.choose(&Image::ALL);
                Operation::PowerLoss { image, seed: self.random.below(1_000) }
            }
        }
    }

    fn choose<T: Clone>(&self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize].clone()
    }

    fn family(&self) -> String {
        if self.random.below(4) == 0 { "default".into() } else { self.choose(&self.families) }
    }

    fn write(&mut self, count: u64) -> Operation {
        let changes = (0..count).map(|_| self.change()).collect();
        Operation::Write { changes, durability: self.durability() }
    }

    /// Every third transaction is meddled with: half of those where it writes itself.
    fn transaction(&mut self) -> Operation {
        let kinds =
            [TransactionKind::Optimistic, TransactionKind::Pessimistic, TransactionKind::Serialisable];
        let changes: Vec<Change> = (0..1 + self.random.below(4)).map(|_| self.change()).collect();
        let mut meddle = Vec::new();
        if self.random.below(3) == 0 {
            meddle.push(self.change());
            if self.random.below(2) == 0 {
                let Change { family, key, .. } = self.choose(&changes);
                meddle[0] = Change { family, key, ..self.change_of_key() };
            }
        }
        let durability = self.durability();
        Operation::Transaction { kind: self.choose(&kinds), changes, meddle, durability }
    }

    fn prepare(&mut self) -> Operation {
        // One that has read a whole family holds up most of what follows.
        let kinds = [
            TransactionKind::Optimistic,
            TransactionKind::Pessimistic,
            TransactionKind::Pessimistic,
            TransactionKind::Serialisable,
        ];
        let changes = (0..1 + self.random.below(4)).map(|_| self.change()).collect();
        let (slot, kind) = (self.random.below(SLOTS) as u32, self.choose(&kinds));
        Operation::Prepare { slot, kind, changes, durability: self.durability() }
    }

    fn conditional(&mut self) -> Operation {
        let all = [Asked::Absent, Asked::Value, Asked::Value, Asked::OtherValue, Asked::Version];
        let mut changes: Vec<Change> = (0..1 + self.random.below(2)).map(|_| self.change()).collect();
        let condition =
            Condition { family: self.family(), key: self.choose(&self.keys), asked: self.choose(&all) };
        if self.random.below(2) == 0 {
            let (family, key) = (condition.family.clone(), condition.key.clone());
            changes[0] = Change { family, key, ..self.change_of_key() };
        }
        Operation::If { condition, changes, durability: self.durability() }
    }

    /// Mostly a few neighbouring keys of one family, which may go deep; sometimes keys of all.
    fn ingest(&self) -> Operation {
        let mut keys = self.keys.clone();
        keys.sort();
        let (from, family) = (self.random.below(keys.len() as u64) as usize, self.family());
        let near = self.random.below(3) > 0;
        let changes = (0..1 + self.random.below(6)).map(|n| {
            let change = self.change();
            let mut what = self.what();
            if let What::Put { .. } = what
                && self.random.below(12) == 0
            {
                what = What::Put { bytes: self.profile.value_bytes as usize * 2 };
            }
            if near {
                let key = keys[(from + n as usize) % keys.len()].clone();
                return Change { family: family.clone(), key, what };
            }
            // An operand or a range is no entry of a table; and what is too long is refused elsewhere.
            let key = if change.is_out_of_range() { Vec::new() } else { change.key };
            Change { family: change.family, key, what }
        });
        Operation::Ingest { changes: changes.collect(), move_files: self.random.below(2) == 0 }
    }

    fn durability(&mut self) -> Durability {
        // Runs of one durability leave more unsynced at once than a fair mix would.
        if self.random.below(8) == 0 {
            self.turn = self.random.below(4);
        }
        let modes = [Durability::Sync, Durability::Os, Durability::None];
        match (self.lean, self.random.below(12)) {
            (Lean::Os, 1..) => Durability::Os,
            (Lean::Lazy, 1..4) => Durability::None,
            (Lean::Lazy, 4..) => Durability::Os,
            (Lean::Runs, 3..) if self.turn < 3 => modes[self.turn as usize],
            _ => self.choose(&modes),
        }
    }

    /// Makes the last level large; see [`Profile::deep`].
    fn depth(&self) -> Vec<Operation> {
        let what = What::Put { bytes: LARGEST_VALUE_BYTES as usize };
        let key = |n: u8| vec![b'z', b'z', n];
        let change = |n| Change { family: "default".into(), key: key(n), what: what.clone() };
        let changes = (0..3).map(change).collect();
        let large = Operation::Write { changes, durability: Durability::None };
        vec![large, Operation::Compact, Operation::Options(SMALLEST_OPTIONS), Operation::Reopen]
    }

    fn value_bytes(&self) -> usize {
        if self.random.below(self.profile.large_every) == 0 {
            let large = [4 << 10, 8 << 10, 16 << 10, 64 << 10, 64 << 10, LARGEST_VALUE_BYTES];
            return (self.choose(&large) - 1 + self.random.below(3)) as usize;
        }
        let bytes = match self.random.below(24) {
            0 | 1 => 0,
            2..10 => self.random.below(32),
            10..19 => self.random.below(300),
            // A byte less, exactly, and a byte more.
            19 => {
                let edges = EDGES.iter().filter(|edge| **edge <= self.profile.value_bytes * 2);
                let edges: Vec<u64> = edges.copied().collect();
                self.choose(&edges) - 1 + self.random.below(3)
            }
            _ => self.random.below(self.profile.value_bytes),
        };
        bytes as usize
    }

    fn change_of_key(&self) -> Change {
        Change { family: String::new(), key: Vec::new(), what: self.what() }
    }

    fn what(&self) -> What {
        let bytes = self.value_bytes();
        let ttl_ms = self.choose(&[1, 50, 400, 2_000, 60_000]);
        match self.random.below(10) {
            0..6 => What::Put { bytes },
            6..8 => What::PutTtl { bytes: bytes.max(LEAST_TTL_BYTES), ttl_ms },
            _ => What::Delete,
        }
    }

    fn change(&self) -> Change {
        let mut what = self.what();
        if self.random.below(100) < self.profile.merges {
            let ttl_ms = if self.random.below(3) == 0 { self.choose(&[1, 50, 400, 2_000]) } else { 0 };
            what = What::Merge { bytes: self.value_bytes().max(LEAST_TTL_BYTES), ttl_ms };
        }
        match self.random.below(40) {
            0 => return Change::of_range(&self.family(), What::DeleteRange(self.range())),
            2 if self.dropping => return Change::of_range(DROPPING, What::DropRange(self.range())),
            3..8 if self.dropping => {
                // What was dropped and what an operand comes to on top of it, nobody may know.
                let change = Change { family: DROPPING.into(), key: self.choose(&self.keys), what };
                return change.without_merge();
            }
            _ => {}
        }
        let mut change = Change { family: self.family(), key: self.choose(&self.keys), what };
        if self.random.below(400) == 0 {
            // A byte too long: the store must refuse it, and the batch that it stands in.
            change.key.resize(MAX_KEY_BYTES + 1, b'o');
        }
        change
    }

    fn create_or_drop(&mut self) -> Operation {
        if self.families.len() > 1 && self.random.below(6) < self.families.len() as u64 - 1 {
            let at = 1 + self.random.below(self.families.len() as u64 - 1) as usize;
            return Operation::Drop(self.families.remove(at));
        }
        // A name may come back after it was dropped.
        let name = format!("f{}", self.created % 6);
        self.created += 1;
        if self.families.contains(&name) {
            return Operation::Families;
        }
        self.families.push(name.clone());
        Operation::Create(name)
    }

    fn snapshot_or_release(&mut self) -> Operation {
        if !self.snapshots.is_empty() && self.random.below(3) == 0 {
            let at = self.random.below(self.snapshots.len() as u64) as usize;
            return Operation::Release(self.snapshots.remove(at));
        }
        let slot = self.random.below(4) as u32;
        if !self.snapshots.contains(&slot) {
            self.snapshots.push(slot);
        }
        Operation::Snapshot(slot)
    }

    /// What nothing survives that ends the store's life.
    fn let_go(&mut self) {
        self.snapshots.clear();
        self.cursors.clear();
    }

    /// Cursors live for a while, across writes, flushes and compactions.
    fn cursor(&mut self) -> Operation {
        let slot = self.random.below(3) as u32;
        match (self.cursors.iter().position(|known| *known == slot), self.random.below(16)) {
            (Some(at), 0) => Operation::LetGo(self.cursors.swap_remove(at)),
            (Some(_), 2..) => Operation::Move { slot, to: self.movement() },
            (known, _) => {
                self.cursors.extend(known.is_none().then_some(slot));
                let at = self.snapshot_to_read();
                Operation::Cursor { slot, at, family: self.family(), span: self.span() }
            }
        }
    }

    fn movement(&self) -> Movement {
        match self.random.below(16) {
            0 => Movement::First,
            1 => Movement::Last,
            2..6 => Movement::Next,
            6..10 => Movement::Prev,
            10 | 11 => Movement::Seek(self.choose(&self.keys)),
            12 | 13 => Movement::SeekForPrev(self.choose(&self.keys)),
            _ => Movement::Refresh,
        }
    }

    fn span(&self) -> Span {
        match self.random.below(6) {
            0 | 1 => Span::All,
            2 => {
                let key = self.choose(&self.keys);
                let cut = self.random.below(key.len() as u64 + 1) as usize;
                Span::Prefix(key[..cut].to_vec())
            }
            _ => {
                let (a, b) = (self.choose(&self.keys), self.choose(&self.keys));
                let bound = |key: Vec<u8>| match self.random.below(5) {
                    0 => Bound::Unbounded,
                    1 | 2 => Bound::Excluded(key),
                    _ => Bound::Included(key),
                };
                Span::Range(bound(a.clone().min(b.clone())), bound(a.max(b)))
            }
        }
    }

    /// A range to be removed: mostly a few keys, so that the stock of them does not run out.
    fn range(&self) -> Span {
        if self.random.below(6) == 0 {
            return self.span();
        }
        let mut keys: Vec<&Vec<u8>> = self.keys.iter().collect();
        keys.sort();
        let from = self.random.below(keys.len() as u64) as usize;
        let to = (from + self.random.below(4) as usize).min(keys.len() - 1);
        let to = match self.random.below(4) {
            0 => Bound::Included(keys[to].clone()),
            _ => Bound::Excluded(keys[to].clone()),
        };
        Span::Range(Bound::Included(keys[from].clone()), to)
    }

    fn snapshot_to_read(&self) -> Option<u32> {
        (!self.snapshots.is_empty() && self.random.below(2) == 0).then(|| self.choose(&self.snapshots))
    }

    fn read(&self) -> Operation {
        let at = self.snapshot_to_read();
        if self.dropping && self.random.below(8) == 0 {
            return Operation::Get { at, family: DROPPING.into(), key: self.choose(&self.keys) };
        }
        let family = self.family();
        match self.random.below(8) {
            0..3 => Operation::Get { at, family, key: self.choose(&self.keys) },
            3 => {
                let keys = (0..self.random.below(12)).map(|_| self.choose(&self.keys)).collect();
                Operation::MultiGet { at, family, keys }
            }
            4 if self.random.below(4) == 0 => Operation::Families,
            way => {
                let step = match way {
                    5 => Step::Reverse,
                    6 => Step::Mixed(self.random.next_u64() >> 1),
                    _ => Step::Forward,
                };
                Operation::Scan { at, family, span: self.span(), step }
            }
        }
    }
}
