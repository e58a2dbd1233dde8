//! What a blob file holds and what reading it costs can be seen.

use crate::store::{FROM, Rig, blob_files, blobs, builder, key, number, value};
use esker::blob::HEADER_BYTES;
use esker::explain::{Answer, Explanation};
use esker::{Db, FamilyOptions, MemoryReport, ReadContext, Result, ScanOptions};

const BYTES: usize = 3000;

/// A store whose keys below `keys` all have a separated value.
fn filled(rig: &Rig, keys: u64) -> Result<Db> {
    let db = rig.open()?;
    (0..keys).try_for_each(|i| db.put(key(i), value(i, 0, BYTES)))?;
    db.flush()?;
    Ok(db)
}

/// What an explanation says of the only place that has the key, checked with what the get has cost.
fn check(explained: &Explanation, rig: &Rig) {
    assert!(matches!(explained.answer, Answer::Value { bytes: BYTES, .. }), "{explained}");
    let entry = explained.places.iter().find_map(|place| place.entry).unwrap();
    let apart = entry.apart.expect("the value stands apart");
    assert_eq!((apart.file, entry.value_bytes), (number(&blob_files(&rig.disk)[0]), BYTES));
    let cost = &explained.cost;
    assert_eq!((cost.values_read, cost.value_bytes_read), (1, apart.stored_bytes), "{cost}");
    assert!(cost.bytes_read >= cost.value_bytes_read && apart.stored_bytes < BYTES as u64);
    let words =
        format!("in blob file {:06} at {}, {} bytes there", apart.file, apart.offset, apart.stored_bytes);
    assert!(explained.to_string().contains(&words), "{explained}");
}

#[test]
fn an_explanation_names_the_blob_file_and_counts_the_read() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 10)?;
    let explained = db.explain(key(3))?;
    check(&explained, &rig);
    let at = |i| {
        let places = db.explain(key(i)).unwrap().places;
        places.iter().find_map(|place| place.entry).unwrap().apart.unwrap()
    };
    let (third, fourth) = (at(3), at(4));
    assert_eq!(third.offset + third.stored_bytes, fourth.offset, "one record behind the other");
    assert_eq!(at(0).offset, HEADER_BYTES as u64, "and the first behind the header");
    check(&builder(&rig.disk, &rig.clock).open_read_only()?.explain(key(3)), &rig);
    // In a memtable, and beside its key, there is no such place.
    db.put(key(3), value(3, 1, BYTES))?;
    db.put("small", vec![1; FROM - 1])?;
    let newest = db.explain(key(3))?.places[0].entry.unwrap();
    assert!(newest.apart.is_none() && newest.value_bytes == BYTES);
    db.flush()?;
    assert!(db.explain("small")?.places.iter().filter_map(|place| place.entry).all(|e| e.apart.is_none()));
    db.close()
}

#[test]
fn every_way_of_reading_counts_what_it_reads_of_blob_files() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 20)?;
    // An operand above a separated value.
    db.merge(key(7), "+")?;
    db.flush()?;
    let counted = |of: &dyn Fn() -> Result<ReadContext>| -> Result<()> {
        let before = db.stats();
        let context = of()?;
        let after = db.stats();
        let (reads, bytes) =
            (after.blob_reads - before.blob_reads, after.blob_read_bytes - before.blob_read_bytes);
        assert!(reads > 0 && bytes > 0);
        assert_eq!((context.values_read, context.value_bytes_read), (reads, bytes), "{context}");
        assert!(context.bytes_read >= bytes, "{context}");
        Ok(())
    };
    let got = |i: u64| {
        let mut context = ReadContext::default();
        db.get_with_context(key(i), &mut context).map(|_| context)
    };
    counted(&|| got(3))?;
    counted(&|| got(7))?;
    // They leave no trace, so that each reads for itself.
    let options = || ScanOptions::default().with_context().without_cache();
    counted(&|| {
        let mut iter = db.scan(options())?;
        assert_eq!(iter.by_ref().count(), 20);
        Ok(iter.context().unwrap())
    })?;
    counted(&|| {
        let mut iter = db.scan(options())?;
        assert_eq!(iter.by_ref().rev().count(), 20);
        Ok(iter.context().unwrap())
    })?;
    counted(&|| {
        let mut cursor = db.cursor(options())?;
        assert!(cursor.seek(key(7))? && cursor.next()? && cursor.prev()?);
        Ok(cursor.context().unwrap())
    })?;
    let mut keys = db.scan(options().keys_only())?;
    let before = db.stats().blob_reads;
    assert_eq!(keys.by_ref().count(), 20);
    // What operands make of a value has to be known; the get of it has left it in the cache.
    let context = keys.context().unwrap();
    assert_eq!((context.values_cached, context.values_read, db.stats().blob_reads - before), (1, 0, 0));
    let again = got(3)?;
    assert_eq!((again.values_cached, again.values_read, again.value_bytes_read), (1, 0, 0), "{again}");
    assert!(again.to_string().contains("1 values of blob files from the cache"), "{again}");
    db.close()
}

