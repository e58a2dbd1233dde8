//! A full disk: refused with an error of its own, and over by itself.

use crate::store::{eventually, files, fill, key, name, small};
use esker::fs::SimFs;
use esker::fs::sim::{Fault, OperationKind};
use esker::{Db, Durability, Error, Result, WriteBatch};
use std::time::Duration;

#[test]
fn a_full_disk_is_an_error_of_its_own_and_heals_without_reopening() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 500)?;
    db.flush()?;
    sim.set_capacity(Some(sim.used() + (100 << 10)));
    let full = (500..200_000).find_map(|i| fill(&db, i, i + 1).err());
    assert!(matches!(full, Some(Error::DiskFull(_))), "{full:?}");
    assert!(db.iter()?.all(|entry| entry.is_ok()));
    assert!(db.contains_key("user000000000000")? && db.contains_key("user000000000500")?);
    assert!(db.health().poisoned.is_none());
    let kept = db.iter()?.count() as u32;
    sim.set_capacity(None);
    eventually("writing again", || db.put("again", "v").is_ok());
    eventually("getting well", || db.health().is_well());
    fill(&db, kept, kept + 1_000)?;
    db.flush()?;
    assert!(db.verify()?.problems.is_empty());
    db.close()?;
    let db = small(&sim).open()?;
    assert_eq!(db.iter()?.count() as u32, kept + 1_001);
    db.close()
}

/// Puts until the disk is full, and says what the last one gave.
fn fill_up(db: &Db, sim: &SimFs, room: u64) -> Error {
    sim.set_capacity(Some(sim.used() + room));
    (1_000_000..2_000_000).find_map(|i| fill(db, i, i + 1).err()).expect("the disk has an end")
}

/// Leaves nothing at all.
fn fill_the_rest(sim: &SimFs) {
    sim.set_capacity(Some(sim.used()));
}

/// On a disk that was full a job may have used the reserve: lets it be made whole.
fn make_whole(db: &Db, sim: &SimFs) {
    sim.set_capacity(None);
    eventually("a whole reserve", || db.put("k", "v").is_ok() && db.health().is_well());
}

#[test]
fn a_store_opens_on_a_disk_without_a_free_byte_and_can_be_emptied() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).reserve_bytes(256 << 10).open()?;
    fill(&db, 0, 3_000)?;
    db.compact()?;
    fill(&db, 0, 200)?;
    let full = fill_up(&db, &sim, 50 << 10);
    assert!(matches!(full, Error::DiskFull(_)), "{full}");
    make_whole(&db, &sim);
    // As it is left by a kill, unflushed writes and all.
    let sim = sim.kill_image();
    fill_the_rest(&sim);
    let db = small(&sim).reserve_bytes(256 << 10).open()?;
    let all = db.iter()?.count();
    assert!(all >= 3_000, "{all}");
    for i in 0..500 {
        db.delete(key(i))?;
    }
    assert_eq!(db.iter()?.count(), all - 500);
    db.close()?;
    let db = small(&sim).reserve_bytes(256 << 10).open()?;
    assert_eq!(db.iter()?.count(), all - 500);
    assert!(db.health().poisoned.is_none());
    db.close()
}

#[test]
fn deletions_and_a_compaction_make_room_on_a_full_disk() -> Result<()> {
    let sim = SimFs::new();
    // So large a part of the disk is in use that no second copy of it fits, but for the reserve.
    let db = small(&sim).reserve_bytes(1 << 20).target_file_bytes(32 << 10).open()?;
    // Not to be compressed.
    let random = esker::base::random::Random::seeded(1);
    let bytes = || (0..16).flat_map(|_| random.next_u64().to_le_bytes()).collect::<Vec<_>>();
    (0..4_000).try_for_each(|i| db.put(key(i), bytes()))?;
    db.compact()?;
    let full = fill_up(&db, &sim, 20 << 10);
    assert!(matches!(full, Error::DiskFull(_)), "{full}");
    make_whole(&db, &sim);
    fill_the_rest(&sim);
    let before = sim.used();
    for first in (0..4_000).step_by(100) {
        let mut batch = WriteBatch::new();
        (first..first + 100).for_each(|i| _ = batch.delete(&db, key(i)));
        db.write(batch, Durability::Os)?;
    }
    db.compact()?;
    // Work that was under way may hold what it reads for a moment longer.
    eventually("making room", || sim.used() < before - (200 << 10));
    eventually("writing again", || db.put("k", "v").is_ok());
    eventually("getting well", || db.health().is_well());
    assert_eq!(files(&sim, "RESERVE").len(), 1);
    db.close()
}

