//! Cursors and iterators as a program that links the engine meets them.

use esker::base::random::Random;
use esker::fs::sim::{Fault, OperationKind};
use esker::fs::{Fs, SimFs};
use esker::{Db, Durability, Error, PinKind, Result, ScanOptions};
use std::collections::BTreeMap;
use std::ops::Bound;

fn small(sim: &SimFs) -> Result<Db> {
    Db::builder("/db")
        .fs(Fs::Sim(sim.clone()))
        .deterministic(5)
        .memory_budget(1 << 20)
        .memtable_bytes(8 << 10)
        .target_file_bytes(8 << 10)
        .level_base_bytes(16 << 10)
        .reserve_bytes(0)
        .default_durability(Durability::Os)
        .open()
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Random writes and deletions, to the store and to a map.
fn churn(db: &Db, model: &mut Model, random: &Random, count: u32) -> Result<()> {
    for i in 0..count {
        let key = format!("{:03}", random.below(300)).into_bytes();
        if random.below(3) == 0 {
            db.delete(&key)?;
            model.remove(&key);
        } else {
            let value = format!("{i}-{}", "v".repeat(random.below(60) as usize)).into_bytes();
            db.put(&key, &value)?;
            model.insert(key, value);
        }
    }
    Ok(())
}

#[test]
fn a_cursor_moves_as_one_over_a_sorted_map_does() -> Result<()> {
    let (sim, random) = (SimFs::new(), Random::seeded(11));
    let db = small(&sim)?;
    let mut model = Model::new();
    for round in 0..12 {
        churn(&db, &mut model, &random, 400)?;
        let (from, to) = (random.below(200), random.below(300));
        let (from, to) = (format!("{from:03}").into_bytes(), format!("{to:03}").into_bytes());
        let range = if round % 3 == 0 || from > to { Vec::new()..vec![0xff] } else { from..to };
        let entries: Vec<_> = model.range(range.clone()).collect();
        let mut cursor = db.cursor(ScanOptions::range(range))?;
        // Where the cursor should stand; `None` for nowhere.
        let mut at: Option<usize> = None;
        for _ in 0..300 {
            let key = format!("{:03}", random.below(310)).into_bytes();
            let found = match random.below(8) {
                0 => {
                    at = (!entries.is_empty()).then_some(0);
                    cursor.seek_to_first()?
                }
                1 => {
                    at = entries.len().checked_sub(1);
                    cursor.seek_to_last()?
                }
                2 => {
                    let place = entries.partition_point(|(k, _)| **k < key);
                    at = (place < entries.len()).then_some(place);
                    cursor.seek(&key)?
                }
                3 => {
                    at = entries.partition_point(|(k, _)| **k <= key).checked_sub(1);
                    cursor.seek_for_prev(&key)?
                }
                4 | 5 => {
                    at = at.map(|at| at + 1).filter(|at| *at < entries.len());
                    cursor.next()?
                }
                _ => {
                    at = at.and_then(|at| at.checked_sub(1));
                    cursor.prev()?
                }
            };
            assert_eq!((found, cursor.valid()), (at.is_some(), at.is_some()));
            let (key, value) = at.map_or((&b""[..], &b""[..]), |at| (entries[at].0, entries[at].1));
            assert_eq!((cursor.key(), cursor.value()), (key, value));
        }
    }
    Ok(())
}

#[test]
fn a_cursor_that_is_refreshed_shows_what_one_made_anew_would() -> Result<()> {
    let (sim, random) = (SimFs::new(), Random::seeded(12));
    let db = small(&sim)?;
    let mut model = Model::new();
    // On an empty store the memtable is no run of the cursor's yet.
    let mut cursor = db.cursor(ScanOptions::default())?;
    assert!(!cursor.seek_to_first()?);
    for round in 0..60 {
        let stood = cursor.valid().then(|| cursor.key().to_vec());
        churn(&db, &mut model, &random, if round % 5 == 0 { 200 } else { 3 })?;
        let found = cursor.refresh()?;
        let expected = stood.and_then(|key| model.range(key..).next());
        assert_eq!(found, expected.is_some());
        assert_eq!(found.then(|| cursor.key()), expected.map(|(key, _)| key.as_slice()));
        let mut all = Model::new();
        let mut more = cursor.seek_to_first()?;
        while more {
            all.insert(cursor.key().to_vec(), cursor.value().to_vec());
            more = cursor.next()?;
        }
        assert_eq!(all, model);
        cursor.seek(format!("{:03}", random.below(300)))?;
    }
    let snapshot = db.snapshot();
    let mut frozen = snapshot.cursor(&db, ScanOptions::default())?;
    db.put("0", "new")?;
    frozen.refresh()?;
    assert!(frozen.seek_to_first()? && frozen.key() != b"0", "a snapshot does not move on");
    Ok(())
}

/// A store of five hundred entries in tables, with nothing in its cache.
fn cold() -> Result<(SimFs, Db)> {
    let sim = SimFs::new();
    let db = small(&sim)?;
    for i in 0..500 {
        db.put(format!("{i:04}"), "v".repeat(100))?;
    }
    db.compact()?;
    db.close()?;
    let db = small(&sim)?;
    Ok((sim, db))
}

#[test]
fn options_leave_out_values_and_spare_the_cache() -> Result<()> {
    let (_, db) = cold()?;
    let cold = db.stats().cache_bytes;
    let options = ScanOptions::prefix("00").keys_only().without_cache().read_ahead(64 << 10);
    let mut cursor = db.cursor(options.clone())?;
    let mut keys = 0;
    let mut more = cursor.seek_to_first()?;
    while more {
        assert!(cursor.value().is_empty() && cursor.value_slice().is_empty());
        keys += 1;
        more = cursor.next()?;
    }
    assert_eq!((keys, db.scan(options)?.count()), (100, 100));
    assert_eq!(db.stats().cache_bytes, cold, "nothing was left in the cache");
    let open = ScanOptions::range::<&[u8], _>((Bound::Excluded(&b"0010"[..]), Bound::Unbounded));
    assert_eq!(db.scan(open)?.count(), 489);
    assert!(db.stats().cache_bytes > cold);
    Ok(())
}

#[test]
fn an_error_ends_a_cursor_for_good() -> Result<()> {
    let (sim, db) = cold()?;
    let mut cursor = db.cursor(ScanOptions::default().without_cache())?;
    assert!(cursor.seek_to_first()?);
    sim.set_fault(Box::new(|operation| (operation.kind == OperationKind::Read).then_some(Fault::EIO)));
    let failed = loop {
        match cursor.next() {
            Ok(more) => assert!(more),
            Err(error) => break error,
        }
    };
    sim.clear_fault();
    assert!(matches!(failed, Error::Io(_)), "{failed}");
    assert!(!cursor.valid());
    assert!(cursor.next().is_err() && cursor.prev().is_err() && cursor.seek("0").is_err());
    assert!(cursor.seek_to_first().is_err() && cursor.refresh().is_err());
    assert!(db.cursor(ScanOptions::default())?.seek_to_first()?, "a new one reads on");
    Ok(())
}

#[test]
fn what_iterators_hold_is_listed_with_its_bytes() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim)?;
    let other = db.column_family("other")?;
    for i in 0..300 {
        other.put(format!("{i:04}"), "v".repeat(100))?;
    }
    db.compact()?;
    let iter = other.iter()?;
    assert_eq!(db.pins()[0].held_bytes, 0, "it holds what is in use anyway");
    for i in 0..300 {
        other.put(format!("{i:04}"), "w".repeat(100))?;
    }
    db.compact()?;
    let pins = db.pins();
    assert_eq!((pins.len(), pins[0].kind, pins[0].family.as_deref()), (1, PinKind::Iterator, Some("other")));
    assert!(pins[0].held_bytes > 1_000, "{pins:?}");
    let mut cursor = other.cursor(ScanOptions::default())?;
    assert_eq!(db.pins().len(), 2);
    cursor.refresh()?;
    drop((iter, cursor));
    assert!(db.pins().is_empty());
    Ok(())
}

