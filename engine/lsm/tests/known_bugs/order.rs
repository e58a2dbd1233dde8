//! What comes before what: batches whole, numbers once, nothing visible or durable too early.

use super::store::{
    after_power_loss, entries, eventually, files, idle, is_log, on, put, recovered, small, value,
};
use esker::base::sync::Mutex;
use esker::fs::sim::{Fault, Image, OperationKind, Phase};
use esker::fs::{File, FileHandle, FileSystem, Fs, LockGuard, SimFs};
use esker::{Db, Durability, Result, WriteBatch};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// 7. A batch was half applied when its record was torn.
#[test]
fn a_torn_batch_comes_back_whole_or_not_at_all() -> Result<()> {
    let (sim, torn) = (SimFs::new(), Arc::new(Mutex::new(Vec::new())));
    let db = idle(&sim).open()?;
    put(&db, "before", b"v", Durability::Sync)?;
    let other = db.column_family("other")?;
    let taking = torn.clone();
    sim.observe(Box::new(move |operation, phase, moment| {
        if (operation.kind, phase) == (OperationKind::Write, Phase::Before) && is_log(&operation.path) {
            for seed in 0..40 {
                for image in [Image::All, Image::Random, Image::LaterKept, Image::Garbage] {
                    taking.lock().extend(moment.image_amid(image, seed));
                }
                taking.lock().extend(moment.kill_image_amid(seed));
            }
        }
    }));
    let mut batch = WriteBatch::new();
    for i in 0..20 {
        batch.put(&db, format!("k{i:02}"), value(i, 150)).put(&other, format!("k{i:02}"), value(i, 150));
    }
    db.commit(batch, Durability::Os)?;
    sim.stop_observing();
    let torn = std::mem::take(&mut *torn.lock());
    assert!(torn.len() > 100);
    for disk in torn {
        let db = small(&disk).open()?;
        let counts = (db.iter()?.count(), db.open_column_family("other")?.iter()?.count());
        assert!(counts == (1, 0) || counts == (21, 20), "{counts:?} of 21 and 20 entries");
    }
    Ok(())
}

/// 7. Zeros behind the last record were read as data, or kept the store from opening.
#[test]
fn zeros_behind_the_log_are_its_end() -> Result<()> {
    let sim = SimFs::new();
    let db = idle(&sim).open()?;
    put(&db, "a", &value(1, 100), Durability::Sync)?;
    let log = files(&sim, ".log").pop().expect("a log");
    let end_of = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let start = end_of(&sim.read_raw(&log).unwrap());
    put(&db, "b", &value(2, 100), Durability::Os)?;
    let bytes = sim.read_raw(&log).unwrap();
    let end = end_of(&bytes);
    assert!(start + 100 < end && end < bytes.len());
    for cut in start..=end {
        let mut left = bytes.clone();
        left[cut..].fill(0);
        let disk = sim.image(Image::All, 0);
        disk.write_raw(&log, &left).unwrap();
        assert_eq!(recovered(&disk).len(), if cut == end { 2 } else { 1 }, "cut at {cut} of {start}..{end}");
    }
    Ok(())
}

/// 12. After an error had healed, or a crash, sequence numbers were handed out for the second time.
#[test]
fn sequence_numbers_are_never_handed_out_twice() -> Result<()> {
    let sim = SimFs::new();
    let db = idle(&sim).open()?;
    let first = put(&db, "a", b"v", Durability::Os)?;
    // The record reaches the disk, and the writer hears of an error.
    sim.set_fault(Box::new(|operation| {
        let append = operation.kind == OperationKind::Write && is_log(&operation.path);
        append.then_some(Fault::ErrnoAfter(5))
    }));
    assert!(put(&db, "b", b"failed", Durability::Os).is_err());
    sim.clear_fault();
    let third = put(&db, "c", b"v", Durability::Os)?;
    assert!(third > first + 1, "the number of the failed write was used again");
    let last = put(&db, "d", b"v", Durability::None)?;
    assert!(last > third);
    for image in [Image::Nothing, Image::All] {
        let db = idle(&sim.image(image, 0)).open()?;
        let next = put(&db, "e", b"v", Durability::Os)?;
        assert!(next > last, "{image}: {next} after {last}");
    }
    Ok(())
}

/// 16. A segment was deleted that held what another family had not flushed yet.
#[test]
fn a_segment_that_any_family_needs_is_kept() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    let quiet = db.column_family("quiet")?;
    quiet.put("k", "v")?;
    let mut flushed = 0;
    for i in 0..40 {
        put(&db, &format!("k{i:03}"), &value(i, 700), Durability::Os)?;
        flushed = db.stats().flushes;
        let after = small(&sim.image(Image::All, 0)).open()?;
        assert_eq!(after.open_column_family("quiet")?.get("k")?.as_deref(), Some(b"v".as_slice()));
        assert_eq!(entries(&after)?, entries(&db)?);
    }
    assert!(flushed > 3, "only {flushed} flushes");
    Ok(())
}

/// 5. A flush made a later write durable while the log, with an earlier one, was not.
#[test]
fn a_flush_does_not_outrun_the_log() -> Result<()> {
    let sim = SimFs::new();
    // With threads, and so long an interval that nothing but the flush has a reason to sync the log.
    let db = on(Fs::Sim(sim.clone())).open()?;
    let quiet = db.column_family("quiet")?;
    let mut batch = WriteBatch::new();
    batch.put(&quiet, "half", "v").put(&db, "half", "v");
    db.commit(batch, Durability::Os)?;
    for i in 0..8 {
        put(&db, &format!("k{i:03}"), &value(i, 700), Durability::Os)?;
    }
    eventually("a flush", || db.stats().flushes > 0);
    let after = small(&sim.image(Image::Nothing, 0)).open()?;
    let halves = (after.contains_key("half")?, after.open_column_family("quiet")?.contains_key("half")?);
    assert_eq!(halves, (true, true), "what was flushed is there, and half of a batch without the other");
    Ok(())
}

