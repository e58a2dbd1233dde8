//! What the threads of a program asked for and saw, and whether that keeps the promises:
//!
//! - Sequence numbers: each is handed out once, none is left out, and a write that began when another
//!   had returned has the higher ones.
//! - Reads: what was read at a sequence number is what all writes up to it leave; what was read in the
//!   present is what they leave at some number that was visible meanwhile. A number in the middle of a
//!   batch is never visible.
//! - After a loss of power: a prefix of the logged writes and a prefix of the unlogged ones, batches
//!   whole, the former no shorter than what was durable, or was told to be.
//!
//! Nothing here is a point at which shuttle switches threads.

use super::rig::quiet;
use crate::base::error::Result;
use crate::base::key::SeqNum;
use crate::base::sync::quiet::{AtomicU64, Ordering};
use crate::batch::WriteBatch;
use crate::commit::{Durability, Ticket};
use crate::db::{ColumnFamily, Db, Iter};
use crate::fs::SimFs;
use crate::fs::sim::Image;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A family by its place in [`Store::families`], a key, and the value as a number.
pub(super) type Op = (usize, u8, Option<u32>);
/// Values of keys from this one on are not padded.
pub(super) const SHORT: u8 = 200;
/// What is in a store, or in a part of it.
pub(super) type Content = BTreeMap<(usize, u8), u32>;

#[derive(Clone, Debug)]
struct Write {
    first: SeqNum,
    last: SeqNum,
    logged: bool,
    began: u64,
    ended: u64,
    ops: Vec<Op>,
}

/// What was seen of the keys in `asked` (of all, if there is no list), at a number between `low` and
/// `high`.
#[derive(Debug)]
struct Seen {
    low: SeqNum,
    high: SeqNum,
    asked: Option<Vec<(usize, u8)>>,
    content: Content,
}

/// What a loss of power at some moment left, and what it must hold at least.
struct Loss {
    disk: SimFs,
    durable: SeqNum,
}

/// A store with the record of what goes on in it.
pub(super) struct Store {
    pub(super) sim: SimFs,
    pub(super) db: Db,
    pub(super) families: Vec<ColumnFamily>,
    value_bytes: usize,
    start: SeqNum,
    stamp: AtomicU64,
    /// The highest number that a call has reported durable.
    told: AtomicU64,
    writes: Mutex<Vec<Write>>,
    seen: Mutex<Vec<Seen>>,
    losses: Mutex<Vec<Loss>>,
}

fn key(key: u8) -> [u8; 4] {
    [b'k', b'e', b'y', key]
}

fn decode(key: &[u8], value: &[u8], family: usize) -> ((usize, u8), u32) {
    let number = value.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    ((family, key[3]), number.expect("a value of a program"))
}

impl Store {
    /// A store with two families; values are padded to `value_bytes`.
    pub(super) fn new(sim: SimFs, db: Db, value_bytes: usize) -> Store {
        let second = db.column_family("second").expect("a family");
        let families = vec![db.default_family(), second];
        let start = db.visible_seq();
        Store {
            sim,
            db,
            families,
            value_bytes,
            start,
            stamp: AtomicU64::new(0),
            told: AtomicU64::new(start),
            writes: Mutex::default(),
            seen: Mutex::default(),
            losses: Mutex::default(),
        }
    }

    fn batch(&self, ops: &[Op]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for &(family, name, value) in ops {
            let family = &self.families[family];
            match value {
                None => batch.delete(family, key(name)),
                Some(value) => {
                    let mut bytes = value.to_le_bytes().to_vec();
                    // What does not compress, so that tables are as large as they are meant to be.
                    let random = crate::base::random::Random::seeded(u64::from(value));
                    while bytes.len() < self.value_bytes && name < SHORT {
                        bytes.extend_from_slice(&random.next_u64().to_le_bytes());
                    }
                    batch.put(family, key(name), bytes)
                }
            };
        }
        batch
    }

