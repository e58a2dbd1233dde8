//! Files made by the engine, whole and damaged.

use super::*;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, Kind, NEVER};
use crate::base::random::Random;
use crate::batch::{FamilyRef, WriteBatch};
use crate::fs::{Fs, SimFs};
use crate::record::{HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::table::{TableOptions, TableWriter};
use crate::version::{Edit, EditOp, Manifest, StoreState};
use crate::wal::{GroupHeader, LoggedBatch, RecordKind, Room, Wal, WalOptions, begin_group, push_batch};
use std::path::{Path, PathBuf};

struct Family;

impl FamilyRef for Family {
    fn family_id(&self) -> u32 {
        3
    }
    fn store_id(&self) -> u64 {
        1
    }
    fn now_ms(&self) -> u64 {
        0
    }
}

fn disk() -> (SimFs, Fs) {
    let sim = SimFs::new();
    let fs = Fs::Sim(sim.clone());
    fs.create_dir_all(Path::new("/s")).unwrap();
    (sim, fs)
}

const SEGMENT: &str = "/s/000007.log";

/// Five groups of one batch with two operations each, every group synced before the next, and a mark
/// of a close.
fn segment(fs: &Fs) {
    segments_of(fs, 64 << 10);
}

fn segments_of(fs: &Fs, segment_bytes: u64) {
    let random = Random::seeded(1);
    let options = WalOptions {
        fs: fs.clone(),
        dir: "/s".into(),
        store: 9,
        random,
        segment_bytes,
        least_bytes: segment_bytes,
        mapped: true,
    };
    let mut wal = Wal::create(options, 7).unwrap();
    for i in 0..5u64 {
        let mut batch = WriteBatch::new();
        batch.put(&Family, format!("key{i}"), vec![b'v'; 100]).delete(&Family, format!("gone{i}"));
        let group = GroupHeader { first_seq: 1 + 2 * i, clock_ms: 1000 + i };
        let synced = wal.lsn();
        let payload = wal.begin();
        begin_group(payload, group);
        push_batch(payload, group, LoggedBatch { first_seq: 1 + 2 * i, count: 2, ops: batch.encoded() });
        wal.append(RecordKind::Group, synced, 2 + 2 * i, Room::Reserved, || 8).unwrap();
    }
    let synced = wal.lsn();
    wal.begin().extend_from_slice(&10u64.to_le_bytes());
    wal.append(RecordKind::Close, synced, 10, Room::Reserved, || 8).unwrap();
}

/// A line for each thing found.
fn segment_lines(fs: &Fs, path: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    walk_segment(&fs.open(Path::new(path))?, |item| {
        lines.push(match item {
            SegmentItem::Header(h) => format!("header {} damaged={}", h.header.number, h.damage.is_some()),
            SegmentItem::Group { record, group } => {
                format!("group @{} seq {} beyond={}", record.offset, group.first_seq, record.beyond)
            }
            SegmentItem::Batch(batch) => format!("batch {}+{}", batch.first_seq, batch.count),
            SegmentItem::Op { seq, op } => format!("{seq} {:?} {}", op.kind, op.key.escape_ascii()),
            SegmentItem::Close { mark, .. } => format!("close {}", mark.last_seq),
            SegmentItem::Next { number, .. } => format!("next {number}"),
            SegmentItem::Unknown(record) => format!("unknown @{}", record.offset),
            SegmentItem::Damage(error) => format!("damage {error}"),
            SegmentItem::Break(b) => {
                let (torn, damaged) = (b.why.is_some(), b.damage.is_some());
                format!("break @{} torn={torn} damaged={damaged} last={}", b.offset, b.last)
            }
        });
        Ok::<_, Error>(())
    })?;
    Ok(lines)
}

fn groups(lines: &[String]) -> Vec<&str> {
    lines.iter().filter(|line| line.starts_with("group")).map(String::as_str).collect()
}

#[test]
fn a_segment_is_told_operation_by_operation() {
    let (_, fs) = disk();
    segment(&fs);
    let lines = segment_lines(&fs, SEGMENT).unwrap();
    assert_eq!(
        lines[..5],
        [
            "header 7 damaged=false",
            "group @64 seq 1 beyond=false",
            "batch 1+2",
            "1 Put key0",
            "2 Delete gone0"
        ]
    );
    assert_eq!(lines[lines.len() - 2], "close 10");
    assert!(lines[lines.len() - 1].ends_with("torn=false damaged=false last=true"), "{lines:?}");
    assert_eq!(groups(&lines).len(), 5);
}

#[test]
fn a_sealed_segment_names_the_next() {
    let (_, fs) = disk();
    segments_of(&fs, 700);
    let lines = segment_lines(&fs, SEGMENT).unwrap();
    assert_eq!(lines[lines.len() - 2], "next 8");
    let next = segment_lines(&fs, "/s/000008.log").unwrap();
    assert_eq!(groups(&lines).len() + groups(&next).len(), 5, "{lines:?} {next:?}");
}

#[test]
fn what_stands_behind_damage_is_found() {
    let (sim, fs) = disk();
    segment(&fs);
    let whole = segment_lines(&fs, SEGMENT).unwrap();
    let second: u64 = groups(&whole)[1][7..].split(' ').next().unwrap().parse().unwrap();
    for at in [second + 9, second + RECORD_HEADER_BYTES + 40] {
        sim.flip(Path::new(SEGMENT), at, 0x10).unwrap();
        let lines = segment_lines(&fs, SEGMENT).unwrap();
        let place = format!("break @{second} torn=true damaged=true last=false");
        assert!(lines.contains(&place), "{lines:?}");
        assert_eq!(groups(&lines).len(), 4, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.ends_with("beyond=true")).count(), 3);
        sim.flip(Path::new(SEGMENT), at, 0x10).unwrap();
    }
    assert_eq!(segment_lines(&fs, SEGMENT).unwrap(), whole);
}

