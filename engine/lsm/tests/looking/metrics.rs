//! What is counted and timed.

use super::store::{builder, filled, key};
use esker::base::clock::ManualClock;
use esker::hooks::{Event, EventListener};
use esker::{Backups, IngestBatch, IngestOptions, Metrics, Result, ScanOptions, SstWriter};
use std::sync::{Arc, Mutex};

fn counts(metrics: &Metrics) -> [u64; 4] {
    [&metrics.write, &metrics.get, &metrics.multi_get, &metrics.seek].map(|times| times.count())
}

#[test]
fn operations_are_timed_one_in_so_many_and_by_default_not_at_all() -> Result<()> {
    for (one_in, expected) in [(0, [0; 4]), (1, [20, 20, 20, 40]), (10, [2; 4])] {
        let db = builder(&ManualClock::new(1)).time_one_in(one_in).open()?;
        // A thread counts the operations of all stores: each kind is asked for as often as fits.
        for n in 0..20 {
            db.put(key(n), "v")?;
        }
        for n in 0..20 {
            db.get(key(n))?;
        }
        for n in 0..20 {
            db.multi_get(&[key(n), key(n + 1)])?;
        }
        let mut cursor = db.cursor(ScanOptions::default())?;
        for n in 0..20 {
            cursor.seek(key(n))?;
        }
        if one_in == 1 {
            for _ in 0..10 {
                assert!(db.iter()?.next().is_some() && db.iter()?.next_back().is_some());
            }
        }
        let metrics = db.metrics();
        assert_eq!((counts(&metrics), metrics.time_one_in), (expected, one_in));
        assert_eq!((metrics.group_size.count(), metrics.group_size.max()), (20, 1));
    }
    Ok(())
}

#[test]
fn syncs_flushes_and_compactions_are_always_timed() -> Result<()> {
    let (db, _) = filled(100)?;
    let before = db.metrics();
    db.put("k", "v")?;
    db.sync()?;
    db.sync()?;
    let metrics = db.metrics();
    assert_eq!(metrics.sync.count(), before.sync.count() + 1, "the second had nothing to do");
    assert!(metrics.stats.logged_bytes > before.stats.logged_bytes);
    db.compact()?;
    let metrics = db.metrics();
    assert_eq!(metrics.flush.count(), metrics.stats.flushes);
    assert_eq!(metrics.compaction.count(), metrics.stats.compactions);
    assert!(metrics.flush.count() == before.flush.count() + 1 && metrics.compaction.count() > 0);
    assert_eq!((metrics.stall.count(), counts(&metrics)), (0, [0; 4]));
    assert_eq!(metrics.memory.total_bytes(), metrics.stats.memory_bytes);
    Ok(())
}

/// Keeps what it is told of copies.
#[derive(Default)]
struct Copies(Mutex<Vec<String>>);

impl EventListener for Copies {
    fn event(&self, event: &Event) {
        let word = match event {
            Event::CheckpointEnded(e) => format!("checkpoint {} {}", e.files > 0, e.error.is_none()),
            Event::BackupEnded(e) => format!("backup {} {}", e.number, e.error.is_none()),
            Event::IngestEnded(e) => format!("ingest {} {} {}", e.files, e.bytes > 0, e.error.is_none()),
            _ => return,
        };
        self.0.lock().unwrap().push(word);
    }
}

#[test]
fn copies_and_ingests_are_counted_and_told() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let told = Arc::new(Copies::default());
    let db = esker::Db::builder(path("data")).listener(told.clone()).deterministic(1).open()?;
    db.put("k", "v")?;
    db.checkpoint(path("copy"))?;
    assert!(db.checkpoint(path("copy")).is_err());
    let backups = Backups::at(path("backups"));
    let first = backups.create(&db)?;
    std::fs::write(path("file"), "").unwrap();
    assert!(Backups::at(path("file")).create(&db).is_err());
    let mut writer = SstWriter::create(path("new.sst"), &esker::FamilyOptions::default())?;
    writer.put("n", "v")?;
    writer.finish()?;
    let mut batch = IngestBatch::new();
    batch.add(&db, path("new.sst"));
    db.ingest(&batch, IngestOptions::default())?;
    assert!(db.ingest(&batch, IngestOptions::default()).is_err(), "it is known already");
    let copies = db.stats().copies;
    assert_eq!((copies.checkpoints, copies.backups, copies.failed), (1, 1, 2));
    assert_eq!((copies.backup_bytes, copies.ingests, copies.failed_ingests), (first.new_bytes, 1, 1));
    db.close()?;
    let expected = [
        "checkpoint true true",
        "checkpoint false false",
        "backup 1 true",
        "backup 0 false",
        "ingest 1 true true",
        "ingest 1 false false",
    ];
    assert_eq!(*told.0.lock().unwrap(), expected);
    Ok(())
}