    /// Writes a batch as `Db::write` does, and notes it.
    pub(super) fn write(&self, ops: &[Op], durability: Durability) -> Result<Ticket> {
        let began = self.stamp.fetch_add(1, Ordering::Relaxed);
        let ticket = self.db.inner().commit(self.batch(ops), durability)?;
        assert!(self.db.inner().store.visible_seq() >= ticket.seq(), "returned before it was published");
        let ended = self.stamp.fetch_add(1, Ordering::Relaxed);
        self.writes.lock().unwrap().push(Write {
            first: ticket.first_seq(),
            last: ticket.seq(),
            logged: durability != Durability::None,
            began,
            ended,
            ops: ops.to_vec(),
        });
        if durability == Durability::Sync {
            self.db.inner().store.wait_durable(ticket.seq())?;
            self.told(ticket.seq());
        }
        Ok(ticket)
    }

    /// Writes that must succeed.
    pub(super) fn put(&self, ops: &[Op], durability: Durability) -> Ticket {
        self.write(ops, durability).expect("a write")
    }

    /// Notes that everything up to `seq` was reported durable.
    pub(super) fn told(&self, seq: SeqNum) {
        assert!(self.db.durable_seq() >= seq, "told too early");
        self.told.fetch_max(seq, Ordering::Relaxed);
    }

    fn collect(&self, family: usize, iter: Iter, backward: bool) -> Result<Content> {
        let entries: Vec<_> = if backward { iter.rev().collect() } else { iter.collect() };
        let keys = |i: usize| entries[i].as_ref().map(|(key, _)| key.to_vec()).ok();
        for i in 1..entries.len() {
            assert!((keys(i - 1) < keys(i)) != backward, "an iterator out of order");
        }
        entries.into_iter().map(|entry| entry.map(|(key, value)| decode(&key, &value, family))).collect()
    }

    /// Reads one key in the present.
    pub(super) fn get(&self, family: usize, name: u8) -> Result<()> {
        let low = self.db.visible_seq();
        let value = self.families[family].get(key(name))?;
        let content = value.iter().map(|value| decode(&key(name), value, family)).collect();
        self.note(low, Some(vec![(family, name)]), content);
        Ok(())
    }

    /// Reads some keys in one view.
    pub(super) fn multi_get(&self, family: usize, names: &[u8]) -> Result<()> {
        let low = self.db.visible_seq();
        let keys: Vec<_> = names.iter().map(|name| key(*name)).collect();
        let values = self.families[family].multi_get(&keys)?;
        let found = keys.iter().zip(&values).filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let content = found.map(|(key, value)| decode(key, value, family)).collect();
        self.note(low, Some(names.iter().map(|name| (family, *name)).collect()), content);
        Ok(())
    }

    /// Reads all of a family in the present.
    pub(super) fn scan(&self, family: usize, backward: bool) -> Result<()> {
        let low = self.db.visible_seq();
        let iter = self.families[family].iter()?;
        let high = self.db.visible_seq();
        let content = self.collect(family, iter, backward)?;
        let asked = (0..=u8::MAX).map(|name| (family, name)).collect();
        self.seen.lock().unwrap().push(Seen { low, high, asked: Some(asked), content });
        Ok(())
    }

    /// Reads all of a snapshot, twice, in the two directions.
    pub(super) fn snapshot(&self) -> Result<()> {
        let snapshot = self.db.snapshot();
        let mut both = Vec::new();
        for backward in [false, true] {
            let mut content = Content::new();
            for (number, family) in self.families.iter().enumerate() {
                content.extend(self.collect(number, snapshot.iter(family)?, backward)?);
            }
            both.push(content);
        }
        assert_eq!(both[0], both[1], "a snapshot that changes");
        let content = both.swap_remove(0);
        let (low, high) = (snapshot.seq(), snapshot.seq());
        self.seen.lock().unwrap().push(Seen { low, high, asked: None, content });
        Ok(())
    }

    fn note(&self, low: SeqNum, asked: Option<Vec<(usize, u8)>>, content: Content) {
        let high = self.db.visible_seq();
        self.seen.lock().unwrap().push(Seen { low, high, asked, content });
    }

    /// Takes what a loss of power now would leave.
    pub(super) fn lose_power(&self, image: Image) {
        // In this order: what becomes durable in between is on the disk as well.
        let durable = self.db.durable_seq().max(self.told.load(Ordering::Relaxed));
        let disk = self.sim.image(image, durable);
        self.losses.lock().unwrap().push(Loss { disk, durable });
    }

