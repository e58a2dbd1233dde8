//! The worked examples of the format pages are what the encoders write. The sorted table's example
//! is checked beside its writer.

use esker::base::blob_ref::BlobRef;
use esker::base::key::{Kind, NEVER, Trailer};
use esker::base::random::Random;
use esker::batch::FamilyRef;
use esker::blob::{BlobHead, BlobWriter};
use esker::compress::Codec;
use esker::fs::{Fs, SimFs};
use esker::ranges::{Range, RangeKind};
use esker::record::{FileHeader, HEADER_BYTES, LogKind, RecordWriter};
use esker::version::{Edit, EditOp, FamilyState, History, Manifest, StoreState, TableMeta};
use esker::wal::{
    CloseMark, GroupHeader, LoggedBatch, ManifestEnd, RecordKind, Room, Wal, WalOptions, begin_group,
    push_batch,
};
use esker::{FamilyOptions, WriteBatch};
use esker_tests::golden;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "/data";
const STORE: u64 = 0x1122_3344_5566_7788;

/// A disk with an empty directory.
fn disk() -> (SimFs, Fs) {
    let sim = SimFs::new();
    let fs = Fs::Sim(sim.clone());
    fs.create_dir_all(Path::new(DIR)).unwrap();
    (sim, fs)
}

fn read(disk: &SimFs, name: &str) -> Vec<u8> {
    disk.read_raw(&Path::new(DIR).join(name)).unwrap()
}

/// Sections of a file as a hex dump, sixteen bytes a line. Each starts where the one before ended.
fn dump(bytes: &[u8], sections: &[(usize, &str)]) -> String {
    let mut out = String::from("```text\n");
    let mut at = 0;
    for (len, title) in sections {
        writeln!(out, "{title}").unwrap();
        for (i, line) in bytes[at..at + len].chunks(16).enumerate() {
            let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
            let text: String =
                line.iter().map(|&b| if b.is_ascii_graphic() { b as char } else { '.' }).collect();
            writeln!(out, "  {:04x}  {:<47}  {text}", at + i * 16, hex.join(" ")).unwrap();
        }
        at += len;
    }
    assert!(bytes[at..].iter().all(|byte| *byte == 0), "everything is shown");
    out + "```\n"
}

#[test]
fn golden_the_framing_of_records() {
    let (disk, fs) = disk();
    let header = FileHeader {
        identity: 0x0123_4567_89ab_cdef,
        store: STORE,
        number: 3,
        start_lsn: 4096,
        previous: 0xfedc_ba98_7654_3210,
        chain: 0,
        least_bytes: 4096,
    };
    let file = fs.create_new(&Path::new(DIR).join("000003.log")).unwrap();
    let mut writer = RecordWriter::create(file, LogKind::Wal, header).unwrap();
    writer.begin().extend_from_slice(b"ridge");
    writer.finish(1, 4096).unwrap();
    let synced = writer.lsn();
    writer.begin().extend_from_slice(b"sediment");
    writer.finish(1, synced).unwrap();
    let sections = [
        (HEADER_BYTES as usize, "file header: 64 bytes"),
        (32, "header of the first record"),
        (8, "its payload and 3 bytes of padding"),
        (32, "header of the second record: synced up to the first, chained to it"),
        (8, "its payload"),
    ];
    golden::check_part("docs/format/log.md", "example", &dump(&read(&disk, "000003.log"), &sections));
}

/// A column family as a batch knows it.
struct Family(u32);

impl FamilyRef for Family {
    fn family_id(&self) -> u32 {
        self.0
    }
    fn store_id(&self) -> u64 {
        1
    }
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
}

#[test]
fn golden_a_segment_of_the_log() {
    let (disk, fs) = disk();
    let random = Random::seeded(1);
    let options = WalOptions {
        fs,
        dir: DIR.into(),
        store: STORE,
        random,
        segment_bytes: 4096,
        least_bytes: 4096,
        mapped: false,
    };
    let mut wal = Wal::create(options, 3).unwrap();
    let group = GroupHeader { first_seq: 7, clock_ms: 1_700_000_000_000 };
    let mut first = WriteBatch::new();
    first.put(&Family(0), "user:1", "Ada").delete(&Family(1), "s0");
    let mut second = WriteBatch::new();
    second.put_with_ttl(&Family(1), "s1", "", Duration::from_secs(1800));
    let buffer = wal.begin();
    begin_group(buffer, group);
    // Sequence number 9 went to a batch that was not to be logged.
    for (first_seq, batch) in [(7, &first), (10, &second)] {
        let (count, ops) = (batch.len() as u32, batch.encoded());
        push_batch(buffer, group, LoggedBatch { first_seq, count, ops });
    }
    let len = buffer.len() - 32;
    wal.append(RecordKind::Group, 0, 10, Room::Reserved, || 4).unwrap();
    let synced = wal.lsn();
    let manifest = Some(ManifestEnd { number: 5, lsn: 184 });
    CloseMark { last_seq: 10, manifest }.encode(wal.begin());
    wal.append(RecordKind::Close, synced, 10, Room::Reserved, || 4).unwrap();
    let title = format!("a group of two batches: {len} bytes, and padding");
    let sections = [
        (64, "file header"),
        (32, "record header, kind 1"),
        (len.next_multiple_of(8), title.as_str()),
        (32, "record header, kind 2"),
        (24, "the mark of a close: the last sequence number, and where the manifest ends"),
    ];
    golden::check_part("docs/format/wal.md", "example", &dump(&read(&disk, "000003.log"), &sections));
}

