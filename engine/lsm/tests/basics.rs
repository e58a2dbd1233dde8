//! The engine as a program that links it meets it.

use esker::{Db, Durability, Error, FamilyOptions, Result, WriteBatch};
use std::time::{Duration, Instant};

fn small(dir: &std::path::Path) -> esker::Builder {
    Db::builder(dir)
        .memory_budget(4 << 20)
        .memtable_bytes(16 << 10)
        .target_file_bytes(16 << 10)
        .level_base_bytes(64 << 10)
        .wal_segment_bytes(64 << 10)
        .default_durability(Durability::Os)
}

fn key(i: u32) -> String {
    format!("user{i:012}")
}

#[test]
fn what_was_written_is_read_back_after_many_flushes_compactions_and_a_reopen() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let db = small(&path).open()?;
    for round in 0..3u32 {
        for i in 0..5_000 {
            db.put(key(i * 7919 % 5_000), format!("{round}-{i}-{}", "x".repeat(60)))?;
        }
    }
    for i in (0..5_000).step_by(3) {
        db.delete(key(i))?;
    }
    let check = |db: &Db| -> Result<()> {
        for i in 0..5_000 {
            assert_eq!(db.contains_key(key(i))?, i % 3 != 0, "{i}");
        }
        let forward: Vec<_> = db.iter()?.collect::<Result<_>>()?;
        let mut backward: Vec<_> = db.iter()?.rev().collect::<Result<_>>()?;
        backward.reverse();
        assert_eq!(forward.len(), 5_000 - 1_667);
        assert_eq!(forward, backward);
        assert!(db.verify()?.problems.is_empty());
        Ok(())
    };
    check(&db)?;
    db.flush()?;
    check(&db)?;
    let stats = db.stats();
    assert!(stats.flushes > 10 && stats.compactions > 0, "{stats:?}");
    db.compact()?;
    check(&db)?;
    let stats = db.stats();
    let deletions: u64 = stats.families[0].levels.iter().map(|l| l.deletions).sum();
    assert_eq!(deletions, 0, "{stats:?}");
    db.close()?;
    let db = small(&path).open()?;
    assert!(db.recovery().clean);
    check(&db)?;
    db.close()
}

#[test]
fn handles_of_a_closed_store_and_a_dropped_family_say_so() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("data"))?;
    let family = db.create_column_family("f", FamilyOptions::default())?;
    family.put("k", "v")?;
    db.drop_column_family("f")?;
    assert!(matches!(family.get("k"), Err(Error::FamilyDropped { .. })));
    assert!(matches!(family.put("k", "v"), Err(Error::FamilyDropped { .. })));
    let mut batch = WriteBatch::new();
    batch.put(&db, "a", "b").put(&family, "a", "b");
    assert!(matches!(db.write(batch, Durability::Os), Err(Error::FamilyDropped { .. })));
    assert!(!db.contains_key("a")?);
    let clone = db.clone();
    let locked = Db::open(dir.path().join("data"));
    assert!(matches!(locked, Err(Error::Locked { .. })), "{locked:?}");
    db.close()?;
    assert!(matches!(clone.get("a"), Err(Error::Closed)));
    assert!(matches!(clone.put("a", "b"), Err(Error::Closed)));
    Ok(())
}

#[test]
fn threads_write_with_every_durability_and_nothing_is_missing() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let db = small(&path).open()?;
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let db = &db;
            scope.spawn(move || {
                for i in 0..500 {
                    let durability = [Durability::Sync, Durability::Os, Durability::None][(i % 3) as usize];
                    let mut batch = WriteBatch::new();
                    batch.put(db, key(thread * 1_000 + i), "v".repeat(100));
                    db.write(batch, durability).unwrap();
                }
            });
        }
    });
    db.close()?;
    let db = small(&path).open()?;
    assert_eq!(db.iter()?.count(), 2_000);
    Ok(())
}

