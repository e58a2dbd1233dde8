//! Writes that wait for the disk, beside what the disk alone takes.

use super::report::Row;
use super::run::Timed;
use crate::latency::Latency;
use crate::process::Fallible;
use crate::workload::Workload;
use esker::fs::Fs;
use esker::{Db, Durability, WriteBatch};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// What a record of one put takes in the log, about, in bytes.
const RECORD_BYTES: usize = 160;
const FILE_BYTES: u64 = 16 << 20;

/// What an `fdatasync` takes after each append to a preallocated file in `dir`.
pub(crate) fn bare(dir: &Path, limit: Duration) -> Fallible<Latency> {
    let (fs, path) = (Fs::default(), dir.join("bare"));
    let file = fs.create_new(&path)?;
    file.allocate(FILE_BYTES)?;
    let record = [0x5a; RECORD_BYTES];
    let until = Instant::now() + limit;
    let mut timed = Timed::start()?;
    for offset in (0..FILE_BYTES - RECORD_BYTES as u64).step_by(RECORD_BYTES) {
        file.write_all_at(&record, offset)?;
        file.sync()?;
        timed.lap();
        if Instant::now() >= until {
            break;
        }
    }
    drop(file);
    fs.remove(&path)?;
    Ok(timed.latency())
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
            let mut batch = WriteBatch::new();
            batch.put(db, workload.key(i), workload.value(i, 0));
            db.write(batch, Durability::Sync)?;
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
