//! A small store on a simulated disk, and what can be asked of an image of it.

use esker::fs::sim::{Image, OperationKind};
use esker::fs::{FileSystem, Fs, SimFs};
use esker::{Builder, Db, Durability, Result, WriteBatch};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Small, so that little fills memtables, segments and manifests; background work runs on the test's thread.
pub(crate) fn small(sim: &SimFs) -> Builder {
    on(Fs::Sim(sim.clone())).deterministic(7)
}

/// The same on any file system, with threads of its own.
pub(crate) fn on(fs: Fs) -> Builder {
    Db::builder("/db")
        .fs(fs)
        .memory_budget(1 << 20)
        .memtable_bytes(4 << 10)
        .wal_segment_bytes(8 << 10)
        .target_file_bytes(2 << 10)
        .level_base_bytes(4 << 10)
        .manifest_bytes(1 << 10)
        .sync_interval(Duration::from_secs(3600))
}

/// A store in which nothing is flushed, and nothing is synced but on request.
pub(crate) fn idle(sim: &SimFs) -> Builder {
    on(Fs::Sim(sim.clone())).memtable_bytes(256 << 10)
}

/// Writes one entry and says with which sequence number.
pub(crate) fn put(db: &Db, key: &str, value: &[u8], durability: Durability) -> Result<u64> {
    let mut batch = WriteBatch::new();
    batch.put(db, key, value);
    let ticket = db.commit(batch, durability)?;
    if durability == Durability::Sync {
        db.wait_durable(ticket.seq())?;
    }
    Ok(ticket.seq())
}

/// The value of the key with the number `i`.
pub(crate) fn value(i: u32, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (i as usize + at * 7) as u8).collect()
}

/// Everything in the default family.
pub(crate) fn entries(db: &Db) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    db.iter()?.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}

/// What a store on this disk gives when it is opened.
pub(crate) fn recovered(disk: &SimFs) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let db = small(disk).open().expect("it opens");
    let problems = db.verify().expect("it can be verified").problems;
    assert!(problems.is_empty(), "{problems:?}");
    entries(&db).expect("it can be read")
}

/// What a loss of power leaves of everything that was not synced: nothing.
pub(crate) fn after_power_loss(sim: &SimFs) -> BTreeMap<Vec<u8>, Vec<u8>> {
    recovered(&sim.image(Image::Nothing, 0))
}

/// The files whose names end so, in the order of their names.
pub(crate) fn files(sim: &SimFs, end: &str) -> Vec<PathBuf> {
    let ours = |path: &PathBuf| path.to_string_lossy().ends_with(end);
    sim.paths().into_iter().filter(ours).collect()
}

/// The files of the store with their bytes, the lock left out.
pub(crate) fn contents(sim: &SimFs) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| {
        let bytes = sim.read_raw(&path).expect("a file that is listed");
        (path, bytes)
    };
    sim.paths().into_iter().filter(|path| !path.ends_with("LOCK")).map(read).collect()
}

/// Whether the operation is a sync of any kind.
pub(crate) fn is_sync(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Sync | OperationKind::SyncDir)
}

/// Whether a path is that of a log segment, under its own name or the one under which it was made.
pub(crate) fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log" || extension == "tmp")
}

/// Takes a file off an image.
pub(crate) fn remove(disk: &SimFs, path: &Path) {
    FileSystem::remove(disk, path).expect("a file that was there");
}

/// Waits for what background work brings about.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    assert!(comes_about(condition), "{what} did not come about");
}

/// Whether background work brings something about in a time that is more than enough.
pub(crate) fn comes_about(condition: impl Fn() -> bool) -> bool {
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        if std::time::Instant::now() > until {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