#[test]
fn only_those_who_remove_draw_on_the_reserve() -> Result<()> {
    let sim = SimFs::new();
    // No flush frees segments of the log here.
    let db = small(&sim).deterministic(7).memtable_bytes(1 << 20).open()?;
    fill(&db, 0, 100)?;
    db.flush()?;
    fill_the_rest(&sim);
    let mut removed = 0;
    // Far more than the segment holds that the log has reserved: at rest 16 KiB, beside a reserve of 64.
    while removed < 1_000 {
        db.delete(key(removed))?;
        removed += 1;
    }
    let mut both = WriteBatch::new();
    both.put(&db, "k", "v").delete(&db, "k");
    assert!(matches!(db.write(both, Durability::Os), Err(Error::DiskFull(_))));
    assert!(matches!(db.put("k", "v"), Err(Error::DiskFull(_))));
    assert!(db.get("k")?.is_none());
    let ended = (removed..1_000_000).find_map(|i| db.delete(key(i)).err());
    assert!(matches!(ended, Some(Error::DiskFull(_))), "the reserve has an end: {ended:?}");
    assert!(db.health().poisoned.is_none());
    assert_eq!(db.iter()?.count(), 0);
    sim.set_capacity(None);
    db.put("k", "v")?;
    db.close()
}

#[test]
fn without_a_reserve_a_store_keeps_no_file_for_it() -> Result<()> {
    let sim = SimFs::new();
    small(&sim).open()?.close()?;
    assert_eq!(files(&sim, "RESERVE").len(), 1);
    let db = small(&sim).reserve_bytes(0).open()?;
    assert!(files(&sim, "RESERVE").is_empty());
    assert_eq!(db.recovery().removed_files.iter().filter(|name| *name == "RESERVE").count(), 1);
    db.put("k", "v")?;
    db.close()?;
    let refused = small(&sim).reserve_bytes(100).open().unwrap_err();
    assert!(refused.to_string().contains("reserve_bytes"), "{refused}");
    Ok(())
}

#[test]
fn a_reserve_that_a_crash_cut_short_is_made_whole_again() -> Result<()> {
    let sim = SimFs::new();
    small(&sim).open()?.close()?;
    let whole = sim.read_raw(&files(&sim, "RESERVE")[0]).unwrap().len();
    sim.write_raw(&files(&sim, "RESERVE")[0], b"anything").unwrap();
    let db = small(&sim).open()?;
    assert_eq!(sim.read_raw(&files(&sim, "RESERVE")[0]).unwrap().len(), whole);
    assert!(db.verify()?.foreign_files.is_empty() && db.verify()?.problems.is_empty());
    db.close()
}

#[test]
fn every_call_of_an_open_may_find_the_disk_full() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 2_000)?;
    let left = sim.kill_image();
    drop(db);
    let listed = |sim: &SimFs| sim.paths().iter().map(|path| name(path)).collect::<Vec<_>>();
    let before = listed(&left);
    let (mut refused, mut opened) = (0, 0);
    for kinds in [true, false] {
        for at in 0.. {
            let disk = left.kill_image();
            let first = disk.stats().total();
            disk.set_fault(Box::new(move |op| {
                use OperationKind::{Allocate, Create, Rename, Write};
                let fits = matches!(op.kind, Allocate | Create | Write) || (kinds && op.kind == Rename);
                let due = if kinds { op.index == first + at } else { op.index >= first + at };
                (fits && due).then_some(Fault::ENOSPC)
            }));
            let result = small(&disk).open();
            let calls = disk.stats().total() - first;
            disk.clear_fault();
            match result {
                Ok(db) => {
                    opened += 1;
                    assert_eq!(db.iter()?.count(), 2_000);
                    db.put("k", "v")?;
                    db.close()?;
                }
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error, Error::DiskFull(_)), "call {at}: {error}");
                    let left =
                        listed(&disk).into_iter().filter(|name| !before.contains(name)).collect::<Vec<_>>();
                    assert!(left.is_empty(), "call {at} left {left:?} behind");
                }
            }
            let db = small(&disk).open()?;
            assert!(db.iter()?.count() >= 2_000 && db.verify()?.problems.is_empty());
            db.close()?;
            if at >= calls {
                break;
            }
        }
    }
    assert!(refused > 10 && opened > 50, "{refused} refused, {opened} opened");
    Ok(())
}

