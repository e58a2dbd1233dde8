//! Checkpoints, backups and ingests of stores that separate values.

use crate::store::{Rig, blob_files, builder, files_in, key, settle, value};
use esker::base::clock::Clock;
use esker::base::random::Random;
use esker::fs::Fs;
use esker::{Backups, Db, IngestBatch, IngestOptions, Repair, Result, SstSettings, SstWriter};

fn filled(rig: &Rig, keys: u64) -> Result<Db> {
    let db = rig.open()?;
    (0..keys).try_for_each(|i| db.put(key(i), value(i, 0, 600)))?;
    db.compact()?;
    Ok(db)
}

fn check(db: &Db, keys: u64, turn: u64) -> Result<()> {
    for i in 0..keys {
        assert_eq!(db.get(key(i))?.expect("a value"), value(i, turn, 600));
    }
    assert_eq!(db.iter()?.count() as u64, keys);
    let problems = db.verify()?.problems;
    assert!(problems.is_empty(), "{problems:?}");
    Ok(())
}

fn open_at(rig: &Rig, dir: &str) -> Result<Db> {
    Db::builder(dir)
        .fs(Fs::Sim(rig.disk.clone()))
        .merge_operator("default", esker::hooks::Append::new())
        .deterministic(9)
        .reserve_bytes(0)
        .create_if_missing(false)
        .open()
}

#[test]
fn a_checkpoint_links_blob_files_and_stands_by_itself() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 80)?;
    let made = db.checkpoint("/copy")?;
    assert!(!files_in(&rig.disk, "/copy", ".blob").is_empty() && made.linked_bytes > 80 * 300);
    (0..80).try_for_each(|i| db.put(key(i), value(i, 1, 600)))?;
    db.compact()?;
    settle(&db)?;
    check(&db, 80, 1)?;
    let copy = open_at(&rig, "/copy")?;
    check(&copy, 80, 0)?;
    copy.close()?;
    db.close()
}

#[test]
fn a_backup_has_blob_files_once_and_is_restored_with_them() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 80)?;
    let backups = Backups::at("/backups").fs(Fs::Sim(rig.disk.clone()));
    let first = backups.create(&db)?;
    db.put("more", "v")?;
    let second = backups.create(&db)?;
    assert!(second.new_bytes < first.new_bytes / 2, "{second:?}: what there is already is not copied again");
    assert!(backups.verify()?.is_sound());
    (0..80).try_for_each(|i| db.put(key(i), value(i, 1, 600)))?;
    db.compact()?;
    settle(&db)?;
    backups.create(&db)?;
    db.close()?;
    backups.restore(first.number, "/restored")?;
    let restored = open_at(&rig, "/restored")?;
    check(&restored, 80, 0)?;
    restored.close()?;
    // A family that was not asked for leaves its values behind, too.
    backups.restore_families(first.number, "/none", &[])?;
    assert!(files_in(&rig.disk, "/none", ".blob").is_empty());
    let none = open_at(&rig, "/none")?;
    assert_eq!(none.iter()?.count(), 0);
    none.close()
}

#[test]
fn a_backup_of_a_damaged_blob_file_fails() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 80)?;
    let blob = blob_files(&rig.disk).swap_remove(0);
    rig.disk.flip(&blob, 200, 1).unwrap();
    let backups = Backups::at("/backups").fs(Fs::Sim(rig.disk.clone()));
    let error = backups.create(&db).unwrap_err();
    assert!(matches!(&error, esker::Error::Corruption(damage) if damage.file == blob), "{error}");
    drop(db);
    Ok(())
}

#[test]
fn tables_made_outside_keep_their_values_and_those_of_a_store_are_refused() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 40)?;
    let fs = Fs::Sim(rig.disk.clone());
    fs.create_dir_all(std::path::Path::new("/outside"))?;
    let settings =
        SstSettings { fs: fs.clone(), clock: Clock::Manual(rig.clock.clone()), random: Random::seeded(4) };
    let options = db.default_family().options()?;
    let mut writer = SstWriter::create_with("/outside/1.sst", &options, settings)?;
    (40..80).try_for_each(|i| writer.put(key(i), value(i, 0, 600)))?;
    writer.finish()?;
    let mut batch = IngestBatch::new();
    batch.add(&db, "/outside/1.sst");
    db.ingest(&batch, IngestOptions::default())?;
    check(&db, 80, 0)?;
    db.compact()?;
    check(&db, 80, 0)?;
    // A table of a store refers to files that stand beside it there, and is none that can be taken in.
    let table = files_in(&rig.disk, "/db", ".sst").swap_remove(0);
    let bytes = rig.disk.read_raw(&table).unwrap();
    rig.disk.write_raw(std::path::Path::new("/outside/2.sst"), &bytes).unwrap();
    let mut batch = IngestBatch::new();
    batch.add(&db, "/outside/2.sst");
    let refused = db.ingest(&batch, IngestOptions::default());
    assert!(matches!(refused, Err(esker::Error::IngestRefused { .. })), "{refused:?}");
    db.close()
}

#[test]
fn a_repair_saves_separated_values() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 80)?;
    db.close()?;
    let fs = Fs::Sim(rig.disk.clone());
    let current = std::path::Path::new("/db/CURRENT");
    fs.remove(current)?;
    for path in rig.disk.paths() {
        if path.to_string_lossy().contains("MANIFEST") {
            fs.remove(&path)?;
        }
    }
    let report = Repair::new("/db").fs(fs).deterministic(3).write("/new")?;
    assert_eq!(report.families[0].keys, Some(80));
    let new = open_at(&rig, "/new")?;
    check(&new, 80, 0)?;
    new.close()?;
    let _ = builder(&rig.disk, &rig.clock);
    Ok(())
}

#[test]
fn a_reader_beside_the_writer_has_its_values_after_they_were_collected() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 80)?;
    db.sync()?;
    let reader = builder(&rig.disk, &rig.clock).open_read_only()?;
    let before = blob_files(&rig.disk);
    (0..80).try_for_each(|i| db.put(key(i), value(i, 1, 600)))?;
    db.compact()?;
    settle(&db)?;
    assert!(!before.iter().any(|path| blob_files(&rig.disk).contains(path)), "the writer has let go of them");
    let family = reader.default_family();
    for i in 0..80 {
        assert_eq!(family.get(key(i))?.expect("a value"), value(i, 0, 600));
    }
    let values = family.iter().map(|entry| entry.map(|(_, value)| value.to_vec()));
    let values = values.collect::<Result<Vec<_>>>()?;
    assert_eq!(values, (0..80).map(|i| value(i, 0, 600)).collect::<Vec<_>>());
    let later = builder(&rig.disk, &rig.clock).open_read_only()?;
    assert_eq!(later.default_family().get(key(7))?.expect("a value"), value(7, 1, 600));
    db.close()
}
