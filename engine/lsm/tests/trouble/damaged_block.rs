//! Bit rot in a block that nobody has read for long.

use crate::store::{eventually, files, fill, key, name, small};
use esker::fs::SimFs;
use esker::fs::sim::{Fault, OperationKind};
use esker::{Db, Error, Result};
use std::path::PathBuf;

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

/// A store whose tables stand in the last level, one of them damaged in a block of data.
fn damaged() -> Result<(SimFs, Db, PathBuf)> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 4_000)?;
    db.compact()?;
    db.close()?;
    let table = files(&sim, ".sst").swap_remove(0);
    sim.flip(&table, 100, 1).unwrap();
    let db = small(&sim).open()?;
    Ok((sim, db, table))
}

fn is_about(error: &Error, table: &PathBuf) -> bool {
    matches!(error, Error::Corruption(c) if c.file == *table)
}

#[test]
fn every_way_to_read_meets_the_damage_and_none_goes_round_it() -> Result<()> {
    let (_sim, db, table) = damaged()?;
    let snapshot = db.snapshot();
    let bad: Vec<u32> = (0..4_000).filter(|i| db.get(key(*i)).is_err()).collect();
    let (first, last) = (bad[0], bad[bad.len() - 1]);
    assert!(bad.len() < 1_000 && bad.len() as u32 == last - first + 1, "{} keys", bad.len());
    for _ in 0..2 {
        for answer in [
            db.get(key(first)).map(drop),
            db.contains_key(key(last)).map(drop),
            db.size_of(key(first)).map(drop),
            db.get_with(key(last), |_| ()).map(drop),
            db.multi_get(&[key(last + 1), key(first)]).map(drop),
            snapshot.get(&db, key(first)).map(drop),
            snapshot.multi_get(&db, &[key(first)]).map(drop),
        ] {
            assert!(is_about(&answer.unwrap_err(), &table));
        }
        for mut iter in [db.iter()?, snapshot.iter(&db)?, db.range(key(first)..)?, db.prefix("user")?] {
            let error = iter.find_map(Result::err).expect("forwards");
            assert!(is_about(&error, &table), "{error}");
            assert!(iter.next().is_none() && iter.next_back().is_none() && iter.next().is_none());
        }
        for mut iter in [db.iter()?, snapshot.iter(&db)?, db.range(..key(last + 1))?] {
            let error = iter.by_ref().rev().find_map(Result::err).expect("backwards");
            assert!(is_about(&error, &table), "{error}");
            assert!(iter.next_back().is_none() && iter.next().is_none());
        }
    }
    if first > 0 {
        assert_eq!(db.range(..key(first))?.filter(Result::is_ok).count() as u32, first);
    }
    let behind = db.range(key(last + 1)..)?.collect::<Result<Vec<_>>>()?;
    assert_eq!(behind.len() as u32, 4_000 - last - 1);
    assert_eq!(db.multi_get(&[key(last + 1), key(3_999)])?.iter().flatten().count(), 2);
    drop(snapshot);
    db.close()
}

#[test]
fn compactions_leave_a_damaged_table_alone_and_go_on_with_the_rest() -> Result<()> {
    let (sim, db, table) = damaged()?;
    // Far more than level 0 would take if it could not be compacted at all.
    for turn in 0..100 {
        fill(&db, 0, 4_000).map_err(|error| panic!("turn {turn}: {error}")).unwrap();
        db.flush()?;
    }
    eventually("few tables in level 0", || db.stats().families[0].levels[0].files < 10);
    let health = db.health();
    assert!(health.failed_jobs <= 2, "it is not tried again and again: {}", health.failed_jobs);
    assert!(health.damaged.iter().any(|error| is_about(error, &table)) && !health.is_well(), "{health:?}");
    assert!(files(&sim, ".sst").contains(&table), "the damaged table stays where it is");
    // It is hidden now by newer entries, which are served; verify still finds it.
    assert_eq!(db.multi_get(&[key(0), key(3_999)])?.iter().flatten().count(), 2);
    let problems = db.verify()?.problems;
    assert!(problems.len() == 1 && is_about(&problems[0], &table), "{problems:?}");
    assert!(db.compact().is_err_and(|error| is_about(&error, &table)), "who asks is told");
    // A family of its own is not held up.
    let other = db.column_family("other")?;
    (0..8_000).try_for_each(|i| other.put(key(i), vec![b'v'; 100]))?;
    other.compact_range::<&[u8], _>(..)?;
    db.close()
}

#[test]
fn a_disk_that_refused_a_read_for_a_while_is_asked_again() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).open()?;
    fill(&db, 0, 4_000)?;
    db.compact()?;
    db.close()?;
    let db = small(&sim).open()?;
    let table = name(&files(&sim, ".sst")[0]);
    let bad = table.clone();
    sim.set_fault(Box::new(move |op| {
        (op.kind == OperationKind::Read && name(&op.path) == bad).then_some(Fault::EIO)
    }));
    fill(&db, 0, 4_000)?;
    let refused = db.compact().unwrap_err();
    assert!(matches!(&refused, Error::Io(failure) if name(&failure.path) == table), "{refused}");
    sim.clear_fault();
    db.compact()?;
    assert!(db.health().is_well(), "{:?}", db.health());
    db.close()
}
