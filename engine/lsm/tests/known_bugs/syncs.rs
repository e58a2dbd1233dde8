//! What must be on the disk before something else may be relied on.

use super::store::{after_power_loss, contents, entries, files, idle, is_log, is_sync, put, small, value};
use super::store::{recovered, remove};
use esker::base::sync::Mutex;
use esker::fs::SimFs;
use esker::fs::sim::{Fault, Image, OperationKind, Phase};
use esker::{Db, Durability, Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Writes much enough for the manifest to be rewritten many times.
fn keep_busy(db: &Db, acknowledged: &Mutex<Entries>) -> Result<()> {
    for i in 0..160 {
        let (key, value) = (format!("k{:03}", i * 37 % 160), value(i, 400));
        put(db, &key, &value, Durability::Sync)?;
        acknowledged.lock().insert(key.into(), value);
        if i % 8 == 0 {
            db.flush()?;
        }
    }
    db.compact()
}

/// Takes a picture of the disk after every switch of `CURRENT`, with all names and no content but what was
/// synced, and beside it what the files really hold.
fn pictures_of_switches() -> Result<Vec<(SimFs, SimFs)>> {
    let (sim, taken) = (SimFs::new(), Arc::new(Mutex::new(Vec::new())));
    let taking = taken.clone();
    sim.observe(Box::new(move |operation, phase, moment| {
        if phase == Phase::After && operation.to.as_ref().is_some_and(|to| to.ends_with("CURRENT")) {
            taking.lock().push((moment.image(Image::EntriesOnly, 0), moment.kill_image()));
        }
    }));
    let db = small(&sim).open()?;
    keep_busy(&db, &Mutex::new(Entries::new()))?;
    db.close()?;
    sim.stop_observing();
    let pictures = std::mem::take(&mut *taken.lock());
    assert!(pictures.len() > 2, "only {} manifests", pictures.len());
    Ok(pictures)
}

/// 1. A loss of power left `CURRENT` pointing at a manifest without content.
#[test]
fn a_new_manifest_is_synced_before_current_points_at_it() -> Result<()> {
    for (left, whole) in pictures_of_switches()? {
        let line = String::from_utf8(whole.read_raw(Path::new("/db/CURRENT")).unwrap()).unwrap();
        let manifest = PathBuf::from("/db").join(line.split(' ').nth(2).unwrap());
        assert_eq!(left.read_raw(&manifest).unwrap(), whole.read_raw(&manifest).unwrap());
    }
    Ok(())
}

/// 2. `CURRENT` itself was renamed into place without content.
#[test]
fn the_content_of_current_is_synced_before_it_is_renamed_into_place() -> Result<()> {
    for (left, whole) in pictures_of_switches()? {
        let current = Path::new("/db/CURRENT");
        assert_eq!(left.read_raw(current).unwrap(), whole.read_raw(current).unwrap());
    }
    Ok(())
}

/// 3. An old manifest or log was gone while what replaces it was not yet durable.
#[test]
fn nothing_is_removed_before_what_replaces_it_is_durable() -> Result<()> {
    let (sim, acknowledged) = (SimFs::new(), Arc::new(Mutex::new(Entries::new())));
    let removals = Arc::new(Mutex::new(Vec::new()));
    let (taking, known) = (removals.clone(), acknowledged.clone());
    sim.observe(Box::new(move |operation, phase, moment| {
        if (operation.kind, phase) == (OperationKind::Remove, Phase::Before) {
            // The removal comes through, and nothing else that was not synced.
            let disk = moment.image(Image::Nothing, 0);
            taking.lock().push((disk, operation.path.clone(), known.lock().clone()));
        }
    }));
    let db = small(&sim).open()?;
    keep_busy(&db, &acknowledged)?;
    db.close()?;
    sim.stop_observing();
    let removals = std::mem::take(&mut *removals.lock());
    for kind in ["log", "sst", ""] {
        let of_kind = |path: &Path| path.extension().unwrap_or_default() == kind;
        assert!(removals.iter().any(|(_, path, _)| of_kind(path)), "no file of kind {kind:?} was removed");
    }
    for (disk, path, acknowledged) in removals {
        if disk.paths().contains(&path) {
            remove(&disk, &path);
        }
        let found = recovered(&disk);
        for (key, value) in acknowledged {
            assert_eq!(found.get(&key), Some(&value), "{} without {}", key.escape_ascii(), path.display());
        }
    }
    Ok(())
}

/// 4. `CURRENT` was renamed, and a loss of power brought the old one back, whose files were gone.
#[test]
fn the_directory_is_synced_after_current_is_renamed() -> Result<()> {
    let sim = SimFs::new();
    let current = |disk: &SimFs| disk.read_raw(Path::new("/db/CURRENT")).ok();
    let db = small(&sim).open()?;
    let mut seen = std::collections::BTreeSet::new();
    for i in 0..60 {
        put(&db, &format!("k{i}"), &value(i, 400), Durability::Os)?;
        db.flush()?;
        assert_eq!(current(&sim.image(Image::Nothing, 0)), current(&sim));
        seen.insert(current(&sim));
    }
    assert!(seen.len() > 2, "only {} manifests", seen.len());
    Ok(())
}

/// 4. The log was synced and its directory was not: after a loss of power there was no such file.
#[test]
fn the_directory_is_synced_after_a_segment_of_the_log_is_created() -> Result<()> {
    let sim = SimFs::new();
    let db = idle(&sim).open()?;
    for i in 0..60 {
        let key = format!("k{i:03}");
        put(&db, &key, &value(i, 700), Durability::Sync)?;
        let found = after_power_loss(&sim);
        assert_eq!(found.get(key.as_bytes()), Some(&value(i, 700)), "write {i}");
    }
    assert!(files(&sim, ".log").len() > 3);
    Ok(())
}

/// 5. A newer segment was synced and an older one not: the log had a hole.
#[test]
fn older_segments_are_synced_before_a_write_in_a_newer_one_counts() -> Result<()> {
    let sim = SimFs::new();
    let db = idle(&sim).open()?;
    (0..60).try_for_each(|i| put(&db, &format!("k{i:03}"), &value(i, 700), Durability::Os).map(drop))?;
    assert!(files(&sim, ".log").len() > 3);
    assert!(after_power_loss(&sim).is_empty(), "nothing was synced so far");
    put(&db, "last", b"v", Durability::Sync)?;
    assert_eq!(after_power_loss(&sim), entries(&db)?);
    Ok(())
}

/// 8. The manifest named a table of which a loss of power left nothing, or only its beginning.
#[test]
fn a_table_is_durable_before_the_manifest_names_it() -> Result<()> {
    let (sim, taken) = (SimFs::new(), Arc::new(Mutex::new(Vec::new())));
    let taking = taken.clone();
    sim.observe(Box::new(move |operation, phase, moment| {
        let manifest = operation.path.to_string_lossy().contains("MANIFEST");
        if manifest && (operation.kind, phase) == (OperationKind::Write, Phase::After) {
            // Of all that is not synced, the edit alone comes through.
            let disk = moment.image(Image::Nothing, 0);
            let written = moment.kill_image().read_raw(&operation.path).unwrap();
            taking.lock().push((disk, operation.path.clone(), written));
        }
    }));
    let db = small(&sim).open()?;
    keep_busy(&db, &Mutex::new(Entries::new()))?;
    db.close()?;
    sim.stop_observing();
    let mut with_tables = 0;
    for (disk, manifest, written) in std::mem::take(&mut *taken.lock()) {
        if disk.paths().contains(&manifest) {
            disk.write_raw(&manifest, &written).unwrap();
        }
        recovered(&disk);
        with_tables += u32::from(!files(&disk, ".sst").is_empty());
    }
    assert!(with_tables > 10);
    Ok(())
}

/// 8. A table that lost its content was opened as if it were empty.
#[test]
fn an_empty_or_short_table_is_refused() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    put(&db, "k", b"v", Durability::Sync)?;
    db.flush()?;
    db.close()?;
    let table = files(&sim, ".sst").pop().expect("a table");
    let bytes = sim.read_raw(&table).unwrap();
    for len in 0..bytes.len() {
        let disk = sim.image(Image::All, 0);
        disk.write_raw(&table, &bytes[..len]).unwrap();
        let refused = small(&disk).open().expect_err("a table of another length");
        assert!(matches!(&refused, Error::Corruption(c) if c.file == table), "{len}: {refused}");
    }
    Ok(())
}

