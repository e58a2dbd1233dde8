//! Separated values together with the change feed, prepared transactions and followers.

use crate::store::{FROM, Rig, blob_files, builder, key, settle, value};
use esker::{Db, Durability, FeedOptions, Operation, Result, Slice, TransactionOptions, WriteBatch};
use std::time::Duration;

const BYTES: usize = 3000;

/// Everything that was written since a position, in order: keys and values.
fn changes(db: &Db, from: esker::Position) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut feed = db.changes(from)?;
    let mut all = Vec::new();
    while let Some(batch) = feed.next_batch()? {
        let mut operations = batch.operations();
        while let Some(change) = operations.next()? {
            match change.operation {
                Operation::Put { key, value, .. } => all.push((key.to_vec(), value.to_vec())),
                other => panic!("{other:?}"),
            }
        }
    }
    Ok(all)
}

/// The log holds values whole. What it keeps for readers of changes is read whatever became of the tables:
/// flushed, collected, and reopened.
#[test]
fn the_feed_shows_values_whole_whatever_became_of_them_in_the_tables() -> Result<()> {
    let feed =
        FeedOptions { keep_bytes: 1 << 30, keep_age: Duration::from_secs(1 << 20), ..Default::default() };
    let rig = Rig::new();
    let open = || builder(&rig.disk, &rig.clock).feed(feed).open();
    let mut db = open()?;
    let start = db.feed_start()?;
    let mut expected = Vec::new();
    for turn in 0..4 {
        for group in 0..10 {
            let mut batch = WriteBatch::new();
            for i in group * 4..group * 4 + 4 {
                // On both sides of the threshold, and one that no buffer of the feed holds.
                let bytes = [FROM - 1, FROM, BYTES, 300 << 10][(i % 4) as usize];
                batch.put(&db, key(i), value(i, turn, bytes));
                expected.push((key(i).into_bytes(), value(i, turn, bytes)));
            }
            db.write(batch, Durability::Sync)?;
        }
        db.compact()?;
        settle(&db)?;
        assert_eq!(changes(&db, start)?, expected, "turn {turn}");
        if turn == 1 {
            db.close()?;
            db = open()?;
        }
    }
    assert!(!blob_files(&rig.disk).is_empty() && db.verify()?.problems.is_empty());
    db.close()
}

/// Prepared writes stand whole where they are kept, whatever its family does with large values, and are
/// separated like any when they have been committed.
#[test]
fn large_writes_are_prepared_kept_over_a_kill_and_separated_once_committed() -> Result<()> {
    for collected in [false, true] {
        let rig = Rig::new();
        let db = rig.open()?;
        (0..20).try_for_each(|i| db.put(key(i), value(i, 0, BYTES)))?;
        db.flush()?;
        let mut transaction = db.begin(TransactionOptions::default())?;
        for i in 0..20 {
            assert_eq!(transaction.get(&db, key(i))?.unwrap(), value(i, 0, BYTES));
            transaction.put(&db, key(i), value(i, 1, BYTES))?;
        }
        assert_eq!(transaction.get(&db, key(7))?.unwrap(), value(7, 1, BYTES), "its own write");
        transaction.prepare("large", Durability::Sync)?;
        if collected {
            // What is prepared goes to a table, too, and is compacted with the rest.
            (100..140).try_for_each(|i| db.put(key(i), value(i, 0, BYTES)))?;
            db.compact()?;
            settle(&db)?;
        }
        db.sync()?;
        let left = Rig { disk: rig.disk.kill_image(), clock: rig.clock.clone() };
        let db = left.open()?;
        assert_eq!(db.prepared().len(), 1);
        assert_eq!(db.get(key(7))?.unwrap(), value(7, 0, BYTES), "not committed yet");
        assert!(db.verify()?.problems.is_empty());
        db.commit_prepared("large", Durability::Sync)?;
        let check = |db: &Db| -> Result<()> {
            for i in 0..20 {
                assert_eq!(db.get(key(i))?.unwrap(), value(i, 1, BYTES), "collected: {collected}");
            }
            Ok(())
        };
        check(&db)?;
        db.compact()?;
        settle(&db)?;
        let place = db.explain(key(7))?.places.into_iter().find_map(|place| place.entry).unwrap();
        assert!(place.apart.is_some(), "{place:?}");
        check(&db)?;
        assert!(db.prepared().is_empty() && db.verify()?.problems.is_empty());
        db.close()?;
        let db = left.open()?;
        check(&db)?;
        db.close()?;
    }
    Ok(())
}

fn shown(view: &esker::ReadOnlyDb) -> Result<Vec<(Slice, Slice)>> {
    view.iter().collect()
}

/// A view that is held reads from blob files that the writer has collected and removed; the next view reads
/// from those that have taken their place.
#[test]
fn a_follower_reads_on_while_the_writer_collects_what_it_shows() -> Result<()> {
    const KEYS: u64 = 60;
    let rig = Rig::new();
    let db = rig.open()?;
    (0..KEYS).try_for_each(|i| db.put(key(i), value(i, 0, BYTES)))?;
    db.compact()?;
    settle(&db)?;
    // Most of its files have a descriptor of their own, and few others stay open.
    let follower = builder(&rig.disk, &rig.clock).max_open_files(16).follow()?;
    let mut held = Vec::new();
    let mut collected = 0;
    for turn in 1..6 {
        let view = follower.view();
        held.push((turn - 1, view));
        let before = blob_files(&rig.disk);
        (0..KEYS)
            .filter(|i| !(i + turn).is_multiple_of(3))
            .try_for_each(|i| db.put(key(i), value(i, turn, BYTES)))?;
        // A catch-up amid it, then one behind what was collected.
        follower.catch_up()?;
        db.compact()?;
        settle(&db)?;
        let now = blob_files(&rig.disk);
        collected += before.iter().filter(|path| !now.contains(path)).count();
        let reached = follower.catch_up()?;
        assert_eq!(reached.seq, db.stats().visible_seq);
        // Which value each key has after a turn: the last of the turns that wrote it.
        let written = |i: u64, upto: u64| (1..=upto).rev().find(|t| !(i + t).is_multiple_of(3)).unwrap_or(0);
        let check = |view: &esker::ReadOnlyDb, upto: u64| -> Result<()> {
            let all = shown(view)?;
            assert_eq!(all.len() as u64, KEYS);
            for (i, (name, found)) in (0..KEYS).zip(&all) {
                assert_eq!(
                    (&name[..], &found[..]),
                    (key(i).as_bytes(), &value(i, written(i, upto), BYTES)[..])
                );
                assert_eq!(view.get(key(i))?.as_ref(), Some(found));
            }
            Ok(())
        };
        check(&follower.view(), turn)?;
        for (upto, view) in &held {
            check(view, *upto)?;
        }
        assert_eq!(follower.stats().blobs, db.stats().families[0].blobs);
    }
    assert!(collected >= 5, "{collected} blob files have gone under the follower");
    assert!(follower.stats().failures == 0 && db.verify()?.problems.is_empty());
    drop((held, follower));
    db.close()
}