/// After compaction had its chance, a range that was deleted key by key is crossed at the cost of a
/// range without anything in it.
#[test]
fn a_range_full_of_deletions_costs_no_more_than_three_times_a_clean_one() -> Result<()> {
    let sim = SimFs::new();
    let db = small(&sim)?;
    for i in 0..20_000 {
        db.put(format!("{i:06}"), "v".repeat(20))?;
    }
    db.compact()?;
    let blocks = |from: u32, to: u32| -> Result<(u64, usize)> {
        let looked = |db: &Db| db.stats().cache_hits + db.stats().cache_misses;
        let before = looked(&db);
        let count = db.range(format!("{from:06}")..format!("{to:06}"))?.count();
        Ok((looked(&db) - before, count))
    };
    let (clean, count) = blocks(1_000, 2_000)?;
    assert_eq!(count, 1_000);
    for i in 2_000..18_000 {
        db.delete(format!("{i:06}"))?;
    }
    // Nobody asks for a compaction: the background finds it worth its while.
    db.flush()?;
    for _ in 0..2_000 {
        db.contains_key("nothing")?;
    }
    let (crossed, count) = blocks(1_500, 18_500)?;
    assert_eq!(count, 1_000);
    assert!(crossed <= clean * 3, "{crossed} blocks where a clean range of as many entries takes {clean}");
    Ok(())
}
