//! Errors that must be final, or heal, or be seen; and who may open a store.

use super::store::{
    after_power_loss, comes_about, entries, eventually, files, idle, on, put, recovered, small, value,
};
use esker::fs::sim::{Fault, Image, OperationKind};
use esker::fs::{Fs, SimFs};
use esker::{Db, Durability, Error, Result};
use std::process::Command;

fn of_manifest(operation: &esker::fs::sim::Operation) -> bool {
    operation.path.to_string_lossy().contains("MANIFEST")
}

/// 11. The disk was full in the middle of an edit of the manifest, and the next stood behind half a record.
#[test]
fn a_full_disk_amid_an_edit_of_the_manifest_heals() -> Result<()> {
    // The first bytes of the edit fit, or all of it does and the writer hears of an error all the same.
    for refusal in [Fault::ShortWrite(20), Fault::ErrnoAfter(28)] {
        let sim = SimFs::new();
        let db = small(&sim).manifest_bytes(1 << 20).open()?;
        put(&db, "a", b"v", Durability::Sync)?;
        let mut writes = 0;
        sim.set_fault(Box::new(move |operation| {
            if !of_manifest(operation) || operation.kind != OperationKind::Write {
                return None;
            }
            writes += 1;
            Some(if writes == 1 { refusal } else { Fault::ENOSPC })
        }));
        let refused = db.create_column_family("f", Default::default()).expect_err("a full disk");
        assert!(matches!(refused, Error::DiskFull(_)), "{refused}");
        assert!(recovered(&sim.image(Image::All, 0)).contains_key(b"a".as_slice()));
        sim.clear_fault();
        assert!(db.health().poisoned.is_none());
        // The edit that failed left nothing behind, or it would stand in the way of its own repetition.
        db.create_column_family("f", Default::default())?;
        put(&db, "b", b"v", Durability::Sync)?;
        db.flush()?;
        let left = sim.image(Image::Nothing, 0);
        assert_eq!(recovered(&left), entries(&db)?);
        assert_eq!(small(&left).open()?.column_families().len(), 2);
    }
    Ok(())
}

/// 11. Half an edit that had failed came back after a crash, and named a table that was gone.
#[test]
fn an_edit_that_failed_does_not_come_back() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).manifest_bytes(1 << 20).open()?;
    put(&db, "a", b"v", Durability::Sync)?;
    sim.set_fault(Box::new(|operation| {
        let edit = of_manifest(operation) && operation.kind == OperationKind::Write;
        edit.then_some(Fault::ErrnoAfter(28))
    }));
    assert!(db.flush().is_err());
    sim.clear_fault();
    assert!(db.health().poisoned.is_none());
    for image in Image::ALL {
        assert_eq!(recovered(&sim.image(image, 3)), entries(&db)?, "{image}");
    }
    Ok(())
}

/// 18. An iterator met an error, and went on behind it as if nothing were missing.
#[test]
fn an_iterator_ends_with_its_first_error() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    (0..60).try_for_each(|i| put(&db, &format!("k{i:02}"), &value(i, 300), Durability::Os).map(drop))?;
    db.compact()?;
    db.close()?;
    let tables = files(&sim, ".sst");
    let damaged = &tables[tables.len() / 2];
    sim.flip(damaged, 50, 1).unwrap();
    let db = small(&sim).open()?;
    for backward in [false, true] {
        let mut iter = db.iter()?;
        let mut next = || if backward { iter.next_back() } else { iter.next() };
        let mut served = 0;
        let error = loop {
            match next() {
                Some(Ok(_)) => served += 1,
                Some(Err(error)) => break error,
                None => panic!("the damage was not met"),
            }
        };
        assert!(matches!(&error, Error::Corruption(c) if c.file == *damaged), "{error}");
        assert!(served > 0 && served < 60);
        assert!((0..5).all(|_| next().is_none()), "it goes on");
    }
    Ok(())
}

/// 19. After a failed sync data was served that never reached the disk.
#[test]
fn what_never_reached_the_disk_is_not_served() -> Result<()> {
    let sim = SimFs::new();
    let db = idle(&sim).open()?;
    put(&db, "k", b"durable", Durability::Sync)?;
    put(&db, "k", b"published", Durability::Os)?;
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Sync).then_some(Fault::FailedSyncDropsPages)));
    assert!(db.sync().is_err());
    sim.clear_fault();
    assert_eq!(db.get("k")?.as_deref(), Some(b"durable".as_slice()));
    assert_eq!(entries(&db)?[b"k".as_slice()], b"durable");
    assert_eq!(db.snapshot().get(&db, "k")?.as_deref(), Some(b"durable".as_slice()));
    // The page cache still shows what the disk never got: whatever the next one serves, it must last.
    let killed = sim.kill_image();
    let db = idle(&killed).open()?;
    let served = entries(&db)?;
    assert_eq!(after_power_loss(&killed), served);
    Ok(())
}

const CHILD: &str = "ESKER_SECOND_PROCESS";

/// 22. Two processes opened one store.
#[test]
fn a_second_process_is_refused() -> Result<()> {
    if let Some(dir) = std::env::var_os(CHILD) {
        // This is the second process.
        let refused = Db::open(dir).expect_err("the store is open elsewhere");
        assert!(matches!(refused, Error::Locked { .. }), "{refused}");
        return Ok(());
    }
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder(dir.path()).memory_budget(1 << 20).open()?;
    let refused = Db::open(dir.path()).expect_err("the store is open already");
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["trouble::a_second_process_is_refused", "--exact"]).env(CHILD, dir.path());
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    db.close()?;
    Db::open(dir.path())?.close()
}

/// 24. Flushes failed in the background, and nobody could see it.
#[test]
fn an_error_of_background_work_is_seen() -> Result<()> {
    let sim = SimFs::new();
    let db = on(Fs::Sim(sim.clone())).open()?;
    sim.set_fault(Box::new(|operation| {
        let table =
            operation.kind == OperationKind::Create && operation.path.to_string_lossy().ends_with(".sst");
        table.then_some(Fault::EIO)
    }));
    // One memtable full, and no more: whoever writes on would wait for the flush.
    for i in 0..5 {
        put(&db, &format!("k{i}"), &value(i, 1_000), Durability::Os)?;
    }
    let seen = comes_about(|| !db.health().background.is_empty());
    let (health, flushed) = (db.health(), seen.then(|| db.flush()));
    // Before anything is judged: a store that cannot flush does not close either.
    sim.clear_fault();
    assert!(seen && !health.is_well() && health.failed_jobs > 0, "{health:?}");
    assert!(matches!(flushed, Some(Err(Error::Io(_)))), "{flushed:?}");
    eventually("its end", || db.health().is_well());
    db.flush()
}
