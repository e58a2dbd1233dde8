//! A store without background work on a simulated disk, for the tests of this folder: what happens in it
//! happens when a test says so.

use super::{CommitOptions, Durability, Parts, Reserve, StallLimits, Store, Ticket};
use crate::base::clock::{Clock, ExpiryClock, ManualClock};
use crate::base::error::Result;
use crate::base::key::{EntryRef, Kind, NEVER, SeqNum};
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::batch::{FamilyRef, WriteBatch};
use crate::blob::Blobs;
use crate::compaction::ShapeOptions;
use crate::fs::{Fs, SimFs};
use crate::memtable::Memtable;
use crate::ranges::RangeSet;
use crate::table::{TableOptions, TableWriter, Tables};
use crate::tree::{Family, FamilyRules};
use crate::version::{FamilyState, Manifest, Purgatory, StoreState, TableFile, TableMeta, Version};
use crate::wal::{Wal, WalOptions};
use std::path::Path;
use std::time::Duration;

const DIR: &str = "/db";
const HANDLE: u64 = 77;

/// What time it is when the store is opened, in milliseconds since the epoch.
pub(super) const START_MS: u64 = 1_000_000;

/// What tests set.
pub(super) struct Setup {
    pub(super) options: CommitOptions,
    pub(super) rules: FamilyRules,
    pub(super) reserve_bytes: u64,
    pub(super) seq_ceiling: SeqNum,
}

impl Default for Setup {
    fn default() -> Setup {
        let shape = ShapeOptions {
            level0_tables: 4,
            base_bytes: 4 << 20,
            fanout: 10,
            table_bytes: 2 << 20,
            ranges: 64,
            range_bytes: 1 << 20,
        };
        let options = CommitOptions {
            sync_interval: Duration::from_secs(1),
            segment_bytes: 16 << 10,
            memtable_bytes: 64 << 20,
            memtables_bytes: 128 << 20,
            wal_bytes: 512 << 20,
            wal_age: Duration::from_secs(1800),
            cache_bytes: 1 << 20,
            group_bytes: 1 << 20,
            lock_timeout: Duration::ZERO,
            max_prepared: 2,
            max_prepared_bytes: 1 << 10,
            feed: None,
            recent_bytes: 64 << 10,
            shape,
            stall: StallLimits::default(),
        };
        Setup { options, rules: FamilyRules::default(), reserve_bytes: 0, seq_ceiling: 1 << 30 }
    }
}

/// A store with the families 0 and 1, both empty, and the disk below it.
pub(super) struct Rig {
    pub(super) sim: SimFs,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
}

/// A family, for batches.
pub(super) struct Named(pub(super) u32);

impl FamilyRef for Named {
    fn family_id(&self) -> u32 {
        self.0
    }
    fn store_id(&self) -> u64 {
        HANDLE
    }
    fn now_ms(&self) -> u64 {
        START_MS
    }
}

impl Rig {
    /// Puts other options in force.
    pub(super) fn change(&self, change: impl FnOnce(&mut CommitOptions)) {
        let mut options = (*self.store.options()).clone();
        change(&mut options);
        self.store.set_options(options);
    }

    pub(super) fn new() -> Rig {
        Rig::with(Setup::default())
    }

    pub(super) fn with(setup: Setup) -> Rig {
        let (sim, dir, random) = (SimFs::new(), Path::new(DIR), Random::seeded(1));
        let fs = Fs::Sim(sim.clone());
        fs.create_dir_all(dir).unwrap();
        let family = |name: &str| FamilyState { name: name.into(), ..FamilyState::default() };
        let state = StoreState {
            store: 7,
            layer: "plain".into(),
            next_file: 1,
            seq_ceiling: setup.seq_ceiling,
            next_family: 2,
            families: [(0, family("default")), (1, family("other"))].into(),
            ..StoreState::default()
        };
        let families = |(id, name)| {
            let active = Arc::new(Memtable::new(id, b"", setup.options.memtable_bytes));
            let (version, ranges) = (Version::default(), RangeSet::default());
            Arc::new(Family::new(id as u32, name, setup.rules.clone(), active, version, ranges, 0))
        };
        let segment_bytes = setup.options.segment_bytes;
        let log = WalOptions {
            fs: fs.clone(),
            dir: dir.into(),
            store: 7,
            random: random.clone(),
            segment_bytes,
            least_bytes: segment_bytes,
            mapped: true,
        };
        let clock = ManualClock::new(START_MS);
        let tables = Arc::new(Tables::new(fs.clone(), dir, random.clone(), 1 << 20, 64));
        let store = Store::new(Parts {
            manifest: Manifest::create(fs.clone(), dir, random.clone(), state).unwrap(),
            wal: Wal::create(log, 3).unwrap(),
            dir: dir.into(),
            handle: HANDLE,
            clock: ExpiryClock::new(Clock::Manual(clock.clone()), 0),
            families: [(0, "default"), (1, "other")].map(families).into(),
            options: setup.options,
            blobs: Arc::new(Blobs::new(
                fs.clone(),
                dir,
                random.clone(),
                tables.pool().clone(),
                tables.cache().clone(),
            )),
            tables,
            purgatory: Arc::new(Purgatory::default()),
            reserve: Arc::new(Reserve::new(&fs, dir, setup.reserve_bytes)),
            events: Arc::default(),
            next_number: 10,
            last_seq: 0,
            fs,
            random,
        });
        Rig { sim, clock, store }
    }

    /// Leaves the disk so much room.
    pub(super) fn leave(&self, bytes: u64) {
        self.sim.set_capacity(Some(self.sim.used() + bytes));
    }

    pub(super) fn put(&self, key: &str, value: impl AsRef<[u8]>) -> Result<Ticket> {
        self.put_in(0, key, value, Durability::Os)
    }

    pub(super) fn put_in(
        &self,
        family: u32,
        key: &str,
        value: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<Ticket> {
        let mut batch = WriteBatch::new();
        batch.put(&Named(family), key, value);
        self.store.commit(batch, durability)
    }

    pub(super) fn delete(&self, key: &str) -> Result<Ticket> {
        let mut batch = WriteBatch::new();
        batch.delete(&Named(0), key);
        self.store.commit(batch, Durability::Os)
    }

    /// How many memtables of a family are sealed.
    pub(super) fn sealed(&self, family: u32) -> usize {
        self.store.family_by_id(family).unwrap().pin().sealed.len()
    }

    /// The active memtable of a family.
    pub(super) fn active(&self, family: u32) -> Arc<Memtable> {
        self.store.family_by_id(family).unwrap().pin().active.clone()
    }

    /// Adds a table of one entry to level 0 that says to be so large.
    pub(super) fn add_table(&self, family: u32, bytes: u64) {
        let (store, number) = (&self.store, self.store.next_number());
        let (file, identity) = store.tables.create(number).unwrap();
        let mut writer = TableWriter::new(file, identity, TableOptions::default()).unwrap();
        let entry = EntryRef { key: b"k", seq: number, kind: Kind::Put, expires_at: NEVER, value: b"v" };
        writer.add(&entry).unwrap();
        let written = writer.finish().unwrap();
        let reader = store.tables.open(number, identity, written.size_bytes, 0).unwrap();
        let meta = TableMeta { size: bytes, ..TableMeta::of(number, written, 0) };
        let table = TableFile::new(Arc::new(meta), reader, store.purgatory.clone());
        let family = store.family_by_id(family).unwrap();
        let view = family.view();
        family.install(None, view.version.changed(&[], vec![(0, table)]), view.ranges.clone());
    }
}
