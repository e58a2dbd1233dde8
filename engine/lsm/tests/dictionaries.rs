//! Tables of the last level with dictionaries: what they save, and that nobody sees a difference.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::sim::{Image, Phase, SimFs};
use esker::fs::{FileSystem as _, Fs};
use esker::{
    Builder, ColumnFamily, Db, Durability, Error, FamilyChanges, FamilyOptions, FamilyStats, IngestBatch,
    IngestOptions, Repair, Result, SstSettings, SstWriter, WriteBatch,
};
use std::path::{Path, PathBuf};

const RECORDS: u64 = 6000;

fn builder(disk: &SimFs, dir: &str) -> Builder {
    let clock = Clock::Manual(ManualClock::new(1_700_000_000_000));
    let builder = Db::builder(dir).fs(Fs::Sim(disk.clone())).clock(clock).memory_budget(16 << 20);
    let builder = builder.memtable_bytes(64 << 10).target_file_bytes(1 << 20).level_base_bytes(64 << 10);
    builder.default_durability(Durability::Os).deterministic(1)
}

fn options() -> FamilyOptions {
    FamilyOptions { dictionary_bytes: 2048, block_bytes: 1024, ..FamilyOptions::default() }
}

fn key(i: u64) -> String {
    format!("grain:{i:08}")
}

