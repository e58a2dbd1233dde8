//! How the stores are opened, and what a loss leaves of one.

use super::seen::{Seen, ask};
use crate::session::mix;
use esker::base::clock::{Clock, ManualClock};
use esker::fs::sim::Image;
use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::command::Connection;
use std::sync::Arc;

/// How many databases the stores have.
pub(super) const DATABASES: u32 = 3;

/// What they keep in reserve for a full disk.
pub(super) const RESERVE_BYTES: u64 = 256 << 10;

/// When all histories begin, in ms since the epoch.
pub(super) const START_MS: u64 = 1_700_000_000_000;

/// Opens a store for the so many'th time: each time its engine gets other random numbers.
pub(super) fn open(
    disk: &SimFs,
    clock: &Arc<ManualClock>,
    seed: u64,
    opened: u64,
) -> esker_structures::Result<Store> {
    let (fs, clock) = (Fs::Sim(disk.clone()), Clock::Manual(clock.clone()));
    let builder = Store::builder("/data").deterministic(mix(&[seed, opened])).databases(DATABASES);
    let sizes = |engine: esker::Builder| {
        let engine = engine.memory_budget(4 << 20).memtable_bytes(16 << 10);
        engine.wal_segment_bytes(16 << 10).reserve_bytes(RESERVE_BYTES)
    };
    builder.engine(|engine| sizes(engine.fs(fs).clock(clock))).open()
}

/// The check of everything, which must find nothing.
pub(super) fn verify(store: &Store) -> Result<(), String> {
    let report = store.verify().map_err(|e| format!("cannot verify: {e}"))?;
    if report.is_clean() { Ok(()) } else { Err(format!("verify finds {:?}", report.findings)) }
}

/// Opens what a loss has left: everything in it agrees, and it is one of the states that were. It takes a
/// write, and what it showed and that write survive another loss. Returns which state it is, the first of
/// those that are the same.
pub(super) fn recover(
    disk: &SimFs,
    clock: &Arc<ManualClock>,
    seed: u64,
    states: &[Seen],
) -> Result<usize, String> {
    let store = open(disk, clock, seed, 1).map_err(|e| format!("cannot open: {e}"))?;
    verify(&store)?;
    let found = Seen::read(&store).map_err(|e| format!("cannot read: {e}"))?;
    let place =
        place(&found, states, clock).map_err(|why| format!("what was recovered is no state: {why}"))?;
    ask(&mut Connection::new(&store), &["set", "new", "2"]).map_err(|e| format!("cannot write: {e}"))?;
    store.wait(store.engine().visible_seq()).map_err(|e| format!("cannot sync: {e}"))?;
    let written = Seen::read(&store).map_err(|e| format!("cannot read: {e}"))?;
    disk.power_off();
    drop(store);
    let left = disk.image(Image::Nothing, seed);
    let store = open(&left, clock, seed, 2).map_err(|e| format!("cannot open for the second time: {e}"))?;
    verify(&store)?;
    let again = Seen::read(&store).map_err(|e| format!("cannot read for the second time: {e}"))?;
    if again == written {
        Ok(place)
    } else {
        Err(format!("what was served after recovery did not last: {}", again.differs_from(&written)))
    }
}

/// Which of the states this is, the first of those that are the same.
pub(super) fn place(found: &Seen, states: &[Seen], clock: &Arc<ManualClock>) -> Result<usize, String> {
    let now_ms = Clock::Manual(clock.clone()).wall_ms();
    let is_it = |state: &Seen| state.clone().at(now_ms) == *found;
    states.iter().position(is_it).ok_or_else(|| {
        let last = states.last().map(|state| found.differs_from(&state.clone().at(now_ms)));
        format!("of {} states none; from the last it differs in {}", states.len(), last.unwrap_or_default())
    })
}
