//! A small store on a simulated disk that separates values.

use esker::base::clock::{Clock, ManualClock};
use esker::base::filename::FileKind;
use esker::fs::{Fs, SimFs};
use esker::{BlobStats, Builder, Db, Durability, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Values of so many bytes are separated.
pub const FROM: usize = 100;
pub const START_MS: u64 = 1_700_000_000_000;

pub fn builder(disk: &SimFs, clock: &Arc<ManualClock>) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(disk.clone()))
        .clock(Clock::Manual(clock.clone()))
        .deterministic(7)
        .memory_budget(8 << 20)
        .memtable_bytes(64 << 10)
        .target_file_bytes(32 << 10)
        .level_base_bytes(16 << 10)
        .wal_segment_bytes(64 << 10)
        .reserve_bytes(0)
        .default_durability(Durability::Os)
        .merge_operator("default", esker::hooks::Append::new())
        .blob_values_from("default", Some(FROM))
}

pub struct Rig {
    pub disk: SimFs,
    pub clock: Arc<ManualClock>,
}

impl Rig {
    pub fn new() -> Rig {
        Rig { disk: SimFs::new(), clock: ManualClock::new(START_MS) }
    }

    pub fn open(&self) -> Result<Db> {
        builder(&self.disk, &self.clock).open()
    }
}

pub fn key(i: u64) -> String {
    format!("user{i:08}")
}

/// A value of its own for each key and turn, which compresses to about half.
pub fn value(i: u64, turn: u64, bytes: usize) -> Vec<u8> {
    let mut state = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ turn;
    let mut value = format!("{i}/{turn}/").into_bytes();
    while value.len() < bytes {
        state = state.wrapping_mul(0xd6e8_feb8_6659_fd93).wrapping_add(0x9e37_79b9_7f4a_7c15);
        value.extend_from_slice(&state.to_le_bytes());
        value.extend_from_slice(b"ridge by");
    }
    value.truncate(bytes.max(1));
    value
}

/// Lets background work do all that it finds to do.
pub fn settle(db: &Db) -> Result<()> {
    (0..300).try_for_each(|_| db.contains_key("nothing").map(drop))
}

pub fn blobs(db: &Db) -> BlobStats {
    db.stats().families[0].blobs
}

/// The files of a kind, by the end of their names, in a directory.
pub fn files_in(disk: &SimFs, dir: &str, end: &str) -> Vec<PathBuf> {
    let named =
        |path: &PathBuf| path.parent() == Some(Path::new(dir)) && path.to_string_lossy().ends_with(end);
    disk.paths().into_iter().filter(named).collect()
}

pub fn blob_files(disk: &SimFs) -> Vec<PathBuf> {
    files_in(disk, "/db", ".blob")
}

pub fn number(path: &Path) -> u64 {
    let name = path.file_name().unwrap().to_string_lossy();
    FileKind::parse(&name).and_then(FileKind::number).unwrap()
}
