//! Every byte of a small store is damaged, every file cut at every length: what opens must serve what was
//! written and nothing else.
//!
//! Allowed are: an error that names a file of the store; a reported cut of the log's tail that loses only
//! what
//! no later record knew to be synced; the right data.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, Durability, Error, FamilyOptions, Result, WriteBatch};
use esker_tests::store;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DIR: &str = "/store";

/// A disk, and what was in the store on it after each write, the last state last.
struct Subject {
    disk: SimFs,
    states: Vec<String>,
    /// How many of the last writes no record behind them knows to be synced.
    unknown: usize,
}

fn builder(disk: &SimFs, seed: u64) -> Builder {
    Db::builder(DIR)
        .fs(Fs::Sim(disk.clone()))
        .clock(Clock::Manual(ManualClock::new(1_700_000_000_000)))
        .deterministic(seed)
        .memory_budget(1 << 20)
        .memtable_bytes(8 << 10)
        .target_file_bytes(2 << 10)
        .level_base_bytes(1 << 10)
        .wal_segment_bytes(4 << 10)
}

/// A store with tables on several levels, two families, and a log of a few segments.
fn subject(closed: bool) -> Result<Subject> {
    let disk = SimFs::new();
    let db = builder(&disk, 1).open()?;
    let options = FamilyOptions { block_bytes: 128, index_partition_bytes: 64, ..FamilyOptions::default() };
    let other = db.create_column_family("other", FamilyOptions { uncompressed_levels: 0, ..options })?;
    for round in 0..2 {
        for i in 0..24 {
            db.put(format!("key{:03}", i * 5 % 24), format!("value {round} {}", "of sand ".repeat(i % 4)))?;
            other.put(format!("key{i:03}"), "gravel ".repeat(4))?;
        }
        db.compact()?;
        db.delete("key007")?;
        db.flush()?;
    }
    let mut states = vec![store::listing(&db)?];
    for i in 0..60 {
        let mut batch = WriteBatch::new();
        batch.put(&db, format!("log{i:02}"), "silt ".repeat(12)).delete(&other, format!("key{:03}", i % 24));
        batch.put_with_ttl(&other, format!("ttl{i:02}"), "v", Duration::from_secs(3600));
        db.write(batch, Durability::Sync)?;
        states.push(store::listing(&db)?);
    }
    if closed {
        db.close()?;
        return Ok(Subject { disk, states, unknown: 0 });
    }
    Ok(Subject { disk: disk.kill_image(), states, unknown: 1 })
}

/// What came of opening a damaged copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Cut,
    Right,
}

impl Subject {
    /// Damages a copy, opens and reads it. `Err` says how it is wrong.
    fn try_with(&self, seed: u64, damage: impl FnOnce(&SimFs)) -> std::result::Result<Outcome, String> {
        let disk = self.disk.kill_image();
        damage(&disk);
        let read = AssertUnwindSafe(|| {
            let db = builder(&disk, seed).open()?;
            let cut = db.recovery().cut.clone();
            let text = store::listing(&db)?;
            for name in db.column_families() {
                let family = db.open_column_family(&name)?;
                for entry in family.iter()? {
                    let (key, value) = entry?;
                    assert!(family.get(&key)?.is_some_and(|found| found == value), "get and scan differ");
                }
            }
            Ok((cut, text))
        });
        match catch_unwind(read) {
            Err(_) => Err("a panic".into()),
            Ok(Err(error)) => match &error {
                Error::Corruption(c) if c.file.starts_with(DIR) => Ok(Outcome::Refused),
                Error::UnsupportedVersion { .. } | Error::NotADatabase { .. } => Ok(Outcome::Refused),
                Error::Io(failure) if failure.path.starts_with(DIR) => Ok(Outcome::Refused),
                other => Err(format!("an error of another kind: {other:?}")),
            },
            Ok(Ok((cut, text))) => {
                let least = self.states.len() - 1 - self.unknown;
                match self.states.iter().position(|state| *state == text) {
                    Some(at) if at + 1 == self.states.len() => Ok(Outcome::Right),
                    Some(at) if at >= least && cut.is_some() => Ok(Outcome::Cut),
                    Some(at) => Err(format!("{} writes are lost, cut: {cut:?}", self.states.len() - 1 - at)),
                    None => Err(format!("other data than was ever there, cut: {cut:?}")),
                }
            }
        }
    }

    /// Flips a bit of every `stride`-th byte of each file, and cuts each at every `stride`-th length.
    fn sweep(&self, stride: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut counts = [0u64; 3];
        let mut seed = 2;
        let mut check = |path: &Path, what: String, damage: &dyn Fn(&SimFs)| {
            seed += 1;
            match self.try_with(seed, damage) {
                Ok(outcome) => counts[outcome as usize] += 1,
                Err(why) => wrong.push(format!("{} {what}: {why}", path.display())),
            }
        };
        for path in self.files() {
            let bytes = self.disk.read_raw(&path).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            for at in (0..used).step_by(stride as usize) {
                let mask = 1 << (at * 5 % 8);
                check(&path, format!("with bit {mask:#04x} of byte {at} flipped"), &|disk| {
                    disk.flip(&path, at, mask).unwrap();
                });
            }
            for len in (0..used).step_by(stride as usize * 2 + 1) {
                check(&path, format!("cut to {len} bytes"), &|disk| {
                    disk.write_raw(&path, &bytes[..len as usize]).unwrap();
                });
            }
        }
        println!("{counts:?} refused, cut, right; {} wrong", wrong.len());
        wrong
    }

    fn files(&self) -> Vec<PathBuf> {
        let lock = Path::new(DIR).join("LOCK");
        self.disk.paths().into_iter().filter(|path| *path != lock).collect()
    }
}

fn expect_nothing_wrong(subject: &Subject, stride: u64) {
    let wrong = subject.sweep(stride);
    assert!(
        wrong.is_empty(),
        "{} are wrong, such as\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

#[test]
fn no_damage_to_a_store_that_was_closed_goes_unnoticed() -> Result<()> {
    expect_nothing_wrong(&subject(true)?, 1);
    Ok(())
}

#[test]
fn no_damage_to_a_store_that_was_killed_goes_unnoticed() -> Result<()> {
    expect_nothing_wrong(&subject(false)?, 1);
    Ok(())
}
