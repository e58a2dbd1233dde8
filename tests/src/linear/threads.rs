//! Threads that call a store, each noting what it did, what it saw, and when.

use super::call::{Call, Cell, Content, KEYS, What};
use super::recovered::read_all;
use esker::base::random::Random;
use esker::fs::sim::Image;
use esker::fs::{Fs, SimFs};
use esker::{Builder, ColumnFamily, Db, Durability, FamilyOptions, Result, WriteBatch};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The families over which the cells are spread.
pub(super) const FAMILIES: [&str; 2] = ["default", "second"];
/// The first cells stand in the first family.
const IN_FIRST: usize = 4;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What each thread does follows from it; how they meet does not.
    pub seed: u64,
    /// How many threads call.
    pub threads: usize,
    /// How often each does.
    pub calls: usize,
    /// Where the store is; on a simulated disk if there is no directory.
    pub dir: Option<PathBuf>,
    /// Only calls about one cell, so that each cell can be decided alone.
    pub single: bool,
    /// All writes learn their sequence numbers; otherwise half of them.
    pub numbered: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Recorded {
    /// The calls, and at the end one that reads everything after the store was closed and opened.
    pub calls: Vec<Call>,
    /// What a loss of power at some moment left, with the sequence number up to which it must be there;
    /// on a simulated disk only.
    pub lost: Option<(SimFs, u64)>,
}

pub(super) struct Shared {
    pub(super) db: Db,
    families: Vec<ColumnFamily>,
    clock: Instant,
    /// Calls that have returned, of all threads.
    done: AtomicUsize,
    /// What a call has reported durable.
    told: AtomicU64,
    pub(super) value_bytes: usize,
}

/// The options: so small that memtables, segments and tables fill up within a history.
pub(super) fn builder(plan: &Plan, sim: &SimFs) -> Builder {
    let builder = match &plan.dir {
        Some(dir) => Db::builder(dir),
        None => Db::builder("/db").fs(Fs::Sim(sim.clone())),
    };
    builder
        .memory_budget(1 << 20)
        .memtable_bytes(4 << 10)
        .wal_segment_bytes(8 << 10)
        .target_file_bytes(2 << 10)
        .level_base_bytes(4 << 10)
        .manifest_bytes(2 << 10)
        .sync_interval(Duration::from_millis(3))
        .lock_timeout(Duration::from_secs(600))
        .recent_writes_bytes([1 << 10, 64 << 10][plan.seed as usize % 2])
}

/// Runs a plan on real threads.
///
/// # Errors
/// What any of the calls gives: none may fail.
///
/// # Panics
/// If one of the threads does.
pub fn run(plan: &Plan) -> Result<Recorded> {
    let sim = SimFs::new();
    let db = builder(plan, &sim).open()?;
    let versions = FamilyOptions { keep_versions: true, ..FamilyOptions::default() };
    let families = vec![db.default_family(), db.create_column_family(FAMILIES[1], versions)?];
    let random = Random::seeded(plan.seed);
    let shared = Shared {
        told: AtomicU64::new(db.durable_seq()),
        value_bytes: [8, 100, 400][random.below(3) as usize],
        db,
        families,
        clock: Instant::now(),
        done: AtomicUsize::new(0),
    };
    let all = plan.threads * plan.calls;
    let (moment, busy) = (random.below(all as u64) as usize, random.below(3));
    let barrier = Barrier::new(plan.threads);
    let (mut calls, lost) = thread::scope(|scope| {
        let callers: Vec<_> = (0..plan.threads)
            .map(|number| {
                let random = Random::seeded(plan.seed ^ ((number as u64 + 1) << 40));
                let (shared, barrier) = (&shared, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    (0..plan.calls).try_fold(Vec::new(), |mut calls, i| {
                        let value = (number * plan.calls + i + 1) as Cell;
                        calls.push(shared.call(plan, number, value, &random)?);
                        shared.done.fetch_add(1, Ordering::Relaxed);
                        Ok(calls)
                    })
                })
            })
            .collect();
        let mischief = scope.spawn(|| shared.disturb(all, busy));
        while shared.done.load(Ordering::Relaxed) < moment && !callers.iter().all(|c| c.is_finished()) {
            thread::yield_now();
        }
        let lost = plan.dir.is_none().then(|| shared.lose_power(&sim, plan.seed));
        let calls: Result<Vec<Vec<Call>>> =
            callers.into_iter().map(|c| c.join().expect("a caller")).collect();
        shared.done.store(usize::MAX, Ordering::Relaxed);
        mischief.join().expect("flushing")?;
        Ok::<_, esker::Error>((calls?.concat(), lost))
    })?;
    let Shared { db, clock, .. } = shared;
    db.close()?;
    let began = clock.elapsed();
    let last = read_all(&builder(plan, &sim).open()?)?;
    let cells = last.into_iter().enumerate().collect();
    calls.push(Call { thread: plan.threads, began, ended: clock.elapsed(), what: What::Read { cells } });
    Ok(Recorded { calls, lost })
}

