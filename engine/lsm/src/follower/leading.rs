//! For tests: a store that is written to beside its readers, and what it may show.

use super::read_only::ReadOnlyDb;
use crate::base::clock::{Clock, ManualClock};
use crate::base::error::Result;
use crate::base::random::Random;
use crate::base::sync::{Arc, Mutex};
use crate::batch::WriteBatch;
use crate::commit::Durability;
use crate::db::{
    Builder, ColumnFamily, Db, FamilyOptions, IngestBatch, IngestOptions, SstSettings, SstWriter,
};
use crate::fs::sim::OperationKind;
use crate::fs::{File, FileHandle, FileSystem, Fs, LockGuard, SimFs};
use crate::hooks::Counter;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(super) const DIR: &str = "/db";

/// What a store holds: the entries of each family.
pub(super) type Model = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

pub(super) fn builder(fs: Fs) -> Builder {
    Db::builder(DIR)
        .fs(fs)
        .clock(Clock::Manual(ManualClock::new(1_000_000)))
        .memory_budget(2 << 20)
        .memtable_bytes(3 << 10)
        .target_file_bytes(2 << 10)
        .level_base_bytes(8 << 10)
        .wal_segment_bytes(4 << 10)
        .manifest_bytes(2 << 10)
        .reserve_bytes(0)
        .default_durability(Durability::Os)
        .merge_operator("sums", Counter)
        .deterministic(1)
}

/// Everything that a reader shows.
pub(super) fn shown(db: &ReadOnlyDb) -> Result<Model> {
    let entries = |name: &String| {
        let family = db.column_family(name)?;
        let entries = family.iter().map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
        let entries = entries.collect::<Result<BTreeMap<_, _>>>()?;
        for (key, value) in &entries {
            assert_eq!(family.get(key)?.as_deref(), Some(&value[..]), "a get and a scan differ");
        }
        Ok((name.clone(), entries))
    };
    db.column_families().iter().map(entries).collect()
}

/// Everything that an open store shows.
pub(super) fn held(db: &Db) -> Model {
    let entries = |name: &String| {
        let family = db.open_column_family(name).unwrap();
        let entries = family.iter().unwrap().map(|entry| entry.unwrap());
        (name.clone(), entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
    };
    db.column_families().iter().map(entries).collect()
}

/// Whoever writes.
pub(super) struct Leader {
    sim: SimFs,
    db: Option<Db>,
    random: Random,
    /// What the store held after each step, the one under way included.
    pub(super) models: Arc<Mutex<Vec<Model>>>,
    model: Model,
    /// How many steps have returned.
    pub(super) acknowledged: Arc<Mutex<usize>>,
}

impl Leader {
    pub(super) fn new(sim: &SimFs, seed: u64) -> Leader {
        let db = builder(Fs::Sim(sim.clone())).open().unwrap();
        db.column_family("second").unwrap();
        let options = FamilyOptions { merge_operator: Some("esker.counter".into()), ..Default::default() };
        db.create_column_family("sums", options).unwrap();
        let model: Model = ["default", "second", "sums"].map(|name| (name.into(), BTreeMap::new())).into();
        Leader {
            sim: sim.clone(),
            db: Some(db),
            random: Random::seeded(seed),
            models: Arc::new(Mutex::new(vec![model.clone()])),
            model,
            acknowledged: Arc::default(),
        }
    }

    pub(super) fn db(&self) -> &Db {
        self.db.as_ref().unwrap()
    }

    fn family(&self, name: &str) -> ColumnFamily {
        self.db().open_column_family(name).unwrap()
    }

    fn key(&self) -> Vec<u8> {
        format!("key{:02}", self.random.below(20)).into_bytes()
    }

    fn about_to_hold(&self) {
        self.models.lock().push(self.model.clone());
    }

    fn returned(&self) {
        *self.acknowledged.lock() = self.models.lock().len() - 1;
    }

    fn entries(&mut self, family: &str) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        self.model.get_mut(family).unwrap()
    }

    /// One batch over three families.
    pub(super) fn write(&mut self) {
        let number = self.models.lock().len() as u64;
        let value = [&number.to_le_bytes()[..], &[7; 40]].concat();
        let (set, gone, second) = (self.key(), self.key(), self.family("second"));
        let mut batch = WriteBatch::new();
        batch.put(self.db(), &set, &value).delete(&second, &gone).put(&second, b"number", &value);
        batch.merge(&self.family("sums"), b"sum", 1i64.to_le_bytes());
        self.entries("default").insert(set, value.clone());
        self.entries("second").remove(&gone);
        self.entries("second").insert(b"number".to_vec(), value.clone());
        let sum = self.entries("sums").entry(b"sum".to_vec()).or_insert(vec![0; 8]);
        let counted = i64::from_le_bytes(sum[..].try_into().unwrap()) + 1;
        *sum = counted.to_le_bytes().to_vec();
        if self.random.below(6) == 0 {
            let (from, to) = (b"key03".to_vec(), b"key08".to_vec());
            batch.delete_range(&second, from.clone()..to.clone());
            self.entries("second").retain(|key, _| !(from.clone()..to.clone()).contains(key));
        } else {
            let key = self.key();
            batch.put(&second, &key, &value);
            self.entries("second").insert(key, value);
        }
        self.about_to_hold();
        self.db().write(batch, Durability::Os).unwrap();
        self.returned();
    }

    /// Two tables, taken in together.
    fn ingest(&mut self) {
        let number = self.models.lock().len();
        let mut batch = IngestBatch::new();
        for name in ["default", "second"] {
            let path = PathBuf::from(format!("/outside-{name}-{number}.sst"));
            let (key, value) = (b"ingested".to_vec(), format!("{number}").into_bytes());
            let settings = SstSettings { fs: Fs::Sim(self.sim.clone()), ..SstSettings::default() };
            let mut writer = SstWriter::create_with(&path, &FamilyOptions::default(), settings).unwrap();
            writer.put(&key, &value).unwrap();
            writer.finish().unwrap();
            batch.add(&self.family(name), &path);
            self.entries(name).insert(key, value);
        }
        self.about_to_hold();
        self.db().ingest(&batch, IngestOptions { move_files: true }).unwrap();
        self.returned();
    }

    /// Does the next thing.
    pub(super) fn act(&mut self) {
        match self.random.below(24) {
            0 | 1 => self.db().flush().unwrap(),
            2 => self.db().compact().unwrap(),
            3 => self.ingest(),
            4 => {
                self.db.take().unwrap().close().unwrap();
                self.db = Some(builder(Fs::Sim(self.sim.clone())).open().unwrap());
            }
            5 => self.db().sync().unwrap(),
            6 => {
                let name = format!("family{}", self.models.lock().len());
                self.model.insert(name.clone(), BTreeMap::new());
                self.about_to_hold();
                let family = self.db().column_family(&name).unwrap();
                self.returned();
                self.entries(&name).insert(b"k".to_vec(), b"v".to_vec());
                self.about_to_hold();
                family.put(b"k", b"v").unwrap();
                self.returned();
            }
            _ => self.write(),
        }
    }

    /// The step after which the store held this, if there is one.
    pub(super) fn step_of(&self, found: &Model) -> Option<usize> {
        self.models.lock().iter().rposition(|model| model == found)
    }
}