/// A record that is like the others.
fn value(i: u64) -> String {
    let (depth, place) = (i * 7919 % 10_007, i * 104_729 % 997);
    format!(r#"{{"layer":{i},"depth_mm":{depth},"place":"{place} km from the ridge","kind":"sand"}}"#)
}

fn fill(family: &ColumnFamily, db: &Db) -> Result<()> {
    // Every other key at first, so that tables overlap and have to be merged.
    for rest in 0..2 {
        for chunk in (rest..RECORDS).step_by(2).collect::<Vec<_>>().chunks(100) {
            let mut batch = WriteBatch::new();
            for i in chunk {
                batch.put(family, key(*i), value(*i));
            }
            db.write(batch, Durability::Os)?;
        }
    }
    db.compact()
}

/// Everything is there, by gets and both ways of scans.
fn check(family: &ColumnFamily) -> Result<()> {
    for i in (0..RECORDS).step_by(37) {
        assert_eq!(family.get(key(i))?.expect("a record"), value(i).as_bytes());
    }
    let mut i = 0;
    for entry in family.iter()? {
        let (found, record) = entry?;
        assert!(found == key(i).as_bytes() && record == value(i).as_bytes(), "record {i}");
        i += 1;
    }
    assert_eq!((i, family.iter()?.rev().count() as u64), (RECORDS, RECORDS));
    Ok(())
}

fn family(db: &Db, name: &str) -> FamilyStats {
    db.stats().families.into_iter().find(|family| family.name == name).expect("the family")
}

fn tables(disk: &SimFs, dir: &str) -> Vec<PathBuf> {
    let mut names = disk.list(Path::new(dir)).unwrap();
    names.sort();
    names.retain(|name| name.ends_with(".sst"));
    names.iter().map(|name| Path::new(dir).join(name)).collect()
}

/// A closed store whose records stand in tables with dictionaries, in the family `with`.
fn made(disk: &SimFs) -> Result<()> {
    let db = builder(disk, "/db").open()?;
    fill(&db.create_column_family("with", options())?, &db)?;
    assert!(family(&db, "with").dictionaries.tables > 0);
    db.close()?;
    // The log goes, in which all of it stands once more.
    builder(disk, "/db").open()?.close()
}

#[test]
fn the_last_level_is_smaller_and_reads_the_same() -> Result<()> {
    let disk = SimFs::new();
    let db = builder(&disk, "/db").open()?;
    let plain = db.create_column_family("plain", FamilyOptions { dictionary_bytes: 0, ..options() })?;
    let with = db.create_column_family("with", options())?;
    fill(&plain, &db)?;
    fill(&with, &db)?;
    let (of_plain, of_with) = (family(&db, "plain"), family(&db, "with"));
    assert_eq!(of_plain.dictionaries.tables, 0);
    assert_eq!(of_with.dictionaries.tables, of_with.levels[6].files);
    assert!(of_with.dictionaries.bytes > 256 && of_with.dictionaries.bytes < 3000, "{of_with:?}");
    let (more, less) = (of_plain.table_bytes(), of_with.table_bytes());
    assert!(less * 100 < more * 75, "{less} of {more} bytes");
    check(&plain)?;
    check(&with)?;
    let text = db.metrics().prometheus();
    assert!(text.contains("esker_dictionary_tables{family=\"with\"} 1\n"), "{text}");
    assert!(db.verify()?.problems.is_empty());
    drop((plain, with));
    db.close()?;
    let db = builder(&disk, "/db").open()?;
    let with = db.open_column_family("with")?;
    assert_eq!(with.options()?.dictionary_bytes, 2048, "the manifest keeps it");
    assert_eq!(family(&db, "with").dictionaries, of_with.dictionaries);
    check(&with)?;
    drop(with);
    db.checkpoint("/copy")?;
    db.close()?;
    let copy = builder(&disk, "/copy").open()?;
    assert_eq!(family(&copy, "with").dictionaries, of_with.dictionaries);
    check(&copy.open_column_family("with")?)
}

#[test]
fn dictionaries_come_and_go_while_the_store_is_open() -> Result<()> {
    let disk = SimFs::new();
    let db = builder(&disk, "/db").open()?;
    let f = db.create_column_family("f", FamilyOptions { dictionary_bytes: 0, ..options() })?;
    fill(&f, &db)?;
    let before = family(&db, "f").table_bytes();
    for (dictionary_bytes, tables) in [(4096, 1), (0, 0), (256, 1)] {
        let changes = FamilyChanges { dictionary_bytes: Some(dictionary_bytes), ..Default::default() };
        f.change_options(changes)?;
        assert_eq!(f.options()?.dictionary_bytes, dictionary_bytes);
        assert_eq!(family(&db, "f").dictionaries.tables == 0, tables > 0, "what is there stays as it is");
        // Written once more, so that what is there is merged with it.
        fill(&f, &db)?;
        let now = family(&db, "f");
        assert_eq!(now.dictionaries.tables, tables);
        assert_eq!(now.table_bytes() < before, tables > 0);
        check(&f)?;
    }
    let wrong = FamilyChanges { dictionary_bytes: Some(100), ..Default::default() };
    let refused = f.change_options(wrong).unwrap_err();
    assert!(
        matches!(&refused, Error::InvalidArgument { .. }) && refused.to_string().contains("dictionary_bytes")
    );
    assert_eq!(f.options()?.dictionary_bytes, 256);
    Ok(())
}

#[test]
fn what_comes_into_the_last_level_gets_a_dictionary() -> Result<()> {
    let disk = SimFs::new();
    let db = builder(&disk, "/db").open()?;
    let with = db.create_column_family("with", options())?;
    let plain = db.create_column_family("plain", FamilyOptions { dictionary_bytes: 0, ..options() })?;
    for family in [&with, &plain] {
        // In order, so that no table overlaps another.
        for i in 0..RECORDS {
            family.put(key(i), value(i))?;
        }
    }
    db.flush()?;
    // At rest the store merges what it has into one run.
    db.compact()?;
    assert_eq!(family(&db, "plain").dictionaries.tables, 0);
    let of = family(&db, "with");
    assert_eq!(of.dictionaries.tables, of.levels[6].files, "{of:?}");
    check(&with)
}

#[test]
fn a_table_made_outside_has_one_too() -> Result<()> {
    let disk = SimFs::new();
    let fs = Fs::Sim(disk.clone());
    fs.create_dir_all(Path::new("/files"))?;
    let settings = SstSettings {
        fs,
        clock: Clock::Manual(ManualClock::new(1_700_000_000_000)),
        random: esker::base::random::Random::seeded(5),
    };
    let mut writer = SstWriter::create_with("/files/a.sst", &options(), settings)?;
    for i in 0..RECORDS {
        writer.put(key(i), value(i))?;
    }
    writer.finish()?;
    let db = builder(&disk, "/db").open()?;
    let f = db.default_family();
    let mut batch = IngestBatch::new();
    batch.add(&f, "/files/a.sst");
    db.ingest(&batch, IngestOptions { move_files: true })?;
    assert_eq!(family(&db, "default").dictionaries.tables, 1);
    check(&f)
}

#[test]
fn repair_reads_what_it_can_and_says_what_it_cannot() -> Result<()> {
    // Of the one table: a byte of its end (properties, footer), of its middle, of its dictionary.
    for (damage, all) in [(None, true), (Some(-80), true), (Some(0), false)] {
        let disk = SimFs::new();
        made(&disk)?;
        let found = tables(&disk, "/db");
        assert_eq!(found.len(), 1);
        if let Some(at) = damage {
            let mut bytes = disk.read_raw(&found[0]).unwrap();
            let at = if at < 0 { bytes.len() as i64 + at } else { at } as usize;
            bytes[at] ^= 1;
            disk.write_raw(&found[0], &bytes).unwrap();
        }
        let report = Repair::new("/db").fs(Fs::Sim(disk.clone())).deterministic(3).write("/new")?;
        let text = report.to_string();
        let db = builder(&disk, "/new").open()?;
        let with = db.open_column_family("with")?;
        if all {
            check(&with)?;
            assert_eq!(family(&db, "with").dictionaries.tables, 1, "repair writes for the last level");
        } else {
            // Blocks that are not compressed have no need of it.
            let left = with.iter()?.count() as u64;
            assert!(left < RECORDS / 10 && text.contains("dictionary"), "{left} left: {text}");
        }
    }
    Ok(())
}

#[test]
fn references_to_values_apart_and_copies_of_all_kinds() -> Result<()> {
    let disk = SimFs::new();
    let clock = Clock::Manual(ManualClock::new(1_700_000_000_000));
    let db = builder(&disk, "/db").open()?;
    // Every tenth value stands in a blob file; the keys and the references to them in blocks with a
    // dictionary.
    let of = |i: u64| if i.is_multiple_of(10) { value(i).repeat(20) } else { value(i) };
    let f = db.create_column_family("f", FamilyOptions { blob_values_from: Some(1000), ..options() })?;
    for i in 0..RECORDS {
        f.put(key(i), of(i))?;
    }
    db.compact()?;
    let found = family(&db, "f");
    assert!(found.dictionaries.tables > 0 && found.blobs.files > 0);
    let backups = esker::Backups::at("/backups").fs(Fs::Sim(disk.clone())).clock(clock);
    let number = backups.create(&db)?.number;
    assert!(backups.verify()?.is_sound());
    // A reader beside the writer.
    let reader = builder(&disk, "/db").open_read_only()?.column_family("f")?;
    for i in 0..RECORDS {
        assert_eq!(reader.get(key(i))?.expect("a record"), of(i).as_bytes());
    }
    assert_eq!(reader.iter().count() as u64, RECORDS);
    drop((reader, f));
    db.close()?;

    backups.restore(number, "/restored")?;
    let restored = builder(&disk, "/restored").open()?;
    assert_eq!(family(&restored, "f").dictionaries, found.dictionaries);
    assert!(restored.verify()?.problems.is_empty());
    let f = restored.open_column_family("f")?;
    for i in 0..RECORDS {
        assert_eq!(f.get(key(i))?.expect("a record"), of(i).as_bytes());
    }
    Ok(())
}

#[test]
fn tiers_have_dictionaries_in_their_last_run() -> Result<()> {
    let disk = SimFs::new();
    let db = builder(&disk, "/db").open()?;
    let compaction = esker::CompactionStyle::Tiered(esker::Tiered::default());
    let f = db.create_column_family("f", FamilyOptions { compaction, ..options() })?;
    for i in 0..RECORDS {
        f.put(key(i), value(i))?;
        if i % 500 == 0 {
            db.flush()?;
        }
    }
    db.compact()?;
    let found = family(&db, "f");
    assert_eq!(found.dictionaries.tables, found.levels[6].files, "{found:?}");
    assert!(found.dictionaries.tables > 0);
    check(&f)
}

/// In which order [`write_until_off`] writes, fifty in a batch.
fn order() -> Vec<u64> {
    (0..4).flat_map(|rest| (rest..1200).step_by(4)).collect()
}

/// Writes records, each batch durably, and compacts now and then, until the disk goes off; how many were
/// acknowledged.
fn write_until_off(disk: &SimFs) -> usize {
    let mut acknowledged = 0;
    let mut write = || -> Result<()> {
        let db = builder(disk, "/db").open()?;
        let f = db.create_column_family("with", options())?;
        for records in order().chunks(50) {
            let mut batch = WriteBatch::new();
            for i in records {
                batch.put(&f, key(*i), value(*i));
            }
            db.write(batch, Durability::Sync)?;
            acknowledged += records.len();
            if acknowledged.is_multiple_of(300) {
                db.compact()?;
            }
        }
        Ok(())
    };
    // It may go off when the store is dropped, too.
    let written = write();
    assert!(written.is_ok() || disk.is_off(), "{:?}", written.err());
    acknowledged
}

#[test]
fn power_goes_while_tables_get_their_dictionaries() -> Result<()> {
    let whole = SimFs::new();
    assert_eq!(write_until_off(&whole), 1200);
    let operations = whole.stats().total();
    let mut with_dictionary = 0;
    // About a hundred losses, none like the other.
    for (n, index) in (0..operations).step_by(operations.div_ceil(100) as usize).enumerate() {
        let disk = SimFs::new();
        disk.crash_at(index, if n % 2 == 0 { Phase::Before } else { Phase::After });
        let acknowledged = write_until_off(&disk);
        let left = disk.image(Image::ALL[n % Image::ALL.len()], index);
        let db = builder(&left, "/db").open()?;
        assert!(db.verify()?.problems.is_empty(), "operation {index}");
        if !db.column_families().contains(&"with".to_owned()) {
            assert_eq!(acknowledged, 0, "operation {index}");
            continue;
        }
        let f = db.open_column_family("with")?;
        let mut found = Vec::new();
        for entry in f.iter()? {
            found.push(entry?);
        }
        // All that was acknowledged, and at most the batch that was under way.
        let batches = acknowledged..=acknowledged + 50;
        assert!(
            batches.contains(&found.len()) && found.len() % 50 == 0,
            "operation {index}: {}",
            found.len()
        );
        let mut expected = order()[..found.len()].to_vec();
        expected.sort_unstable();
        for ((key_found, record), i) in found.iter().zip(expected) {
            assert!(*key_found == key(i).as_bytes() && *record == value(i).as_bytes(), "operation {index}");
        }
        with_dictionary += u32::from(family(&db, "with").dictionaries.tables > 0);
    }
    assert!(with_dictionary > 40, "{with_dictionary} stores had a table with a dictionary");
    Ok(())
}

/// The records of a data set, by key.
fn records(name: &str, key: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| (key(line).expect("a key"), line.to_owned())).collect()
}