#[test]
fn a_torn_end_is_not_called_damage() {
    let (sim, fs) = disk();
    segment(&fs);
    let whole = segment_lines(&fs, SEGMENT).unwrap();
    let last = whole[whole.len() - 1][7..].split(' ').next().unwrap().parse::<u64>().unwrap();
    sim.flip(Path::new(SEGMENT), last - 8, 1).unwrap();
    let lines = segment_lines(&fs, SEGMENT).unwrap();
    assert!(lines[lines.len() - 1].ends_with("torn=true damaged=false last=true"), "{lines:?}");
    assert_eq!(groups(&lines).len(), 5);
}

#[test]
fn a_damaged_header_hides_no_record() {
    let (sim, fs) = disk();
    segment(&fs);
    // The magic number, the store's number, the chain value that the first record must repeat.
    for at in [0, 24, 56] {
        sim.flip(Path::new(SEGMENT), at, 1).unwrap();
        let lines = segment_lines(&fs, SEGMENT).unwrap();
        assert_eq!(lines[0], "header 7 damaged=true");
        assert_eq!(groups(&lines).len(), 5, "byte {at}: {lines:?}");
        sim.flip(Path::new(SEGMENT), at, 1).unwrap();
    }
}

#[test]
fn no_flipped_byte_and_no_cut_stops_a_walk() {
    let (sim, fs) = disk();
    segment(&fs);
    let path = Path::new(SEGMENT);
    let bytes = sim.read_raw(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for at in 0..end {
        let mut bad = bytes.clone();
        bad[at] ^= 0xff;
        sim.write_raw(path, &bad).unwrap();
        match segment_lines(&fs, SEGMENT) {
            Ok(lines) => assert!(lines[lines.len() - 1].ends_with("last=true")),
            Err(error) => assert!(matches!(error, Error::UnsupportedVersion { .. }), "{error}"),
        }
        sim.write_raw(path, &bytes[..at]).unwrap();
        assert!(!segment_lines(&fs, SEGMENT).unwrap().is_empty());
    }
}

#[test]
fn a_manifest_is_told_change_by_change() {
    let (sim, fs) = disk();
    let state = StoreState { store: 5, layer: "plain".into(), next_file: 4, ..StoreState::default() };
    let mut manifest = Manifest::create(fs.clone(), Path::new("/s"), Random::seeded(2), state).unwrap();
    let path: PathBuf = "/s/MANIFEST-000004".into();
    let mut starts = Vec::new();
    for id in 1..4 {
        starts.push(manifest.bytes());
        let (name, options) = (format!("f{id}"), Vec::new());
        let edit = Edit(vec![EditOp::CreateFamily { id, name, options }, EditOp::Clock(u64::from(id))]);
        manifest.commit(&edit, || unreachable!("it is small")).unwrap();
    }
    let walk = || {
        let (mut edits, mut families, mut damage) = (0, Vec::new(), 0);
        walk_manifest(&fs.open(&path).unwrap(), |item| {
            match item {
                ManifestItem::Header(header) => assert!(header.damage.is_none()),
                ManifestItem::Edit(_) => edits += 1,
                ManifestItem::Op(EditOp::CreateFamily { name, .. }) => families.push(name),
                ManifestItem::Op(_) => {}
                ManifestItem::Damage(_) => damage += 1,
                ManifestItem::Break(place) => damage += u32::from(place.damage.is_some()),
            }
            Ok::<_, Error>(())
        })
        .unwrap();
        (edits, families.join(" "), damage)
    };
    assert_eq!(walk(), (4, "f1 f2 f3".into(), 0));
    sim.flip(&path, starts[1] + RECORD_HEADER_BYTES + 3, 4).unwrap();
    assert_eq!(walk(), (3, "f1 f3".into(), 1));
    sim.flip(&path, HEADER_BYTES + 1, 4).unwrap();
    assert_eq!(walk(), (2, "f1 f3".into(), 2), "the first record is always known to be synced");
}

const TABLE: &str = "/s/000001.sst";

fn table(fs: &Fs, partition_bytes: usize) {
    let file = fs.create_new(Path::new(TABLE)).unwrap();
    let options = TableOptions { block_bytes: 256, partition_bytes, ..TableOptions::default() };
    let mut writer = TableWriter::new(file, 77, options).unwrap();
    for i in 0..100u64 {
        let key = format!("user{i:04}");
        let value = [i as u8; 30];
        let entry =
            EntryRef { key: key.as_bytes(), seq: i + 1, kind: Kind::Put, expires_at: NEVER, value: &value };
        writer.add(&entry).unwrap();
    }
    writer.finish().unwrap();
}

/// Blocks, entries, and damage of any kind.
fn look(fs: &Fs) -> Result<(usize, usize, Vec<Error>)> {
    let table = TableFile::open(fs.open(Path::new(TABLE))?)?;
    let mut damage = table.damage().to_vec();
    let (mut blocks, mut counted, mut entries) = (0, 0, 0);
    for block in table.blocks() {
        match block {
            Ok(block) => {
                assert!(block.first_key.starts_with(b"user"));
                (blocks, counted) = (blocks + 1, counted + block.entries as usize);
            }
            Err(error) => damage.push(error),
        }
    }
    table.entries(|entry| {
        entries += usize::from(entry.is_ok());
        Ok::<_, Error>(())
    })?;
    assert!(entries >= counted, "a block that is cut short shows its first entries");
    Ok((blocks, entries, damage))
}

#[test]
fn a_table_is_told_block_by_block() {
    for partition_bytes in [1 << 18, 64] {
        let (_, fs) = disk();
        table(&fs, partition_bytes);
        let (blocks, entries, damage) = look(&fs).unwrap();
        assert!(blocks > 5 && entries == 100 && damage.is_empty(), "{blocks} {entries} {damage:?}");
        let open = TableFile::open(fs.open(Path::new(TABLE)).unwrap()).unwrap();
        assert_eq!(open.properties().unwrap().entries, 100);
        assert_eq!(open.footer().unwrap().partitioned, partition_bytes == 64);
    }
}

#[test]
fn a_damaged_table_shows_what_is_left() {
    for partition_bytes in [1 << 18, 64] {
        let (sim, fs) = disk();
        table(&fs, partition_bytes);
        let whole = look(&fs).unwrap();
        let size = sim.read_raw(Path::new(TABLE)).unwrap().len() as u64;
        for at in 0..size {
            sim.flip(Path::new(TABLE), at, 0x40).unwrap();
            match look(&fs) {
                Ok((blocks, entries, damage)) => {
                    assert!(!damage.is_empty(), "byte {at} is under no checksum");
                    let meta = damage.len() == 1 && entries == whole.1;
                    let one_block = blocks + 1 == whole.0;
                    let less = partition_bytes == 64 || at >= size - 800;
                    assert!(meta || one_block || less, "byte {at}: {blocks} blocks, {damage:?}");
                }
                Err(error) => assert!(matches!(error, Error::UnsupportedVersion { .. }), "{error}"),
            }
            sim.flip(Path::new(TABLE), at, 0x40).unwrap();
        }
    }
}
