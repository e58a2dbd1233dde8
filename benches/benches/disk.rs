//! The parts that touch files: tables and the log. The files are in the system's cache.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use esker::base::cursor::Cursor;
use esker::base::hash::key_hash;
use esker::base::key::{EntryRef, Kind, MAX_SEQ, NEVER};
use esker::base::random::Random;
use esker::base::sync::Arc;
use esker::fs::Fs;
use esker::table::{Expected, TableCache, TableCursor, TableOptions, TableReader, TableSource, TableWriter};
use esker::wal::{GroupHeader, LoggedBatch, RecordKind, Room, Wal, WalOptions, begin_group, push_batch};
use esker_benches::{Workload, rng};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

const ENTRIES: u32 = 200_000;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(10);
    group
}

fn write_table(path: &Path, workload: &Workload) {
    let file = Fs::default().create_new(path).expect("a new file");
    let mut writer = TableWriter::new(file, 42, TableOptions::default()).expect("the default options");
    for i in 0..ENTRIES {
        let (key, value) = (&workload.key(i)[..], &workload.value(i, 0)[..]);
        let entry = EntryRef { key, seq: 1, kind: Kind::Put, expires_at: NEVER, value };
        writer.add(&entry).expect("room on the disk");
    }
    writer.finish().expect("room on the disk");
}

fn table(criterion: &mut Criterion) {
    let workload = Workload::new(ENTRIES, 1);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("written");
    let mut group = group(criterion, "table");
    group.throughput(Throughput::Elements(u64::from(ENTRIES)));
    group.bench_function("write, synced", |bencher| {
        bencher.iter(|| {
            write_table(&path, &workload);
            std::fs::remove_file(&path).expect("it was just written");
        });
    });
    group.throughput(Throughput::Elements(1));
    write_table(&path, &workload);
    let open = |cache: Option<Arc<TableCache>>| {
        let file = Arc::new(Fs::default().open(&path).expect("it was just written"));
        Arc::new(TableReader::open(TableSource::File(file), Expected::default(), cache).expect("a table"))
    };
    let (cached, bare) = (open(Some(Arc::new(TableCache::new(1 << 30)))), open(None));
    for (name, reader) in [("get, cached", &cached), ("get, not cached", &bare)] {
        let mut next = rng(5);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let key = workload.key((next() % u64::from(ENTRIES)) as u32);
                let found = reader.get(&key, key_hash(&key), MAX_SEQ, |entry, _| entry.value.len());
                black_box(found).is_ok_and(|found| found.is_some())
            });
        });
    }
    group.throughput(Throughput::Elements(u64::from(ENTRIES)));
    group.bench_function("scan, cached", |bencher| {
        bencher.iter(|| {
            let mut cursor = TableCursor::new(cached.clone(), true);
            cursor.seek_to_first().expect("a sound table");
            let mut bytes = 0;
            while cursor.valid() {
                bytes += cursor.entry().value.len();
                cursor.next().expect("a sound table");
            }
            bytes
        });
    });
    group.finish();
}

fn log(criterion: &mut Criterion) {
    let mut group = group(criterion, "log");
    for (name, count) in [("append 1 put", 1), ("append 100 puts", 100u32)] {
        let dir = tempfile::tempdir().expect("a folder");
        let options = WalOptions {
            fs: Fs::default(),
            dir: dir.path().to_owned(),
            store: 1,
            random: Random::seeded(1),
            segment_bytes: 64 << 20,
            least_bytes: 64 << 20,
            mapped: true,
        };
        let mut wal = Wal::create(options, 1).expect("room on the disk");
        let ops = vec![0x5a; 120 * count as usize];
        let (mut seq, mut number) = (1, 1);
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let header = GroupHeader { first_seq: seq, clock_ms: 0 };
                let buffer = wal.begin();
                begin_group(buffer, header);
                push_batch(buffer, header, LoggedBatch { first_seq: seq, count, ops: &ops });
                seq += u64::from(count);
                let next_number = || {
                    number += 1;
                    number
                };
                wal.append(RecordKind::Group, 0, seq - 1, Room::Reserved, next_number)
                    .expect("room on the disk");
                // Only the segment that is written to is kept: the bench runs for as long as it likes.
                wal.synced(wal.lsn());
                for old in wal.release(wal.current()) {
                    let path = esker::base::filename::FileKind::Wal(old).path(dir.path());
                    std::fs::remove_file(path).expect("a sealed segment");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, table, log);
criterion_main!(benches);
