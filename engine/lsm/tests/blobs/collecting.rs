//! Dead values are collected: space stays within its bound, and so does what is written.

use crate::store::{FROM, Rig, blob_files, blobs, builder, key, settle, value};
use esker::base::random::Random;
use esker::hooks::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
use esker::{Db, FamilyOptions, Result};

const KEYS: u64 = 2000;
const BYTES: usize = 4096;

/// So many bytes were written to the disk since the store was opened: log, flushes, compactions.
fn written(db: &Db) -> u64 {
    let stats = db.stats();
    stats.logged_bytes + stats.flushed_bytes + stats.compacted_bytes_out
}

/// The bytes of tables and blob files.
fn space(db: &Db) -> u64 {
    let family = &db.stats().families[0];
    family.table_bytes() + family.blobs.bytes
}

fn open(rig: &Rig) -> Result<Db> {
    builder(&rig.disk, &rig.clock).memtable_bytes(512 << 10).level_base_bytes(256 << 10).open()
}

#[test]
fn a_fill_writes_each_value_twice_and_uniform_overwriting_keeps_within_its_bounds() -> Result<()> {
    let rig = Rig::new();
    let db = open(&rig)?;
    let user = |writes: u64| writes * (BYTES as u64 + 12);
    (0..KEYS).try_for_each(|i| db.put(key(i * 7919 % KEYS), value(i * 7919 % KEYS, 0, BYTES)))?;
    db.flush()?;
    settle(&db)?;
    let fill = written(&db) as f64 / user(KEYS) as f64;
    // What the same values come to when nothing of them is dead.
    let live = blobs(&db).bytes as f64;
    assert_eq!(blobs(&db).dead_bytes, 0);
    let (mut most, mut turns, begun) = (0.0f64, vec![0; KEYS as usize], written(&db));
    let random = Random::seeded(11);
    let writes = KEYS * 8;
    for turn in 1..=writes {
        let i = random.below(KEYS);
        db.put(key(i), value(i, turn, BYTES))?;
        turns[i as usize] = turn;
        if turn > KEYS && turn % 100 == 0 {
            most = most.max(space(&db) as f64 / live);
        }
    }
    db.flush()?;
    settle(&db)?;
    let overwrite = (written(&db) - begun) as f64 / user(writes) as f64;
    let end = space(&db) as f64 / live;
    println!("figure: fill {fill:.2}, overwrite {overwrite:.2}, space {end:.2}, at most {most:.2}");
    assert!(fill <= 2.1, "a fill writes {fill:.2} times what it is given");
    assert!(overwrite <= 3.0, "overwriting writes {overwrite:.2} times what it is given");
    assert!(end <= 1.4, "{end:.2} times the space of what lives");
    // What memtables and level 0 have not told of yet comes on top while writes go on.
    assert!(most <= 1.6, "at most {most:.2} times the space of what lives");
    for (i, turn) in turns.into_iter().enumerate() {
        assert_eq!(db.get(key(i as u64))?.unwrap(), value(i as u64, turn, BYTES));
    }
    assert!(db.verify()?.problems.is_empty());
    db.close()
}

#[test]
fn a_file_goes_with_the_last_who_reads_it_and_not_before() -> Result<()> {
    let rig = Rig::new();
    let db = rig.open()?;
    (0..50).try_for_each(|i| db.put(key(i), value(i, 0, 1000)))?;
    db.compact()?;
    let before = blob_files(&rig.disk);
    let mut cursor = db.cursor(esker::ScanOptions::default())?;
    assert!(cursor.seek_to_first()?);
    (0..50).try_for_each(|i| db.put(key(i), value(i, 1, 1000)))?;
    db.compact()?;
    settle(&db)?;
    let there = |path| blob_files(&rig.disk).contains(path);
    assert!(before.iter().all(there), "the cursor reads them");
    assert!(db.pins()[0].held_bytes > 0);
    let mut count = 1;
    while cursor.next()? {
        assert_eq!(cursor.value(), value(count, 0, 1000));
        count += 1;
    }
    assert_eq!(count, 50);
    drop(cursor);
    (0..50).try_for_each(|i| db.put(key(i), value(i, 2, 1000)))?;
    db.compact()?;
    settle(&db)?;
    assert!(!before.iter().any(there), "nobody does any more");
    db.close()
}