/// 7. Half of a batch without a log was flushed.
#[test]
fn an_unlogged_batch_over_two_families_is_flushed_as_one() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    let other = db.column_family("other")?;
    let mut flushed = 0;
    for i in 0..40 {
        let mut batch = WriteBatch::new();
        batch.put(&other, format!("k{i:03}"), b"small").put(&db, format!("k{i:03}"), value(i, 700));
        db.commit(batch, Durability::None)?;
        let after = small(&sim.image(Image::Nothing, 0)).open()?;
        let counts = (after.iter()?.count(), after.open_column_family("other")?.iter()?.count());
        assert_eq!(counts.0, counts.1, "after batch {i}");
        flushed = db.stats().flushes;
    }
    assert!(flushed > 3, "only {flushed} flushes");
    Ok(())
}

/// Does something whenever the log is written to or was synced, before the caller hears of it.
#[derive(Debug)]
struct Hooked {
    disk: SimFs,
    hook: Arc<Hook>,
}

#[derive(Default)]
struct Hook {
    write: OnceLock<Act>,
    sync: OnceLock<Act>,
}

type Act = Mutex<Option<Box<dyn FnOnce() + Send>>>;

impl Hook {
    fn run(act: &OnceLock<Act>) {
        let act = act.get().and_then(|act| act.lock().take());
        if let Some(act) = act {
            act();
        }
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

#[derive(Debug)]
struct HookedLog {
    file: FileHandle,
    hook: Arc<Hook>,
}

impl HookedLog {
    fn file(&self) -> &dyn File {
        match &self.file {
            FileHandle::Sim(file) => file,
            other => panic!("{other:?} on a simulated disk"),
        }
    }
}

impl File for HookedLog {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file().read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        Hook::run(&self.hook.write);
        self.file().write_at(buf, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.file().sync()?;
        Hook::run(&self.hook.sync);
        Ok(())
    }
    fn size(&self) -> io::Result<u64> {
        self.file().size()
    }
    fn truncate(&self, size: u64) -> io::Result<()> {
        self.file().truncate(size)
    }
    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file().allocate(size)
    }
}

impl FileSystem for Hooked {
    fn create_new(&self, path: &Path) -> io::Result<FileHandle> {
        self.disk.create_new(path)
    }
    fn open(&self, path: &Path, writable: bool) -> io::Result<FileHandle> {
        let file = FileSystem::open(&self.disk, path, writable)?;
        let log = HookedLog { file, hook: self.hook.clone() };
        Ok(if writable && is_log(path) { FileHandle::Custom(Arc::new(log)) } else { log.file })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem::rename(&self.disk, from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        FileSystem::remove(&self.disk, path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        FileSystem::list(&self.disk, dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        FileSystem::create_dir_all(&self.disk, dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        FileSystem::sync_dir(&self.disk, dir)
    }
    fn lock(&self, path: &Path, holder: &str) -> io::Result<std::result::Result<LockGuard, String>> {
        FileSystem::lock(&self.disk, path, holder)
    }
    fn hold(&self, path: &Path) -> io::Result<std::result::Result<Option<LockGuard>, String>> {
        FileSystem::hold(&self.disk, path)
    }
}

fn hooked() -> Result<(SimFs, Db, Arc<Hook>)> {
    let (disk, hook) = (SimFs::new(), Arc::new(Hook::default()));
    let fs = Hooked { disk: disk.clone(), hook: hook.clone() };
    let db = on(Fs::Custom(Arc::new(fs))).memtable_bytes(256 << 10).open()?;
    Ok((disk, db, hook))
}

/// What was seen while the log was written: whether the key was there, and how far the marks were.
#[test]
fn a_write_is_not_visible_before_it_is_in_the_log() -> Result<()> {
    let (_, db, hook) = hooked()?;
    let before = put(&db, "a", b"old", Durability::Os)?;
    let (seen, reader) = (Arc::new(Mutex::new(None)), db.clone());
    let seeing = seen.clone();
    let act = move || {
        let value = reader.get("a").unwrap().map(|value| value.to_vec());
        *seeing.lock() = Some((value, reader.visible_seq(), reader.durable_seq()));
    };
    assert!(hook.write.set(Mutex::new(Some(Box::new(act)))).is_ok());
    let after = put(&db, "a", b"new", Durability::Sync)?;
    let (value, visible, durable) = seen.lock().take().expect("the log was written to");
    assert_eq!((value, visible), (Some(b"old".to_vec()), before));
    assert!(durable < after && after == db.visible_seq());
    Ok(())
}

/// 5. A sync was credited with what was written after it had begun.
#[test]
fn a_sync_does_not_count_what_is_written_while_it_runs() -> Result<()> {
    let (disk, db, hook) = hooked()?;
    let (late, writer) = (Arc::new(Mutex::new(0)), db.clone());
    let writing = late.clone();
    let act = move || *writing.lock() = put(&writer, "late", b"v", Durability::Os).unwrap();
    assert!(hook.sync.set(Mutex::new(Some(Box::new(act)))).is_ok());
    let early = put(&db, "early", b"v", Durability::Sync)?;
    let late = *late.lock();
    assert!(early < late, "the other write came in between");
    assert_eq!(db.durable_seq(), early);
    assert_eq!(after_power_loss(&disk).len(), 1);
    db.wait_durable(late)?;
    assert_eq!(after_power_loss(&disk).len(), 2);
    Ok(())
}
