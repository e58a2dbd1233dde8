//! A disk that fails or fills up in the middle.
//!
//! Here each writer has keys of its own and writes them in order, one batch over both families at a
//! time. So what is found can be judged without knowing which of the refused writes may have reached
//! the disk: of each writer a beginning, batches whole, and all that it was told is durable.

use super::rig::{builder, explore, quiet, thread, tiny, together};
use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use crate::base::sync::quiet::{AtomicU64, Ordering};
use crate::base::sync::thread::yield_now;
use crate::batch::WriteBatch;
use crate::commit::Durability;
use crate::commit::Durability::{Os, Sync};
use crate::db::{ColumnFamily, Db};
use crate::fs::SimFs;
use crate::fs::sim::{Fault, Image, OperationKind};

const WRITERS: usize = 2;

/// How often the programs got to what they are about.
static LATCHED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

struct Store {
    sim: SimFs,
    db: Db,
    second: ColumnFamily,
    bytes: usize,
    /// How many of each writer's batches are durable as far as it was told.
    durable: [AtomicU64; WRITERS],
}

impl Store {
    fn new(sim: SimFs, db: Db, bytes: usize) -> Arc<Store> {
        let second = db.column_family("second").unwrap();
        Arc::new(Store { sim, db, second, bytes, durable: Default::default() })
    }

    fn write(&self, who: usize, number: u8, durability: Durability) -> Result<()> {
        let mut batch = WriteBatch::new();
        let (key, value) = ([who as u8, number], vec![number; self.bytes]);
        batch.put(&self.db, key, &value).put(&self.second, key, &value);
        self.db.write(batch, durability)?;
        if durability == Sync {
            self.durable[who].fetch_max(u64::from(number) + 1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is there of each writer; panics if that is no beginning, or a batch is not whole.
    fn found(db: &Db) -> [u64; WRITERS] {
        let second = db.open_column_family("second").unwrap();
        let snapshot = db.snapshot();
        let keys = |family: &ColumnFamily| -> Vec<Vec<u8>> {
            snapshot.iter(family).unwrap().map(|entry| entry.unwrap().0.to_vec()).collect()
        };
        let latched = || db.health().poisoned.is_some();
        let (before, all, beside) = (latched(), keys(db), keys(&second));
        // A sync that fails takes what is not durable from snapshots, too: between the two reads here.
        if before != latched() {
            return Store::found(db);
        }
        assert_eq!(all, beside, "half a batch");
        std::array::from_fn(|who| {
            let of: Vec<_> = all.iter().filter(|key| usize::from(key[0]) == who).collect();
            assert!(of.iter().enumerate().all(|(i, key)| usize::from(key[1]) == i), "a hole: {all:?}");
            of.len() as u64
        })
    }

    /// Judges what a loss of power leaves; `told` is what was reported before.
    fn judge(disk: &SimFs, told: [u64; WRITERS]) {
        let found = Store::found(&quiet(disk).open().unwrap());
        assert!(found.iter().zip(told).all(|(found, told)| *found >= told), "{found:?}, told {told:?}");
    }

    fn told(&self) -> [u64; WRITERS] {
        std::array::from_fn(|who| self.durable[who].load(Ordering::Relaxed))
    }
}

/// From the first failed sync on nothing is written, whoever asks; reads show what is durable.
#[test]
fn shuttle_a_failed_sync_stops_all_writers() {
    explore("shuttle_a_failed_sync_stops_all_writers", 7, || {
        let sim = SimFs::new();
        let db = builder(&sim).open().unwrap();
        let store = Store::new(sim, db, 30);
        let writer = |who: usize, kinds: [Durability; 3]| {
            move |s: &Store| {
                let mut failed = false;
                for (number, kind) in kinds.into_iter().enumerate() {
                    let latched = s.db.health().poisoned.is_some();
                    let written = s.write(who, number as u8, kind);
                    assert!(!(latched && written.is_ok()), "written behind a failed sync");
                    assert!(!(failed && written.is_ok()), "the latch opened again");
                    failed |= written.is_err();
                }
            }
        };
        together(vec![
            thread(&store, writer(0, [Sync, Os, Sync])),
            thread(&store, writer(1, [Os, Sync, Os])),
            thread(&store, |s| {
                s.sim.set_fault(Box::new(|op| {
                    let log = op.path.extension().is_some_and(|extension| extension == "log");
                    (log && op.kind == OperationKind::Sync).then_some(Fault::FailedSyncDropsPages)
                }));
            }),
            thread(&store, |s| {
                Store::found(&s.db);
                drop(s.db.flush());
            }),
        ]);
        store.sim.clear_fault();
        let latched = store.db.health().poisoned.is_some();
        let mut must_stay = store.told();
        if latched {
            assert!(matches!(store.write(0, 9, Os), Err(Error::Poisoned { .. })));
            assert!(store.db.sync().is_err() || store.db.durable_seq() == store.db.visible_seq());
            let found = Store::found(&store.db);
            assert!(found.iter().zip(must_stay).all(|(found, told)| *found >= told), "{found:?}");
            // What is served behind a failed sync is durable.
            must_stay = found;
            LATCHED.fetch_add(1, Ordering::Relaxed);
        }
        let lost = store.sim.image(Image::Nothing, 0);
        assert_eq!(store.db.clone().close().is_err(), latched);
        Store::judge(&lost, must_stay);
    });
    assert!(LATCHED.load(Ordering::Relaxed) > 0, "no sync failed");
}

/// Writers that a full disk refuses try again until there is space; all that they write arrives, in
/// their order, without reopening.
#[test]
fn shuttle_a_full_disk_heals() {
    explore("shuttle_a_full_disk_heals", 5, || {
        let sim = SimFs::new();
        let db = tiny(&sim).open().unwrap();
        let store = Store::new(sim, db, 600);
        let writer = |who: usize, kind: Durability| {
            move |s: &Store| {
                for number in 0..3 {
                    loop {
                        match s.write(who, number, kind) {
                            Ok(()) => break,
                            Err(Error::DiskFull(_)) => {
                                REFUSED.fetch_add(1, Ordering::Relaxed);
                                yield_now();
                            }
                            Err(error) => panic!("a full disk: {error:?}"),
                        }
                    }
                }
            }
        };
        together(vec![
            thread(&store, writer(0, Os)),
            thread(&store, writer(1, Sync)),
            thread(&store, |s| {
                s.sim.set_capacity(Some(s.sim.used() + 512));
                (0..20).for_each(|_| yield_now());
                s.sim.set_capacity(None);
            }),
            thread(&store, |s| {
                Store::found(&s.db);
            }),
        ]);
        assert!(store.db.health().poisoned.is_none());
        store.db.flush().unwrap();
        assert_eq!(Store::found(&store.db), [3, 3]);
        assert!(store.db.verify().unwrap().problems.is_empty());
        let told = store.told();
        Store::judge(&store.sim.image(Image::Nothing, 0), told);
        store.db.clone().close().unwrap();
        Store::judge(&store.sim.image(Image::Nothing, 0), [3, 3]);
    });
    assert!(REFUSED.load(Ordering::Relaxed) > 0, "the disk was never full");
}
