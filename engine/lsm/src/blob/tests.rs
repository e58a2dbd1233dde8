//! What is written is read back, and nothing else passes for it.

use super::*;
use crate::base::blob_ref::BlobRef;
use crate::base::error::{Error, Result};
use crate::base::filename::FileKind;
use crate::base::observe::ReadContext;
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::cache::{BlockCache, FilePool, Through};
use crate::compress::Codec;
use crate::fs::{Fs, SimFs};
use std::path::Path;

const NUMBER: u64 = 7;

fn shelf(disk: &SimFs) -> Blobs {
    shelf_with(disk, &Arc::new(BlockCache::new(1 << 20)))
}

fn shelf_with(disk: &SimFs, cache: &Arc<BlockCache>) -> Blobs {
    let (fs, dir) = (Fs::Sim(disk.clone()), Path::new("/db"));
    fs.create_dir_all(dir).unwrap();
    let pool = Arc::new(FilePool::new(fs.clone(), dir, 8));
    Blobs::new(fs, dir, Random::seeded(3), pool, cache.clone())
}

/// Values that compress, that do not, and an empty one.
fn values() -> Vec<(Vec<u8>, Vec<u8>)> {
    let random = Random::seeded(9);
    let noise: Vec<u8> = (0..5000).map(|_| random.next_u64() as u8).collect();
    vec![
        (b"a".to_vec(), b"ridge ".repeat(900)),
        (b"b".to_vec(), noise),
        (b"c".to_vec(), Vec::new()),
        (b"d".to_vec(), vec![b'v'; 300_000]),
        (b"e".to_vec(), b"short".to_vec()),
    ]
}

fn write(blobs: &Blobs) -> (BlobSummary, Vec<BlobRef>) {
    let (file, identity) = blobs.create(NUMBER).unwrap();
    let head = BlobHead { identity, family: 4, store: 5, created_ms: 6 };
    let mut writer = BlobWriter::new(file, head, Codec::Zstd, 1).unwrap();
    let add = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let (offset, stored) = writer.add(key, value).unwrap();
        BlobRef { file: NUMBER, offset, stored, raw: value.len() as u64 }
    };
    let refs = values().iter().map(add).collect();
    (writer.finish().unwrap(), refs)
}

#[test]
fn a_long_file_is_written_back_while_it_grows() {
    let sim = SimFs::new();
    let (file, identity) = shelf(&sim).create(NUMBER).unwrap();
    let head = BlobHead { identity, family: 4, store: 5, created_ms: 6 };
    let mut writer = BlobWriter::new(file, head, Codec::None, 1).unwrap();
    for i in 0..9u8 {
        writer.add(&[i], &vec![i; 1 << 20]).unwrap();
    }
    assert_eq!(sim.stats().syncs_ahead(), 2);
    writer.finish().unwrap();
}

#[test]
fn values_come_back_one_by_one_and_all_together() {
    let blobs = shelf(&SimFs::new());
    let (summary, refs) = write(&blobs);
    let reader = blobs.open(NUMBER, summary.identity, summary.size_bytes).unwrap();
    for ((key, value), at) in values().iter().zip(&refs) {
        assert_eq!(reader.load(key, at, Through::Peek, &mut ()).unwrap(), value);
    }
    let walked: Vec<BlobRecord> = reader.walk().unwrap().collect::<Result<_>>().unwrap();
    let pairs: Vec<_> = walked.iter().map(|record| (record.key.clone(), record.value.to_vec())).collect();
    assert_eq!(pairs, values());
    let places: Vec<_> = walked.iter().map(|record| (record.offset, record.stored)).collect();
    assert_eq!(places, refs.iter().map(|at| (at.offset, at.stored)).collect::<Vec<_>>());
    assert_eq!(reader.verify().unwrap(), summary.totals);
    assert_eq!((summary.totals.entries, blobs.counts().reads()), (5, 5));
    assert!(summary.totals.record_bytes < summary.totals.raw_bytes, "what compresses is compressed");
    assert_eq!((reader.head().family, reader.head().store, reader.head().created_ms), (4, 5, 6));
}

#[test]
fn a_reference_to_anything_but_the_record_of_its_key_is_refused() {
    let blobs = shelf(&SimFs::new());
    let (summary, refs) = write(&blobs);
    let reader = blobs.open(NUMBER, summary.identity, summary.size_bytes).unwrap();
    let refused = |key: &[u8], at: BlobRef| {
        assert!(
            matches!(reader.load(key, &at, Through::Cache, &mut ()), Err(Error::Corruption(_))),
            "{at:?}"
        );
    };
    refused(b"b", refs[0]);
    refused(b"a", BlobRef { raw: refs[0].raw + 1, ..refs[0] });
    refused(b"a", BlobRef { offset: refs[0].offset + 1, ..refs[0] });
    refused(b"a", BlobRef { stored: refs[0].stored - 1, ..refs[0] });
    refused(b"a", BlobRef { offset: 0, ..refs[0] });
    refused(b"a", BlobRef { offset: summary.size_bytes - 9, stored: 9, ..refs[0] });
    refused(b"a", BlobRef { offset: u64::MAX - 3, stored: 3, ..refs[0] });
}

#[test]
fn another_file_under_the_name_is_refused() {
    let disk = SimFs::new();
    let blobs = shelf(&disk);
    let (summary, _) = write(&blobs);
    assert!(blobs.open(NUMBER, summary.identity ^ 1, summary.size_bytes).is_err());
    assert!(blobs.open(NUMBER, summary.identity, summary.size_bytes + 1).is_err());
    assert!(blobs.open(NUMBER + 1, summary.identity, summary.size_bytes).unwrap_err().is_not_found());
}