/// 9. A sync failed and nobody looked.
#[test]
fn no_result_of_a_sync_is_ignored() -> Result<()> {
    let work = |sim: &SimFs| -> Result<()> {
        let db = small(sim).manifest_bytes(256).open()?;
        let family = db.column_family("f")?;
        put(&db, "k", b"v", Durability::Sync)?;
        family.put("k", value(1, 5_000))?;
        db.flush()?;
        put(&db, "k", b"w", Durability::Sync)?;
        db.compact()?;
        // Until the manifest has been written anew.
        for i in 0..40 {
            put(&db, "k", &value(i, 10), Durability::Os)?;
            db.flush()?;
        }
        db.drop_column_family("f")?;
        let health = db.health();
        let closed = db.close();
        health.background.into_iter().map(Err).chain([closed]).collect()
    };
    for number in 0.. {
        let (sim, reached) = (SimFs::new(), Arc::new(AtomicU64::new(0)));
        let counting = reached.clone();
        sim.set_fault(Box::new(move |operation| {
            let due = is_sync(operation.kind) && counting.fetch_add(1, Ordering::Relaxed) == number;
            due.then_some(Fault::EIO)
        }));
        let worked = work(&sim);
        if reached.load(Ordering::Relaxed) <= number {
            assert!(number > 100, "only {number} syncs");
            return worked;
        }
        assert!(worked.is_err(), "sync {number} failed, and nobody heard of it");
    }
    Ok(())
}

