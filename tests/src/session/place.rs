//! Where a store lives and how it is opened.

use super::crash::mix;
use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, FamilyOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often the log is synced in the background, in milliseconds.
pub(super) const SYNC_INTERVAL_MS: u64 = 100;

/// What stores keep in reserve for a full disk.
pub(super) const RESERVE_BYTES: u64 = 32 << 10;

/// When all histories begin, in milliseconds since the epoch.
pub(super) const START_MS: u64 = 1_700_000_000_000;

/// A directory on some disk, with a clock. Everything in it is kept small, so that short histories fill
/// memtables, levels, log segments and manifests.
#[derive(Clone, Debug)]
pub struct Place {
    /// The simulated disk, if it is one.
    pub disk: Option<SimFs>,
    /// The directory.
    pub path: PathBuf,
    /// The clock.
    pub clock: Arc<ManualClock>,
    /// The seed of everything random; without one the store runs its own threads.
    pub seed: Option<u64>,
    /// How often the store was opened here. Each time it must get other random numbers: the identities of its
    /// files are among them.
    pub opened: u64,
}

impl Place {
    /// On a simulated disk, without threads.
    #[must_use]
    pub fn simulated(disk: SimFs, now_ms: u64, seed: u64) -> Place {
        let clock = ManualClock::new(now_ms);
        Place { disk: Some(disk), path: "/data/store".into(), clock, seed: Some(seed), opened: 0 }
    }

    /// On an empty simulated disk, at the time when histories begin.
    #[must_use]
    pub fn fresh(seed: u64) -> Place {
        Place::simulated(SimFs::new(), START_MS, seed)
    }

    /// In a directory of the operating system's, with threads.
    #[must_use]
    pub fn real(path: &Path) -> Place {
        Place { disk: None, path: path.into(), clock: ManualClock::new(START_MS), seed: None, opened: 0 }
    }

    /// The time, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        Clock::Manual(self.clock.clone()).wall_ms()
    }

    /// The options to open the store with.
    #[must_use]
    pub fn builder(&self) -> Builder {
        let builder = Db::builder(&self.path)
            .memory_budget(1 << 20)
            .sync_interval(Duration::from_millis(SYNC_INTERVAL_MS))
            .wal_segment_bytes(8 << 10)
            .memtable_bytes(4 << 10)
            .target_file_bytes(2 << 10)
            .level_base_bytes(4 << 10)
            .manifest_bytes(2 << 10)
            .reserve_bytes(RESERVE_BYTES)
            .max_open_files(16)
            .clock(Clock::Manual(self.clock.clone()));
        let builder = match self.seed {
            Some(seed) => builder.deterministic(mix(&[seed, self.opened])),
            None => builder,
        };
        match &self.disk {
            Some(disk) => builder.fs(Fs::Sim(disk.clone())),
            None => builder,
        }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(&mut self) -> esker::Result<Db> {
        self.opened += 1;
        self.builder().open()
    }

    /// The options of a family: small blocks, and a split index for some.
    #[must_use]
    pub fn family_options(name: &str) -> FamilyOptions {
        let odd = name.bytes().last().is_some_and(|last| last % 2 == 1);
        FamilyOptions {
            block_bytes: 256,
            index_partition_bytes: if odd { 256 } else { 256 << 10 },
            uncompressed_levels: if odd { 0 } else { 2 },
            ..FamilyOptions::default()
        }
    }
}
