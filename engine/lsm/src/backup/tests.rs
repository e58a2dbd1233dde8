//! Backups: incremental, whole whatever is interrupted, and checked to the last byte.

use super::record::StoredFile;
use super::*;
use crate::base::clock::{Clock, ManualClock};
use crate::base::error::Error;
use crate::batch::WriteBatch;
use crate::commit::Durability;
use crate::db::{Builder, Db};
use crate::fs::sim::{Fault, Image, OperationKind, Phase};
use crate::fs::{Fs, SimFs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn builder(sim: &SimFs, dir: &str) -> Builder {
    let builder = Db::builder(dir).fs(Fs::Sim(sim.clone()));
    builder.memory_budget(1 << 20).memtable_bytes(8 << 10).wal_segment_bytes(8 << 10).deterministic(1)
}

fn write(db: &Db, keys: std::ops::Range<u32>, value: u8) {
    let other = db.column_family("other").unwrap();
    for i in keys {
        let mut batch = WriteBatch::new();
        batch.put(db, i.to_be_bytes(), [value; 60]).put(&other, i.to_be_bytes(), [value]);
        db.write(batch, Durability::Os).unwrap();
    }
}

fn store(sim: &SimFs) -> Db {
    let db = builder(sim, "/db").open().unwrap();
    write(&db, 0..300, 1);
    db
}

fn backups(sim: &SimFs) -> Backups {
    Backups::at("/backups").fs(Fs::Sim(sim.clone()))
}

type Content = BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>;

fn content(db: &Db) -> Content {
    let of = |name: String| {
        let entries = db.open_column_family(&name).unwrap().iter().unwrap();
        (name, entries.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap()).collect())
    };
    db.column_families().into_iter().map(of).collect()
}

/// What a backup holds, by restoring it beside all else.
fn restored(sim: &SimFs, number: u64) -> Content {
    let disk = sim.image(Image::All, 0);
    backups(&disk).restore(number, "/restored").unwrap();
    content(&builder(&disk, "/restored").open().unwrap())
}

fn objects(sim: &SimFs) -> Vec<PathBuf> {
    sim.paths().into_iter().filter(|path| path.starts_with("/backups/objects")).collect()
}

#[test]
fn each_backup_holds_what_the_store_did() {
    let sim = SimFs::new();
    let (db, backups) = (store(&sim), backups(&sim));
    assert!(matches!(backups.list(), Err(Error::NotADatabase { .. })));
    let first = backups.create(&db).unwrap();
    let then = content(&db);
    db.compact().unwrap();
    write(&db, 0..20, 2);
    let mut batch = WriteBatch::new();
    batch.put(&db, b"unlogged", b"x");
    db.write(batch, Durability::None).unwrap();
    let second = backups.create(&db).unwrap();
    let now = content(&db);
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!((first.bytes, second.seq), (first.new_bytes, db.visible_seq()));
    write(&db, 0..300, 3);
    assert_eq!((restored(&sim, 1), restored(&sim, 2)), (then, now));
    assert_eq!(backups.list().unwrap().backups, [first, second]);
    let verified = backups.verify().unwrap();
    assert!(verified.is_sound() && verified.unneeded == 0, "{verified:?}");
    let drill = backups.drill(2).unwrap();
    assert_eq!(drill.families, [("default".to_owned(), 301), ("other".to_owned(), 300)]);
    assert_eq!((drill.entries, drill.bytes), (601, 300 * (64 + 5) + 9));
    // Nothing of the drill is left.
    assert!(!sim.paths().iter().any(|path| path.starts_with("/backups/staging")));
}

