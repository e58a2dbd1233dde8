//! The parts that work in memory: memtable, block, filter, merge, codec.

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use esker::base::cursor::Cursor;
use esker::base::hash::key_hash;
use esker::base::key::{EntryRef, Kind, MAX_SEQ, NEVER, Trailer};
use esker::base::sync::Arc;
use esker::block::{Block, BlockBuilder};
use esker::compress::{Codec, Compressor, decompress};
use esker::filter::{Filter, FilterBuilder, FilterPolicy};
use esker::iter::Merge;
use esker::memtable::{Memtable, MemtableCursor};
use esker_benches::{Workload, rng};
use std::hint::black_box;
use std::time::Duration;

const ENTRIES: u32 = 200_000;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(10);
    group
}

fn insert(table: &Memtable, workload: &Workload, i: u32, seq: u64) {
    let (key, value) = (&workload.key(i)[..], &workload.value(i, 0)[..]);
    table.writer().insert(&EntryRef { key, seq, kind: Kind::Put, expires_at: NEVER, value });
}

fn filled(workload: &Workload, part: impl Iterator<Item = u32>, prefix: &[u8]) -> Arc<Memtable> {
    let table = Memtable::new(1, prefix, 32 << 20);
    part.zip(1..).for_each(|(i, seq)| insert(&table, workload, i, seq));
    Arc::new(table)
}

fn memtable(criterion: &mut Criterion) {
    let workload = Workload::new(ENTRIES, 1);
    let mut group = group(criterion, "memtable");
    let shuffled = || workload.shuffled().iter().copied();
    for (name, prefix) in [("insert", &b"user000000"[..]), ("insert, no prefix known", b"")] {
        group.throughput(Throughput::Elements(u64::from(ENTRIES)));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| (), |()| filled(&workload, shuffled(), prefix), BatchSize::PerIteration);
        });
    }
    group.throughput(Throughput::Elements(1));
    let table = filled(&workload, shuffled(), b"user000000");
    let mut next = rng(2);
    group.bench_function("get", |bencher| {
        bencher.iter(|| {
            let key = workload.key((next() % u64::from(ENTRIES)) as u32);
            black_box(table.get(&key, key_hash(&key), MAX_SEQ)).is_some()
        });
    });
    group.finish();
}

fn block_of(workload: &Workload, entries: u32) -> Vec<u8> {
    let mut builder = BlockBuilder::new(16);
    for i in 0..entries {
        let (key, value) = (&workload.key(i)[..], &workload.value(i, 0)[..]);
        builder.add(&EntryRef { key, seq: 1, kind: Kind::Put, expires_at: NEVER, value });
    }
    builder.finish().to_vec()
}

fn block(criterion: &mut Criterion) {
    let workload = Workload::new(ENTRIES, 1);
    let mut group = group(criterion, "block");
    let entries = 64;
    let block = Block::new(block_of(&workload, entries).into(), None).expect("it was just built");
    let mut next = rng(3);
    group.bench_function("get", |bencher| {
        bencher.iter(|| {
            let key = workload.key((next() % u64::from(entries)) as u32);
            black_box(block.get(&key, Trailer::seek(MAX_SEQ))).is_ok_and(|found| found.is_some())
        });
    });
    group.throughput(Throughput::Elements(u64::from(entries)));
    group.bench_function("build", |bencher| bencher.iter(|| black_box(block_of(&workload, entries))));
    group.finish();
}

fn filter(criterion: &mut Criterion) {
    let workload = Workload::new(ENTRIES, 1);
    let mut group = group(criterion, "filter");
    for (name, policy) in [("hash and probe", FilterPolicy::Blocked), ("keyed", FilterPolicy::Keyed)] {
        let mut builder = FilterBuilder::new(policy, 10, 1).expect("a policy with a filter");
        (0..ENTRIES).for_each(|i| builder.add(&workload.key(i)));
        let mut bytes = Vec::new();
        builder.finish(&mut bytes);
        let filter = Filter::decode(&bytes, None).expect("it was just built");
        let mut next = rng(4);
        group.bench_function(format!("{name}, absent"), |bencher| {
            bencher.iter(|| {
                let key = workload.missing_key((next() % u64::from(ENTRIES)) as u32);
                filter.may_contain(&key, key_hash(&key))
            });
        });
    }
    group.finish();
}

fn merge(criterion: &mut Criterion) {
    let workload = Workload::new(ENTRIES, 1);
    let mut group = group(criterion, "merge");
    group.throughput(Throughput::Elements(u64::from(ENTRIES)));
    for runs in [1, 2, 8] {
        let numbers = |run: u32| (0..ENTRIES).filter(move |i| ((i * 7919) >> 4) % runs == run);
        let tables: Vec<_> = (0..runs).map(|run| filled(&workload, numbers(run), b"user000000")).collect();
        group.bench_function(format!("{runs} runs"), |bencher| {
            bencher.iter(|| {
                let cursors = tables.iter().map(|table| MemtableCursor::new(table.clone())).collect();
                let mut merge = Merge::new(cursors);
                merge.seek_to_first().expect("memory does not fail");
                let mut bytes = 0;
                while merge.valid() {
                    bytes += merge.user_key().len();
                    merge.next().expect("memory does not fail");
                }
                bytes
            });
        });
    }
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    let workload = Workload::new(ENTRIES, 1);
    let mut group = group(criterion, "zstd-1");
    for kib in [4, 8, 16, 32] {
        let raw = block_of(&workload, kib * 1024 / 114);
        let mut compressor = Compressor::new(Codec::Zstd, 1).expect("level 1 exists");
        let mut out = Vec::new();
        group.throughput(Throughput::Bytes(raw.len() as u64));
        group.bench_function(format!("compress {kib} KiB"), |bencher| {
            bencher.iter(|| {
                out.clear();
                compressor.compress(&raw, &mut out)
            });
        });
        group.bench_function(format!("decompress {kib} KiB"), |bencher| {
            bencher.iter(|| black_box(decompress(Codec::Zstd, &out, raw.len())).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, memtable, block, filter, merge, codec);
criterion_main!(benches);
