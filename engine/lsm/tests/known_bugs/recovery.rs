//! What opening a store may do, and what it must refuse.

use super::store::{contents, entries, files, idle, put, recovered, small, value};
use esker::base::sync::Mutex;
use esker::fs::SimFs;
use esker::fs::sim::{Fault, Image, OperationKind};
use esker::{Db, Durability, Error, Result, WriteBatch};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store with a log of several segments, all of it synced, in records of one size.
fn logged() -> Result<(SimFs, Db)> {
    let sim = SimFs::new();
    let db = idle(&sim).open()?;
    put(&db, "flushed", b"v", Durability::Sync)?;
    db.flush()?;
    for i in 0..20 {
        put(&db, &format!("k{i:02}"), &value(i, 700), Durability::Os)?;
    }
    db.sync()?;
    Ok((sim, db))
}

/// A disk after a kill: three segments of log, synced up to the last record but one.
fn killed() -> Result<(SimFs, Entries)> {
    let (sim, db) = logged()?;
    put(&db, "last", b"v", Durability::Os)?;
    let expected = entries(&db)?;
    let disk = sim.image(Image::All, 0);
    assert!(files(&disk, ".log").len() >= 2);
    Ok((disk, expected))
}

/// The first segment that is a whole one; behind a flush the log goes on in a small one.
fn whole_log(disk: &SimFs) -> PathBuf {
    let is_whole = |log: &PathBuf| disk.read_raw(log).is_ok_and(|bytes| bytes.len() == 8 << 10);
    files(disk, ".log").into_iter().find(is_whole).expect("a whole segment")
}

/// 13. A second crash, within recovery, lost what the first had left.
#[test]
fn a_crash_within_recovery_loses_nothing() -> Result<()> {
    let (disk, expected) = killed()?;
    let images = Arc::new(Mutex::new(Vec::new()));
    let taking = images.clone();
    disk.observe(Box::new(move |operation, phase, moment| {
        for image in Image::ALL {
            let seed = operation.index;
            taking.lock().push((moment.image(image, seed), format!("{image} {phase} {operation}")));
        }
        taking.lock().push((moment.kill_image(), format!("kill {phase} {operation}")));
    }));
    let db = small(&disk).open()?;
    disk.stop_observing();
    assert_eq!(entries(&db)?, expected);
    let images = std::mem::take(&mut *images.lock());
    assert!(images.len() > 200);
    for (image, point) in images {
        assert_eq!(recovered(&image), expected, "{point}");
    }
    Ok(())
}

/// 7. Replay gave up the rest of a batch where it met a family that had been dropped since.
#[test]
fn a_batch_is_whole_without_a_family_that_was_dropped() -> Result<()> {
    let sim = SimFs::new();
    let db = idle(&sim).open()?;
    let gone = db.column_family("gone")?;
    let mut batch = WriteBatch::new();
    batch.put(&db, "a", "1").put(&gone, "b", "2").put(&db, "c", "3");
    db.write(batch, Durability::Sync)?;
    db.drop_column_family("gone")?;
    put(&db, "d", b"4", Durability::Sync)?;
    let expected: Entries = ["a1", "c3", "d4"]
        .map(|entry| entry.as_bytes().split_at(1))
        .into_iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect();
    assert_eq!(entries(&db)?, expected);
    assert_eq!(recovered(&sim.image(Image::All, 0)), expected);
    Ok(())
}

/// 14. Opening wrote a new manifest, and then found that the log was damaged.
#[test]
fn a_store_that_cannot_be_opened_is_left_as_it_was() -> Result<()> {
    let (disk, _) = killed()?;
    let log = whole_log(&disk);
    disk.flip(&log, 2_000, 0x10).unwrap();
    let before = contents(&disk);
    for _ in 0..2 {
        let refused = small(&disk).open().expect_err("the middle of the log is damaged");
        assert!(matches!(&refused, Error::Corruption(c) if c.file == log), "{refused}");
        assert_eq!(contents(&disk), before);
    }
    Ok(())
}

