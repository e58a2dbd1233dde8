//! A separated value is read in every way in which one beside its key is.

use crate::store::{FROM, Rig, blob_files, blobs, builder, key, settle, value};
use esker::base::random::Random;
use esker::hooks::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
use esker::{CompactionStyle, Cursor, Db, FamilyChanges, FamilyOptions, Fifo, Result, ScanOptions, Tiered};
use esker::{ReadContext, TransactionOptions, WriteBatch};
use std::collections::BTreeMap;
use std::time::Duration;

/// Sizes on both sides of the bound.
fn size(i: u64) -> usize {
    [10, FROM - 1, FROM, 700, 5000][i as usize % 5]
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn fill(db: &Db, keys: u64) -> Result<Entries> {
    let entry = |i| (key(i).into_bytes(), value(i, 0, size(i)));
    let entries: Entries = (0..keys).map(entry).collect();
    entries.iter().try_for_each(|(key, value)| db.put(key, value))?;
    Ok(entries)
}

fn owned(entry: Result<(esker::Slice, esker::Slice)>) -> Result<(Vec<u8>, Vec<u8>)> {
    entry.map(|(key, value)| (key.to_vec(), value.to_vec()))
}

fn walk(cursor: &mut Cursor, forward: bool) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut valid = if forward { cursor.seek_to_first()? } else { cursor.seek_to_last()? };
    while valid {
        assert_eq!(cursor.value(), &cursor.value_slice()[..]);
        found.push((cursor.key().to_vec(), cursor.value().to_vec()));
        valid = if forward { cursor.next()? } else { cursor.prev()? };
    }
    Ok(found)
}

/// Reads everything in every way.
fn check(db: &Db, entries: &Entries) -> Result<()> {
    let all: Vec<_> = entries.clone().into_iter().collect();
    assert_eq!(db.iter()?.map(owned).collect::<Result<Vec<_>>>()?, all);
    let mut back = db.iter()?.rev().map(owned).collect::<Result<Vec<_>>>()?;
    back.reverse();
    assert_eq!(back, all);
    assert_eq!(walk(&mut db.cursor(ScanOptions::default())?, true)?, all);
    let mut back = walk(&mut db.cursor(ScanOptions::default())?, false)?;
    back.reverse();
    assert_eq!(back, all);
    let keys: Vec<&Vec<u8>> = entries.keys().collect();
    for (got, (key, value)) in db.multi_get(&keys)?.iter().zip(entries) {
        assert_eq!(got.as_ref().map(|got| &got[..]), Some(&value[..]), "{}", key.escape_ascii());
    }
    for (key, value) in entries {
        assert_eq!(db.get(key)?.expect("a value"), *value);
        assert_eq!(db.get_with(key, |bytes| bytes == &value[..])?, Some(true));
        assert_eq!((db.size_of(key)?, db.contains_key(key)?), (Some(value.len()), true));
    }
    // Turning round amid the keys.
    let mut cursor = db.cursor(ScanOptions::default())?;
    for at in [1, entries.len() / 2, entries.len() - 2] {
        assert!(cursor.seek(&all[at].0)? && cursor.value() == &all[at].1[..]);
        assert!(cursor.next()? && cursor.value() == &all[at + 1].1[..]);
        assert!(cursor.prev()? && cursor.value() == &all[at].1[..]);
        assert!(cursor.prev()? && cursor.value() == &all[at - 1].1[..]);
        assert!(cursor.next()? && cursor.value() == &all[at].1[..]);
        assert!(cursor.seek_for_prev(&all[at].0)? && cursor.value() == &all[at].1[..]);
    }
    let problems = db.verify()?.problems;
    assert!(problems.is_empty(), "{problems:?}");
    Ok(())
}

#[test]
fn every_way_to_read_shows_the_value_before_and_after_each_step_of_its_life() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let mut entries = fill(&db, 300)?;
    check(&db, &entries)?;
    db.flush()?;
    assert!(blobs(&db).files > 0 && blobs(&db).dead_bytes == 0, "{:?}", blobs(&db));
    check(&db, &entries)?;
    db.compact()?;
    check(&db, &entries)?;
    for i in (0..300).step_by(3) {
        let new = value(i, 1, size(i + 1));
        db.put(key(i), &new)?;
        entries.insert(key(i).into_bytes(), new);
    }
    for i in (0..300).step_by(7) {
        db.delete(key(i))?;
        entries.remove(key(i).as_bytes());
    }
    check(&db, &entries)?;
    db.compact()?;
    settle(&db)?;
    check(&db, &entries)?;
    db.close()?;
    let db = rig.open()?;
    check(&db, &entries)?;
    drop(db);
    // A log that is replayed leaves values beside their keys, until a compaction comes to them.
    let db = rig.open()?;
    let new = value(1, 2, 4000);
    db.put(key(1), &new)?;
    entries.insert(key(1).into_bytes(), new);
    db.sync()?;
    let left = Rig { disk: rig.disk.kill_image(), clock: rig.clock.clone() };
    drop(db);
    let db = left.open()?;
    check(&db, &entries)?;
    db.compact()?;
    check(&db, &entries)?;
    db.close()
}