    /// Closes the store, which must be well, and judges all that was noted.
    pub(super) fn end(&self) {
        let health = self.db.health();
        assert!(health.poisoned.is_none() && health.failed_jobs == 0, "{health:?}");
        self.db.clone().close().expect("a close in good order");
        self.judge();
        let all = self.states(true, true).pop().expect("a state").1;
        assert_eq!(self.dump(&self.sim.image(Image::Nothing, 0)), all, "after a close in good order");
    }

    /// Judges what was noted; every write must have succeeded.
    pub(super) fn judge(&self) {
        let mut next = self.start + 1;
        self.writes.lock().unwrap().sort_by_key(|write| write.first);
        for write in &*self.writes.lock().unwrap() {
            assert_eq!(write.first, next, "numbers left out or handed out twice");
            assert_eq!(write.last, write.first + write.ops.len() as u64 - 1);
            next = write.last + 1;
        }
        self.judge_seen();
    }

    /// Judges order, reads and losses, where some writes may have failed.
    pub(super) fn judge_seen(&self) {
        let mut writes = self.writes.lock().unwrap().clone();
        writes.sort_by_key(|write| write.first);
        for (i, later) in writes.iter().enumerate() {
            for earlier in &writes[..i] {
                assert!(earlier.last < later.first, "{earlier:?} and {later:?} overlap");
                assert!(later.ended > earlier.began, "{later:?} returned before {earlier:?} began");
            }
        }
        let states = self.states(true, true);
        for seen in &*self.seen.lock().unwrap() {
            let at = |seq: SeqNum| states.iter().rposition(|(last, _)| *last <= seq).expect("a state");
            let part = |content: &Content| -> Content {
                let asked = |key| seen.asked.as_ref().is_none_or(|asked| asked.contains(key));
                content.iter().filter(|(key, _)| asked(key)).map(|(key, value)| (*key, *value)).collect()
            };
            assert_eq!(states[at(seen.low)].0, seen.low, "half a batch was visible");
            let possible = &states[at(seen.low)..=at(seen.high)];
            assert!(possible.iter().any(|(_, state)| part(state) == seen.content), "{seen:?}: {writes:?}");
        }
        for loss in std::mem::take(&mut *self.losses.lock().unwrap()) {
            self.judge_loss(&loss);
        }
    }

    /// What each prefix of the writes leaves, with the last number in it.
    fn states(&self, logged: bool, unlogged: bool) -> Vec<(SeqNum, Content)> {
        let mut writes = self.writes.lock().unwrap().clone();
        writes.sort_by_key(|write| write.first);
        let mut states = vec![(self.start, Content::new())];
        let mut content = Content::new();
        for write in writes.iter().filter(|write| if write.logged { logged } else { unlogged }) {
            apply(&mut content, write);
            states.push((write.last, content.clone()));
        }
        states
    }

    fn judge_loss(&self, loss: &Loss) {
        let found = self.dump(&loss.disk);
        let mut writes = self.writes.lock().unwrap().clone();
        writes.sort_by_key(|write| write.first);
        let ends = |logged: bool| {
            let ends = writes.iter().filter(move |write| write.logged == logged).map(|write| write.last);
            std::iter::once(self.start).chain(ends).collect::<Vec<_>>()
        };
        for &logged in ends(true).iter() {
            let missed = writes.iter().any(|w| w.logged && w.last > logged && w.last <= loss.durable);
            for &unlogged in ends(false).iter().filter(|_| !missed) {
                let mut content = Content::new();
                let kept = |w: &&Write| w.last <= if w.logged { logged } else { unlogged };
                writes.iter().filter(kept).for_each(|write| apply(&mut content, write));
                if content == found {
                    return;
                }
            }
        }
        panic!("{found:?} is no state from {} on of {writes:?}", loss.durable);
    }

    /// What a store opened on that disk holds.
    pub(super) fn dump(&self, disk: &SimFs) -> Content {
        let db = quiet(disk).open().expect("a store that opens after a loss of power");
        let mut content = Content::new();
        for (number, family) in self.families.iter().enumerate() {
            match db.open_column_family(family.name()) {
                Ok(family) => content.extend(self.collect(number, family.iter().unwrap(), false).unwrap()),
                Err(error) => assert!(number > 0, "{error}"),
            }
        }
        content
    }
}

fn apply(content: &mut Content, write: &Write) {
    for &(family, name, value) in &write.ops {
        match value {
            Some(value) => drop(content.insert((family, name), value)),
            None => drop(content.remove(&(family, name))),
        }
    }
}
