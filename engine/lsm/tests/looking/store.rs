//! A store on a simulated disk in which nothing moves of itself.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, Durability, Result};
use std::sync::Arc;

pub const START_MS: u64 = 1_000_000;

pub fn builder(clock: &Arc<ManualClock>) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(SimFs::new()))
        .clock(Clock::Manual(clock.clone()))
        .memory_budget(64 << 20)
        .default_durability(Durability::Os)
}

/// Keys `0, 2, 4, ..` below `to` in the last level, in blocks.
pub fn filled(to: u32) -> Result<(Db, Arc<ManualClock>)> {
    let clock = ManualClock::new(START_MS);
    let db = builder(&clock).open()?;
    for i in (0..to).step_by(2) {
        db.put(key(i), [b'v'; 100])?;
    }
    db.compact()?;
    Ok((db, clock))
}

pub fn key(i: u32) -> String {
    format!("key{i:06}")
}
