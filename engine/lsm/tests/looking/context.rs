//! What reads cost.

use crate::store::{START_MS, builder, filled, key};
use esker::base::clock::ManualClock;
use esker::hooks::Append;
use esker::{ReadContext, Result, ScanOptions};
use std::time::Duration;

#[test]
fn a_get_tells_tables_filters_and_blocks() -> Result<()> {
    let (db, _) = filled(10_000)?;
    let cost = |key: &str| {
        let mut context = ReadContext::default();
        let found = db.get_with_context(key, &mut context).unwrap();
        assert_eq!(found, db.get(key).unwrap());
        (found.is_some(), context)
    };
    let (found, cold) = cost(&key(5_000));
    assert!(found);
    assert_eq!((cold.memtables, cold.tables, cold.deepest_level), (0, 1, 6));
    assert_eq!((cold.filter_checks, cold.filter_negatives, cold.filter_false_positives), (1, 0, 0));
    assert_eq!((cold.blocks_cached, cold.blocks_read), (0, 1));
    assert!(cold.bytes_read > 0 && cold.bytes_uncompressed > cold.bytes_read, "{cold:?}");
    let (_, warm) = cost(&key(5_000));
    assert_eq!((warm.blocks_cached, warm.blocks_read, warm.bytes_read), (1, 0, 0));
    // Between two keys the filter mostly knows; where it does not, a block was searched in vain.
    let mut all = ReadContext::default();
    for i in (1..2_000).step_by(2) {
        let (found, context) = cost(&key(i));
        assert!(!found);
        assert_eq!(context.filter_negatives + context.filter_false_positives, 1, "{context:?}");
        assert_eq!(context.blocks_cached + context.blocks_read, context.filter_false_positives);
        all += context;
    }
    assert!(all.filter_checks == 1_000 && all.filter_negatives > 900, "{all:?}");
    // Outside of all tables nothing is looked into.
    assert_eq!(cost("a").1, ReadContext::default());
    assert!(all.to_string().contains(&format!("filters said no {} times of 1000", all.filter_negatives)));
    Ok(())
}

#[test]
fn a_get_tells_what_hides_a_value() -> Result<()> {
    let (db, clock) = filled(100)?;
    let hidden = |key: &str| {
        let mut context = ReadContext::default();
        let found = db.get_with_context(key, &mut context).unwrap();
        (found.is_some(), context.memtables, context.tables, context.entries_hidden)
    };
    assert_eq!(hidden(&key(2)), (true, 0, 1, 0));
    db.delete(key(2))?;
    assert_eq!(hidden(&key(2)), (false, 1, 0, 1), "a deletion in the memtable");
    db.delete_range(key(4)..key(8))?;
    assert_eq!(hidden(&key(4)), (false, 1, 1, 1), "a deleted range");
    db.put_with_ttl("session", "v", Duration::from_secs(1))?;
    assert_eq!(hidden("session"), (true, 1, 0, 0));
    clock.advance(Duration::from_secs(2));
    assert_eq!(hidden("session"), (false, 1, 0, 1), "expired");
    Ok(())
}

#[test]
fn operands_and_the_walk_that_gathers_them_count() -> Result<()> {
    let clock = ManualClock::new(START_MS);
    let db = builder(&clock).merge_operator("default", Append::new()).open()?;
    db.put("k", "a")?;
    db.compact()?;
    db.merge("k", "b")?;
    db.merge("k", "c")?;
    let mut context = ReadContext::default();
    assert_eq!(db.get_with_context("k", &mut context)?.unwrap(), b"abc");
    assert_eq!((context.operands, context.entries_hidden), (2, 1), "{context:?}");
    assert_eq!((context.tables, context.blocks_read), (1, 1), "{context:?}");
    let snapshot = db.snapshot();
    let mut again = ReadContext::default();
    assert_eq!(snapshot.get_with_context(&db, "k", &mut again)?.unwrap(), b"abc");
    assert_eq!((again.operands, again.blocks_cached), (2, 1));
    let mut walk = db.scan(ScanOptions::default().with_context())?;
    assert_eq!(walk.by_ref().count(), 1);
    assert_eq!(walk.context().unwrap().operands, 2);
    Ok(())
}

#[test]
fn walks_count_what_their_cursors_read() -> Result<()> {
    let (db, _) = filled(10_000)?;
    assert!(db.iter()?.context().is_none());
    let context = |options: ScanOptions, backward: bool| {
        let mut walk = db.scan(options.with_context()).unwrap();
        let count = if backward { walk.by_ref().rev().count() } else { walk.by_ref().count() };
        (count, walk.context().unwrap())
    };
    let (count, cold) = context(ScanOptions::default(), false);
    assert_eq!((count, cold.tables, cold.deepest_level, cold.entries_hidden), (5_000, 1, 6, 0));
    assert!(cold.blocks_read > 20 && cold.blocks_cached == 0 && cold.filter_checks == 0, "{cold:?}");
    let (_, warm) = context(ScanOptions::default(), true);
    assert_eq!((warm.blocks_cached, warm.blocks_read, warm.bytes_read), (cold.blocks_read, 0, 0));
    let some = ScanOptions::range(key(100)..key(200));
    assert!((1..=2).contains(&context(some, false).1.blocks_cached));
    // Deletions above: each hides a value.
    (0..100).step_by(2).try_for_each(|i| db.delete(key(i)))?;
    let (count, hidden) = context(ScanOptions::default(), false);
    assert_eq!((count, hidden.memtables, hidden.entries_hidden), (4_950, 1, 100));
    assert_eq!(context(ScanOptions::default(), true).1.entries_hidden, 100);
    Ok(())
}

#[test]
fn a_cursor_adds_up_over_all_that_it_does() -> Result<()> {
    let (db, _) = filled(10_000)?;
    let mut cursor = db.cursor(ScanOptions::default().with_context())?;
    let blocks = |cursor: &esker::Cursor| {
        let context = cursor.context().unwrap();
        context.blocks_read + context.blocks_cached
    };
    assert!(cursor.seek(key(0))? && cursor.seek(key(9_000))?);
    assert_eq!(blocks(&cursor), 2);
    db.put("last", "v")?;
    db.flush()?;
    cursor.refresh()?;
    assert!(cursor.seek("last")?);
    assert!(blocks(&cursor) > 2, "{:?}", cursor.context());
    assert!(db.cursor(ScanOptions::default())?.context().is_none());
    Ok(())
}