/// Who makes a backup each night reads what the day has changed.
#[test]
fn tables_that_a_backup_has_are_not_read_again() {
    let sim = SimFs::new();
    let (db, backups) = (store(&sim), backups(&sim));
    db.compact().unwrap();
    let first = backups.create(&db).unwrap();
    write(&db, 1000..1003, 1);
    sim.set_fault(Box::new(|op| {
        let table = op.path.starts_with("/db") && op.path.extension().is_some_and(|e| e == "sst");
        (op.kind == OperationKind::Open && table).then_some(Fault::EIO)
    }));
    let second = backups.create(&db).unwrap();
    sim.clear_fault();
    assert!(second.new_bytes * 5 < second.bytes && second.files >= first.files, "{first:?} {second:?}");
    assert!(backups.verify().unwrap().is_sound());
    // Nothing has changed at all, but for the description of the store, which has a clock in it.
    let before = objects(&sim).len();
    let third = backups.create(&db).unwrap();
    assert!(objects(&sim).len() <= before + 1 && third.new_bytes < 2000, "{third:?}");
}

/// A damaged block must not look sound from then on because the damage has got a hash of its own.
#[test]
fn a_damaged_table_does_not_become_a_backup() {
    let sim = SimFs::new();
    let (db, backups) = (store(&sim), backups(&sim));
    backups.create(&db).unwrap();
    write(&db, 300..600, 1);
    db.flush().unwrap();
    let tables = |dir: &str| -> Vec<PathBuf> {
        let dir = Path::new(dir);
        sim.paths()
            .into_iter()
            .filter(|p| p.starts_with(dir) && p.extension().is_some_and(|e| e == "sst"))
            .collect()
    };
    let newest = tables("/db").pop().unwrap();
    sim.flip(&newest, 100, 1).unwrap();
    let refused = backups.create(&db);
    assert!(matches!(&refused, Err(Error::Corruption(c)) if c.file == newest), "{refused:?}");
    assert_eq!(backups.list().unwrap().backups.len(), 1);
    sim.flip(&newest, 100, 1).unwrap();
    backups.create(&db).unwrap();
}

/// After a loss of power a table's number may be used again: what counts is its identity.
#[test]
fn a_table_is_told_by_its_identity() {
    let sim = SimFs::new();
    let (db, backups) = (store(&sim), backups(&sim));
    backups.create(&db).unwrap();
    // Another store, whose tables have the same numbers.
    let other = builder(&sim, "/other").deterministic(2).open().unwrap();
    write(&other, 0..200, 9);
    backups.create(&other).unwrap();
    let tables = |number| -> BTreeMap<u64, u64> {
        let files = backups.record(number).unwrap().files.into_iter();
        files
            .filter_map(|file| match file {
                StoredFile::Table { number, identity, .. } => Some((number, identity)),
                _ => None,
            })
            .collect()
    };
    let (first, second) = (tables(1), tables(2));
    let both: Vec<&u64> = first.keys().filter(|number| second.contains_key(number)).collect();
    assert!(!both.is_empty() && both.iter().all(|number| first[number] != second[number]));
    assert_eq!(restored(&sim, 2), content(&other));
}

#[test]
fn families_are_restored_alone() {
    let sim = SimFs::new();
    let (db, backups) = (store(&sim), backups(&sim));
    db.column_family("third").unwrap().put(b"k", b"v").unwrap();
    backups.create(&db).unwrap();
    let whole = content(&db);
    backups.restore_families(1, "/some", &["other", "third"]).unwrap();
    let some = builder(&sim, "/some").open().unwrap();
    let found = content(&some);
    assert_eq!((&found["other"], &found["third"]), (&whole["other"], &whole["third"]));
    assert!(found["default"].is_empty());
    assert!(some.verify().unwrap().problems.is_empty());
    // New families do not get the number of one that was left out.
    some.column_family("fourth").unwrap().put(b"k", b"w").unwrap();
    some.close().unwrap();
    let some = builder(&sim, "/some").open().unwrap();
    assert_eq!(some.column_family("fourth").unwrap().get(b"k").unwrap().unwrap(), b"w");
    backups.restore_families(1, "/default", &["default"]).unwrap();
    let only = content(&builder(&sim, "/default").open().unwrap());
    assert_eq!((only.len(), &only["default"]), (1, &whole["default"]));
    let unknown = backups.restore_families(1, "/none", &["other", "nobody"]);
    assert!(matches!(unknown, Err(Error::NoSuchFamily { ref name }) if name == "nobody"), "{unknown:?}");
    assert!(!sim.paths().iter().any(|path| path.starts_with("/none")));
}

