//! Blob files that are damaged, lost or exchanged.

use crate::store::{Rig, blob_files, files_in, key, number, settle, value};
use esker::fs::Fs;
use esker::repair::KeyRange;
use esker::{Db, Error, Repair, Result, ScanOptions};
use std::path::Path;
use std::time::Duration;

/// A closed store of so many keys, each with a value in the one blob file there is.
fn closed(keys: u64) -> Result<Rig> {
    let rig = Rig::new();
    let db = rig.open()?;
    (0..keys).try_for_each(|i| db.put(key(i), value(i, 0, 600)))?;
    db.compact()?;
    db.close()?;
    assert_eq!(blob_files(&rig.disk).len(), 1);
    Ok(rig)
}

fn is_about(error: &Error, path: &Path) -> bool {
    matches!(error, Error::Corruption(damage) if damage.file == path && damage.offset > 0)
}

#[test]
fn a_damaged_value_is_an_error_of_its_key_alone() -> Result<()> {
    let rig = closed(60)?;
    let blob = blob_files(&rig.disk).swap_remove(0);
    let size = rig.disk.read_raw(&blob).unwrap().len() as u64;
    rig.disk.flip(&blob, size / 2, 1).unwrap();
    let db = rig.open()?;
    let bad: Vec<u64> = (0..60).filter(|i| db.get(key(*i)).is_err()).collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    let bad = bad[0];
    let snapshot = db.snapshot();
    for answer in [
        db.get(key(bad)).map(drop),
        db.multi_get(&[key(bad)]).map(drop),
        db.get_with(key(bad), |_| ()).map(drop),
        snapshot.get(&db, key(bad)).map(drop),
        db.iter()?.try_for_each(|entry| entry.map(drop)),
        db.iter()?.rev().try_for_each(|entry| entry.map(drop)),
    ] {
        assert!(is_about(&answer.unwrap_err(), &blob));
    }
    drop(snapshot);
    let mut cursor = db.cursor(ScanOptions::default())?;
    assert!(is_about(&cursor.seek(key(bad)).unwrap_err(), &blob) && !cursor.valid());
    assert!(cursor.seek(key(bad + 1)).is_err(), "errors are sticky");
    // The key is there, and all others are served.
    assert_eq!(db.scan(ScanOptions::default().keys_only())?.count(), 60);
    for i in (0..60).filter(|i| *i != bad) {
        assert_eq!(db.get(key(i))?.unwrap(), value(i, 0, 600));
    }
    let problems = db.verify()?.problems;
    assert!(problems.len() == 1 && is_about(&problems[0], &blob), "{problems:?}");
    // Written anew it is as good as any, and what was damaged goes when nothing refers to it.
    db.put(key(bad), value(bad, 1, 600))?;
    db.compact()?;
    settle(&db)?;
    assert_eq!(db.get(key(bad))?.unwrap(), value(bad, 1, 600));
    assert_eq!(db.iter()?.filter(Result::is_ok).count(), 60);
    db.close()
}

#[test]
fn collecting_a_damaged_file_loses_nothing_and_is_not_tried_again_and_again() -> Result<()> {
    let rig = closed(60)?;
    let blob = blob_files(&rig.disk).swap_remove(0);
    let size = rig.disk.read_raw(&blob).unwrap().len() as u64;
    rig.disk.flip(&blob, size - 600, 1).unwrap();
    let db = rig.open()?;
    let bad = (0..60).find(|i| db.get(key(*i)).is_err()).expect("a damaged value");
    for i in (0..60).filter(|i| i % 2 == 0 && *i != bad) {
        db.put(key(i), value(i, 1, 600))?;
    }
    let _ = db.compact();
    settle(&db)?;
    settle(&db)?;
    assert!(blob_files(&rig.disk).contains(&blob), "what is left of it is not thrown away");
    assert!(db.health().failed_jobs < 5, "{}", db.health().failed_jobs);
    // Its tables are merged as any, again and again: what cannot be read stands in no table.
    for turn in 0..6 {
        rig.clock.advance(Duration::from_secs(61));
        for i in (0..60).filter(|i| i % 2 == 0 && *i != bad) {
            db.put(key(i), value(i, 1, 600))?;
        }
        db.flush()?;
        settle(&db)?;
        let level0 = db.stats().families[0].levels[0].files;
        assert!(level0 < 5, "turn {turn}: {level0} tables wait in level 0");
    }
    assert!(db.health().damaged.iter().any(|error| is_about(error, &blob)), "{:?}", db.health().damaged);
    for i in (0..60).filter(|i| *i != bad) {
        assert_eq!(db.get(key(i))?.unwrap(), value(i, (i + 1) % 2, 600), "{i}");
    }
    drop(db);
    Ok(())
}