/// Bytes of the last level with these records in blocks of `block_bytes`, and of the dictionary among them.
fn last_level(
    records: &[(String, String)],
    block_bytes: usize,
    dictionary_bytes: usize,
) -> Result<(u64, u64)> {
    let db = builder(&SimFs::new(), "/db").memory_budget(64 << 20).target_file_bytes(16 << 20).open()?;
    let options = FamilyOptions { block_bytes, dictionary_bytes, ..FamilyOptions::default() };
    let f = db.create_column_family("f", options)?;
    // Every other one at first: tables in order would stay as many as they were flushed.
    for rest in 0..2 {
        let mut batch = WriteBatch::new();
        for (i, (key, line)) in records.iter().enumerate().skip(rest).step_by(2) {
            batch.put(&f, key, line);
            if i % 1000 < 2 {
                db.write(std::mem::take(&mut batch), Durability::Os)?;
            }
        }
        db.write(batch, Durability::Os)?;
    }
    db.compact()?;
    let of = family(&db, "f");
    assert_eq!((of.levels[6].files, of.levels[6].entries), (1, records.len() as u64));
    Ok((of.table_bytes(), of.dictionaries.bytes))
}

const BEGIN: &str = "<!-- begin: dictionaries -->\n";
const END: &str = "<!-- end: dictionaries -->";