#[test]
fn what_was_damaged_is_named_with_the_backups_that_need_it() {
    let sim = SimFs::new();
    let (db, backups_) = (store(&sim), backups(&sim));
    db.compact().unwrap();
    backups_.create(&db).unwrap();
    write(&db, 300..303, 1);
    backups_.create(&db).unwrap();
    let shared: Vec<Vec<u64>> = objects(&sim)
        .iter()
        .map(|path| {
            let disk = sim.image(Image::All, 0);
            let size = disk.read_raw(path).unwrap().len() as u64;
            disk.flip(path, size / 2, 0x10).unwrap();
            let verified = backups(&disk).verify().unwrap();
            let [damaged] = &verified.damaged[..] else { panic!("{verified:?}") };
            assert!(matches!(&damaged.error, Error::Corruption(c) if c.file == *path), "{damaged:?}");
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), damaged.object.to_string());
            for number in 1..=2 {
                let failed = backups(&disk).restore(number, "/restored");
                assert_eq!(failed.is_err(), damaged.backups.contains(&number), "{failed:?}");
                let left = disk.paths().into_iter().any(|path| path.starts_with("/restored"));
                assert!(!left || failed.is_ok());
                assert_eq!(backups(&disk).drill(number).is_err(), damaged.backups.contains(&number));
                disk.paths().iter().filter(|p| p.starts_with("/restored")).for_each(|path| {
                    Fs::Sim(disk.clone()).remove(path).unwrap();
                });
            }
            damaged.backups.clone()
        })
        .collect();
    let some = |wanted: &[u64]| shared.iter().any(|backups| backups == wanted);
    assert!(some(&[1]) && some(&[2]) && some(&[1, 2]), "{shared:?}");
    // One that is gone altogether.
    Fs::Sim(sim.clone()).remove(&objects(&sim)[0]).unwrap();
    assert_eq!(backups_.verify().unwrap().damaged.len(), 1);
}

/// Each later backup went on naming an object that a check had found damaged, while the store had it whole.
#[test]
fn what_was_found_damaged_is_made_anew_by_the_next_backup() {
    let sim = SimFs::new();
    let (db, backups) = (store(&sim), backups(&sim));
    db.compact().unwrap();
    let first = backups.create(&db).unwrap();
    for path in objects(&sim) {
        let size = sim.read_raw(&path).unwrap().len() as u64;
        sim.flip(&path, size / 2, 0x10).unwrap();
    }
    assert!(backups.verify().unwrap().damaged.len() as u64 > first.files as u64);
    assert!(backups.restore(1, "/restored").is_err());
    let second = backups.create(&db).unwrap();
    let damaged = backups.verify().unwrap().damaged;
    // Only what described the store then has no like in it any more.
    assert!(damaged.len() <= 2 && damaged.iter().all(|of| of.backups == [1]), "{damaged:?}");
    assert_eq!(restored(&sim, 2), content(&db));
    assert!(backups.create(&db).unwrap().new_bytes < second.new_bytes / 5, "once");
    // One that is too short is seen without a check.
    let longest = objects(&sim).into_iter().max_by_key(|path| sim.read_raw(path).unwrap().len()).unwrap();
    sim.write_raw(&longest, b"short").unwrap();
    backups.create(&db).unwrap();
    assert!(backups.verify().unwrap().damaged.iter().all(|of| of.backups == [1]));
    backups.prune(Keep::last(1)).unwrap();
    assert!(backups.verify().unwrap().is_sound());
    assert!(!sim.paths().iter().any(|path| path.starts_with("/backups/damaged")), "{:?}", sim.paths());
}

