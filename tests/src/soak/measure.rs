//! What a run takes from the machine, and whether that stays the same.

use super::judge::Judge;
use super::options;
use super::print::written_by;
use crate::history::{DROPPING, value};
use esker::{Durability, Options, WriteBatch};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// What the child holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When, in seconds from the start.
    pub at: f64,
    /// Which process: each has its number.
    pub life: u64,
    /// Its memory, in bytes.
    pub resident_bytes: u64,
    /// Its open files.
    pub descriptors: u64,
    /// What the directory takes from the disk, in bytes.
    pub directory_bytes: u64,
}

/// How a series grows: that of the line with the least squares, over the time of the whole series.
#[must_use]
pub fn growth(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut above, mut below) = (0.0, 0.0);
    for point in points {
        above += (point.0 - x) * (point.1 - y);
        below += (point.0 - x) * (point.0 - x);
    }
    let time = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.0 - first.0);
    if below > 0.0 { above / below * time } else { 0.0 }
}

/// What the files of a directory take from the disk, in bytes. Files that go meanwhile count nothing.
#[must_use]
pub fn directory_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum()
}

/// What is alive, in bytes: raw, and as tables and blob files of a store that was given only that and has
/// compacted it all. Its families have the same options, so the codecs are the same.
///
/// # Errors
/// What that store meets.
pub fn live_bytes(judge: &Judge, dir: &Path) -> Result<(u64, u64), String> {
    let folder = tempfile::tempdir_in(dir).map_err(|e| format!("cannot create a folder: {e}"))?;
    let written = write_live(judge, folder.path()).map_err(|e| format!("a store of what is alive: {e}"))?;
    folder.close().map_err(|e| format!("cannot remove a folder: {e}"))?;
    Ok(written)
}

fn write_live(judge: &Judge, dir: &Path) -> esker::Result<(u64, u64)> {
    let options =
        Options { memory_budget: 64 << 20, sync_interval: Duration::from_secs(60), ..options::options(0) };
    let db = esker::Db::builder(dir.join("live")).options(options).open()?;
    let (state, now_ms) = judge.visible();
    let mut raw = 0;
    for (name, id) in judge.families() {
        let family = match name.as_str() {
            "default" => db.default_family(),
            name => db.create_column_family(name, options::family_options(name))?,
        };
        let mut batch = WriteBatch::new();
        let known = state.entries(id, now_ms).filter(|_| name != DROPPING);
        let stock = judge.stock().entries().filter(|_| name == DROPPING);
        for (key, print) in known.chain(stock) {
            let (commit, change, bytes) = written_by(print).unwrap_or_default();
            raw += (key.len() + bytes) as u64;
            batch.put(&family, key, value(commit, change, bytes));
            if batch.size_bytes() > 1 << 20 {
                db.write(std::mem::take(&mut batch), Durability::None)?;
            }
        }
        db.write(batch, Durability::None)?;
    }
    db.compact()?;
    let tables = db.stats().families.iter().map(|family| family.table_bytes() + family.blobs.bytes).sum();
    db.close()?;
    Ok((raw, tables))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_line_through_the_points() {
        let rising: Vec<(f64, f64)> = (0..100).map(|n| (f64::from(n), 5.0 + 2.0 * f64::from(n))).collect();
        assert!((growth(&rising) - 198.0).abs() < 1e-6);
        let waves: Vec<(f64, f64)> = (0..100).map(|n| (f64::from(n), f64::from(n % 2))).collect();
        assert!(growth(&waves).abs() < 0.1);
        assert_eq!(growth(&[]), 0.0);
        assert_eq!(growth(&[(1.0, 7.0)]), 0.0);
    }
}
