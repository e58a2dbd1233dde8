//! A small store on a simulated disk and clock whose tables are not compressed, so that bytes can be found.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, Durability, FamilyOptions, Result};
use std::sync::Arc;
use std::time::Duration;

/// How far the clock goes at once.
pub const STEP: Duration = Duration::from_secs(600);
pub const HOUR_MS: u64 = 3_600_000;

pub fn small(sim: &SimFs, clock: &Arc<ManualClock>, seed: u64) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(sim.clone()))
        .clock(Clock::Manual(clock.clone()))
        .deterministic(seed)
        .memory_budget(1 << 20)
        .memtable_bytes(8 << 10)
        .target_file_bytes(8 << 10)
        .level_base_bytes(16 << 10)
        .wal_segment_bytes(32 << 10)
        .reserve_bytes(0)
        .default_durability(Durability::Os)
}

pub fn open(sim: &SimFs, clock: &Arc<ManualClock>, seed: u64) -> Result<Db> {
    small(sim, clock, seed).open()
}

pub fn now(clock: &Arc<ManualClock>) -> u64 {
    Clock::Manual(clock.clone()).wall_ms()
}

/// Raw, so that the bytes can be found.
pub fn raw(erase_within: Duration) -> FamilyOptions {
    let merge_operator = Some("esker.append".into());
    FamilyOptions {
        zstd_level: None,
        erase_within: Some(erase_within),
        merge_operator,
        ..FamilyOptions::default()
    }
}

/// Lets background work do all that it finds to do.
pub fn settle(db: &Db) -> Result<()> {
    for _ in 0..120 {
        db.contains_key("nothing")?;
    }
    Ok(())
}

/// Lets hours pass.
pub fn live(db: &Db, clock: &ManualClock, hours: u64) -> Result<()> {
    for _ in 0..hours * 6 {
        clock.advance(STEP);
        settle(db)?;
    }
    Ok(())
}

/// The files that hold these bytes.
pub fn files_with(sim: &SimFs, bytes: &str) -> Vec<String> {
    let holds = |path: &std::path::PathBuf| {
        let file = sim.read_raw(path).unwrap();
        file.windows(bytes.len()).any(|window| window == bytes.as_bytes())
    };
    sim.paths().into_iter().filter(holds).map(|path| path.display().to_string()).collect()
}

/// What the store says of a family.
pub fn of_family(db: &Db, name: &str) -> esker::FamilyStats {
    db.stats().families.into_iter().find(|family| family.name == name).unwrap()
}