#[test]
fn a_scan_asks_for_the_values_ahead_of_it_if_it_is_told_to() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    fill(&db, 300)?;
    db.flush()?;
    let asked = |options: ScanOptions| -> Result<(usize, u64)> {
        let before = rig.disk.stats().asked_ahead_bytes();
        let values = db.scan(options.without_cache())?.filter(Result::is_ok).count();
        Ok((values, rig.disk.stats().asked_ahead_bytes() - before))
    };
    let ahead = ScanOptions::default().read_ahead(16 << 10);
    assert_eq!(asked(ScanOptions::default())?, (300, 0));
    let (_, of_tables) = asked(ahead.clone().keys_only())?;
    let (values, of_all) = asked(ahead)?;
    let stored = blobs(&db).bytes;
    // All but the first value of each file, and no byte twice.
    let of_values = of_all - of_tables;
    assert_eq!(values, 300);
    assert!(of_values > stored * 8 / 10 && of_values <= stored, "{of_values} of {stored}");
    Ok(())
}

#[test]
fn only_values_from_the_bound_on_are_separated_and_keys_alone_read_none() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let entries = fill(&db, 100)?;
    db.flush()?;
    let separate: Vec<&Vec<u8>> = entries.values().filter(|value| value.len() >= FROM).collect();
    let report = db.verify()?;
    assert!(report.blob_files > 0 && report.problems.is_empty(), "{report:?}");
    let reads = || db.stats().blob_reads;
    let before = reads();
    assert_eq!(db.scan(ScanOptions::default().keys_only())?.count(), 100);
    assert_eq!(db.iter()?.keys_only().rev().count(), 100);
    let mut cursor = db.cursor(ScanOptions::default().keys_only())?;
    let mut found = cursor.seek_to_first()?;
    while found {
        assert!(cursor.value().is_empty() && cursor.value_slice().is_empty());
        found = cursor.next()?;
    }
    for i in 0..100 {
        db.get(key(i) + "x")?;
    }
    let snapshot = db.snapshot();
    for (name, value) in &entries {
        assert_eq!(db.size_of(name)?, Some(value.len()));
        assert!(db.contains_key(name)? && snapshot.contains_key(&db.default_family(), name)?);
        assert_eq!(db.ttl(name)?, Some(esker::Ttl::Never));
        assert!(!db.put_if_absent(name, "another")?);
    }
    drop(snapshot);
    assert_eq!(reads(), before, "nobody has asked for a value");
    let mut context = ReadContext::default();
    for name in entries.keys() {
        db.get_with_context(name, &mut context)?;
    }
    assert_eq!((context.values_read, reads() - before), (separate.len() as u64, separate.len() as u64));
    assert!(context.to_string().contains("values from blob files"), "{context}");
    let before = reads();
    assert_eq!(db.iter()?.count(), 100);
    assert_eq!(reads(), before, "the cache has each");
    assert_eq!(db.scan(ScanOptions::default().without_cache())?.count(), 100);
    assert_eq!(reads(), before, "for those, too, who leave no trace");
    // What is shadowed is not read either.
    for i in 0..100 {
        db.put(key(i), "v")?;
    }
    let before = reads();
    assert_eq!(db.iter()?.count(), 100);
    assert_eq!(db.iter()?.rev().count(), 100);
    assert_eq!(reads(), before);
    db.close()
}

#[test]
fn a_snapshot_reads_what_was_overwritten_and_collected_since() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let entries = fill(&db, 200)?;
    db.compact()?;
    let snapshot = db.snapshot();
    let iter = db.iter()?;
    for turn in 1..6 {
        (0..200).try_for_each(|i| db.put(key(i), value(i, turn, 900)))?;
        db.compact()?;
        settle(&db)?;
    }
    let all: Vec<_> = entries.clone().into_iter().collect();
    assert_eq!(snapshot.iter(&db)?.map(owned).collect::<Result<Vec<_>>>()?, all);
    for (key, value) in entries.iter().step_by(11) {
        assert_eq!(snapshot.get(&db, key)?.unwrap(), *value);
    }
    // An iterator holds the files that it was made over.
    assert_eq!(iter.map(owned).collect::<Result<Vec<_>>>()?, all);
    let held = blob_files(&rig.disk).len();
    drop(snapshot);
    db.compact()?;
    for turn in 6..9 {
        (0..200).try_for_each(|i| db.put(key(i), value(i, turn, 900)))?;
        db.compact()?;
        settle(&db)?;
    }
    db.compact()?;
    settle(&db)?;
    assert!(blob_files(&rig.disk).len() <= held, "nothing is left behind for who has gone");
    assert!(db.verify()?.problems.is_empty());
    db.close()
}

