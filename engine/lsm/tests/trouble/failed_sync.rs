//! Syncs that fail: the store is read-only, and reads show what is durable.

use crate::store::{fill, key, small};
use esker::fs::SimFs;
use esker::fs::sim::{Fault, OperationKind};
use esker::{Db, Durability, Error, Result, WriteBatch};
use std::time::Duration;

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

/// Fails each sync of the log from now on, and drops what it should have written.
fn fail_syncs(sim: &SimFs) {
    sim.set_fault(Box::new(|op| (op.kind == OperationKind::Sync).then_some(Fault::FailedSyncDropsPages)));
}

fn lose_a_sync(db: &Db, sim: &SimFs) -> Error {
    fail_syncs(sim);
    let error = db.sync().unwrap_err();
    sim.clear_fault();
    error
}

#[test]
fn what_was_held_before_the_failure_shows_what_is_durable_too() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).sync_interval(Duration::from_secs(3600)).open()?;
    fill(&db, 0, 10)?;
    db.sync()?;
    db.put(key(3), "lost")?;
    db.put(key(5), "lost")?;
    db.delete(key(6))?;
    db.put(key(8) + "b", "lost")?;
    let snapshot = db.snapshot();
    let (mut fresh, mut begun, mut ended) = (db.iter()?, db.iter()?, db.iter()?);
    let (mut at_new_key, mut behind_removed) = (db.iter()?, db.iter()?);
    for i in 0..4 {
        assert_eq!(begun.next().unwrap()?.0, key(i));
    }
    assert_eq!(ended.next_back().unwrap()?.0, key(9));
    assert_eq!(ended.next_back().unwrap()?.0, key(8) + "b");
    assert_eq!(at_new_key.by_ref().take(9).count(), 9, "up to the key that is new");
    assert_eq!(behind_removed.by_ref().rev().take(4).count(), 4, "7, 8, 8b and 9");
    lose_a_sync(&db, &sim);
    let rest = |iter: &mut dyn Iterator<Item = Result<(esker::Slice, esker::Slice)>>| -> Result<Vec<u32>> {
        let number = |key: &[u8]| String::from_utf8_lossy(&key[4..]).parse::<u32>().unwrap();
        iter.map(|entry| {
            let (key, value) = entry?;
            assert_eq!(value, vec![b'v'; 100], "a value that was never durable");
            Ok(number(&key))
        })
        .collect()
    };
    assert_eq!(rest(&mut fresh)?, (0..10).collect::<Vec<_>>());
    assert_eq!(rest(&mut begun)?, (4..10).collect::<Vec<_>>());
    assert_eq!(rest(&mut ended.rev())?, (0..9).rev().collect::<Vec<_>>());
    assert_eq!(rest(&mut at_new_key)?, [9]);
    assert_eq!(rest(&mut behind_removed.rev())?, (0..7).rev().collect::<Vec<_>>());
    assert_eq!(snapshot.get(&db, key(3))?.unwrap(), vec![b'v'; 100]);
    assert!(snapshot.contains_key(&db, key(6))? && !snapshot.contains_key(&db, key(8) + "b")?);
    let many = snapshot.multi_get(&db, &[key(5), key(8) + "b"])?;
    assert!(many[0].as_deref() == Some(&[b'v'; 100][..]) && many[1].is_none());
    assert_eq!(snapshot.iter(&db)?.count(), 10);
    assert_eq!(db.snapshot().iter(&db)?.count(), 10);
    assert!(db.close().is_err());
    Ok(())
}

/// A refreshed cursor of a snapshot went on with what was lost.
#[test]
fn a_cursor_that_is_refreshed_shows_what_is_durable_too() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).sync_interval(Duration::from_secs(3600)).open()?;
    fill(&db, 0, 10)?;
    db.sync()?;
    db.put(key(3), "lost")?;
    db.put(key(3) + "b", "lost")?;
    let snapshot = db.snapshot();
    let (all, stand) = (esker::ScanOptions::default, [key(3), key(3) + "b"]);
    let mut cursors = Vec::new();
    for at in &stand {
        for mut cursor in [snapshot.cursor(&db, all())?, db.cursor(all())?] {
            assert!(cursor.seek(at)? && cursor.value() == b"lost");
            cursors.push(cursor);
        }
    }
    lose_a_sync(&db, &sim);
    for (n, cursor) in cursors.iter_mut().enumerate() {
        assert!(cursor.refresh()?);
        let stands_at = if n < 2 { key(3) } else { key(4) };
        assert_eq!((cursor.key(), cursor.value()), (stands_at.as_bytes(), &[b'v'; 100][..]), "cursor {n}");
    }
    Ok(())
}

#[test]
fn every_later_write_says_what_the_disk_said() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim).sync_interval(Duration::from_secs(3600)).open()?;
    let family = db.column_family("f")?;
    fill(&db, 0, 10)?;
    let first = lose_a_sync(&db, &sim).to_string();
    assert!(first.contains("cannot sync") && first.contains(".log"), "{first}");
    let mut batch = WriteBatch::new();
    batch.delete(&family, "k");
    let answers = [
        db.put("k", "v"),
        db.delete("k"),
        family.put("k", "v"),
        db.write(batch.clone(), Durability::None),
        db.commit(batch, Durability::Sync).map(drop),
        db.flush(),
        db.compact(),
        db.create_column_family("g", Default::default()).map(drop),
        db.drop_column_family("f"),
        db.sync(),
        db.wait_durable(db.durable_seq() + 1).and(Err(Error::Closed)),
    ];
    for (at, answer) in answers.into_iter().take(10).enumerate() {
        let said = answer.unwrap_err().to_string();
        assert!(said.contains(&first), "answer {at} is {said}");
    }
    assert_eq!(db.health().poisoned.as_deref(), Some(first.as_str()));
    let (sender, receiver) = std::sync::mpsc::channel();
    db.on_durable(db.durable_seq() + 1, move |result| drop(sender.send(result)));
    assert!(receiver.recv().unwrap().is_err());
    let closed = db.close().unwrap_err().to_string();
    assert!(closed.contains(&first), "{closed}");
    Ok(())
}
