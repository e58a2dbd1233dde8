//! Damages that a repair, or opening, once did not see or told wrongly, each by name.

use esker::base::clock::{Clock, ManualClock};
use esker::base::filename::FileKind;
use esker::base::random::Random;
use esker::db::SstSettings;
use esker::fs::sim::{Fault, Image, OperationKind};
use esker::fs::{Fs, SimFs};
use esker::inspect::{ManifestItem, SegmentItem, walk_manifest, walk_segment};
use esker::repair::{Basis, DoubtKind, FileState, LogEnd, Loss, Use};
use esker::version::EditOp;
use esker::{
    Db, Durability, Error, FamilyOptions, IngestBatch, IngestOptions, Repair, RepairReport, SstWriter,
};
use esker_tests::oracle::Dump;
use esker_tests::repair::{NEW, OLD};
use std::path::{Path, PathBuf};

/// What the system answers to who may not read a file.
const EACCES: i32 = 13;

fn builder(disk: &SimFs, dir: &str, seed: u64) -> esker::db::Builder {
    Db::builder(dir).fs(Fs::Sim(disk.clone())).deterministic(seed)
}

/// A store with 200 keys in tables, and 100 more in the log; closed, or killed.
fn store(dir: &str, seed: u64, close: bool) -> SimFs {
    let disk = SimFs::new();
    let db = builder(&disk, dir, seed).open().unwrap();
    for number in 0..300 {
        if number == 200 {
            db.flush().unwrap();
        }
        db.put(format!("k{number:03}"), format!("{seed}-{number}")).unwrap();
    }
    let killed = disk.image(Image::All, 0);
    db.close().unwrap();
    if close { disk.image(Image::All, 0) } else { killed }
}

fn repair(disk: &SimFs) -> Repair {
    Repair::new(OLD).fs(Fs::Sim(disk.clone())).deterministic(3)
}

fn keys(disk: &SimFs, dir: &str) -> usize {
    let db = builder(disk, dir, 9).open().unwrap();
    Dump::read(&db).unwrap().families.values().map(|entries| entries.len()).sum()
}

fn the(disk: &SimFs, which: fn(&FileKind) -> bool) -> PathBuf {
    let is = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        path.parent() == Some(Path::new(OLD)) && FileKind::parse(&name).is_some_and(|kind| which(&kind))
    };
    disk.paths().into_iter().rfind(is).unwrap()
}

fn log_of(disk: &SimFs) -> PathBuf {
    the(disk, |kind| matches!(kind, FileKind::Wal(_)))
}

fn manifest_of(disk: &SimFs) -> PathBuf {
    the(disk, |kind| matches!(kind, FileKind::Manifest(_)))
}

fn file<'r>(report: &'r RepairReport, name: &str) -> &'r esker::repair::RepairedFile {
    report.files.iter().find(|file| file.name == name).unwrap()
}

