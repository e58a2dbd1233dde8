//! The sizes of a tree, taken again and again while it is worked on.

use crate::workload::{Workload, rng};
use esker::{Db, Durability, Result};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Memory for which the store is tuned. Little, so that few entries make a tree of many tables.
const MEMORY_BYTES: u64 = 8 << 20;

/// Between two readings.
const PAUSE: Duration = Duration::from_millis(10);

/// A reading of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Since the beginning.
    pub at: Duration,
    /// Bytes of the memtables.
    pub memtables: u64,
    /// Bytes of the tables of each level, from 0 on.
    pub levels: Vec<u64>,
    /// Tables at level 0.
    pub at_level_0: u64,
}

/// A part of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What is done.
    pub what: &'static str,
    /// When it began.
    pub from: Duration,
    /// Bytes of the keys and values that were written.
    pub given: u64,
    /// Bytes that went into tables meanwhile.
    pub written: u64,
}

/// All readings of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// How many entries there were.
    pub entries: u32,
    /// The readings, in their order.
    pub samples: Vec<Sample>,
    /// What was done.
    pub parts: Vec<Part>,
}

/// Works on a store of so many entries in an empty directory, rests for a while in between, and looks at
/// its tree every 10 ms.
///
/// # Errors
/// What the store gives.
pub fn grow(dir: &Path, entries: u32, rest: Duration) -> Result<Growth> {
    let db = Db::builder(dir).memory_budget(MEMORY_BYTES).default_durability(Durability::Os).open()?;
    let begin = Instant::now();
    let (samples, parts) = thread::scope(|scope| {
        let worker = scope.spawn(|| work(&db, begin, entries, rest));
        let mut samples = Vec::new();
        while !worker.is_finished() {
            samples.push(sample(&db, begin));
            thread::sleep(PAUSE);
        }
        samples.push(sample(&db, begin));
        (samples, worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    db.close()?;
    Ok(Growth { entries, samples, parts: parts? })
}

fn work(db: &Db, begin: Instant, entries: u32, rest: Duration) -> Result<Vec<Part>> {
    let workload = Workload::new(entries, 3);
    let mut next = rng(3);
    let mut any = move || (next() % u64::from(entries)) as u32;
    let put = |i: u32, version: u32| {
        let (key, value) = (workload.key(i), workload.value(i, version));
        db.put(key, value).map(|()| key.len() + value.len())
    };
    let written = || {
        let stats = db.stats();
        stats.flushed_bytes + stats.compacted_bytes_out
    };
    let mut parts: Vec<Part> = Vec::new();
    let mut part = |what, writes: u32, write: &mut dyn FnMut(u32) -> Result<usize>| -> Result<()> {
        let before = written();
        parts.push(Part { what, from: begin.elapsed(), given: 0, written: 0 });
        let mut given = 0;
        for at in 0..writes {
            given += write(at)? as u64;
        }
        if let Some(part) = parts.last_mut() {
            (part.given, part.written) = (given, written() - before);
        }
        Ok(())
    };
    part("filled", entries, &mut |at| put(workload.shuffled()[at as usize], 0))?;
    part("overwritten", entries, &mut |at| put(any(), at + 1))?;
    part("half of it deleted", entries / 2, &mut |at| {
        let key = workload.key(2 * at);
        db.delete(key).map(|()| key.len())
    })?;
    part("rest", 1, &mut |_| {
        thread::sleep(rest);
        Ok(0)
    })?;
    part("compacted", 1, &mut |_| db.compact().map(|()| 0))?;
    Ok(parts)
}

fn sample(db: &Db, begin: Instant) -> Sample {
    let stats = db.stats();
    let levels = || stats.families.iter().flat_map(|family| family.levels.iter().enumerate());
    let mut bytes = vec![0; levels().map(|(level, _)| level + 1).max().unwrap_or(0)];
    levels().for_each(|(level, of_level)| bytes[level] += of_level.bytes);
    Sample {
        at: begin.elapsed(),
        memtables: stats.families.iter().map(|family| family.memtable_bytes).sum(),
        levels: bytes,
        at_level_0: levels().filter(|(level, _)| *level == 0).map(|(_, level)| level.files).sum(),
    }
}