#[test]
fn entries_expire_for_reads_iterators_and_compactions_but_not_for_snapshots() -> Result<()> {
    use esker::base::clock::{Clock, ManualClock};
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(1_000_000);
    let db = Db::builder(dir.path().join("data")).clock(Clock::Manual(clock.clone())).open()?;
    db.put("k", "old")?;
    db.put_with_ttl("k", "new", Duration::from_secs(10))?;
    db.put_with_ttl("other", "v", Duration::from_secs(10))?;
    let snapshot = db.snapshot();
    assert_eq!(db.get("k")?.unwrap(), "new");
    clock.advance(Duration::from_secs(10));
    assert!(db.get("k")?.is_none());
    assert_eq!(db.iter()?.count(), 0);
    db.compact()?;
    assert_eq!(snapshot.get(&db, "k")?.unwrap(), "new");
    assert_eq!(snapshot.iter(&db)?.count(), 2);
    drop(snapshot);
    db.compact()?;
    assert!(db.get("k")?.is_none());
    let entries: u64 = db.stats().families[0].levels.iter().map(|l| l.entries).sum();
    assert_eq!(entries, 0, "{:?}", db.stats());
    Ok(())
}

#[test]
fn handles_can_be_sent_and_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<Db>();
    shared::<esker::ColumnFamily>();
    shared::<esker::Snapshot>();
    shared::<esker::Slice>();
    shared::<WriteBatch>();
    shared::<Error>();
    sent::<esker::Iter>();
}

#[test]
fn the_choice_of_a_prefix_is_not_to_be_seen() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let db = Db::open(&path)?;
    let unlogged = db.column_family("unlogged")?;
    let odd = db.column_family("odd keys")?;
    let put = |db: &Db, family: &esker::ColumnFamily, key: String| {
        let mut batch = WriteBatch::new();
        batch.put(family, key, "v");
        db.write(batch, Durability::Os)
    };
    let mut views = Vec::new();
    for i in 0..600u32 {
        put(&db, &db, key(i))?;
        let mut batch = WriteBatch::new();
        batch.put(&unlogged, key(i), "u").delete(&unlogged, key(i / 2));
        db.write(batch, Durability::None)?;
        // Once the prefix is chosen, keys come that do not have it.
        put(&db, &odd, if i < 300 { key(i) } else { format!("{i}") })?;
        views.push((i as usize + 1, db.snapshot(), odd.iter()?));
    }
    for (count, snapshot, iter) in views {
        assert_eq!(snapshot.iter(&db)?.count(), count);
        assert_eq!(snapshot.iter(&odd)?.rev().count(), count);
        assert_eq!(iter.count(), count);
    }
    let live = (0..600).filter(|i| *i > 299).count();
    assert_eq!(unlogged.iter()?.count(), live);
    db.close()?;
    drop((unlogged, odd));
    let db = Db::open(&path)?;
    let count = |name: &str| Ok::<_, Error>(db.column_family(name)?.iter()?.count());
    assert_eq!((db.iter()?.count(), count("unlogged")?, count("odd keys")?), (600, live, 600));
    assert_eq!(db.get(key(599))?.unwrap(), b"v");
    Ok(())
}

/// Values of 64 KiB to 512 KiB, early in a memtable, once overran its memory.
#[test]
fn values_of_every_size_are_kept() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let sizes: std::collections::BTreeSet<usize> =
        (0..=22u32).flat_map(|power| [(1usize << power) - 1, 1 << power, (1 << power) + 1]).collect();
    let check = |db: &Db| -> Result<()> {
        for size in &sizes {
            let value = db.get(format!("{size}"))?.unwrap();
            assert!(value.len() == *size && value.iter().all(|byte| *byte == *size as u8), "{size}");
        }
        Ok(())
    };
    for size in &sizes {
        // Each in a store of its own, and in one with all the others.
        let alone = Db::open(dir.path().join(format!("{size}")))?;
        let mut batch = WriteBatch::new();
        batch.put(&alone, "k", vec![*size as u8; *size]);
        alone.write(batch, Durability::Os)?;
        assert_eq!(alone.size_of("k")?, Some(*size));
        drop(alone);
        std::fs::remove_dir_all(dir.path().join(format!("{size}"))).unwrap();
    }
    let db = Db::builder(&path).default_durability(Durability::Os).open()?;
    for size in &sizes {
        db.put(format!("{size}"), vec![*size as u8; *size])?;
    }
    let long_key = vec![b'k'; 128 << 10];
    db.put(&long_key, "v")?;
    check(&db)?;
    db.flush()?;
    check(&db)?;
    db.compact()?;
    drop(db);
    let db = Db::open(&path)?;
    check(&db)?;
    assert_eq!(db.get(&long_key)?.unwrap(), b"v");
    assert_eq!(db.iter()?.rev().count(), sizes.len() + 1);
    assert!(db.verify()?.problems.is_empty());
    db.close()
}