/// A disk that does something else before each call.
pub(super) struct Interrupted<F> {
    sim: SimFs,
    before: Arc<Mutex<F>>,
}

impl<F: FnMut() + Send + 'static> Interrupted<F> {
    pub(super) fn disk_of(sim: &SimFs, before: F) -> Fs {
        Fs::Custom(Arc::new(Interrupted { sim: sim.clone(), before: Arc::new(Mutex::new(before)) }))
    }

    fn disk(&self) -> &SimFs {
        (*self.before.lock())();
        &self.sim
    }
}

impl<F> fmt::Debug for Interrupted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupted")
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::Error::other("a reader changes nothing"))
}

impl<F: FnMut() + Send + 'static> FileSystem for Interrupted<F> {
    fn create_new(&self, _: &Path) -> io::Result<FileHandle> {
        refused()
    }
    fn open(&self, path: &Path, writable: bool) -> io::Result<FileHandle> {
        if writable {
            return refused();
        }
        let file = self.disk().open(path, false)?;
        Ok(FileHandle::Custom(Arc::new(InterruptedFile { file, before: self.before.clone() })))
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk().list(dir)
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        refused()
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }
    fn lock(&self, _: &Path, _: &str) -> io::Result<Result<LockGuard, String>> {
        refused()
    }
    fn hold(&self, _: &Path) -> io::Result<Result<Option<LockGuard>, String>> {
        refused()
    }
}

struct InterruptedFile<F> {
    file: FileHandle,
    before: Arc<Mutex<F>>,
}

impl<F> fmt::Debug for InterruptedFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InterruptedFile")
    }
}

impl<F: FnMut() + Send + 'static> InterruptedFile<F> {
    fn file(&self) -> &dyn File {
        (*self.before.lock())();
        match &self.file {
            FileHandle::Sim(file) => file,
            FileHandle::Os(file) => file,
            FileHandle::Custom(file) => &**file,
        }
    }
}

impl<F: FnMut() + Send + 'static> File for InterruptedFile<F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file().read_at(buf, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        refused()
    }
    fn sync(&self) -> io::Result<()> {
        refused()
    }
    fn size(&self) -> io::Result<u64> {
        self.file().size()
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        refused()
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        refused()
    }
}

/// Asserts that nothing was asked of a disk that could change it.
pub(super) fn only_read(disk: &SimFs) {
    let stats = disk.stats();
    for kind in OperationKind::ALL.into_iter().filter(|kind| kind.is_mutating()) {
        assert_eq!(stats.of(kind), 0, "{kind}");
    }
}
