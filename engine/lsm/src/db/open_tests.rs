use super::*;
use crate::background::Mode;
use crate::base::clock::{Clock, ManualClock};
use crate::commit::Durability;
use crate::fs::SimFs;
use crate::fs::sim::{Fault, OperationKind};
use std::collections::BTreeMap;
use std::path::PathBuf;

const DIR: &str = "/db";

fn builder(sim: &SimFs, seed: u64) -> Builder {
    Db::builder(DIR)
        .fs(Fs::Sim(sim.clone()))
        .clock(Clock::Manual(ManualClock::new(1_000_000)))
        .memory_budget(4 << 20)
        .wal_segment_bytes(16 << 10)
        .default_durability(Durability::Os)
        .deterministic(seed)
}

fn open(sim: &SimFs) -> Db {
    builder(sim, 1).open().unwrap()
}

fn path(kind: FileKind) -> PathBuf {
    kind.path(Path::new(DIR))
}

fn names(sim: &SimFs) -> BTreeSet<String> {
    Fs::Sim(sim.clone()).list(Path::new(DIR)).unwrap().into_iter().collect()
}

fn state(sim: &SimFs) -> StoreState {
    load_manifest(&Fs::Sim(sim.clone()), Path::new(DIR)).unwrap().unwrap().state
}

fn keys(family: &ColumnFamily) -> String {
    family.iter().unwrap().map(|entry| entry.unwrap().0[0] as char).collect()
}

fn put_all(family: &ColumnFamily, keys: &str) {
    for key in keys.chars() {
        family.put(key.to_string(), "v").unwrap();
    }
}

#[test]
fn a_new_store_writes_down_what_it_is() {
    let stores = [1, 2].map(|seed| {
        let sim = SimFs::new();
        let db = builder(&sim, seed).open().unwrap();
        assert!(db.recovery().created && !db.recovery().clean);
        let state = state(&sim);
        assert_eq!((state.layer.as_str(), state.next_family), (PLAIN, 1));
        let family = &state.families[&0];
        assert_eq!(family.name, DEFAULT_FAMILY);
        // A build with other defaults must read the family as this one does.
        assert_eq!(family.options, FamilyOptions::default().encode());
        state.store
    });
    assert!(stores[0] != stores[1] && !stores.contains(&0), "files of two stores are told apart by this");
}

#[test]
fn a_store_that_was_closed_opens_as_it_was_and_what_nothing_names_is_removed() {
    let sim = SimFs::new();
    let db = open(&sim);
    put_all(&db, "abc");
    db.close().unwrap();
    for kind in [FileKind::Table(900), FileKind::Temp(901)] {
        sim.write_raw(&path(kind), b"left behind").unwrap();
    }
    sim.write_raw(&Path::new(DIR).join("notes.txt"), b"not ours").unwrap();
    let before = names(&sim);
    let db = open(&sim);
    let recovery = db.recovery();
    assert!(!recovery.created && recovery.clean && recovery.cut.is_none());
    let gone: BTreeSet<String> = before.difference(&names(&sim)).cloned().collect();
    assert_eq!(recovery.removed_files.iter().cloned().collect::<BTreeSet<_>>(), gone);
    assert!(gone.contains("000900.sst") && gone.contains(&FileKind::Temp(901).name()));
    assert!(!gone.contains("notes.txt") && !gone.contains(&FileKind::Reserve.name()), "{gone:?}");
    assert_eq!(keys(&db), "abc");
}

#[test]
fn the_reserve_is_removed_when_none_is_wanted_any_more() {
    let sim = SimFs::new();
    open(&sim).close().unwrap();
    assert!(names(&sim).contains(&FileKind::Reserve.name()));
    let db = builder(&sim, 1).reserve_bytes(0).open().unwrap();
    assert!(db.recovery().removed_files.contains(&FileKind::Reserve.name()));
    assert!(!names(&sim).contains(&FileKind::Reserve.name()));
}