/// 10. A sync failed, was tried again, and succeeded without having written anything.
#[test]
fn a_failed_sync_is_not_taken_for_good_when_the_next_one_succeeds() -> Result<()> {
    let sim = SimFs::new();
    let db = idle(&sim).open()?;
    put(&db, "a", b"durable", Durability::Sync)?;
    sim.set_fault(Box::new(|operation| {
        let log = operation.kind == OperationKind::Sync && is_log(&operation.path);
        log.then_some(Fault::FailedSyncDropsPages)
    }));
    assert!(put(&db, "b", b"lost", Durability::Sync).is_err());
    sim.clear_fault();
    let synced = sim.stats().of(OperationKind::Sync);
    for _ in 0..3 {
        assert!(db.sync().is_err(), "what was dropped cannot become durable");
        assert!(put(&db, "c", b"refused", Durability::Sync).is_err());
        assert!(db.flush().is_err());
    }
    assert_eq!(sim.stats().of(OperationKind::Sync), synced, "nothing is synced once more");
    let expected = Entries::from([(b"a".to_vec(), b"durable".to_vec())]);
    assert_eq!(entries(&db)?, expected);
    assert_eq!(after_power_loss(&sim), expected);
    Ok(())
}

/// 15. A record was durable and the length of its file was not.
#[test]
fn the_length_of_a_file_is_durable_with_what_was_written() -> Result<()> {
    let sim = SimFs::new();
    // Where no space can be reserved the log grows with each record.
    sim.set_fault(Box::new(|operation| {
        let reserves = operation.kind == OperationKind::Allocate;
        reserves.then_some(Fault::Kind(std::io::ErrorKind::Unsupported))
    }));
    let db = idle(&sim).open()?;
    for i in 0..30 {
        put(&db, &format!("k{i:03}"), &value(i, 700), Durability::Sync)?;
        let left = sim.image(Image::Nothing, 0);
        let lengths = |disk: &SimFs| -> Vec<usize> { contents(disk).values().map(Vec::len).collect() };
        assert_eq!(lengths(&left), lengths(&sim));
        assert_eq!(recovered(&left), entries(&db)?);
    }
    Ok(())
}