#[test]
fn a_log_that_was_wiped_from_a_record_on_is_damaged_as_far_as_anybody_can_know() {
    for close in [true, false] {
        let whole = store(OLD, 1, close);
        let path = log_of(&whole);
        let mut places = Vec::new();
        walk_segment::<Error>(&Fs::Sim(whole.clone()).open(&path).unwrap(), |item| {
            if let SegmentItem::Group { record, group } = item {
                places.push((record.offset, group.first_seq));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(places.len(), 300);
        let (mut synced, mut seen, mut unseen) = (0, 0, 0);
        walk_manifest::<Error>(&Fs::Sim(whole.clone()).open(&manifest_of(&whole)).unwrap(), |item| {
            if let ManifestItem::Op(EditOp::SyncedLog(lsn)) = item {
                synced = lsn;
            }
            Ok(())
        })
        .unwrap();
        for (at, first_seq) in places.into_iter().step_by(7) {
            let disk = whole.image(Image::All, 0);
            disk.corrupt(&path, at, |bytes| bytes.fill(0)).unwrap();
            let report = repair(&disk).write(NEW).unwrap();
            assert_eq!(report.entries_lost(), None, "{report}");
            // Each edit of the manifest says how far the log was synced; a close knows all.
            let known = at - 64 < synced;
            (seen, unseen) = (seen + u64::from(known), unseen + u64::from(!known));
            assert_eq!(report.loss(), if known { Loss::Possible } else { Loss::OpenEnd }, "{report}");
            let expected = if known { LogEnd::Damaged } else { LogEnd::Open };
            assert_eq!(report.log.end, expected, "{report}");
            let opened = builder(&disk.image(Image::All, 0), OLD, 2).open();
            match opened {
                Err(Error::Corruption(damage)) if known => {
                    assert_eq!((damage.file, damage.offset), (path.clone(), at));
                    let disk = disk.image(Image::All, 0);
                    let db = builder(&disk, OLD, 2).recover_to_damage(true).open().unwrap();
                    assert!(db.recovery().cut.as_ref().is_some_and(|cut| cut.damaged && cut.offset == at));
                    // A close flushes everything.
                    let expected = if close { 300 } else { 200.max(first_seq as usize - 1) };
                    assert_eq!(db.iter().unwrap().count(), expected);
                }
                opened => assert!(!known, "closed: {close}, {first_seq}: {:?}", opened.map(drop)),
            }
        }
        assert!(seen > 20 && (unseen == 0) == close, "closed: {close}, {seen} of {unseen}");
    }
}

#[test]
fn a_manifest_that_was_cut_between_two_edits_is_told_by_the_log_that_was_closed() {
    let disk = SimFs::new();
    let db = builder(&disk, OLD, 1).open().unwrap();
    for name in ["gone", "made"] {
        let family = db.create_column_family(name, FamilyOptions::default()).unwrap();
        if name == "gone" {
            family.put("k", "v").unwrap();
            db.flush().unwrap();
            db.drop_column_family(name).unwrap();
        }
    }
    db.put("k", "v").unwrap();
    let killed = disk.image(Image::All, 0);
    db.close().unwrap();
    for (closed, whole) in [(true, disk.image(Image::All, 0)), (false, killed)] {
        let path = manifest_of(&whole);
        let mut edits = Vec::new();
        walk_manifest::<Error>(&Fs::Sim(whole.clone()).open(&path).unwrap(), |item| {
            if let ManifestItem::Edit(record) = item {
                edits.push(record.offset);
            }
            Ok(())
        })
        .unwrap();
        assert!(edits.len() >= 4);
        let mut told = 0;
        for at in edits.into_iter().skip(1) {
            let disk = whole.image(Image::All, 0);
            let mut bytes = disk.read_raw(&path).unwrap();
            bytes.truncate(at as usize);
            disk.write_raw(&path, &bytes).unwrap();
            let report = repair(&disk).write(NEW).unwrap();
            assert!(report.doubts.iter().any(|doubt| doubt.families_may_be_back), "{report}");
            assert_eq!(report.entries_lost(), None, "{report}");
            if closed {
                assert_eq!(report.loss(), Loss::Possible, "{report}");
                let name = path.file_name().unwrap().to_string_lossy();
                assert_eq!(file(&report, &name).state, FileState::PartlyRead, "{report}");
                let refused = builder(&disk, OLD, 2).open().unwrap_err();
                // What the lost edits removed or created may be missed first.
                let Error::Corruption(damage) = &refused else { panic!("{refused}") };
                told += u64::from(damage.file == path && damage.offset == at);
            }
        }
        assert_eq!(told > 0, closed, "only the mark of a close tells where a manifest ended");
    }
}

#[test]
fn files_of_another_store_are_named_and_left_alone() {
    let (own, other) = (store(OLD, 1, true), store("/other", 2, true));
    let files: Vec<PathBuf> =
        other.paths().into_iter().filter(|path| path.parent() == Some(Path::new("/other"))).collect();
    for whole_manifest in [true, false] {
        for path in &files {
            let name = match FileKind::parse(&path.file_name().unwrap().to_string_lossy()) {
                Some(FileKind::Table(_)) => "000900.sst",
                Some(FileKind::Wal(_)) => "000900.log",
                Some(FileKind::Manifest(_)) => "MANIFEST-000900",
                _ => continue,
            };
            let disk = own.image(Image::All, 0);
            disk.write_raw(&Path::new(OLD).join(name), &other.read_raw(path).unwrap()).unwrap();
            if !whole_manifest {
                disk.write_raw(&Path::new(OLD).join("CURRENT"), b"").unwrap();
                let manifest = manifest_of(&own);
                disk.corrupt(&manifest, 64, |bytes| bytes.fill(1)).unwrap();
                if name.starts_with('M') {
                    // One that is whole: it must not win over the one whose tables and log are there.
                    disk.write_raw(&manifest, &own.read_raw(&manifest).unwrap()).unwrap();
                }
            }
            let report = repair(&disk).write(NEW).unwrap();
            let stranger = file(&report, name);
            assert_eq!(stranger.used, Use::LeftOut, "{report}");
            let why = &stranger.why;
            assert!(why.contains("of another store") || why.contains("no log of this store"), "{report}");
            let db = builder(&disk, NEW, 9).open().unwrap();
            let found = Dump::read(&db).unwrap();
            let entries = &found.families["default"];
            assert!(
                entries.len() == 300 && entries.values().all(|value| value.starts_with(b"1-")),
                "{report}"
            );
            if name.starts_with('M') && !whole_manifest {
                assert!(matches!(report.basis, Basis::Newest(number) if number != 900), "{report}");
            }
        }
    }
}

#[test]
fn what_the_log_has_too_is_not_gone_for_certain() {
    for (logged, expected) in [(true, Loss::Possible), (false, Loss::Certain)] {
        let disk = SimFs::new();
        let db = builder(&disk, OLD, 1).open().unwrap();
        for number in 0..200 {
            let mut batch = esker::WriteBatch::new();
            batch.put(&db, format!("k{number:03}"), "v");
            db.write(batch, if logged { Durability::Sync } else { Durability::None }).unwrap();
        }
        db.flush().unwrap();
        db.close().unwrap();
        let disk = disk.image(Image::All, 0);
        let table = the(&disk, |kind| matches!(kind, FileKind::Table(_)));
        disk.corrupt(&table, 0, |bytes| bytes[..40].fill(7)).unwrap();
        let report = repair(&disk).write(NEW).unwrap();
        assert_eq!(report.loss(), expected, "{report}");
        let kept = keys(&disk, NEW) as u64;
        match report.entries_lost() {
            Some(lost) => assert!(!logged && lost > 0 && kept + lost == 200, "{report}"),
            None => assert!(logged && kept == 200, "{report}"),
        }
        let kind = if logged { DoubtKind::MayBeLost } else { DoubtKind::Lost };
        assert!(report.doubts.iter().any(|doubt| doubt.kind == kind), "{report}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_no_damage() {
    for which in ["sst", "log", "CURRENT", "MANIFEST"] {
        let disk = store(OLD, 1, true);
        disk.set_fault(Box::new(move |op| {
            let hit = op.kind == OperationKind::Open && op.path.to_string_lossy().contains(which);
            hit.then_some(Fault::Errno(EACCES))
        }));
        let refused = repair(&disk).write(NEW).unwrap_err();
        let Error::Io(failure) = &refused else { panic!("{which}: {refused}") };
        assert!(failure.path.to_string_lossy().contains(which), "{refused}");
        disk.clear_fault();
        assert!(!disk.paths().iter().any(|path| path.starts_with(NEW)), "{which}");
    }
}

#[test]
fn the_new_store_never_stands_inside_the_old_one_whichever_way_leads_there() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let db = Db::open(at("old")).unwrap();
    db.put("k", "v").unwrap();
    db.close().unwrap();
    std::fs::create_dir(at("there")).unwrap();
    std::os::unix::fs::symlink(at("old"), at("link")).unwrap();
    let before = esker_tests::store::files(&at("old"));
    for into in ["old/new", "old", "there/../old/new", "link/new", "link", "old/no/../../new", "./old/./new"]
    {
        let repair = Repair::new(at("old"));
        for refused in [repair.look_into(at(into)), repair.write(at(into))] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, Error::InvalidArgument { what: "into", .. }), "{into}: {refused}");
        }
        assert!(!at("old/new").exists() && !at("old/no").exists() && !at("new").exists(), "{into}");
    }
    assert_eq!(esker_tests::store::files(&at("old")), before);
    // The other way round: the damaged store itself is reached through a link.
    let refused = Repair::new(at("link")).write(at("old/new")).unwrap_err();
    assert!(matches!(refused, Error::InvalidArgument { .. }), "{refused}");
    Repair::new(at("link")).write(at("there/../new")).unwrap();
    assert_eq!(Db::open(at("new")).unwrap().get("k").unwrap().unwrap(), b"v");
}

#[test]
fn a_dry_run_refuses_what_the_real_one_refuses() {
    let disk = store(OLD, 1, true);
    disk.write_raw(Path::new("/data/full/notes.txt"), b"mine").unwrap();
    for into in ["/data/full", OLD, "/data/store/new"] {
        let (looked, written) = (repair(&disk).look_into(into), repair(&disk).write(into));
        assert_eq!(looked.unwrap_err().to_string(), written.unwrap_err().to_string(), "{into}");
    }
    let digest = disk.digest();
    repair(&disk).look_into(NEW).unwrap();
    assert_eq!(disk.digest(), digest);
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_waited_for_by_nobody() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let db = Db::open(at("old")).unwrap();
    db.put("k", "v").unwrap();
    db.close().unwrap();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(at("old").join(name)).status().unwrap();
        assert!(made.success());
    };
    for name in ["000900.sst", "000901.log", "MANIFEST-000902"] {
        pipe(name);
    }
    let report = Repair::new(at("old")).write(at("new")).unwrap();
    for name in ["000900.sst", "000901.log", "MANIFEST-000902"] {
        assert!(file(&report, name).why.contains("named pipe"), "{report}");
    }
    assert_eq!(Db::open(at("new")).unwrap().get("k").unwrap().unwrap(), b"v");
    std::fs::remove_file(at("old/CURRENT")).unwrap();
    pipe("CURRENT");
    let refused = Db::open(at("old")).unwrap_err();
    assert!(refused.to_string().contains("named pipe"), "{refused}");
}

