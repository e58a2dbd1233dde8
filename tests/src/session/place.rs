//! Where a store lives and how it is opened.

use super::crash::mix;
use super::sets::{Home, OptionSet};
use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// When all histories begin, in milliseconds since the epoch.
pub(super) const START_MS: u64 = 1_700_000_000_000;

/// A directory on some disk, with a clock and the options to open it with.
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
    /// The options.
    pub set: OptionSet,
}

impl Place {
    /// On a simulated disk, without threads.
    #[must_use]
    pub fn simulated(disk: SimFs, now_ms: u64, seed: u64) -> Place {
        let clock = ManualClock::new(now_ms);
        let (path, set) = ("/data/store".into(), OptionSet::SMALL);
        Place { disk: Some(disk), path, clock, seed: Some(seed), opened: 0, set }
    }

    /// On an empty simulated disk, at the time when histories begin.
    #[must_use]
    pub fn fresh(seed: u64) -> Place {
        Place::simulated(SimFs::new(), START_MS, seed)
    }

    /// In a directory of the operating system's, with threads.
    #[must_use]
    pub fn real(path: &Path) -> Place {
        let clock = ManualClock::new(START_MS);
        Place { disk: None, path: path.into(), clock, seed: None, opened: 0, set: OptionSet::SMALL }
    }

    /// With a set of options, where that wants to be: `dir` is for those that want a real directory.
    #[must_use]
    pub fn of_set(set: OptionSet, seed: u64, dir: &Path) -> Place {
        let place = match set.home {
            Home::Simulated => Place::fresh(seed),
            Home::Threads => Place { seed: None, ..Place::fresh(seed) },
            Home::Directory => Place::real(dir),
        };
        Place { set, ..place }
    }

    /// The time, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        Clock::Manual(self.clock.clone()).wall_ms()
    }

    /// The options to open the store with.
    #[must_use]
    pub fn builder(&self) -> Builder {
        let clock = Clock::Manual(self.clock.clone());
        let builder = Db::builder(&self.path).options(self.set.options()).clock(clock);
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
}