/// Replaces every value by itself.
#[derive(Debug)]
struct Likewise;

impl CompactionFilterFactory for Likewise {
    fn make(&self, _: &FilterContext) -> Box<dyn CompactionFilter> {
        Box::new(|_: &[u8], value: &[u8], _: u64| Verdict::Replace(value.to_vec()))
    }
}

/// What a merge writes anew is dead where it stood. If collecting wrote more anew than what it collects, it
/// would go on for ever.
#[test]
fn collecting_comes_to_an_end_whatever_hooks_make_of_values() -> Result<()> {
    for filtered in [false, true] {
        let rig = Rig::new();
        let builder = builder(&rig.disk, &rig.clock);
        let db = match filtered {
            true => builder.compaction_filter("f", Likewise).open()?,
            false => builder.open()?,
        };
        // A value that is no number keeps operands from being folded.
        let options = FamilyOptions {
            merge_operator: (!filtered).then(|| "esker.counter".to_owned()),
            blob_values_from: Some(FROM),
            erase_within: None,
            ..FamilyOptions::default()
        };
        let f = db.create_column_family("f", options)?;
        let random = Random::seeded(3);
        for turn in 1..40 {
            (0..100).try_for_each(|_| {
                let i = random.below(200);
                f.put(key(i), value(i, turn, 500))?;
                if !filtered && i.is_multiple_of(2) { f.merge(key(i), "1") } else { Ok(()) }
            })?;
            db.flush()?;
            settle(&db)?;
            if turn % 13 == 0 {
                f.compact_range::<&[u8], _>(..)?;
            }
        }
        settle(&db)?;
        let before = db.stats();
        (0..5).try_for_each(|_| settle(&db))?;
        assert_eq!(db.stats().compactions, before.compactions, "filtered: {filtered}");
        assert!(before.separated_bytes > 0 && db.verify()?.problems.is_empty());
        drop(f);
        db.close()?;
    }
    Ok(())
}

/// A loss of power at each call of a run in which values are separated and collected.
#[test]
fn a_loss_of_power_amid_collecting_loses_nothing() -> Result<()> {
    use esker::fs::sim::{Image, Phase};
    use std::sync::{Arc, Mutex};
    let run = |db: &Db| -> Result<()> {
        for turn in 1..5 {
            for i in (0..40).filter(|i| i % 4 != turn % 4) {
                db.put(key(i), value(i, turn, 700))?;
            }
            db.sync()?;
            db.compact()?;
            settle(db)?;
        }
        Ok(())
    };
    let rig = Rig::new();
    let db = rig.open()?;
    (0..40).try_for_each(|i| db.put(key(i), value(i, 0, 700)))?;
    db.compact()?;
    let images = Arc::new(Mutex::new((0u64, Vec::new())));
    let seen = images.clone();
    rig.disk.observe(Box::new(move |op, phase, moment| {
        let mut seen = seen.lock().unwrap();
        seen.0 += 1;
        let blob = op.path.to_string_lossy().ends_with(".blob");
        if phase == Phase::Before && (blob || seen.0.is_multiple_of(5)) && seen.1.len() < 250 {
            let number = seen.0;
            seen.1.push(moment.image(Image::Random, number));
        }
    }));
    run(&db)?;
    rig.disk.stop_observing();
    db.close()?;
    let images = std::mem::take(&mut images.lock().unwrap().1);
    assert!(images.len() > 80, "{}", images.len());
    for (at, image) in images.into_iter().enumerate() {
        let left = Rig { disk: image, clock: rig.clock.clone() };
        let db = left.open().unwrap_or_else(|error| panic!("image {at}: {error}"));
        let mut whole = 0;
        for entry in db.iter()? {
            let (key_, value_) = entry.unwrap_or_else(|error| panic!("image {at}: {error}"));
            let i: u64 = String::from_utf8_lossy(&key_)[4..].parse().unwrap();
            let written = (0..5).any(|turn| value(i, turn, 700) == value_[..]);
            assert!(written && key(i).as_bytes() == &key_[..], "image {at}: {i}");
            whole += 1;
        }
        assert_eq!(whole, 40, "image {at}");
        let report = db.verify()?;
        assert!(report.problems.is_empty() && report.unnamed_files.is_empty(), "image {at}: {report:?}");
        db.close()?;
    }
    Ok(())
}
