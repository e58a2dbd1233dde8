//! Where fuzzing starts from: real files, made by the engine, and the pieces of them.

use super::{disk, requests, store};
use esker::base::clock::{Clock, ManualClock};
use esker::base::filename::FileKind;
use esker::base::key::{EntryRef, Kind, NEVER};
use esker::base::random::Random;
use esker::compress::{Codec, decompress};
use esker::fs::{Fs, OpenFile, SimFs};
use esker::record::{LogKind, RecordReader, Step};
use esker::table::{Handle, TableOptions, TableReader, TableSource, TableWriter};
use esker::{Db, Durability, FamilyOptions, Result, WriteBatch};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Inputs by target; for each as many as tell something new.
type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// The inputs that fuzzing starts from, by target.
///
/// # Errors
/// None on a disk without faults.
pub fn seeds() -> Result<Seeds> {
    let mut seeds = Seeds::new();
    with_dictionary(&mut seeds)?;
    for closed in [false, true] {
        // Whole stores are large: the fewer bytes, the more of them is tried.
        add(&mut seeds, "store", store::pack(&files(&store(closed, 3)?)));
        let disk = store(closed, 12)?;
        let files = files(&disk);
        let segments = files.iter().filter(|(kind, _)| matches!(kind, FileKind::Wal(_)));
        add(&mut seeds, "log", segments.flat_map(|(_, bytes)| used(bytes).to_vec()).collect());
        for (kind, bytes) in &files {
            let file = Fs::Sim(disk.clone()).open(&disk::path(&kind.name()))?;
            match kind {
                FileKind::Current => add(&mut seeds, "current", bytes.clone()),
                FileKind::Manifest(_) => {
                    add(&mut seeds, "manifest", bytes.clone());
                    add(&mut seeds, "records", bytes.clone());
                    payloads(&file, LogKind::Manifest)?.into_iter().for_each(|p| add(&mut seeds, "edit", p));
                }
                FileKind::Wal(_) => {
                    add(&mut seeds, "records", used(bytes).to_vec());
                    payloads(&file, LogKind::Wal)?.into_iter().for_each(|p| add(&mut seeds, "batch", p));
                }
                FileKind::Table(_) => table(&mut seeds, file, bytes)?,
                _ => {}
            }
        }
    }
    let random = Random::seeded(1);
    for _ in 0..16 {
        let input = (0..400).map(|_| random.next_u64() as u8).collect();
        add(&mut seeds, "operations", input);
    }
    let random = Random::seeded(2);
    for _ in 0..16 {
        let input = (0..600).map(|_| random.next_u64() as u8).collect();
        add(&mut seeds, "commands", input);
    }
    let random = Random::seeded(3);
    for _ in 0..16 {
        let input = (0..800).map(|_| random.next_u64() as u8).collect();
        add(&mut seeds, "pipelines", input);
    }
    requests::SEEDS.iter().for_each(|seed| add(&mut seeds, "requests", seed.to_vec()));
    Ok(seeds)
}

/// So many seeds of a target are enough.
const MOST_SEEDS: usize = 16;

fn add(seeds: &mut Seeds, target: &'static str, input: Vec<u8>) {
    let inputs = seeds.entry(target).or_default();
    if inputs.len() < MOST_SEEDS && !inputs.contains(&input) {
        inputs.push(input);
    }
}

fn used(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end.next_multiple_of(8).min(bytes.len())]
}

/// The payloads of a log file's records.
fn payloads(file: &OpenFile, kind: LogKind) -> Result<Vec<Vec<u8>>> {
    let mut reader = RecordReader::open(file, kind)?;
    let mut payloads = Vec::new();
    while let Step::Record { payload, .. } = reader.step()? {
        payloads.push(payload.to_vec());
    }
    Ok(payloads)
}

