//! Where a store lives and how it is opened.

use super::crash::mix;
use super::options::OptionSet;
use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often the log is synced in the background, in milliseconds.
pub(super) const SYNC_INTERVAL_MS: u64 = 100;

/// What stores keep in reserve for a full disk.
pub(super) const RESERVE_BYTES: u64 = 32 << 10;

/// When all histories begin, in milliseconds since the epoch.
pub(super) const START_MS: u64 = 1_700_000_000_000;

/// A directory on some disk, with a clock.
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
    /// The number of the [`OptionSet`] that it begins with.
    pub first_options: u32,
    /// How far from that it has gone.
    pub options: u32,
    /// How far it will be when the store is next opened.
    pub next_options: u32,
    /// Whether values stand beside their keys whatever the options say: for who takes tables apart and knows
    /// of no other files.
    pub values_inline: bool,
}

impl Place {
    /// On a simulated disk, without threads.
    #[must_use]
    pub fn simulated(disk: SimFs, now_ms: u64, seed: u64) -> Place {
        Place {
            disk: Some(disk),
            path: "/data/store".into(),
            clock: ManualClock::new(now_ms),
            seed: Some(seed),
            opened: 0,
            first_options: 0,
            options: 0,
            next_options: 0,
            values_inline: false,
        }
    }

    /// On an empty simulated disk, at the time when histories begin.
    #[must_use]
    pub fn fresh(seed: u64) -> Place {
        Place::simulated(SimFs::new(), START_MS, seed)
    }

    /// In a directory of the operating system's, with threads.
    #[must_use]
    pub fn real(path: &Path) -> Place {
        Place { disk: None, path: path.into(), seed: None, ..Place::fresh(0) }
    }

    /// The same, with other options to begin with.
    #[must_use]
    pub fn with_options(self, first_options: u32) -> Place {
        Place { first_options, ..self }
    }

    /// The same, with threads that do the background work.
    #[must_use]
    pub fn with_threads(self) -> Place {
        Place { seed: None, ..self }
    }

    /// The options in force.
    #[must_use]
    pub fn option_set(&self) -> &'static OptionSet {
        OptionSet::numbered(self.first_options.wrapping_add(self.options))
    }

    /// The time of the wall clock, in milliseconds since the epoch.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        Clock::Manual(self.clock.clone()).wall_ms()
    }

    /// The options to open the store with.
    #[must_use]
    pub fn builder(&self) -> Builder {
        let builder = Db::builder(&self.path).clock(Clock::Manual(self.clock.clone()));
        let builder = self.option_set().apply(builder);
        let inline = |builder: Builder, name: &&str| builder.blob_values_from(name, None);
        let builder = match self.values_inline {
            true => ["default", "f0", "f1", "f2", "f3"].iter().fold(builder, inline),
            false => builder,
        };
        let builder = match self.seed {
            Some(seed) => builder.deterministic(mix(&[seed, self.opened])),
            None => builder,
        };
        builder.fs(self.fs())
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(&mut self) -> esker::Result<Db> {
        self.opened += 1;
        self.options = self.next_options;
        self.builder().open()
    }

    /// The directory for files that are written outside of the store.
    #[must_use]
    pub fn outside(&self) -> PathBuf {
        self.path.with_extension("outside")
    }

    /// The file system that the store lives on.
    #[must_use]
    pub fn fs(&self) -> Fs {
        self.disk.clone().map_or_else(Fs::default, Fs::Sim)
    }
}