/// Batch by batch, each to its family, and what was flushed or dropped since is left out.
#[test]
fn what_was_logged_is_replayed_after_a_kill() {
    let sim = SimFs::new();
    let db = open(&sim);
    put_all(&db, "abcdef");
    let (other, dropped) = (db.column_family("other").unwrap(), db.column_family("dropped").unwrap());
    put_all(&other, "abcdef");
    put_all(&dropped, "ab");
    other.delete_range("b".."d").unwrap();
    let mut batch = crate::batch::WriteBatch::new();
    batch.put(&db, "x", "in one batch").delete(&other, "f").put(&other, "y", "").put(&dropped, "z", "");
    db.write(batch, Durability::Os).unwrap();
    db.delete("a").unwrap();
    db.drop_column_family("dropped").unwrap();
    let seq = db.visible_seq();
    let sim = sim.kill_image();
    let db = open(&sim);
    assert!(!db.recovery().clean && db.recovery().cut.is_none());
    assert_eq!(db.recovery().replayed_groups, 6 + 6 + 2 + 3);
    let other = db.column_family("other").unwrap();
    assert_eq!((keys(&db), keys(&other)), ("bcdefx".into(), "adey".into()));
    assert_eq!(db.get("x").unwrap().unwrap(), "in one batch");
    assert_eq!(db.column_families().len(), 2);
    assert!(db.visible_seq() >= seq, "no number is handed out twice");
    put_all(&db, "g");
    db.close().unwrap();
    assert_eq!(keys(&open(&sim)), "bcdefgx");
}

/// What a family has in tables already, the log may hold as well: it is not replayed a second time.
#[test]
fn what_was_flushed_is_not_replayed() {
    let sim = SimFs::new();
    let db = open(&sim);
    let other = db.column_family("other").unwrap();
    put_all(&db, "abc");
    put_all(&other, "abc");
    db.flush().unwrap();
    put_all(&db, "d");
    let tables = |sim: &SimFs| {
        let state = state(sim);
        let of = |family: &FamilyState| {
            family.tables.iter().flat_map(|level| level.values()).map(|t| t.entries).sum()
        };
        state.families.values().map(of).collect::<Vec<u64>>()
    };
    assert_eq!(tables(&sim), [3, 3]);
    let sim = sim.kill_image();
    let db = open(&sim);
    assert_eq!((keys(&db), keys(&db.column_family("other").unwrap())), ("abcd".into(), "abc".into()));
    assert_eq!(tables(&sim), [4, 3]);
}