/// A table with a dictionary.
fn with_dictionary(seeds: &mut Seeds) -> Result<()> {
    let fs = Fs::Sim(SimFs::new());
    let path = disk::path("000001.sst");
    if let Some(dir) = path.parent() {
        fs.create_dir_all(dir)?;
    }
    let options = TableOptions { block_bytes: 256, dictionary_bytes: 256, ..TableOptions::default() };
    let mut writer = TableWriter::new(fs.create_new(&path)?, 7, options)?;
    for i in 0..120 {
        let key = format!("key{i:05}");
        let value = format!(r#"{{"layer":{i},"kind":"sand","depth_mm":{}}}"#, i * 7919 % 1009);
        let (key, value) = (key.as_bytes(), value.as_bytes());
        writer.add(&EntryRef { key, seq: i + 1, kind: Kind::Put, expires_at: NEVER, value })?;
    }
    assert!(writer.finish()?.properties.dictionary.is_some(), "a dictionary pays");
    let file = fs.open(&path)?;
    let mut bytes = vec![0; file.size()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    add(seeds, "compressed", bytes[..256].to_vec());
    table(seeds, file, &bytes)
}

/// A table, and the pieces of it.
fn table(seeds: &mut Seeds, file: OpenFile, bytes: &[u8]) -> Result<()> {
    add(seeds, "table", bytes.to_vec());
    let reader = TableReader::open(TableSource::File(Arc::new(file)), Default::default(), None)?;
    let footer = *reader.footer();
    let data = reader.blocks().map(|(handle, _)| ("block", handle));
    let others = if footer.partitioned {
        vec![("index", footer.index)]
    } else {
        vec![("index", footer.index), ("filter", footer.filter)]
    };
    for (target, Handle { offset, size }) in data.chain(others) {
        let stored = &bytes[offset as usize..offset as usize + size as usize];
        let codec = Codec::from_byte(bytes[offset as usize + size as usize]).unwrap_or_default();
        if codec != Codec::None {
            add(seeds, "compressed", stored.to_vec());
        }
        if let Ok(raw) = decompress(codec, stored, 1 << 20) {
            add(seeds, target, raw);
        }
    }
    Ok(())
}

/// The files of a store by kind, `LOCK` and `RESERVE` left out.
fn files(disk: &SimFs) -> Vec<(FileKind, Vec<u8>)> {
    let named = disk.paths().into_iter().filter_map(|path| {
        let kind = FileKind::parse(&path.file_name()?.to_string_lossy())?;
        Some((kind, disk.read_raw(&path).expect("a file that was just listed")))
    });
    named
        .filter(|(kind, _)| !matches!(kind, FileKind::Lock | FileKind::Reserve | FileKind::Options(_)))
        .collect()
}

/// A small store with a bit of everything: two families, tables raw and compressed, whole and partitioned,
/// old versions, deletions, expiry, with more keys a log of a few segments; closed, or as a kill leaves it.
fn store(closed: bool, keys: usize) -> Result<SimFs> {
    let disk = SimFs::new();
    let db = Db::builder(disk::DIR)
        .fs(Fs::Sim(disk.clone()))
        .clock(Clock::Manual(ManualClock::new(1_700_000_000_000)))
        .deterministic(1)
        .memory_budget(1 << 20)
        .memtable_bytes(8 << 10)
        .target_file_bytes(1 << 10)
        .level_base_bytes(1 << 10)
        .wal_segment_bytes(4 << 10)
        .open()?;
    let small = FamilyOptions { block_bytes: 128, index_partition_bytes: 64, ..FamilyOptions::default() };
    let other = db.create_column_family("other", FamilyOptions { uncompressed_levels: 0, ..small })?;
    let snapshot = db.snapshot();
    for round in 0..2 {
        for i in 0..keys {
            db.put(format!("key{:03}", i * 5 % keys), format!("value {round} {}", "sand ".repeat(i % 4)))?;
            other.put(format!("key{i:03}"), "gravel ".repeat(6))?;
        }
        db.flush()?;
        other.put_with_ttl("key001", "for an hour", Duration::from_secs(3600))?;
        db.delete("key007")?;
        // The snapshot keeps what they hide, and the manifest them.
        db.delete_range("key002".."key004")?;
        other.drop_range("key008"..)?;
        db.compact()?;
    }
    drop(snapshot);
    for i in 0..keys * 2 {
        let mut batch = WriteBatch::new();
        batch.put(&db, format!("log{i:02}"), "silt ".repeat(i % 12)).delete(&other, format!("key{i:03}"));
        batch.put_with_ttl(&other, format!("ttl{i:02}"), "v", Duration::from_secs(3600));
        if i == 4 {
            batch.delete_prefix(&other, "ttl").drop_range(&db, "log00".."log02");
        }
        db.write(batch, if i % 3 == 0 { Durability::Sync } else { Durability::Os })?;
    }
    if closed {
        db.close()?;
        return Ok(disk);
    }
    Ok(disk.kill_image())
}