#[test]
fn a_backup_that_cannot_be_read_is_said_and_nothing_of_it_is_pruned() {
    let sim = SimFs::new();
    let (db, backups) = (store(&sim), backups(&sim));
    for turn in 0..3 {
        backups.create(&db).unwrap();
        write(&db, 300 + turn * 100..400 + turn * 100, 1);
    }
    let path = Path::new("/backups/backups/000002");
    let sound = sim.read_raw(path).unwrap();
    sim.flip(path, 40, 1).unwrap();
    let list = backups.list().unwrap();
    let numbers: Vec<u64> = list.backups.iter().map(|backup| backup.number).collect();
    assert_eq!((numbers, list.unreadable.len(), list.unreadable[0].0), (vec![1, 3], 1, 2));
    assert!(!backups.verify().unwrap().is_sound());
    let before = objects(&sim);
    let pruned = backups.prune(Keep::last(1)).unwrap();
    assert!(pruned.objects_kept_in_doubt && pruned.backups == [1] && objects(&sim) == before, "{pruned:?}");
    // Its number is not given away.
    assert_eq!(backups.create(&db).unwrap().number, 4);
    sim.write_raw(path, &sound).unwrap();
    assert!(backups.verify().unwrap().is_sound());
    assert_eq!(restored(&sim, 2)["other"].len(), 400);
}

#[test]
fn backups_are_kept_by_number_and_by_age() {
    let sim = SimFs::new();
    let clock = ManualClock::new(1_000_000);
    let (db, backups) = (store(&sim), backups(&sim).clock(Clock::Manual(clock.clone())));
    for turn in 0..6 {
        backups.create(&db).unwrap();
        write(&db, 300 + turn * 50..350 + turn * 50, 1);
        clock.advance(Duration::from_secs(3600));
    }
    let left = |backups: &Backups| -> Vec<u64> {
        backups.list().unwrap().backups.iter().map(|backup| backup.number).collect()
    };
    // They are 6, 5, 4, 3, 2 and 1 hours old.
    let pruned = backups.prune(Keep::last(2).within(Duration::from_secs(3 * 3600))).unwrap();
    assert_eq!((pruned.backups.clone(), left(&backups)), (vec![1, 2, 3], vec![4, 5, 6]));
    assert!(pruned.objects > 3 && pruned.bytes > 0 && !pruned.objects_kept_in_doubt, "{pruned:?}");
    assert_eq!(backups.prune(Keep::last(2)).unwrap().backups, [4]);
    // The newest stays whatever is asked for.
    assert_eq!(backups.prune(Keep::default()).unwrap().backups, [5]);
    assert_eq!(left(&backups), [6]);
    let verified = backups.verify().unwrap();
    assert!(verified.is_sound() && verified.unneeded == 0 && verified.backups == 1);
    assert_eq!(restored(&sim, 6)["other"].len(), 550);
    let gone = backups.restore(3, "/restored");
    assert!(matches!(gone, Err(Error::InvalidArgument { .. })), "{gone:?}");
}

/// `Keep` once counted over all stores: the only backup of one went when the other had a newer one.
#[test]
fn of_each_store_in_a_directory_the_newest_stay() {
    let sim = SimFs::new();
    let (one, backups) = (store(&sim), backups(&sim));
    let two = builder(&sim, "/two").deterministic(2).open().unwrap();
    write(&two, 0..10, 2);
    for db in [&two, &one, &one, &two, &one] {
        backups.create(db).unwrap();
    }
    assert_eq!(backups.prune(Keep::last(2)).unwrap().backups, [2]);
    assert_eq!(backups.prune(Keep::default()).unwrap().backups, [1, 3]);
    assert!(backups.verify().unwrap().is_sound());
    assert_eq!(restored(&sim, 4)["other"].len(), 10);
    assert_eq!(restored(&sim, 5)["other"].len(), 300);
}

#[test]
fn only_one_changes_them_at_a_time_and_foreign_directories_stay_as_they_are() {
    let sim = SimFs::new();
    let (db, backups_) = (store(&sim), backups(&sim));
    backups_.create(&db).unwrap();
    let lock = backups_.lock().unwrap();
    assert!(matches!(backups_.create(&db), Err(Error::Locked { .. })));
    assert!(matches!(backups_.prune(Keep::last(1)), Err(Error::Locked { .. })));
    assert_eq!(backups_.list().unwrap().backups.len(), 1, "others may look");
    drop(lock);
    sim.write_raw(Path::new("/photos/1.jpg"), b"x").unwrap();
    let before = sim.paths();
    let photos = Backups::at("/photos").fs(Fs::Sim(sim.clone()));
    assert!(matches!(photos.create(&db), Err(Error::NotADatabase { .. })));
    assert!(matches!(photos.list(), Err(Error::NotADatabase { .. })));
    assert!(matches!(photos.prune(Keep::last(1)), Err(Error::NotADatabase { .. })));
    assert_eq!(sim.paths(), before);
    sim.write_raw(Path::new("/backups/FORMAT"), b"esker-backups 7\n").unwrap();
    let later = backups_.create(&db);
    assert!(matches!(later, Err(Error::UnsupportedVersion { found: 7, .. })), "{later:?}");
}

