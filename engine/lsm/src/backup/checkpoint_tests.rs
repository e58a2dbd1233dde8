//! Checkpoints: complete, independent, whole or refused.

use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::batch::WriteBatch;
use crate::commit::Durability;
use crate::db::{Builder, Db};
use crate::fs::sim::{Fault, Image, OperationKind, Phase};
use crate::fs::{Fs, SimFs};
use std::collections::BTreeSet;
use std::path::Path;

fn builder(sim: &SimFs, dir: &str) -> Builder {
    Db::builder(dir).fs(Fs::Sim(sim.clone())).memory_budget(1 << 20).memtable_bytes(8 << 10).deterministic(1)
}

/// Two families, with something in tables, in sealed segments of the log, and in the one that is written.
fn store(sim: &SimFs) -> Db {
    let db = builder(sim, "/db").wal_segment_bytes(8 << 10).open().unwrap();
    let other = db.column_family("other").unwrap();
    for i in 0..400u32 {
        let mut batch = WriteBatch::new();
        batch.put(&db, i.to_be_bytes(), [i as u8; 40]).put(&other, i.to_be_bytes(), b"x");
        db.write(batch, Durability::Os).unwrap();
    }
    db
}

type Content = Vec<Vec<(Vec<u8>, Vec<u8>)>>;

fn content(db: &Db) -> Content {
    let of = |name: String| {
        let entries = db.open_column_family(&name).unwrap().iter().unwrap();
        entries.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap()).collect()
    };
    db.column_families().into_iter().map(of).collect()
}

fn open(sim: &SimFs, dir: &str) -> Result<Db> {
    builder(sim, dir).create_if_missing(false).open()
}

#[test]
fn a_checkpoint_holds_what_was_written_and_lives_by_itself() {
    let sim = SimFs::new();
    let db = store(&sim);
    let mut batch = WriteBatch::new();
    batch.put(&db, b"unlogged", b"x");
    db.write(batch, Durability::None).unwrap();
    let before = content(&db);
    let made = db.checkpoint("/copy").unwrap();
    assert!(made.linked_bytes > made.copied_bytes && made.files > 3, "{made:?}");
    assert_eq!((made.path.as_path(), made.seq), (Path::new("/copy"), db.visible_seq()));
    db.put(b"later", b"x").unwrap();
    db.delete_range::<&[u8], _>(..).unwrap();
    db.compact().unwrap();
    let copy = open(&sim, "/copy").unwrap();
    assert_eq!(content(&copy), before);
    assert!(!copy.recovery().clean, "its history is its own from here on");
    // Neither takes anything from the other.
    copy.put(b"own", b"x").unwrap();
    copy.compact().unwrap();
    copy.close().unwrap();
    assert!(db.get(b"own").unwrap().is_none() && db.get(b"later").unwrap().is_none());
    assert!(db.verify().unwrap().problems.is_empty());
    db.close().unwrap();
    let copy = open(&sim, "/copy").unwrap();
    assert!(copy.verify().unwrap().problems.is_empty() && copy.get(b"own").unwrap().is_some());
}

/// What the store lets go while a checkpoint is made is still there for it.
#[test]
fn a_capture_keeps_its_files() {
    let sim = SimFs::new();
    let db = store(&sim);
    let capture = db.capture().unwrap();
    for i in 0..400u32 {
        db.delete(i.to_be_bytes()).unwrap();
    }
    db.compact().unwrap();
    let there = |kind: FileKind| sim.read_raw(&kind.path(Path::new("/db"))).is_ok();
    let tables: Vec<_> = capture.state.table_numbers().map(FileKind::Table).collect();
    let logs: Vec<_> = capture.segments.iter().map(|s| FileKind::Wal(s.number)).collect();
    assert!(tables.len() > 2 && logs.len() > 1, "{tables:?} {logs:?}");
    assert!(tables.iter().chain(&logs).all(|kind| there(*kind)));
    drop(capture);
    db.flush().unwrap();
    for i in 0..200u32 {
        db.put(i.to_be_bytes(), [0; 100]).unwrap();
    }
    db.compact().unwrap();
    db.store().purge().unwrap();
    let now: BTreeSet<_> = db.store().manifest_state().table_numbers().map(FileKind::Table).collect();
    let gone = tables.iter().filter(|kind| !now.contains(kind)).chain(&logs);
    let left: Vec<_> = gone.filter(|kind| there(**kind)).collect();
    assert!(left.is_empty(), "nobody holds them any more: {left:?}");
}