#[test]
fn keys_that_have_expired_are_counted_apart() {
    let disk = SimFs::new();
    let clock = |ms| Clock::Manual(ManualClock::new(ms));
    let db = builder(&disk, OLD, 1).clock(clock(1_000)).open().unwrap();
    db.put("stays", "v").unwrap();
    let mut batch = esker::WriteBatch::new();
    batch.put_with_ttl(&db, "goes", "v", std::time::Duration::from_millis(500));
    db.write(batch, Durability::Sync).unwrap();
    db.close().unwrap();
    for (now_ms, shown, expired) in [(1_100, 2, 0), (9_000, 1, 1)] {
        let disk = disk.image(Image::All, 0);
        let report = repair(&disk).clock(clock(now_ms)).write(NEW).unwrap();
        let family = &report.families[0];
        assert_eq!((family.keys, family.expired), (Some(shown), Some(expired)), "{report}");
        let db = builder(&disk, NEW, 1).clock(clock(now_ms)).open().unwrap();
        assert_eq!(db.iter().unwrap().count() as u64, shown);
    }
}

/// A family that was made up for a table which does not say whose it is had the number of one that another
/// table belongs to, and the keys of both came together.
#[test]
fn a_table_that_says_not_whose_it_is_joins_nobody() {
    let disk = SimFs::new();
    let db = builder(&disk, OLD, 1).open().unwrap();
    db.put("k", "of nobody").unwrap();
    db.flush().unwrap();
    let family = db.create_column_family("f", FamilyOptions::default()).unwrap();
    family.put("k", "of f").unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    // Nothing else tells of families.
    for path in [manifest_of(&disk), log_of(&disk)] {
        Fs::Sim(disk.clone()).remove(&path).unwrap();
    }
    let paths = disk.paths();
    let is_table = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "sst");
    let first = paths.iter().find(is_table).unwrap();
    let mut made_up = 0;
    for at in 0..disk.read_raw(first).unwrap().len() as u64 {
        let damaged = disk.kill_image();
        damaged.flip(first, at, 0x10).unwrap();
        let report = repair(&damaged).write(NEW).unwrap();
        let own = |name: &str| report.families.iter().find(|family| family.name.starts_with(name));
        assert_eq!(own("family-1").and_then(|family| family.keys), Some(1), "{at}: {report}");
        if let Some(own) = own("table-") {
            made_up += 1;
            assert_eq!(own.keys, Some(1), "{at}: {report}");
        }
    }
    assert!(made_up > 50, "{made_up}");
}