/// Whatever call fails, the backups that were there stay whole, and the next one is made.
#[test]
fn a_backup_that_fails_harms_no_other() {
    let fails = |kind: OperationKind| {
        !matches!(kind, OperationKind::List | OperationKind::Read | OperationKind::Size | OperationKind::Lock)
    };
    for failed in 0.. {
        let sim = SimFs::new();
        let (db, backups) = (store(&sim), backups(&sim));
        backups.create(&db).unwrap();
        write(&db, 300..400, 1);
        let mut seen = 0;
        sim.set_fault(Box::new(move |op| {
            let about = op.path.starts_with("/backups") && fails(op.kind);
            seen += u64::from(about);
            (about && seen == failed + 1).then_some(Fault::Errno(libc::ENOSPC))
        }));
        let made = backups.create(&db);
        sim.clear_fault();
        assert!(backups.verify().unwrap().is_sound());
        if made.is_ok() {
            assert!(failed > 10, "only {failed}");
            return;
        }
        assert!(matches!(made, Err(Error::DiskFull(_))), "{made:?}");
        // What could not be told is whether the last step has been done.
        let number = backups.create(&db).unwrap().number;
        backups.prune(Keep::last(1)).unwrap();
        assert_eq!(restored(&sim, number), content(&db));
        assert_eq!(backups.verify().unwrap().unneeded, 0);
    }
}

/// Loses power at every operation of `work`, and shows what is left.
fn lose_power_amid(work: impl Fn(&SimFs), check: impl Fn(&SimFs, u64)) {
    let prepared = || {
        let sim = SimFs::new();
        let db = store(&sim);
        backups(&sim).create(&db).unwrap();
        write(&db, 300..400, 1);
        backups(&sim).create(&db).unwrap();
        db.close().unwrap();
        sim
    };
    let sim = prepared();
    let first = sim.stats().total();
    work(&sim);
    let last = sim.stats().total();
    assert!(last > first + 20);
    for index in first..last {
        let sim = prepared();
        assert_eq!(sim.stats().total(), first);
        sim.crash_at(index, if index % 2 == 0 { Phase::Before } else { Phase::After });
        work(&sim);
        for (n, image) in Image::ALL.into_iter().enumerate() {
            check(&sim.image(image, index * 31 + n as u64), index);
        }
    }
}

#[test]
fn power_may_be_lost_amid_a_backup() {
    let make = |sim: &SimFs| {
        let Ok(db) = builder(sim, "/db").open() else { return };
        let _ = backups(sim).create(&db);
    };
    let found = std::cell::RefCell::new(BTreeMap::<usize, u64>::new());
    lose_power_amid(make, |left, index| {
        let backups = backups(left);
        let verified = backups.verify().unwrap();
        assert!(verified.is_sound(), "{index}: {verified:?}");
        let list = backups.list().unwrap();
        *found.borrow_mut().entry(list.backups.len()).or_default() += 1;
        let db = builder(left, "/db").open().unwrap();
        let (default, other) = (db.iter().unwrap().count(), db.column_family("other").unwrap());
        assert_eq!((default, other.iter().unwrap().count()), (400, 400));
        // It goes on where it was, and nothing of the attempt stays.
        let next = backups.create(&db).unwrap().number;
        assert_eq!(next, list.backups.len() as u64 + 1);
        backups.prune(Keep::last(9)).unwrap();
        assert_eq!(backups.verify().unwrap().unneeded, 0);
        if index.is_multiple_of(4) {
            assert_eq!(restored(left, next), content(&db));
        }
    });
    let found = found.into_inner();
    assert!(found.len() == 2 && found[&2] > 0 && found[&3] > 0, "{found:?}");
}