#[test]
fn a_directory_that_holds_something_is_refused_and_left_alone() {
    let sim = SimFs::new();
    let db = store(&sim);
    sim.write_raw(Path::new("/copy/notes"), b"mine").unwrap();
    for dir in ["/copy", "/db"] {
        let refused = db.checkpoint(dir);
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    }
    assert_eq!(sim.read_raw(Path::new("/copy/notes")).unwrap(), b"mine");
    assert!(db.verify().unwrap().problems.is_empty());
    db.checkpoint("/lost+found/copy").unwrap();
}

#[test]
fn where_files_cannot_be_linked_they_are_copied() {
    let sim = SimFs::new();
    let db = store(&sim);
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Link).then_some(Fault::Errno(libc::EXDEV))));
    let made = db.checkpoint("/copy").unwrap();
    assert!(made.linked_bytes == 0 && made.copied_bytes > 10_000, "{made:?}");
    sim.clear_fault();
    assert_eq!(content(&open(&sim, "/copy").unwrap()), content(&db));
}

/// Whatever call fails, nothing is left of the attempt, and the next one succeeds.
#[test]
fn a_checkpoint_that_fails_leaves_nothing() {
    let before = |kind: OperationKind| {
        !matches!(kind, OperationKind::List | OperationKind::Read | OperationKind::Size | OperationKind::Lock)
    };
    for failed in 0.. {
        let sim = SimFs::new();
        let db = store(&sim);
        let mut seen = 0;
        sim.set_fault(Box::new(move |op| {
            let about =
                op.path.starts_with("/copy") || op.to.as_ref().is_some_and(|to| to.starts_with("/copy"));
            seen += u64::from(about && before(op.kind));
            (about && before(op.kind) && seen == failed + 1).then_some(Fault::Errno(libc::ENOSPC))
        }));
        let made = db.checkpoint("/copy");
        sim.clear_fault();
        if made.is_ok() {
            assert!(failed > 10, "only {failed}");
            return;
        }
        let left = sim.paths().into_iter().filter(|path| path.starts_with("/copy")).collect::<Vec<_>>();
        if left.is_empty() {
            db.checkpoint("/copy").unwrap();
        } else {
            // Whether the last step has been done is not known: then all of it is there.
            assert!(left.contains(&"/copy/CURRENT".into()), "{left:?}");
        }
        assert_eq!(content(&open(&sim, "/copy").unwrap()), content(&db));
    }
}

/// A loss of power at any point: the copy is complete or no store at all, and the first has lost nothing.
#[test]
fn power_may_be_lost_amid_a_checkpoint() {
    let operations = |sim: &SimFs| sim.stats().total();
    let (first, last, whole) = {
        let sim = SimFs::new();
        let db = store(&sim);
        let first = operations(&sim);
        db.checkpoint("/copy").unwrap();
        (first, operations(&sim), content(&db))
    };
    let (mut complete, mut refused) = (0, 0);
    for index in first..last {
        let sim = SimFs::new();
        let db = store(&sim);
        sim.crash_at(index, if index % 2 == 0 { Phase::Before } else { Phase::After });
        let made = db.checkpoint("/copy");
        assert!(made.is_err() || index + 1 == last, "{index} of {last}");
        for (n, image) in Image::ALL.into_iter().enumerate() {
            let left = sim.image(image, index * 31 + n as u64);
            match open(&left, "/copy") {
                Ok(copy) => {
                    complete += 1;
                    assert_eq!(content(&copy), whole, "{index} {image}");
                }
                Err(Error::NotADatabase { .. } | Error::Corruption(_)) => refused += 1,
                Err(error) => panic!("{index} {image}: {error}"),
            }
            let db = open(&left, "/db").unwrap();
            assert_eq!(content(&db), content(&db));
            assert!(db.verify().unwrap().problems.is_empty());
        }
    }
    assert!(complete > 0 && refused > 0, "{complete} {refused}");
    // Once it has returned, it stays.
    let sim = SimFs::new();
    let db = store(&sim);
    db.checkpoint("/copy").unwrap();
    for (n, image) in Image::ALL.into_iter().enumerate() {
        assert_eq!(content(&open(&sim.image(image, n as u64), "/copy").unwrap()), whole, "{image}");
    }
}
