//! What memory a store says that it holds.

use super::store::{builder, filled, key};
use esker::base::clock::ManualClock;
use esker::{Db, FamilyMemory, MemoryReport, Result};

fn part(report: &MemoryReport, name: &str) -> u64 {
    report.parts().iter().find(|part| part.name == name).unwrap().bytes
}

fn family<'r>(report: &'r MemoryReport, name: &str) -> &'r FamilyMemory {
    report.families.iter().find(|family| family.name == name).unwrap()
}

fn check_sums(db: &Db) -> MemoryReport {
    let report = db.memory_report();
    let families: u64 = report.families.iter().map(FamilyMemory::total_bytes).sum();
    let beside = report.cache_bytes + report.reader_bytes + report.recent_writes_bytes + report.lock_bytes;
    let beside = beside + report.spare_bytes;
    let all = families + beside + report.value_bytes + report.log_buffer_bytes + report.event_bytes;
    assert_eq!(report.total_bytes(), all, "{report}");
    assert_eq!(db.stats().memory_bytes, all);
    report
}

#[test]
fn memtables_count_as_active_then_as_sealed_or_held_and_then_not_at_all() -> Result<()> {
    let db = builder(&ManualClock::new(1)).deterministic(1).open()?;
    let other = db.column_family("other")?;
    for i in 0..1_000 {
        db.put(key(i), [b'v'; 100])?;
        other.put(key(i), [b'v'; 10])?;
    }
    let report = check_sums(&db);
    let (large, small) = (family(&report, "default").active_bytes, family(&report, "other").active_bytes);
    assert!(large > 100_000 && small > 10_000 && large > small, "{report}");
    assert_eq!(part(&report, "active_memtables"), large + small);
    assert!(report.active_budget_bytes > large && part(&report, "sealed_memtables") == 0);
    assert!(report.log_buffer_bytes > 0);

    // An iterator holds what is flushed, and so does another one: it counts once.
    let (one, two) = (other.iter()?, other.iter()?);
    db.flush()?;
    let report = check_sums(&db);
    assert_eq!(family(&report, "other").held_bytes, small, "{report}");
    assert_eq!((part(&report, "held_memtables"), report.readers), (small, 2));
    db.drop_column_family("other")?;
    let report = check_sums(&db);
    assert!(family(&report, "other").dropped && part(&report, "held_memtables") == small, "{report}");
    drop((one, two));
    let report = check_sums(&db);
    assert_eq!((part(&report, "held_memtables"), report.families.len(), report.readers), (0, 1, 0));
    Ok(())
}

#[test]
fn blocks_count_in_the_cache_or_with_their_readers_but_not_twice() -> Result<()> {
    let (db, _) = filled(20_000)?;
    let before = check_sums(&db);
    assert!(family(&before, "default").table_bytes > 10_000, "{before}");
    assert_eq!(before.open_files, 1);
    let values: Vec<_> = (0..20_000).step_by(2).map(|i| db.get(key(i))).collect::<Result<_>>()?;
    let cached = check_sums(&db);
    assert!(cached.cache_bytes > 1 << 20 && cached.cache_bytes <= cached.cache_budget_bytes);
    assert!(cached.reader_bytes < 1 << 10, "what is in the cache is counted there: {cached}");
    // The table goes, and with it what the cache has of it; the values stay.
    db.put(key(1), b"v")?;
    db.compact()?;
    let held = check_sums(&db);
    assert!(held.reader_bytes > 1 << 20 && held.cache_bytes < cached.cache_bytes, "{held}");
    drop(values);
    let after = check_sums(&db);
    assert!(after.reader_bytes < 1 << 10, "{after}");
    Ok(())
}

#[test]
fn what_transactions_lock_and_rely_on_counts() -> Result<()> {
    let (db, _) = filled(100)?;
    let before = check_sums(&db);
    assert_eq!((before.lock_bytes, before.recent_writes_bytes), (0, 0));
    let options = esker::TransactionOptions { locking: esker::Locking::Pessimistic, ..Default::default() };
    let mut transaction = db.begin(options)?;
    transaction.put(&db, [b'k'; 1_000], b"v")?;
    db.put([b'x'; 1_000], b"v")?;
    let during = check_sums(&db);
    assert!(during.lock_bytes > 1_000 && during.recent_writes_bytes > 1_000, "{during}");
    assert!(during.to_string().contains("locks"));
    drop(transaction);
    let after = check_sums(&db);
    assert_eq!((after.lock_bytes, after.recent_writes_bytes), (0, 0));
    Ok(())
}