#[test]
fn a_store_without_a_blob_file_that_it_names_or_with_another_is_refused() -> Result<()> {
    let rig = closed(40)?;
    let blob = blob_files(&rig.disk).swap_remove(0);
    let whole = rig.disk.read_raw(&blob).unwrap();
    let refused = || -> Error { rig.open().map(drop).expect_err("it is refused") };
    Fs::Sim(rig.disk.clone()).remove(&blob)?;
    assert!(matches!(refused(), Error::Corruption(damage) if damage.file == blob));
    let write = |bytes: &[u8]| rig.disk.write_raw(&blob, bytes).unwrap();
    write(&whole[..whole.len() - 1]);
    assert!(matches!(refused(), Error::Corruption(damage) if damage.file == blob));
    // That of a store which was filled in the same way.
    let other = closed(40)?;
    let twin = blob_files(&other.disk).swap_remove(0);
    let mut bytes = other.disk.read_raw(&twin).unwrap();
    bytes[20] ^= 1;
    write(&bytes);
    assert!(matches!(refused(), Error::Corruption(damage) if damage.file == blob));
    write(&whole);
    let db = rig.open()?;
    assert_eq!(db.iter()?.filter(Result::is_ok).count(), 40);
    db.close()
}

#[test]
fn a_repair_names_the_keys_whose_values_are_lost() -> Result<()> {
    let rig = closed(60)?;
    let db = rig.open()?;
    (100..130).try_for_each(|i| db.put(key(i), value(i, 0, 600)))?;
    db.flush()?;
    db.close()?;
    let lost = blob_files(&rig.disk).into_iter().min_by_key(|path| number(path)).unwrap();
    let fs = Fs::Sim(rig.disk.clone());
    fs.remove(&lost)?;
    let report = Repair::new("/db").fs(fs.clone()).deterministic(3).write("/new")?;
    let ranges: Vec<&KeyRange> = report.files.iter().flat_map(|file| &file.lost_keys).collect();
    for i in 0..60 {
        assert!(ranges.iter().any(|range| range.contains(key(i).as_bytes())), "{i} is not named: {report}");
    }
    for i in 100..130 {
        assert!(!ranges.iter().any(|range| range.contains(key(i).as_bytes())), "{i} is named");
    }
    let entries: u64 = report.files.iter().filter_map(|file| file.entries_lost).sum();
    assert_eq!(entries, 60);
    let new = open_new(&fs)?;
    assert_eq!(new.iter()?.filter(Result::is_ok).count(), 30);
    assert_eq!(new.get(key(100))?.unwrap(), value(100, 0, 600));
    new.close()?;
    // A single damaged value costs that one.
    let rig = closed(60)?;
    let blob = blob_files(&rig.disk).swap_remove(0);
    let size = rig.disk.read_raw(&blob).unwrap().len() as u64;
    rig.disk.flip(&blob, size / 2, 1).unwrap();
    let fs = Fs::Sim(rig.disk.clone());
    let look = Repair::new("/db").fs(fs.clone()).look()?;
    let report = Repair::new("/db").fs(fs.clone()).deterministic(3).write("/new")?;
    for report in [look, report] {
        let lost: Vec<_> = report.files.iter().flat_map(|file| &file.lost_keys).collect();
        assert_eq!(lost.len(), 1, "{report}");
        assert_eq!(lost[0].from, lost[0].to);
    }
    assert_eq!(open_new(&fs)?.iter()?.filter(Result::is_ok).count(), 59);
    assert!(!files_in(&rig.disk, "/new", ".sst").is_empty());
    Ok(())
}

fn open_new(fs: &Fs) -> Result<Db> {
    let builder = Db::builder("/new").fs(fs.clone()).create_if_missing(false).reserve_bytes(0);
    builder.merge_operator("default", esker::hooks::Append::new()).deterministic(2).open()
}