/// `ESKER_GOLDEN=rewrite` writes the figures into the page instead of comparing them.
#[test]
fn golden_real_data_takes_what_the_page_says() -> Result<()> {
    let id = |line: &str| {
        let (_, id) = line.rsplit_once(r#""id":""#)?;
        Some(id.split('"').next()?.to_owned())
    };
    let sets = [
        ("UnicodeData.txt", records("UnicodeData.txt", |line| line.split(';').next().map(str::to_owned))),
        ("earthquakes.jsonl", records("earthquakes.jsonl", id)),
    ];
    let mut table =
        String::from("| data | blocks | none | 4 KiB | 16 KiB | 64 KiB |\n|---|---|---|---|---|---|\n");
    for (name, records) in &sets {
        for block_kib in [1, 4, 8] {
            let mut row = format!("| `{name}` | {block_kib} KiB |");
            let mut sizes = Vec::new();
            for dictionary_kib in [0, 4, 16, 64] {
                let (bytes, dictionary) = last_level(records, block_kib << 10, dictionary_kib << 10)?;
                let note = if dictionary_kib > 0 && dictionary == 0 { " (does not pay)" } else { "" };
                row.push_str(&format!(" {}{note} |", bytes.div_ceil(1 << 10)));
                sizes.push(bytes);
            }
            assert!(sizes.iter().all(|size| *size <= sizes[0]), "{name}: {sizes:?}");
            table.push_str(&row);
            table.push('\n');
        }
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compaction.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has the beginning of the table");
    let (shown, after) = rest.split_once(END).expect("the page has the end of the table");
    if std::env::var_os("ESKER_GOLDEN").is_some_and(|value| value == "rewrite") {
        std::fs::write(page, [before, BEGIN, &table, END, after].concat()).unwrap();
    } else {
        assert_eq!(shown, table, "ESKER_GOLDEN=rewrite rewrites the page");
    }
    Ok(())
}