#[test]
fn every_flipped_byte_is_noticed() {
    let disk = SimFs::new();
    let blobs = shelf(&disk);
    let (summary, _) = write(&blobs);
    let path = FileKind::Blob(NUMBER).path(Path::new("/db"));
    // All of the header, the footer and the small records; the large ones here and there.
    let all = summary.size_bytes;
    let places = (0..2500).chain((2500..all - 200).step_by(997)).chain(all - 200..all);
    for at in places.filter(|at| *at < all) {
        disk.flip(&path, at, 1).unwrap();
        let fresh = shelf(&disk);
        let found = fresh.open(NUMBER, summary.identity, all).and_then(|reader| reader.verify());
        assert!(found.is_err(), "byte {at}");
        disk.flip(&path, at, 1).unwrap();
    }
    let fresh = shelf(&disk);
    fresh.open(NUMBER, summary.identity, all).unwrap().verify().unwrap();
}

#[test]
fn a_damaged_record_costs_itself_alone() {
    let disk = SimFs::new();
    let blobs = shelf(&disk);
    let (summary, refs) = write(&blobs);
    let path = FileKind::Blob(NUMBER).path(Path::new("/db"));
    // Behind its lengths, in the key or the value.
    disk.flip(&path, refs[1].offset + 20, 1).unwrap();
    let reader = blobs.open(NUMBER, summary.identity, summary.size_bytes).unwrap();
    for (i, ((key, value), at)) in values().iter().zip(&refs).enumerate() {
        match reader.load(key, at, Through::Peek, &mut ()) {
            Ok(found) => assert!(i != 1 && found == *value),
            Err(Error::Corruption(damage)) => assert_eq!((i, damage.offset), (1, refs[1].offset)),
            Err(error) => panic!("{error}"),
        }
    }
    let walked: Vec<bool> = reader.walk().unwrap().map(|record| record.is_ok()).collect();
    assert_eq!(walked, [true, false, true, true, true]);
}

/// A file of values whose lengths differ by chance, and its reader.
fn varied(blobs: &Blobs, entries: u64) -> (Arc<BlobReader>, Vec<(Vec<u8>, BlobRef)>) {
    let (file, identity) = blobs.create(NUMBER).unwrap();
    let head = BlobHead { identity, family: 4, store: 5, created_ms: 6 };
    let mut writer = BlobWriter::new(file, head, Codec::None, 1).unwrap();
    let random = Random::seeded(11);
    let add = |i: u64| {
        let (key, raw) = (format!("{i:04}").into_bytes(), 500 + random.next_u64() % 5000);
        let (offset, stored) = writer.add(&key, &vec![i as u8; raw as usize]).unwrap();
        (key, BlobRef { file: NUMBER, offset, stored, raw })
    };
    let places = (0..entries).map(add).collect();
    let summary = writer.finish().unwrap();
    (blobs.open(NUMBER, summary.identity, summary.size_bytes).unwrap(), places)
}

#[test]
fn values_stay_in_the_cache_of_those_who_fill_it() {
    let disk = SimFs::new();
    let cache = Arc::new(BlockCache::new(16 << 20));
    let blobs = shelf_with(&disk, &cache);
    let (reader, places) = varied(&blobs, 1000);
    let load = |(key, at): &(Vec<u8>, BlobRef), through| {
        let mut cost = ReadContext::default();
        let value = reader.load(key, at, through, &mut cost).unwrap();
        let number: usize = String::from_utf8(key.clone()).unwrap().parse().unwrap();
        assert_eq!(value, vec![number as u8; at.raw as usize]);
        assert_eq!(cost.values_read + cost.values_cached, 1);
        cost.values_cached
    };
    let all = |through| places.iter().map(|place| load(place, through)).sum::<u64>();
    assert_eq!(
        (all(Through::Peek), all(Through::File), reader.memory_bytes()),
        (0, 0, size_of_val(&*reader))
    );
    assert_eq!((all(Through::Cache), all(Through::File)), (0, 0));
    // Few find no place of their own, though no two lengths are the same.
    assert!(all(Through::Peek) > 950, "{}", all(Through::Peek));
    let before = blobs.counts().reads();
    assert!(load(&places[999], Through::Cache) + load(&places[999], Through::Cache) > 0);
    assert!(blobs.counts().reads() - before <= 1);
    assert!(reader.memory_bytes() <= size_of_val(&*reader) + 8 * 1250);
    let stats = cache.stats();
    assert!(stats.cached_bytes > 2 << 20 && blobs.counts().held_bytes() == 0, "{stats:?}");
    // A cache that is too small keeps some, and its bounds.
    cache.set_capacity_bytes(100_000);
    all(Through::Cache);
    let stats = cache.stats();
    assert!((50_000..=100_000).contains(&stats.cached_bytes), "{stats:?}");
    let held = reader.load(&places[3].0, &places[3].1, Through::Cache, &mut ()).unwrap();
    drop(reader);
    let stats = cache.stats();
    assert!(stats.cached_bytes == 0 && stats.alive_bytes >= held.len() as u64, "{stats:?}");
    drop(held);
    assert_eq!(cache.stats().alive_bytes, 0);
}

#[test]
fn what_is_larger_than_the_cache_is_read_each_time() {
    let disk = SimFs::new();
    let cache = Arc::new(BlockCache::new(100_000));
    let blobs = shelf_with(&disk, &cache);
    let (summary, refs) = write(&blobs);
    let reader = blobs.open(NUMBER, summary.identity, summary.size_bytes).unwrap();
    let (key, value) = &values()[3];
    for reads in 1..=3 {
        assert_eq!(reader.load(key, &refs[3], Through::Cache, &mut ()).unwrap(), value);
        assert_eq!((blobs.counts().reads(), cache.stats().cached_bytes), (reads, 0));
    }
}