impl Shared {
    /// Flushes and compacts beside the callers, or lets the store do so when it must.
    fn disturb(&self, all: usize, busy: u64) -> Result<()> {
        while busy > 0 && self.done.load(Ordering::Relaxed) < all {
            if busy == 1 {
                self.db.flush()?
            } else {
                self.db.compact()?
            }
            thread::yield_now();
        }
        Ok(())
    }

    fn lose_power(&self, sim: &SimFs, seed: u64) -> (SimFs, u64) {
        // In this order: what becomes durable in between is on the disk as well.
        let durable = self.db.durable_seq().max(self.told.load(Ordering::Acquire));
        let image = Image::ALL[seed as usize % Image::ALL.len()];
        (sim.image(image, seed), durable)
    }

    fn call(&self, plan: &Plan, thread: usize, value: Cell, random: &Random) -> Result<Call> {
        let cell = random.below(KEYS as u64) as usize;
        let began = self.clock.elapsed();
        let mut ended = None;
        let what = match random.below(if plan.single { 13 } else { 27 }) {
            0..=2 => self.write(plan, vec![(cell, value)], random)?,
            3 => self.write(plan, vec![(cell, 0)], random)?,
            4..=6 => What::Read { cells: vec![(cell, self.get(cell)?)] },
            7 | 8 => self.compare_and_set(cell, value, random)?,
            9 => self.transaction(&[cell], value, random)?,
            10 => self.put_if_absent(cell, value, plan.numbered)?,
            11 => self.delete_range(self.span(plan, cell, random))?,
            12 => self.scan_and_write(self.span(plan, cell, random), value, random)?,
            13 | 14 => {
                let second = (cell + 1 + random.below(KEYS as u64 - 1) as usize) % KEYS;
                self.write(plan, vec![(cell, value), (second, value)], random)?
            }
            15 => self.write(
                plan,
                (0..KEYS).map(|each| (each, if each == cell { 0 } else { value })).collect(),
                random,
            )?,
            16 => self.multi_get(random)?,
            17..=20 => {
                let others = 1 + random.below(KEYS as u64 - 1) as usize;
                self.transaction(&[cell, (cell + others) % KEYS], value, random)?
            }
            21..=23 => self.scan_and_write(self.span(plan, cell, random), value, random)?,
            24 | 25 => {
                let snapshot = self.db.snapshot();
                ended = Some(self.clock.elapsed());
                // What it shows is settled; what comes later must not change it.
                thread::yield_now();
                let mut cells = Vec::new();
                for each in 0..KEYS {
                    let (family, key) = self.place(each);
                    cells.push((each, snapshot.get(family, &key)?.map_or(0, |value| decode(&value))));
                }
                What::Read { cells }
            }
            _ => self.scan(random.below(2) == 0, &mut ended)?,
        };
        Ok(Call { thread, began, ended: ended.unwrap_or_else(|| self.clock.elapsed()), what })
    }

    pub(super) fn place(&self, cell: usize) -> (&ColumnFamily, String) {
        (&self.families[usize::from(cell >= IN_FIRST)], format!("cell{cell}"))
    }