fn state() -> StoreState {
    let mut state = StoreState {
        store: STORE,
        layer: "plain".into(),
        next_file: 5,
        seq_ceiling: 1 << 24,
        history: History { id: 0x0a0b_0c0d_0e0f_1011, first_seq: 1 },
        clock_ms: 1_700_000_000_000,
        oldest_wal: 4,
        next_family: 1,
        ..StoreState::default()
    };
    let options = options_bytes();
    state.families.insert(0, FamilyState { name: "default".into(), options, ..FamilyState::default() });
    state
}

/// The bytes that a store writes for a family with default options, taken from a real one.
fn options_bytes() -> Vec<u8> {
    let disk = SimFs::new();
    let db = esker::Db::builder(DIR).fs(Fs::Sim(disk.clone())).deterministic(1).open().unwrap();
    db.create_column_family("other", FamilyOptions::default()).unwrap();
    db.close().unwrap();
    let loaded = esker::version::load_manifest(&Fs::Sim(disk), Path::new(DIR)).unwrap().unwrap();
    loaded.state.families[&1].options.clone()
}

fn meta() -> TableMeta {
    TableMeta {
        number: 7,
        identity: 0x0123_4567_89ab_cdef,
        size: 379,
        smallest: (b"user:1".to_vec(), Trailer::new(7, Kind::Put, NEVER)),
        largest: (b"user:2".to_vec(), Trailer::new(4, Kind::Delete, NEVER)),
        min_seq: 4,
        max_seq: 9,
        entries: 3,
        deletions: 1,
        earliest_expiry: 1_800_000_000_000,
        latest_expiry: NEVER,
        oldest_deletion_ms: 1_700_000_000_000,
        cleaned_seq: 9,
        ingested_seq: 0,
        blobs: Vec::new(),
    }
}

#[test]
fn golden_a_manifest_and_the_file_that_names_it() {
    let (disk, fs) = disk();
    let mut manifest = Manifest::create(fs, Path::new(DIR), Random::seeded(1), state()).unwrap();
    let first = manifest.bytes() as usize - 64;
    let mut edit = Edit::default();
    let range = Arc::new(Range::new(RangeKind::Deleted, 6, b"user:", b"user;", 1_700_000_000_000));
    edit.push(EditOp::Flushed { family: 0, seq: 9 })
        .push(EditOp::AddTable { family: 0, level: 0, meta: Arc::new(meta()) })
        .push(EditOp::AddRange { family: 0, range })
        .push(EditOp::NextFile(8));
    manifest.commit(&edit, || unreachable!("a small manifest is not rewritten")).unwrap();
    let second = manifest.bytes() as usize - 64 - first;
    let sections = [
        (64, "file header"),
        (32, "record header"),
        (first - 32, "the whole state as one edit: tags 1 to 6, 9, 7, 10, and padding"),
        (32, "record header"),
        (second - 32, "an edit after a flush: tags 10, 11, 13, 2, and padding"),
    ];
    golden::check_part(
        "docs/format/manifest.md",
        "example",
        &dump(&read(&disk, "MANIFEST-000005"), &sections),
    );
    let line = String::from_utf8(read(&disk, "CURRENT")).unwrap();
    golden::check_part("docs/format/current.md", "example", &format!("```text\n{line}```\n"));
}

#[test]
fn golden_a_blob_file() {
    let (disk, fs) = disk();
    let head =
        BlobHead { identity: 0x0123_4567_89ab_cdef, family: 1, store: STORE, created_ms: 1_763_000_000_000 };
    let file = fs.create_new(&Path::new(DIR).join("000012.blob")).unwrap();
    let mut writer = BlobWriter::new(file, head, Codec::Zstd, 1).unwrap();
    let (_, first) = writer.add(b"user:1", b"Ada").unwrap();
    let (offset, second) = writer.add(b"user:2", &b"ridge ".repeat(40)).unwrap();
    writer.finish().unwrap();
    let reference = BlobRef { file: 12, offset, stored: second, raw: 240 }.encode();
    let mut bytes = read(&disk, "000012.blob");
    let sections = [
        (48, "header"),
        (first as usize, "a value as it is"),
        (second as usize, "a value as a zstd frame"),
        (48, "footer"),
        (reference.len(), "in a table, what refers to the second"),
    ];
    bytes.extend(reference);
    golden::check_part("docs/format/blob.md", "example", &dump(&bytes, &sections));
}