#[test]
fn a_manifest_that_cannot_be_renamed_for_want_of_space_is_tried_again() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).manifest_bytes(256).open()?;
    sim.set_fault(Box::new(|op| {
        let switches =
            op.kind == OperationKind::Rename && op.to.as_deref().is_some_and(|to| to.ends_with("CURRENT"));
        switches.then_some(Fault::ENOSPC)
    }));
    for i in 0..20 {
        fill(&db, i, i + 1)?;
        db.flush()?;
    }
    assert!(db.health().poisoned.is_none(), "{:?}", db.health());
    assert_eq!(files(&sim, ".tmp").len(), 0);
    let manifests = || sim.paths().iter().filter(|path| name(path).starts_with("MANIFEST")).count();
    assert_eq!(manifests(), 1);
    let stays = sim.image(esker::fs::sim::Image::Nothing, 1);
    sim.clear_fault();
    for i in 20..60 {
        fill(&db, i, i + 1)?;
        db.flush()?;
    }
    assert_eq!(manifests(), 1);
    db.close()?;
    assert_eq!(small(&sim).open()?.iter()?.count(), 60);
    assert_eq!(small(&stays).open()?.iter()?.count(), 20);
    Ok(())
}

#[test]
fn attempts_to_start_a_segment_leave_no_more_than_one_behind() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).sync_interval(Duration::from_secs(3600)).open()?;
    let logs = || files(&sim, ".log").len();
    // Nothing can be written to the log that is there; a new segment can be made.
    let full_from = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(u64::MAX));
    let from = full_from.clone();
    sim.set_fault(Box::new(move |op| {
        let log = op.path.extension().is_some_and(|extension| extension == "log");
        let late = op.offset > from.load(std::sync::atomic::Ordering::Relaxed);
        (log && op.kind == OperationKind::Write && late).then_some(Fault::EIO)
    }));
    fill(&db, 0, 350)?;
    full_from.store(1000, std::sync::atomic::Ordering::Relaxed);
    let before = logs();
    for _ in 0..20 {
        assert!(db.put("large", vec![b'v'; 40_000]).is_err());
    }
    assert!(logs() <= before + 1, "{} segments were {before}", logs());
    // What is written in the place of the record that would have named it makes it superfluous.
    full_from.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
    db.put("small", "v")?;
    db.sync()?;
    assert_eq!(logs(), before);
    db.put("large", vec![b'v'; 40_000])?;
    db.close()?;
    let db = small(&sim).open()?;
    assert_eq!(db.iter()?.count(), 352);
    db.close()
}

#[test]
fn space_that_comes_back_is_noticed_without_a_write() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).reserve_bytes(1 << 20).sync_interval(Duration::from_secs(3600)).open()?;
    fill(&db, 0, 1_000)?;
    let full = fill_up(&db, &sim, 0);
    assert!(matches!(full, Error::DiskFull(_)), "{full}");
    // More than the log has reserved for itself.
    for i in 0..1_500 {
        db.delete(key(i))?;
    }
    sim.set_capacity(None);
    // The interval at which the log is synced is an hour: this does not wait for it.
    let reserve = || sim.read_raw(&files(&sim, "RESERVE")[0]).unwrap().len();
    eventually("a reserve", || reserve() >= 512 << 10);
    eventually("getting well", || db.health().is_well());
    db.put("k", "v")?;
    db.close()
}