/// What is ingested never was in a memtable: what a table holds of it may be newer than all that was flushed,
/// and a copy of that table was taken for one that the manifest has lost.
#[test]
fn a_copy_of_what_was_ingested_puts_nothing_in_doubt() {
    let disk = SimFs::new();
    let fs = Fs::Sim(disk.clone());
    let db = builder(&disk, OLD, 1).open().unwrap();
    let options = FamilyOptions { keep_versions: true, ..FamilyOptions::default() };
    let kept = db.create_column_family("kept", options.clone()).unwrap();
    kept.put("a", "1").unwrap();
    db.flush().unwrap();
    fs.create_dir_all(Path::new("/outside")).unwrap();
    let settings = SstSettings { fs: fs.clone(), random: Random::seeded(2), ..SstSettings::default() };
    let mut writer = SstWriter::create_with("/outside/1.sst", &options, settings).unwrap();
    writer.put("a", "2").unwrap();
    writer.put("b", "2").unwrap();
    writer.finish().unwrap();
    let mut batch = IngestBatch::new();
    batch.add(&kept, "/outside/1.sst");
    db.ingest(&batch, IngestOptions::default()).unwrap();
    kept.compact_range("a"..="b").unwrap();
    assert_eq!(db.stats().families[1].table_bytes(), db.stats().families[1].levels[6].bytes);
    db.close().unwrap();
    let table = the(&disk, |kind| matches!(kind, FileKind::Table(_)));
    for name in ["MANIFEST-000997", "000997.sst"] {
        let damaged = disk.image(Image::All, 0);
        damaged.write_raw(&Path::new(OLD).join(name), &disk.read_raw(&table).unwrap()).unwrap();
        let report = repair(&damaged).write(NEW).unwrap();
        assert_eq!(report.loss(), Loss::NoneFound, "{report}");
        let copy = file(&report, name);
        assert!(copy.used == Use::LeftOut && copy.why.contains("a copy of"), "{report}");
        assert_eq!(keys(&damaged, NEW), 2);
    }
}
