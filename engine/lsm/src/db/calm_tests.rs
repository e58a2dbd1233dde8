//! Compactions that only help reads must not stand in the way of what matters when the disk is full.

use crate::base::clock::{Clock, ManualClock};
use crate::base::error::Error;
use crate::commit::Durability;
use crate::compaction::Calm;
use crate::db::Db;
use crate::fs::sim::{Fault, OperationKind};
use crate::fs::{Fs, SimFs};

const RESERVE_BYTES: u64 = 1 << 20;

/// A store of two tables in level 0, which nothing urges to compact.
fn two_tables(sim: &SimFs) -> Db {
    let db = Db::builder("/db")
        .fs(Fs::Sim(sim.clone()))
        .clock(Clock::Manual(ManualClock::new(1_000_000)))
        .memory_budget(4 << 20)
        .reserve_bytes(RESERVE_BYTES)
        .default_durability(Durability::Os)
        .deterministic(1)
        .open()
        .unwrap();
    for table in 0..2_u8 {
        (0..100_u8).for_each(|n| db.put([n, table], [n; 100]).unwrap());
        db.flush().unwrap();
    }
    assert_eq!(tables(&db), 2);
    db
}

fn tables(db: &Db) -> u64 {
    db.verify().unwrap().tables
}

fn use_calm(db: &Db) -> crate::base::error::Result<bool> {
    db.inner().scheduler.jobs().compact_calm(Calm::Long)
}

#[test]
fn where_it_might_fill_the_disk_it_is_not_begun() {
    let sim = SimFs::new();
    let db = two_tables(&sim);
    // Room for its output, but not for the reserve beside it, which is what deletions live on.
    sim.set_capacity(Some(sim.used() + RESERVE_BYTES));
    assert!(!use_calm(&db).unwrap());
    assert_eq!(tables(&db), 2);
    sim.set_capacity(Some(sim.used() + 2 * RESERVE_BYTES));
    assert!(use_calm(&db).unwrap());
    assert_eq!(tables(&db), 1);
}

/// Found under load: it drew on the reserve, which others had just begun to delete with.
#[test]
fn a_full_disk_ends_it_and_the_reserve_stays() {
    let sim = SimFs::new();
    let db = two_tables(&sim);
    sim.set_fault(Box::new(|op| {
        let table = op.path.extension().is_some_and(|extension| extension == "sst");
        (table && op.kind == OperationKind::Write).then_some(Fault::ENOSPC)
    }));
    assert!(matches!(use_calm(&db), Err(Error::DiskFull(_))));
    sim.clear_fault();
    let store = &db.inner().store;
    assert!(!store.reserve.is_short(), "the reserve is for what must be done");
    assert!(db.health().is_well(), "{:?}", db.health());
    assert!(db.verify().unwrap().unnamed_files.is_empty());
    assert!(use_calm(&db).unwrap());
}