/// A compaction that a user asked for once went on behind a close, beside the store's next owner.
#[test]
fn a_close_waits_for_compactions_on_other_threads() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    for round in 0..5u32 {
        let db = small(&path).open()?;
        for i in 0..2_000 {
            db.put(key(i), format!("{round}-{}", "x".repeat(100)))?;
        }
        std::thread::scope(|scope| -> Result<()> {
            let other = db.clone();
            let compacting = scope.spawn(move || while other.compact().is_ok() {});
            db.clone().close()?;
            let next = small(&path).open()?;
            compacting.join().unwrap();
            assert!(next.verify()?.problems.is_empty());
            assert_eq!(next.iter()?.count(), 2_000);
            next.close()
        })?;
    }
    Ok(())
}

/// The last handle may go inside a callback, and a callback may panic.
#[test]
fn callbacks_may_drop_the_store_and_may_panic() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let db = small(&path).open()?;
    let mut batch = WriteBatch::new();
    batch.put(&db, "k", "v");
    let ticket = db.commit(batch, Durability::Os)?;
    let (sender, receiver) = std::sync::mpsc::channel();
    db.on_durable(ticket.seq(), |_| panic!("a planted panic"));
    let last = db.clone();
    db.on_durable(ticket.seq(), move |result| {
        drop(last);
        sender.send(result.is_ok()).unwrap();
    });
    drop(db);
    assert!(receiver.recv().unwrap());
    let db = loop {
        match small(&path).open() {
            Err(Error::Locked { .. }) => std::thread::yield_now(),
            opened => break opened?,
        }
    };
    assert_eq!(db.get("k")?.unwrap(), "v");
    db.close()
}

/// What a waker keeps alive may be the last handle: the thread that syncs wakes it, and must not close the
/// store.
#[test]
fn a_waker_may_hold_the_last_handle_and_may_panic() -> Result<()> {
    struct Holds(std::sync::mpsc::SyncSender<()>, #[expect(dead_code, reason = "held")] Db);
    impl std::task::Wake for Holds {
        fn wake(self: std::sync::Arc<Self>) {
            unreachable!("whoever syncs keeps it");
        }
        fn wake_by_ref(self: &std::sync::Arc<Self>) {
            self.0.send(()).unwrap();
            panic!("a planted panic");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let db = small(&path).sync_interval(Duration::from_millis(20)).open()?;
    let mut batch = WriteBatch::new();
    batch.put(&db, "k", "v");
    let ticket = db.commit(batch, Durability::Os)?;
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let waker = std::sync::Arc::new(Holds(sender, db.clone())).into();
    let pending = db.poll_durable(ticket.seq(), &mut std::task::Context::from_waker(&waker)).is_pending();
    drop((db, waker));
    if pending {
        receiver.recv().unwrap();
    }
    let db = loop {
        match small(&path).open() {
            Err(Error::Locked { .. }) => std::thread::yield_now(),
            opened => break opened?,
        }
    };
    assert_eq!(db.get("k")?.unwrap(), "v");
    db.close()
}

/// Two tables in level 0 are no compaction's business; when nobody writes any more they become one run.
#[test]
fn while_nobody_writes_the_runs_become_one() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder(dir.path().join("data")).default_durability(Durability::Os).open().unwrap();
    for round in 0..2u8 {
        for key in 0..200u8 {
            db.put([key], [round; 40]).unwrap();
        }
        db.flush().unwrap();
    }
    let runs = || {
        let levels = db.stats().families.remove(0).levels;
        levels[0].files + levels[1..].iter().filter(|level| level.files > 0).count() as u64
    };
    let until = Instant::now() + Duration::from_secs(30);
    while runs() != 1 {
        assert!(Instant::now() < until, "there are still {} runs", runs());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(db.iter().unwrap().count(), 200);
    assert_eq!(db.get([7]).unwrap().unwrap(), [1; 40]);
    db.close().unwrap();
}