/// 14. Opening failed half way for want of a disk that works, and left the store unusable. It had removed
///     tables that the manifest names which it had just put in force.
#[test]
fn opening_may_fail_at_every_call_and_loses_nothing() -> Result<()> {
    let (left, expected) = killed()?;
    use OperationKind::{List, Open, Read, Remove, Size};
    // The disk is gone; or files can only be removed, as where a process has no descriptors left; or it is
    // full first and then only to be read and removed from, so that what is tried again fails, too.
    for (first, then, spared) in [
        (Fault::EIO, Fault::EIO, &[][..]),
        (Fault::EMFILE, Fault::EMFILE, &[Remove]),
        (Fault::ENOSPC, Fault::EIO, &[Remove, List, Open, Read, Size]),
    ] {
        for number in 0.. {
            let disk = left.image(Image::All, 0);
            disk.set_fault(Box::new(move |operation| {
                let is_first = operation.index == number;
                let due = is_first || operation.index > number && !spared.contains(&operation.kind);
                due.then_some(if is_first { first } else { then })
            }));
            let opened = small(&disk).open().map(drop);
            disk.clear_fault();
            let place = format!("{first:?} at call {number}");
            assert_eq!(recovered(&disk.image(Image::Nothing, 0)), expected, "power lost after {place}");
            assert_eq!(recovered(&disk.image(Image::All, 0)), expected, "power lost late after {place}");
            assert_eq!(recovered(&disk), expected, "opened again after {place}");
            if opened.is_ok() && disk.stats().total() < number {
                assert!(number > 50);
                break;
            }
        }
    }
    Ok(())
}

/// 17. A torn tail and a damaged middle were taken for one another.
#[test]
fn a_torn_tail_is_cut_and_a_damaged_middle_refused() -> Result<()> {
    let (sound, expected) = killed()?;
    let logs = files(&sound, ".log");
    let bytes = sound.read_raw(logs.last().unwrap()).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    // The last record was never synced: it is cut, and said to be.
    let torn = sound.image(Image::All, 0);
    torn.flip(logs.last().unwrap(), end - 2, 1).unwrap();
    let db = small(&torn).open()?;
    let cut = db.recovery().cut.clone().expect("a cut that is reported");
    assert!(
        cut.file == *logs.last().unwrap() && cut.offset < end && cut.bytes > 0 && !cut.damaged,
        "{cut:?}"
    );
    assert_eq!(entries(&db)?.len(), expected.len() - 1);
    // What was synced is refused with its place, and recovered up to there on request.
    let whole = whole_log(&sound);
    assert_ne!(whole, *logs.last().unwrap());
    for (log, offset) in [(&whole, 3_000), (&logs[0], 70), (logs.last().unwrap(), 100)] {
        let damaged = sound.image(Image::All, 0);
        damaged.flip(log, offset, 1).unwrap();
        let refused = small(&damaged).open().expect_err("damage in the middle");
        let Error::Corruption(why) = &refused else { panic!("{refused}") };
        assert!(why.file == *log && why.offset <= offset && why.offset + 1_000 > offset, "{why:?}");
        let db = small(&damaged).recover_to_damage(true).open()?;
        assert!(db.recovery().cut.as_ref().is_some_and(|cut| cut.damaged && cut.file == *log));
        let found = entries(&db)?;
        assert!(found.len() < expected.len() && found.iter().all(|(key, v)| expected.get(key) == Some(v)));
    }
    Ok(())
}

/// 6. What an older log had left in a reused place was taken for new.
#[test]
fn records_of_another_segment_are_not_taken_for_new_ones() -> Result<()> {
    // Its records are of one size: where the last segment ends, a record of an older one begins.
    let (sim, db) = logged()?;
    let (sound, expected) = (sim.image(Image::All, 0), entries(&db)?);
    let logs = files(&sound, ".log");
    let (old, last) = (sound.read_raw(&whole_log(&sound)).unwrap(), logs.last().unwrap());
    let mut bytes = sound.read_raw(last).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let end = end.next_multiple_of(8);
    // The same offsets: all that is wrong with the records is whose they are.
    let from = end.min(old.len());
    let until = old.len().min(bytes.len());
    assert!(old[from..until].iter().any(|byte| *byte != 0), "the older one goes further");
    bytes[from..until].copy_from_slice(&old[from..until]);
    let disk = sound.image(Image::All, 0);
    disk.write_raw(last, &bytes).unwrap();
    let db = small(&disk).open()?;
    assert_eq!(entries(&db)?, expected);
    assert!(db.recovery().cut.is_some(), "something stood behind the end");
    Ok(())
}

/// 6. A segment of another store, or another segment, stood under the name.
#[test]
fn a_segment_that_is_not_the_one_expected_is_refused() -> Result<()> {
    let (sound, _) = killed()?;
    let other = SimFs::new();
    let db: Db = idle(&other).deterministic(8).open()?;
    put(&db, "foreign", b"v", Durability::Sync)?;
    let foreign = other.read_raw(&files(&other, ".log")[0]).unwrap();
    let logs = files(&sound, ".log");
    let next = sound.read_raw(&logs[1]).unwrap();
    for bytes in [foreign, next] {
        let disk = sound.image(Image::All, 0);
        disk.write_raw(&logs[0], &bytes).unwrap();
        let refused = small(&disk).open().expect_err("another segment");
        assert!(matches!(&refused, Error::Corruption(c) if c.file == logs[0]), "{refused}");
    }
    Ok(())
}
