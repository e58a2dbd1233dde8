//! Writes that wait for the disk, beside what the disk alone takes.

use super::report::Row;
use super::run::Timed;
use crate::latency::Latency;
use crate::process::Fallible;
use crate::workload::Workload;
use esker::fs::{Fs, OpenFile};
use esker::{Db, Durability, WriteBatch};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// What a record of one put takes in the log, about, in bytes.
const RECORD_BYTES: usize = 160;
const FILE_BYTES: u64 = 16 << 20;
/// Writes of one kind before the other kind's turn.
const TURN: usize = 20;

/// What an `fdatasync` takes after each append to a preallocated file in `dir`.
pub(crate) fn bare(dir: &Path, limit: Duration) -> Fallible<Latency> {
    let mut appends = Appends::start(dir)?;
    let until = Instant::now() + limit;
    while appends.one()? && Instant::now() < until {}
    appends.end()
}

/// Appends to a preallocated file, each followed by an `fdatasync`: what a log could at best take.
struct Appends {
    fs: Fs,
    path: PathBuf,
    file: OpenFile,
    offset: u64,
    timed: Timed,
}

impl Appends {
    fn start(dir: &Path) -> Fallible<Appends> {
        let (fs, path) = (Fs::default(), dir.join("bare"));
        let file = fs.create_new(&path)?;
        file.allocate(FILE_BYTES)?;
        Ok(Appends { fs, path, file, offset: 0, timed: Timed::start()? })
    }

    /// Another record; false when the file is full.
    fn one(&mut self) -> Fallible<bool> {
        if self.offset + RECORD_BYTES as u64 > FILE_BYTES {
            return Ok(false);
        }
        self.file.write_all_at(&[0x5a; RECORD_BYTES], self.offset)?;
        self.file.sync()?;
        self.timed.lap();
        self.offset += RECORD_BYTES as u64;
        Ok(true)
    }

    fn end(self) -> Fallible<Latency> {
        drop(self.file);
        self.fs.remove(&self.path)?;
        Ok(self.timed.latency())
    }
}

/// Synced puts of one thread and bare appends, [`TURN`] of each in turn until `limit` has passed: what a disk
/// gives changes from one second to the next, and so both see the same of it. Gives the latencies of both.
pub(super) fn beside(
    db: &Db,
    workload: &Workload,
    dir: &Path,
    limit: Duration,
) -> Fallible<(Latency, Latency)> {
    let mut appends = Appends::start(dir)?;
    let mut puts = Timed::start()?;
    let until = Instant::now() + limit;
    let mut numbers = (0..workload.entries()).cycle();
    'turns: while Instant::now() < until {
        puts.skip();
        for i in numbers.by_ref().take(TURN) {
            put(db, workload, i)?;
            puts.lap();
        }
        appends.timed.skip();
        for _ in 0..TURN {
            if !appends.one()? {
                break 'turns;
            }
        }
    }
    Ok((puts.latency(), appends.end()?))
}

fn put(db: &Db, workload: &Workload, i: u32) -> esker::Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(db, workload.key(i), workload.value(i, 0));
    db.write(batch, Durability::Sync)
}

/// Synced puts from `threads` threads until `limit` has passed.
pub(super) fn puts(
    db: &Db,
    workload: &Workload,
    phase: &'static str,
    threads: u32,
    limit: Duration,
) -> Fallible<Row> {
    let mut all = Timed::start()?;
    let until = Instant::now() + limit;
    let one = |thread: u32| -> Fallible<Timed> {
        let mut timed = Timed::start()?;
        for i in (thread..workload.entries()).step_by(threads as usize).cycle() {
            put(db, workload, i)?;
            timed.lap();
            if Instant::now() >= until {
                break;
            }
        }
        Ok(timed)
    };
    thread::scope(|scope| -> Fallible<()> {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        for thread in running {
            all.add(&thread.join().map_err(|_| "a panic")??)?;
        }
        Ok(())
    })?;
    let operations = all.operations();
    Ok(all.end(phase, operations))
}