    /// Cells beside each other in one family, this one among them.
    fn span(&self, plan: &Plan, cell: usize, random: &Random) -> RangeInclusive<usize> {
        if plan.single {
            return cell..=cell;
        }
        let family = if cell < IN_FIRST { 0..IN_FIRST } else { IN_FIRST..KEYS };
        let other = family.start + random.below(family.len() as u64) as usize;
        cell.min(other)..=cell.max(other)
    }

    pub(super) fn get(&self, cell: usize) -> Result<Cell> {
        let (family, key) = self.place(cell);
        Ok(family.get(key)?.map_or(0, |value| decode(&value)))
    }

    fn multi_get(&self, random: &Random) -> Result<What> {
        let first = random.below(2) == 0;
        let cells: Vec<usize> = if first { (0..IN_FIRST).collect() } else { (IN_FIRST..KEYS).collect() };
        let keys: Vec<String> = cells.iter().map(|cell| self.place(*cell).1).collect();
        let values = self.place(cells[0]).0.multi_get(&keys)?;
        let values = values.iter().map(|value| value.as_ref().map_or(0, |value| decode(value)));
        Ok(What::Read { cells: cells.into_iter().zip(values).collect() })
    }

    fn scan(&self, backward: bool, ended: &mut Option<Duration>) -> Result<What> {
        let iter = self.db.iter()?;
        *ended = Some(self.clock.elapsed());
        thread::yield_now();
        let entries: Result<Vec<_>> = if backward { iter.rev().collect() } else { iter.collect() };
        let mut content: Vec<(usize, Cell)> = (0..IN_FIRST).map(|cell| (cell, 0)).collect();
        for (key, value) in entries? {
            let (cell, held) = cell_of(0, &key, &value);
            content[cell].1 = held;
        }
        Ok(What::Read { cells: content })
    }

    fn write(&self, plan: &Plan, cells: Vec<(usize, Cell)>, random: &Random) -> Result<What> {
        let durability = if random.below(4) == 0 { Durability::Sync } else { Durability::Os };
        let mut batch = WriteBatch::new();
        for (cell, value) in &cells {
            let (family, key) = self.place(*cell);
            match value {
                0 => batch.delete(family, key),
                _ => batch.put(family, key, encode(*value, self.value_bytes)),
            };
        }
        if !plan.numbered && random.below(2) == 0 {
            self.db.write(batch, durability)?;
            return Ok(What::Write { cells, seq: 0 });
        }
        let ticket = self.db.commit(batch, durability)?;
        if durability == Durability::Sync {
            self.db.wait_durable(ticket.seq())?;
            self.told.fetch_max(ticket.seq(), Ordering::AcqRel);
        }
        Ok(What::Write { cells, seq: ticket.seq() })
    }
}

/// Whether a cell can be set by the version of what it holds: the second family keeps versions.
pub(super) fn keeps_versions(cell: usize) -> bool {
    cell >= IN_FIRST
}

pub(super) fn encode(value: Cell, bytes: usize) -> Vec<u8> {
    let mut encoded = value.to_le_bytes().to_vec();
    encoded.resize(bytes, value as u8);
    encoded
}

pub(super) fn decode(value: &[u8]) -> Cell {
    let number = value.first_chunk().map(|bytes| Cell::from_le_bytes(*bytes)).expect("a value of a cell");
    assert!(value[4..].iter().all(|byte| *byte == number as u8), "a value that nobody wrote");
    number
}

/// The cell that an entry of a family is, and what it holds.
pub(super) fn cell_of(family: usize, key: &[u8], value: &[u8]) -> (usize, Cell) {
    let cell = key.strip_prefix(b"cell").and_then(|rest| std::str::from_utf8(rest).ok()?.parse().ok());
    let cell: usize = cell.expect("the key of a cell");
    assert!(cell < KEYS && usize::from(cell >= IN_FIRST) == family, "a cell in another family");
    (cell, decode(value))
}

/// What a store on that disk holds.
///
/// # Errors
/// What opening and reading gives.
pub fn content_of(disk: &SimFs) -> Result<Content> {
    read_all(&Db::builder("/db").fs(Fs::Sim(disk.clone())).memory_budget(1 << 20).deterministic(1).open()?)
}
