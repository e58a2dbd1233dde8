//! What a store keeps on the disk: little beside its tables at rest, and no tables that others have replaced.

use crate::base::clock::{Clock, ManualClock};
use crate::base::error::Error;
use crate::base::limits::LEVELS;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::base::sync::{Arc, Mutex, thread};
use crate::batch::WriteBatch;
use crate::commit::Durability;
use crate::compaction::{Plan, Reason};
use crate::db::{Builder, Db};
use crate::fs::sim::{Fault, OperationKind};
use crate::fs::{Fs, SimFs};
use crate::hooks::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
use crate::tree::PinKind;
use std::path::PathBuf;

const SEGMENT_BYTES: u64 = 64 << 10;
const RESERVE_BYTES: u64 = 128 << 10;

fn builder(sim: &SimFs) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(sim.clone()))
        .clock(Clock::Manual(ManualClock::new(1_000_000)))
        .memory_budget(4 << 20)
        .wal_segment_bytes(SEGMENT_BYTES)
        .reserve_bytes(RESERVE_BYTES)
        .default_durability(Durability::Os)
        .deterministic(1)
}

/// The sizes of the files of a kind, by the end of their names.
fn sizes(sim: &SimFs, end: &str) -> Vec<u64> {
    let of_kind = |path: &PathBuf| path.to_string_lossy().ends_with(end);
    sim.paths().into_iter().filter(of_kind).map(|path| sim.read_raw(&path).unwrap().len() as u64).collect()
}

fn fill(db: &Db, numbers: std::ops::Range<u32>) {
    numbers.for_each(|n| db.put(n.to_be_bytes(), [n as u8; 200]).unwrap());
}

fn sealed(db: &Db) -> usize {
    db.stats().families[0].sealed_memtables
}

#[test]
fn log_and_reserve_are_small_at_rest_and_grow_with_use() {
    let sim = SimFs::new();
    let db = builder(&sim).open().unwrap();
    assert_eq!(sizes(&sim, "RESERVE"), [RESERVE_BYTES], "there is room for it");
    assert_eq!(sizes(&sim, ".log"), [SEGMENT_BYTES / 4]);
    fill(&db, 0..200);
    assert_eq!(sizes(&sim, ".log"), [SEGMENT_BYTES / 4, SEGMENT_BYTES]);
    db.flush().unwrap();
    assert_eq!(sizes(&sim, ".log"), [SEGMENT_BYTES / 4]);
    assert_eq!(sizes(&sim, "RESERVE"), [RESERVE_BYTES / 2]);
    let named: u64 = sizes(&sim, "").iter().sum();
    assert!(sim.used() < named + SEGMENT_BYTES / 4, "a removed segment is still open: {} bytes", sim.used());
    fill(&db, 0..10);
    db.inner().scheduler.jobs().upkeep().unwrap();
    assert_eq!(sizes(&sim, "RESERVE"), [RESERVE_BYTES / 2], "it does for a little");
    fill(&db, 10..100);
    assert!(!db.inner().scheduler.jobs().flush_next().unwrap());
    assert_eq!(sizes(&sim, "RESERVE"), [RESERVE_BYTES]);
    assert_eq!(sealed(&db), 0);
    db.close().unwrap();
    assert_eq!(sizes(&sim, "RESERVE"), [RESERVE_BYTES / 2]);
    let db = builder(&sim).open().unwrap();
    assert_eq!(sizes(&sim, "RESERVE"), [RESERVE_BYTES / 2], "a small one is no rest of a larger one");
    assert_eq!(db.iter().unwrap().count(), 200);
}

/// A store at rest that somebody writes much to again was stopped, by memtables that were sealed for the sake
/// of a reserve that was being made.
#[test]
fn nothing_is_sealed_as_long_as_the_reserve_may_still_become_whole() {
    let sim = SimFs::new();
    let db = builder(&sim).open().unwrap();
    fill(&db, 0..1);
    db.flush().unwrap();
    let mut batch = WriteBatch::new();
    (0..250_u32).for_each(|n| _ = batch.put(&db, n.to_be_bytes(), [7; 200]));
    db.write(batch, Durability::Os).unwrap();
    let view = db.inner().store.family("default").unwrap().view();
    assert!(view.active.entry_bytes() as u64 > RESERVE_BYTES / 4 && view.sealed.is_empty());
}

/// With a small reserve no memtable may hold more than can be flushed with it.
#[test]
fn memtables_are_sealed_early_while_there_is_no_room_for_a_whole_reserve() {
    let sim = SimFs::new();
    let db = builder(&sim).open().unwrap();
    fill(&db, 0..1);
    db.flush().unwrap();
    sim.set_fault(Box::new(|op| {
        (op.path.ends_with("RESERVE") && op.kind == OperationKind::Allocate).then_some(Fault::ENOSPC)
    }));
    let store = &db.inner().store;
    let mut n = 0;
    while store.family("default").unwrap().pin().sealed.is_empty() {
        fill(&db, n..n + 1);
        n += 1;
        let held = store.family("default").unwrap().pin().active.entry_bytes() as u64;
        assert!(held <= RESERVE_BYTES / 4 + 1_000, "{held}");
    }
    assert!(n > 50, "{n}");
    fill(&db, n..3 * n);
    db.inner().scheduler.jobs().upkeep().unwrap();
    assert!(db.health().is_well(), "nothing is refused for its sake: {:?}", db.health());
    assert_eq!(sizes(&sim, "RESERVE"), [RESERVE_BYTES / 2]);
    sim.clear_fault();
    for n in 0..100 {
        fill(&db, n..n + 1);
        db.inner().scheduler.jobs().flush_next().unwrap();
    }
    assert_eq!(sizes(&sim, "RESERVE"), [RESERVE_BYTES]);
}

