//! Makes the stores and opens them.

use super::options::Opening;
use super::report::{Opened, OpeningReport};
use crate::process::{Fallible, remove_tree};
use crate::workload::rng;
use esker::{Db, Durability, Options, WriteBatch};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a key.
const KEY_BYTES: u64 = 16;
/// Keys and values of one batch, about.
const BATCH_BYTES: u64 = 64 << 10;
/// Each write of the plain file.
const PIECE_BYTES: usize = 1 << 20;

/// Opens a large store that was closed, and two whose logs have to be replayed: with values of 1 KiB and of
/// 100 bytes. Says what it is about to do.
///
/// # Errors
/// What the stores and the file system give.
pub fn opening(options: &Opening, mut progress: impl FnMut(&str)) -> Fallible<OpeningReport> {
    remove_tree(&options.dir)?;
    fs::create_dir_all(&options.dir)?;
    let mut opened = Vec::new();
    progress("a store that was closed is made");
    opened.push(closed(options)?);
    for value_bytes in [1024, 100] {
        progress(&format!("a log of values of {value_bytes} bytes is replayed"));
        opened.push(killed(options, value_bytes)?);
    }
    progress("a plain file is written");
    let (plain, plain_bytes) = (plain(options)?, options.log << 20);
    remove_tree(&options.dir)?;
    Ok(OpeningReport { opened, plain, plain_bytes })
}

fn open(dir: &Path, memory_mib: u64) -> esker::Result<Db> {
    Db::builder(dir).memory_budget(memory_mib << 20).default_durability(Durability::Os).open()
}

/// Puts so many bytes of keys and values, in an order of chance unless `ascending`. Half of a value
/// compresses.
fn fill(db: &Db, bytes: u64, value_bytes: usize, ascending: bool) -> esker::Result<()> {
    let entry_bytes = KEY_BYTES + value_bytes as u64;
    let family = db.default_family();
    let (entries, in_a_batch) = (bytes / entry_bytes, (BATCH_BYTES / entry_bytes).max(1));
    let mut next = rng(entries);
    let mut value = vec![0; value_bytes];
    let (mut batch, mut waiting) = (WriteBatch::new(), 0);
    for i in 0..entries {
        for chunk in value[..value_bytes / 2].chunks_mut(8) {
            let random = next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        let number = if ascending { i } else { next() % 1_000_000_000_000 };
        batch.put(&family, format!("user{number:012}"), &value);
        waiting += 1;
        if waiting == in_a_batch || i + 1 == entries {
            db.write(std::mem::take(&mut batch), Durability::Os)?;
            waiting = 0;
        }
    }
    Ok(())
}

fn tables(db: &Db) -> u64 {
    let stats = db.stats();
    stats.families.iter().flat_map(|family| &family.levels).map(|level| level.files).sum()
}

fn closed(options: &Opening) -> Fallible<Opened> {
    let (dir, bytes) = (options.dir.join("closed"), options.closed << 20);
    let db = open(&dir, options.memory)?;
    fill(&db, bytes, 1024, true)?;
    db.close()?;
    let (mut took, mut count) = (Vec::new(), 0);
    for _ in 0..options.runs {
        let begin = Instant::now();
        let db = open(&dir, options.memory)?;
        took.push(begin.elapsed());
        count = tables(&db);
        db.close()?;
    }
    took.sort_unstable();
    remove_tree(&dir)?;
    let what = "closed, values of 1024 bytes".into();
    Ok(Opened { what, bytes, replayed: false, tables: count, took })
}

/// A store is filled within one memtable, and its directory copied while it is open: what a kill would leave.
fn killed(options: &Opening, value_bytes: usize) -> Fallible<Opened> {
    let (dir, left) = (options.dir.join("open"), options.dir.join("left"));
    let bytes = options.log << 20;
    let roomy =
        Options { memory_budget: 16 * bytes, memtable_bytes: Some(4 * bytes as usize), ..Options::default() };
    let db = Db::builder(&dir).options(roomy).default_durability(Durability::Os).open()?;
    fill(&db, bytes, value_bytes, false)?;
    db.sync()?;
    let (mut took, mut count) = (Vec::new(), 0);
    for _ in 0..options.runs {
        fs::create_dir(&left)?;
        for entry in fs::read_dir(&dir)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            fs::copy(path, left.join(&name))?;
            File::open(left.join(name))?.sync_all()?;
        }
        let begin = Instant::now();
        let db = open(&left, options.memory)?;
        took.push(begin.elapsed());
        count = tables(&db);
        db.close()?;
        remove_tree(&left)?;
    }
    db.close()?;
    remove_tree(&dir)?;
    took.sort_unstable();
    let what = format!("killed, values of {value_bytes} bytes");
    Ok(Opened { what, bytes, replayed: true, tables: count, took })
}

fn plain(options: &Opening) -> Fallible<Duration> {
    let piece = vec![7; PIECE_BYTES];
    let begin = Instant::now();
    let mut file = File::create(options.dir.join("plain"))?;
    for _ in 0..options.log {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok(begin.elapsed())
}