#[test]
fn operands_change_a_separated_value() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let base = value(1, 0, 3000);
    db.put("k", &base)?;
    db.compact()?;
    assert_eq!(blobs(&db).files, 1);
    db.merge("k", "x")?;
    let expected = |suffix: &str| [&base[..], suffix.as_bytes()].concat();
    let found = |db: &Db| -> Result<Vec<Vec<u8>>> {
        let mut found =
            vec![db.get("k")?.unwrap().to_vec(), db.multi_get(&["k"])?[0].clone().unwrap().to_vec()];
        found.push(owned(db.iter()?.next().unwrap())?.1);
        found.push(owned(db.iter()?.next_back().unwrap())?.1);
        Ok(found)
    };
    let separator = {
        let whole = db.get("k")?.unwrap();
        String::from_utf8_lossy(&whole[base.len()..]).into_owned()
    };
    assert_eq!(found(&db)?, vec![expected(&separator); 4]);
    db.flush()?;
    assert_eq!(found(&db)?, vec![expected(&separator); 4]);
    db.compact()?;
    assert_eq!(found(&db)?, vec![expected(&separator); 4], "folded");
    assert_eq!(db.scan(ScanOptions::default().keys_only())?.count(), 1);
    db.merge("k", "y")?;
    assert_eq!(db.scan(ScanOptions::default().keys_only())?.count(), 1, "keys alone over an operand");
    assert!(db.verify()?.problems.is_empty());
    db.close()
}

/// Removes values that begin with `-`, and replaces those that begin with `+` by longer ones.
#[derive(Debug)]
struct Judge;

impl CompactionFilterFactory for Judge {
    fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
        Box::new(|_: &[u8], value: &[u8], _: u64| match value.first() {
            Some(b'-') => Verdict::Remove,
            Some(b'+') => Verdict::Replace([b"=", &value[1..], &value[1..]].concat()),
            _ => Verdict::Keep,
        })
    }
}

#[test]
fn a_filter_is_shown_separated_values_and_what_it_keeps_is_not_written_again() -> Result<()> {
    let rig = Rig::new();
    let db = builder(&rig.disk, &rig.clock).compaction_filter("default", Judge).open()?;
    let long = "x".repeat(FROM * 2);
    for (key, first) in [("a", '='), ("b", '-'), ("c", '+')] {
        db.put(key, format!("{first}{long}"))?;
    }
    db.compact()?;
    assert_eq!(db.get("a")?.unwrap(), format!("={long}"));
    assert!(db.get("b")?.is_none());
    assert_eq!(db.get("c")?.unwrap(), format!("={long}{long}"));
    let written = db.stats().separated_bytes;
    db.put("aa", "small")?;
    db.compact()?;
    assert_eq!(db.get("a")?.unwrap(), format!("={long}"));
    assert_eq!(db.stats().separated_bytes, written, "what is kept stays where it is");
    assert!(db.verify()?.problems.is_empty());
    db.close()
}

#[test]
fn the_bound_changes_while_the_store_is_open() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let change = |from| {
        let changes = FamilyChanges { blob_values_from: Some(from), ..FamilyChanges::default() };
        db.default_family().change_options(changes)
    };
    change(None)?;
    let mut entries = fill(&db, 100)?;
    db.compact()?;
    assert_eq!(blobs(&db).files, 0);
    change(Some(FROM))?;
    for i in 0..100 {
        let new = value(i, 1, 2000);
        db.put(key(i), &new)?;
        entries.insert(key(i).into_bytes(), new);
    }
    db.compact()?;
    assert!(blobs(&db).files > 0);
    check(&db, &entries)?;
    assert!(change(Some(0)).is_err() && change(Some((1 << 30) + 1)).is_err());
    assert_eq!(db.default_family().options()?.blob_values_from, Some(FROM));
    // Where nothing is separated any more, what is collected comes back beside its keys.
    change(None)?;
    for i in (0..100).filter(|i| i % 4 != 0) {
        db.put(key(i), "short")?;
        entries.insert(key(i).into_bytes(), b"short".to_vec());
    }
    db.compact()?;
    settle(&db)?;
    assert_eq!(blobs(&db).files, 0, "three quarters were dead");
    check(&db, &entries)?;
    db.close()
}

