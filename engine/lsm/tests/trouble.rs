//! What happens when the disk does not do what it should.

use esker::fs::sim::{Fault, OperationKind};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, Durability, Error, Result, WriteBatch};
use std::time::{Duration, Instant};

fn small(sim: &SimFs) -> Builder {
    Db::builder("/db")
        .fs(Fs::Sim(sim.clone()))
        .memory_budget(4 << 20)
        .memtable_bytes(64 << 10)
        .target_file_bytes(64 << 10)
        .wal_segment_bytes(64 << 10)
        .default_durability(Durability::Os)
}

fn fill(db: &Db, from: u32, to: u32) -> Result<()> {
    (from..to).try_for_each(|i| db.put(format!("user{i:012}"), vec![b'v'; 100]))
}

/// Waits for a condition that background work brings about.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "{what} did not come about");
        std::thread::yield_now();
    }
}

#[test]
fn a_failed_sync_latches_the_store_and_reads_go_back_to_the_last_durable_state() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).sync_interval(Duration::from_secs(3600)).open()?;
    db.put("a", "durable")?;
    db.sync()?;
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Sync).then_some(Fault::FailedSyncDropsPages)));
    let mut batch = WriteBatch::new();
    batch.put(&db, "a", "lost").put(&db, "b", "lost");
    assert!(matches!(db.write(batch, Durability::Sync), Err(Error::Io(_))));
    sim.clear_fault();
    // The disk would say OK now. It is not asked again.
    assert!(matches!(db.put("c", "v"), Err(Error::Poisoned { .. })));
    assert!(matches!(db.sync(), Err(Error::Io(_) | Error::Poisoned { .. })));
    assert!(matches!(db.flush(), Err(Error::Poisoned { .. })));
    assert_eq!(db.get("a")?.unwrap(), "durable");
    assert!(db.get("b")?.is_none() && db.iter()?.count() == 1);
    assert!(db.health().poisoned.is_some_and(|why| why.contains("sync")));
    assert!(db.close().is_err());
    let after = sim.image(esker::fs::sim::Image::Nothing, 1);
    let db = small(&after).open()?;
    assert_eq!(db.get("a")?.unwrap(), "durable");
    db.put("c", "v")?;
    db.close()
}

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

#[test]
fn a_damaged_block_is_an_error_each_time_and_the_rest_is_served() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 2_000)?;
    db.compact()?;
    db.close()?;
    let tables: Vec<_> =
        sim.paths().into_iter().filter(|p| p.extension().is_some_and(|e| e == "sst")).collect();
    sim.flip(&tables[0], 100, 1).unwrap();
    let db = small(&sim).open()?;
    let damaged = |error: &Error| matches!(error, Error::Corruption(c) if c.file == tables[0]);
    let (mut served, mut refused) = (0, 0);
    for i in 0..2_000 {
        for _ in 0..2 {
            match db.get(format!("user{i:012}")) {
                Ok(value) => {
                    assert_eq!(value.unwrap(), vec![b'v'; 100]);
                    served += 1;
                }
                Err(error) => {
                    assert!(damaged(&error), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0 && served > refused && refused % 2 == 0, "{served} served, {refused} refused");
    let problems = db.verify()?.problems;
    assert!(problems.len() == 1 && damaged(&problems[0]), "{problems:?}");
    let mut iter = db.iter()?;
    let error = iter.find_map(Result::err).expect("the scan meets the damage");
    assert!(damaged(&error) && iter.next().is_none(), "an iterator does not go on behind an error");
    // A compaction neither spreads the damage nor hides it.
    fill(&db, 0, 2_000)?;
    assert!(db.compact().is_err_and(|error| damaged(&error)));
    assert!(db.close().is_ok());
    assert!(sim.paths().contains(&tables[0]));
    Ok(())
}

#[test]
fn writers_that_share_a_failing_disk_all_hear_of_it() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    sim.set_fault(Box::new(|op| {
        let sync = op.kind == OperationKind::Sync && op.path.extension().is_some_and(|e| e == "log");
        sync.then_some(Fault::EIO)
    }));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|i| {
                let db = &db;
                scope.spawn(move || {
                    let mut batch = WriteBatch::new();
                    batch.put(db, format!("k{i}"), "v");
                    db.write(batch, Durability::Sync)
                })
            })
            .collect();
        assert!(writers.into_iter().all(|writer| writer.join().unwrap().is_err()));
    });
    assert_eq!(db.iter()?.count(), 0);
    Ok(())
}