/// A crash while a store is created leaves files without `CURRENT`, and it is created anew. Where anything
/// was written, `CURRENT` was lost, and nothing may be written over it.
#[test]
fn a_lost_current_is_told_from_a_store_that_was_never_complete() {
    for written in [false, true] {
        let sim = SimFs::new();
        let db = open(&sim);
        if written {
            put_all(&db, "a");
        }
        let sim = sim.kill_image();
        Fs::Sim(sim.clone()).remove(&path(FileKind::Current)).unwrap();
        match builder(&sim, 2).open() {
            Ok(db) => assert!(!written && db.recovery().created),
            Err(Error::Corruption(damage)) => assert!(written && damage.file == path(FileKind::Current)),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let sim = SimFs::new();
    open(&sim).close().unwrap();
    for create in [true, false] {
        sim.set_fault(Box::new(|op| (op.kind == OperationKind::List).then_some(Fault::EIO)));
        let refused = builder(&sim, 1).create_if_missing(create).open();
        assert!(matches!(refused, Err(Error::Io(_))), "{refused:?}");
        sim.clear_fault();
        let nowhere = builder(&SimFs::new(), 1).create_if_missing(create).open();
        assert_eq!(nowhere.is_ok(), create);
        assert!(create || matches!(nowhere, Err(Error::NotADatabase { .. })));
    }
    assert!(!open(&sim).recovery().created);
}

/// What was being written when a process ended may take the very space that opening needs.
#[test]
fn on_a_full_disk_what_was_never_named_makes_room_for_opening() {
    for left_behind in [FileKind::Table(900), FileKind::Temp(900)] {
        let sim = SimFs::new();
        let small = |sim: &SimFs| builder(sim, 1).reserve_bytes(0);
        let db = small(&sim).open().unwrap();
        put_all(&db, "abc");
        db.flush().unwrap();
        db.close().unwrap();
        let settled = sim.used();
        sim.set_capacity(Some(settled));
        assert!(matches!(small(&sim).open(), Err(Error::DiskFull(_))), "there is nothing to make room with");
        sim.set_capacity(None);
        sim.write_raw(&path(left_behind), &[1; 256 << 10]).unwrap();
        sim.set_capacity(Some(sim.used()));
        let db = small(&sim).open().unwrap();
        assert_eq!(keys(&db), "abc", "what is named stays");
        assert!(!names(&sim).contains(&left_behind.name()));
    }
}

#[test]
fn a_store_is_opened_as_what_it_is() {
    for (made, asked, word) in [("plain", "graphs", "esker::Db::open"), ("graphs", "plain", "esker-graphs")] {
        let sim = SimFs::new();
        builder(&sim, 1).layer(made).open().unwrap().close().unwrap();
        let refused = builder(&sim, 2).layer(asked).open().unwrap_err();
        assert!(matches!(refused, Error::NotADatabase { .. }) && refused.to_string().contains(word));
        builder(&sim, 3).any_layer().open().unwrap().close().unwrap();
        builder(&sim, 4).layer(made).open().unwrap();
        assert_eq!(state(&sim).layer, made, "tools leave the mark as it is");
    }
    for name in ["".to_owned(), "x".repeat(256)] {
        let wrong = builder(&SimFs::new(), 1).layer(&name).open().unwrap_err();
        assert!(matches!(wrong, Error::InvalidArgument { what: "layer", .. }));
    }
}

/// What a kill leaves of a store whose log takes several memtables to replay, and what it holds: keys of two
/// kinds, some deleted.
fn with_a_long_log() -> (SimFs, BTreeMap<Vec<u8>, Vec<u8>>) {
    let sim = SimFs::new();
    let db = builder(&sim, 1).memory_budget(64 << 20).memtable_bytes(32 << 20).open().unwrap();
    let mut expected = BTreeMap::new();
    for i in 0..6000u32 {
        // In an order of chance; now and then a key that has nothing in common with the others.
        let number = i.wrapping_mul(0x9e37_79b9) % 5000;
        let key =
            if i % 97 == 0 { number.to_be_bytes().to_vec() } else { format!("user:{number:08}").into() };
        let value = vec![i as u8; if i % 50 == 0 { 3000 } else { 20 }];
        if i % 13 == 0 {
            db.delete(&key).unwrap();
            expected.remove(&key);
        } else {
            db.put(&key, &value).unwrap();
            expected.insert(key, value);
        }
    }
    assert_eq!(db.stats().families[0].levels[0].files, 0, "all of it stands in the log");
    (sim.kill_image(), expected)
}

/// Tables are written while the log is read further, and hold what it says.
#[test]
fn a_log_of_many_memtables_is_replayed_with_threads_and_without() {
    for threads in [false, true] {
        let (image, expected) = with_a_long_log();
        let mut again = builder(&image, 1).memtable_bytes(64 << 10);
        if threads {
            again.mode = Mode::Threads;
        }
        let db = again.open().unwrap();
        let files: u64 = db.stats().families[0].levels.iter().map(|level| level.files).sum();
        // With threads compactions may have merged some of them by now.
        assert!(files > 3 || threads && files > 0, "{files} tables");
        let found = db.iter().unwrap().map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())));
        assert!(found.collect::<Result<BTreeMap<_, _>>>().unwrap() == expected);
        for (key, value) in &expected {
            assert_eq!(db.get(key).unwrap().unwrap(), value);
        }
        db.verify().unwrap();
    }
}

/// What fails on the thread that writes tables fails the opening, which leaves nothing behind.
#[test]
fn an_opening_whose_tables_cannot_be_written_fails_and_the_next_one_finds_all() {
    let (image, expected) = with_a_long_log();
    for call in [1, 2, 3] {
        let mut calls = 0;
        image.set_fault(Box::new(move |op| {
            let is_one = op.kind == OperationKind::Sync && op.path.extension().is_some_and(|e| e == "sst");
            calls += u32::from(is_one);
            (is_one && calls == call).then_some(Fault::EIO)
        }));
        let before = names(&image);
        let mut again = builder(&image, 1).memtable_bytes(64 << 10);
        again.mode = Mode::Threads;
        let error = again.open().err();
        assert!(matches!(error, Some(Error::Io { .. })), "{error:?}");
        assert_eq!(names(&image), before, "call {call}");
    }
    image.clear_fault();
    let db = builder(&image, 1).memtable_bytes(64 << 10).open().unwrap();
    assert_eq!(db.iter().unwrap().count(), expected.len());
}
