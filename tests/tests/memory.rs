//! What the store counts as held goes back to where it was: when readers let go, and from one opening to the
//! next.

use esker::base::clock::{Clock, ManualClock};
use esker::base::filename::FileKind;
use esker::fs::{FileSystem as _, Fs, SimFs};
use esker::{ColumnFamily, Db, Durability, FamilyOptions, Stats, WriteBatch};
use std::path::Path;

const DIR: &str = "/store";
const KEYS: u32 = 2_000;
/// Memory in which everything can be cached, in bytes.
const ROOMY: u64 = 64 << 20;

fn open(disk: &SimFs, seed: u64, memory_budget: u64) -> Db {
    let builder = Db::builder(DIR)
        .fs(Fs::Sim(disk.clone()))
        .clock(Clock::Manual(ManualClock::new(1_700_000_000_000)))
        .deterministic(seed)
        .memory_budget(memory_budget)
        .memtable_bytes(64 << 10)
        .target_file_bytes(32 << 10)
        .level_base_bytes(64 << 10)
        .wal_segment_bytes(64 << 10);
    builder.open().unwrap()
}

fn key(n: u32) -> String {
    format!("user{n:012}")
}

/// Writes every key of two families anew.
fn fill(db: &Db, families: &[ColumnFamily; 2], round: u8) {
    for n in 0..KEYS {
        let mut batch = WriteBatch::new();
        for family in families {
            batch.put(family, key(n), vec![round; 50 + n as usize % 300]);
        }
        db.write(batch, Durability::Os).unwrap();
    }
}

/// Empty turns in which background work certainly has its chance: in the seeded mode it is done by those who
/// use the store.
fn settle(db: &Db) {
    for _ in 0..400 {
        db.write(WriteBatch::new(), Durability::Os).unwrap();
    }
}

/// Blocks that only readers hold, memtables, snapshots, and files of tables that the store no longer has.
fn held(db: &Db, disk: &SimFs) -> (u64, u64, usize, u64) {
    let stats = db.stats();
    let blocks = stats.alive_block_bytes.saturating_sub(stats.cache_bytes + stats.pinned_table_bytes);
    let names = disk.list(Path::new(DIR)).unwrap();
    let tables =
        names.iter().filter(|name| matches!(FileKind::parse(name), Some(FileKind::Table(_)))).count();
    let live: u64 = stats.families.iter().flat_map(|family| &family.levels).map(|level| level.files).sum();
    (blocks, memtable_bytes(&stats), stats.snapshots, tables as u64 - live)
}

fn memtable_bytes(stats: &Stats) -> u64 {
    stats.families.iter().map(|family| family.memtable_bytes).sum()
}

fn families(db: &Db) -> [ColumnFamily; 2] {
    let raw = FamilyOptions { zstd_level: None, index_partition_bytes: 256, ..FamilyOptions::default() };
    let second = db.open_column_family("raw").or_else(|_| db.create_column_family("raw", raw)).unwrap();
    [db.default_family(), second]
}

#[test]
fn what_readers_held_is_given_back_when_they_let_go() {
    let disk = SimFs::new();
    // The cache is far smaller than the store: what readers hold is soon held by nobody else.
    let db = open(&disk, 1, 1 << 20);
    let families = families(&db);
    fill(&db, &families, 1);
    db.compact().unwrap();
    settle(&db);
    let before = held(&db, &disk);
    assert_eq!((before.2, before.3), (0, 0));

    let snapshots = [db.snapshot(), db.snapshot()];
    let mut iters = Vec::new();
    for family in &families {
        let mut iter = family.iter().unwrap();
        assert!(iter.nth(100).is_some() && iter.next_back().is_some());
        iters.push(iter);
        iters.push(snapshots[0].iter(family).unwrap());
    }
    let values: Vec<_> = (0..KEYS).step_by(7).map(|n| families[0].get(key(n)).unwrap().unwrap()).collect();
    // From here on what they hold is in no table of the store's.
    for round in 2..5 {
        fill(&db, &families, round);
        db.compact().unwrap();
    }
    let during = held(&db, &disk);
    assert!(during.0 > before.0 && during.2 == 2 && during.3 > 0, "{during:?} while held, {before:?} before");
    assert_eq!(values[1], vec![1; 57], "a held value stays");

    drop((snapshots, iters, values));
    db.compact().unwrap();
    settle(&db);
    assert_eq!(held(&db, &disk), before, "after all was let go");
}

#[test]
fn each_opening_holds_as_much_as_the_one_before() {
    let disk = SimFs::new();
    {
        let db = open(&disk, 1, ROOMY);
        fill(&db, &families(&db), 1);
        db.compact().unwrap();
        db.close().unwrap();
    }
    let mut readings = Vec::new();
    for seed in 2..8 {
        let db = open(&disk, seed, ROOMY);
        for family in families(&db) {
            assert_eq!(family.iter().unwrap().count(), KEYS as usize);
            (0..KEYS).for_each(|n| assert!(family.get(key(n)).unwrap().is_some()));
        }
        let stats = db.stats();
        let tables = (stats.pinned_table_bytes, stats.open_files);
        readings.push((stats.cache_bytes, stats.alive_block_bytes, tables, memtable_bytes(&stats)));
        db.close().unwrap();
    }
    assert!(readings[0].0 > 0 && readings[0].3 > 0, "{:?}", readings[0]);
    assert!(readings.iter().all(|reading| *reading == readings[0]), "{readings:#?}");
}
