//! A small store on a simulated disk.

use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, Durability, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub fn small(sim: &SimFs) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(sim.clone()))
        .memory_budget(4 << 20)
        .memtable_bytes(64 << 10)
        .target_file_bytes(64 << 10)
        .wal_segment_bytes(64 << 10)
        .reserve_bytes(128 << 10)
        .default_durability(Durability::Os)
}

pub fn key(i: u32) -> String {
    format!("user{i:012}")
}

pub fn fill(db: &Db, from: u32, to: u32) -> Result<()> {
    (from..to).try_for_each(|i| db.put(key(i), vec![b'v'; 100]))
}

/// Waits for a condition that background work brings about.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "{what} did not come about");
        std::thread::yield_now();
    }
}

/// The files of a kind, by the end of their names.
pub fn files(sim: &SimFs, end: &str) -> Vec<PathBuf> {
    sim.paths().into_iter().filter(|path| name(path).ends_with(end)).collect()
}

pub fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