/// What others see of the store within a compaction.
#[derive(Clone, Debug, Default)]
struct Within {
    db: Arc<Mutex<Option<Db>>>,
    looked: Arc<AtomicBool>,
}

impl CompactionFilterFactory for Within {
    fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
        let Within { db, looked } = self.clone();
        Box::new(move |_: &[u8], _: &[u8], _: u64| {
            if let Some(db) = db.lock().take() {
                let family = db.inner().store.family("default").unwrap();
                let before = Arc::downgrade(&family.view());
                assert!(db.inner().scheduler.jobs().flush_next().unwrap(), "the tables are others now");
                assert!(before.upgrade().is_none(), "the old ones are held");
                looked.store(true, Ordering::Relaxed);
            }
            Verdict::Keep
        })
    }
}

/// Of tables that others replace while it merges, a compaction holds its inputs alone.
#[test]
fn a_compaction_holds_no_tables_but_its_own() {
    let (sim, within) = (SimFs::new(), Within::default());
    let db = builder(&sim).compaction_filter("default", within.clone()).open().unwrap();
    fill(&db, 0..100);
    db.flush().unwrap();
    fill(&db, 100..110);
    let store = &db.inner().store;
    store.rotate_all();
    assert_eq!(sealed(&db), 1);
    *within.db.lock() = Some(db.clone());
    let family = store.family("default").unwrap();
    db.inner().scheduler.jobs().compact_range(&family, None, None).unwrap();
    assert!(within.looked.load(Ordering::Relaxed));
}

/// What a job that failed has held may be the room that is missing.
#[test]
fn a_compaction_that_fails_removes_what_nobody_holds_any_more() {
    let sim = SimFs::new();
    let db = builder(&sim).open().unwrap();
    fill(&db, 0..100);
    db.flush().unwrap();
    let held = db.iter().unwrap();
    db.compact().unwrap();
    assert_eq!(sizes(&sim, ".sst").len(), 2, "the iterator holds one of them");
    fill(&db, 50..60);
    db.flush().unwrap();
    sim.set_fault(Box::new(|op| {
        let table = op.path.extension().is_some_and(|extension| extension == "sst");
        (table && op.kind == OperationKind::Write).then_some(Fault::ENOSPC)
    }));
    drop(held);
    let family = db.inner().store.family("default").unwrap();
    let compacted = db.inner().scheduler.jobs().compact_range(&family, None, None);
    assert!(matches!(compacted, Err(Error::DiskFull(_))), "{compacted:?}");
    assert_eq!(sizes(&sim, ".sst").len(), 2, "its inputs");
}

/// Who waits for another compaction must not keep the tables on the disk that this one replaces.
#[test]
fn a_compaction_that_waits_holds_nothing() {
    let sim = SimFs::new();
    let db = builder(&sim).open().unwrap();
    fill(&db, 0..100);
    db.flush().unwrap();
    let jobs = db.inner().scheduler.jobs().clone();
    let family = db.inner().store.family("default").unwrap();
    let view = family.view();
    let inputs: Vec<_> = view.version.tables().map(|(level, table)| (level, table.clone())).collect();
    let (reason, output_level) = (Reason::Manual, LEVELS - 1);
    let plan = Plan::merging(reason, inputs, output_level);
    let claim = jobs.claims.lock().entry(family.id()).or_default().claim(&plan);
    let alone = Arc::strong_count(&view);
    let waiter = {
        let (jobs, family) = (jobs.clone(), family.clone());
        thread::spawn(move || jobs.compact_range(&family, None, None))
    };
    let mut met = false;
    while !met {
        let _claims = jobs.claims.lock();
        // It was waiting, and does not go on before the claims are free.
        met = jobs.released.notify_all() > 0;
        assert!(!met || Arc::strong_count(&view) == alone, "it waits with the view in hand");
    }
    jobs.claims.lock().entry(family.id()).or_default().release(&claim);
    waiter.join().unwrap().unwrap();
    assert_eq!(view.version.level(0).len(), 1);
    assert_eq!(family.view().version.level(0).len(), 0, "it has gone on");
}

/// A snapshot that pins tables was listed as if it held nothing.
#[test]
fn what_a_snapshot_pins_amid_a_compaction_with_a_filter_counts_as_held() {
    let sim = SimFs::new();
    let db = builder(&sim).open().unwrap();
    fill(&db, 0..100);
    db.flush().unwrap();
    let store = &db.inner().store;
    let before = db.snapshot();
    let filtering = store.snapshots.begin_filtering(&store.family("default").unwrap());
    let amid = db.snapshot();
    drop(filtering);
    let held = || db.pins().into_iter().map(|pin| (pin.kind, pin.held_bytes)).collect::<Vec<_>>();
    assert_eq!(held(), [(PinKind::Snapshot, 0); 2], "all of it is there for everybody");
    let tables: u64 = sizes(&sim, ".sst").iter().sum();
    fill(&db, 0..100);
    db.compact().unwrap();
    let bytes: Vec<_> = held().into_iter().map(|(_, bytes)| bytes).collect();
    assert!(bytes[0] == 0 && bytes[1] >= tables, "{bytes:?}");
    drop((before, amid));
    assert_eq!(held(), []);
}