#[test]
fn who_reads_without_the_lock_sees_blob_files_as_the_owner_does() -> Result<()> {
    let rig = Rig::new();
    let db = filled(&rig, 30)?;
    db.create_column_family("plain", FamilyOptions::default())?.put("k", "v")?;
    (0..5).try_for_each(|i| db.put(key(i), value(i, 1, BYTES)))?;
    db.compact()?;
    let reader = builder(&rig.disk, &rig.clock).open_read_only()?;
    let (seen, own) = (reader.stats(), db.stats());
    assert!(own.families[0].blobs.files > 0);
    let of_families: Vec<_> = own.families.iter().map(|family| family.blobs).collect();
    assert_eq!(seen.families.iter().map(|family| family.blobs).collect::<Vec<_>>(), of_families);
    assert_eq!((seen.blob_reads, seen.blob_read_bytes), (0, 0));
    let stored = reader.explain(key(9)).cost.value_bytes_read;
    assert!(stored > 0 && reader.get(key(9))?.is_some());
    assert_eq!((reader.stats().blob_reads, reader.stats().blob_read_bytes), (1, stored), "the cache has it");

    let follower = builder(&rig.disk, &rig.clock).follow()?;
    assert_eq!(follower.stats().blobs, own.families[0].blobs);
    let view = follower.view();
    assert!(view.get(key(9))?.is_some());
    (0..30).try_for_each(|i| db.put(key(i), value(i, 2, BYTES)))?;
    db.compact()?;
    follower.catch_up()?;
    let (after, own) = (follower.stats(), db.stats());
    assert_eq!(after.blobs, own.families[0].blobs);
    assert_eq!((after.blob_reads, after.blob_read_bytes), (1, stored), "of earlier states, too");
    let text = after.prometheus();
    for (name, figure) in [
        ("esker_follower_blob_files", after.blobs.files),
        ("esker_follower_blob_bytes", after.blobs.bytes),
        ("esker_follower_blob_dead_bytes", after.blobs.dead_bytes),
        ("esker_follower_blob_reads_total", 1),
        ("esker_follower_blob_read_bytes_total", stored),
    ] {
        assert!(text.contains(&format!("{name} {figure}\n")), "{name}: {text}");
    }
    drop((view, follower, reader));
    db.close()
}

#[test]
fn what_is_held_of_blob_files_counts_as_memory_and_the_cache_makes_room_for_it() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    let empty = db.memory_report();
    let own = |report: &MemoryReport| (report.families[0].blob_bytes, report.value_bytes);
    assert_eq!(own(&empty), (0, 0));
    (0..600).try_for_each(|i| db.put(key(i), value(i, 0, BYTES)))?;
    db.flush()?;
    let filled = db.memory_report();
    assert!(filled.families[0].blob_bytes >= 100 * blobs(&db).files && filled.value_bytes == 0, "{filled}");
    let sum = |report: &MemoryReport| report.parts().iter().map(|part| part.bytes).sum::<u64>();
    assert_eq!((filled.total_bytes(), db.stats().memory_bytes), (sum(&filled), sum(&filled)));

    let past_the_cache = || ScanOptions::default().without_cache();
    let values: Vec<_> = db.scan(past_the_cache())?.take(500).collect::<Result<_>>()?;
    let held = db.memory_report();
    assert!((500..520).contains(&(held.value_bytes / BYTES as u64)), "{held}");
    assert!(held.to_string().contains("held_values"), "{held}");
    // The cache is given what is left when the tables change.
    db.put("k", "v")?;
    db.compact()?;
    let during = db.memory_report();
    assert!(during.cache_budget_bytes + during.value_bytes <= during.block_budget_bytes, "{during}");
    let copies = values.clone();
    drop(values);
    assert_eq!(db.memory_report().value_bytes, held.value_bytes, "the clones hold them");
    drop(copies);
    assert_eq!(db.memory_report().value_bytes, 0);

    let mut cursor = db.cursor(past_the_cache())?;
    assert!(cursor.seek(key(3))?);
    assert!(db.memory_report().value_bytes >= BYTES as u64, "a cursor stands on one");
    drop(cursor);
    assert_eq!(db.memory_report().value_bytes, 0);

    // What the cache has is counted there; what it had to let go while somebody holds it, as blocks are.
    let before = db.memory_report();
    let values: Vec<_> = (0..500).map(|i| db.get(key(i))).collect::<Result<_>>()?;
    let cached = db.memory_report();
    assert_eq!((cached.value_bytes, cached.reader_bytes), (0, before.reader_bytes), "{cached}");
    assert!(cached.cache_bytes >= before.cache_bytes + 500 * BYTES as u64, "{cached}");
    assert!(cached.families[0].blob_bytes > before.families[0].blob_bytes, "places in the cache");
    db.compact()?;
    (0..600).try_for_each(|i| db.put(key(i), "v"))?;
    db.compact()?;
    assert_eq!((blobs(&db).files, values.len()), (0, 500));
    let gone = db.memory_report();
    assert!(gone.reader_bytes >= 500 * BYTES as u64 && gone.cache_bytes < 500 * BYTES as u64, "{gone}");
    drop(values);
    assert!(db.memory_report().reader_bytes < BYTES as u64);
    db.close()
}