#[test]
fn expiry_and_ranges_concern_separated_values() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    for i in 0..60 {
        db.put_with_ttl(key(i), value(i, 0, 500), Duration::from_secs(if i < 20 { 10 } else { 1000 }))?;
    }
    db.flush()?;
    assert_eq!(db.iter()?.count(), 60);
    rig.clock.advance(Duration::from_secs(20));
    assert!(db.get(key(3))?.is_none());
    assert_eq!((db.iter()?.count(), db.iter()?.rev().count()), (40, 40));
    db.delete_range(key(20)..key(30))?;
    assert_eq!(db.iter()?.count(), 30);
    db.drop_range(key(30)..key(40))?;
    db.compact()?;
    settle(&db)?;
    assert_eq!(db.iter()?.count(), 20);
    let BlobLeft { dead, all } = left(&db);
    assert!(dead * 100 < all * 40, "{dead} of {all} bytes are dead");
    assert!(db.verify()?.problems.is_empty());
    rig.clock.advance(Duration::from_secs(2000));
    db.compact()?;
    settle(&db)?;
    assert_eq!((db.iter()?.count(), blobs(&db).files), (0, 0), "all has expired");
    assert!(blob_files(&rig.disk).is_empty());
    db.close()
}

struct BlobLeft {
    dead: u64,
    all: u64,
}

fn left(db: &Db) -> BlobLeft {
    let stats = blobs(db);
    BlobLeft { dead: stats.dead_bytes, all: stats.bytes }
}

#[test]
fn other_styles_and_families_of_their_own_separate_values_too() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let options = |compaction| FamilyOptions {
        blob_values_from: Some(FROM),
        compaction,
        erase_within: None,
        ..FamilyOptions::default()
    };
    let tiers = CompactionStyle::Tiered(Tiered { width: 2, runs: 4, space_percent: 100 });
    let tiers = db.create_column_family("tiers", options(tiers))?;
    let newest = Fifo { bytes: Some(200 << 10), age: None, runs: 6 };
    let newest = db.create_column_family("newest", options(CompactionStyle::Fifo(newest)))?;
    let random = Random::seeded(5);
    for turn in 0..2000 {
        let i = random.below(200);
        tiers.put(key(i), value(i, turn, 800))?;
        newest.put(key(turn), value(i, turn, 800))?;
    }
    db.flush()?;
    settle(&db)?;
    assert_eq!(tiers.iter()?.filter(Result::is_ok).count(), tiers.iter()?.count());
    let of = |name: &str| db.stats().families.into_iter().find(|f| f.name == name).unwrap();
    let newest_bytes = of("newest").blobs.bytes;
    assert!(newest_bytes <= 260 << 10, "{newest_bytes} bytes: its values count as its tables do");
    assert!(newest.get(key(1999))?.is_some() && newest.get(key(0))?.is_none());
    assert!(of("tiers").blobs.files > 0 && db.verify()?.problems.is_empty());
    db.drop_column_family("tiers")?;
    drop((tiers, newest));
    settle(&db)?;
    db.drop_column_family("newest")?;
    settle(&db)?;
    assert!(blob_files(&rig.disk).is_empty(), "a family takes its blob files along");
    db.close()
}

#[test]
fn transactions_batches_and_conditions_see_separated_values() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let entries = fill(&db, 50)?;
    db.compact()?;
    let mut transaction = db.begin(TransactionOptions::default())?;
    assert_eq!(transaction.get(&db, key(3))?.unwrap(), entries[key(3).as_bytes()]);
    transaction.merge(&db, key(3), "+")?;
    let merged = transaction.get(&db, key(3))?.unwrap();
    assert!(merged.starts_with(&entries[key(3).as_bytes()]) && merged.len() > 700);
    transaction.put(&db, key(4), value(4, 1, 900))?;
    let seen: Vec<_> = transaction.iter(&db)?.collect::<Result<_>>()?;
    assert_eq!(seen.len(), 50);
    transaction.commit().unwrap();
    assert_eq!(db.get(key(4))?.unwrap(), value(4, 1, 900));
    let mut batch = WriteBatch::new();
    batch.put(&db, key(5), value(5, 1, 900));
    batch.delete(&db, key(6));
    db.write(batch, esker::Durability::Sync)?;
    db.compact()?;
    assert_eq!(db.iter()?.count(), 49);
    let size = db.approximate_size::<&str, _>(..)?;
    assert!(size > blobs(&db).bytes / 2, "{size} bytes with what stands elsewhere");
    db.close()
}