#[test]
fn power_may_be_lost_amid_a_prune() {
    let prune = |sim: &SimFs| drop(backups(sim).prune(Keep::last(1)));
    lose_power_amid(prune, |left, index| {
        let verified = backups(left).verify().unwrap();
        assert!(verified.is_sound(), "{index}: {verified:?}");
        assert_eq!(restored(left, 2)["other"].len(), 400);
        backups(left).prune(Keep::last(1)).unwrap();
        let verified = backups(left).verify().unwrap();
        assert!(verified.unneeded == 0 && verified.backups == 1 && verified.is_sound(), "{index}");
    });
}

#[test]
fn power_may_be_lost_amid_a_restore() {
    let restore = |sim: &SimFs| drop(backups(sim).restore(2, "/new"));
    let (whole, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    lose_power_amid(restore, |left, index| {
        assert!(backups(left).verify().unwrap().is_sound());
        if !left.paths().iter().any(|path| path.starts_with("/new")) {
            return;
        }
        // What was begun must not be taken for the beginning of a new store.
        match builder(left, "/new").open() {
            Ok(db) => {
                whole.set(whole.get() + 1);
                assert_eq!(content(&db)["other"].len(), 400, "{index}");
            }
            Err(Error::NotADatabase { .. } | Error::Corruption(_)) => refused.set(refused.get() + 1),
            Err(error) => panic!("{index}: {error}"),
        }
    });
    assert!(whole.get() > 0 && refused.get() > 0);
}

/// A whole copy of the store stayed until the next drill.
#[test]
fn power_may_be_lost_amid_a_drill() {
    let drill = |sim: &SimFs| drop(backups(sim).drill(2));
    let left_behind = std::cell::Cell::new(0);
    let drilled = |disk: &SimFs| disk.paths().iter().filter(|p| p.starts_with("/backups/staging")).count();
    lose_power_amid(drill, |left, index| {
        assert!(backups(left).verify().unwrap().is_sound(), "{index}");
        left_behind.set(left_behind.get() + drilled(left));
        backups(left).prune(Keep::last(9)).unwrap();
        assert_eq!(drilled(left), 0, "{index}");
    });
    assert!(left_behind.get() > 0);
}

/// On a real disk, with writers: each batch is there in both families or in none.
#[test]
fn a_backup_is_made_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let db =
        Db::builder(dir.path().join("db")).memory_budget(4 << 20).memtable_bytes(64 << 10).open().unwrap();
    write(&db, 0..1, 0);
    let backups = Backups::at(dir.path().join("backups"));
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2u32 {
            let (db, ended) = (&db, &ended);
            scope.spawn(move || {
                for turn in 1.. {
                    if ended.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    let from = writer * 1_000_000 + turn * 10;
                    write(db, from..from + 10, turn as u8);
                }
            });
        }
        for _ in 0..5 {
            let seq = db.visible_seq();
            let made = backups.create(&db).unwrap();
            assert!(made.seq >= seq);
            let drill = backups.drill(made.number).unwrap();
            assert_eq!(drill.families[0].1, drill.families[1].1, "{made:?}");
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(backups.verify().unwrap().is_sound());
    db.close().unwrap();
}

/// One that is told to be slow does not hold up whoever closes the store.
#[test]
fn a_slow_backup_ends_when_the_store_does() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("db")).unwrap();
    db.put(b"k", vec![7; 100_000]).unwrap();
    db.flush().unwrap();
    let options = BackupOptions::default().bytes_per_second(1.try_into().unwrap());
    let backups = Backups::at(dir.path().join("backups"));
    let making = {
        let (db, backups) = (db.clone(), backups.clone());
        std::thread::spawn(move || backups.create_with(&db, options))
    };
    while !dir.path().join("backups/staging/object-1").exists() {
        std::thread::yield_now();
    }
    db.close().unwrap();
    assert!(matches!(making.join().unwrap(), Err(Error::Closed)));
    assert!(backups.list().unwrap().backups.is_empty());
}
