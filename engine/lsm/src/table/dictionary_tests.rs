//! Tables with dictionaries: what is written, what is read, and what damage costs.

use super::*;
use crate::base::coding::{put_bytes, put_varint};
use crate::block::BlockCursor;
use crate::compress::Dictionary;
use std::collections::BTreeSet;

/// Records that are alike; `n` makes them differ.
fn record(n: usize) -> Vec<u8> {
    let (depth, place) = (n * 7919 % 10_007, n * 104_729 % 997);
    format!(r#"{{"layer":{n},"depth_mm":{depth},"place":"{place} km from the ridge","kind":"sand"}}"#).into()
}

/// Bytes that nobody can compress.
fn noise(n: usize, len: usize) -> Vec<u8> {
    let random = crate::base::random::Random::seeded(n as u64);
    (0..len).map(|_| random.next_u64() as u8).collect()
}

fn records(count: usize) -> Vec<Owned> {
    (0..count).map(|i| Owned::put(format!("user{i:08}"), 7, record(i))).collect()
}

fn options(dictionary_bytes: usize) -> TableOptions {
    TableOptions { dictionary_bytes, block_bytes: 512, ..TableOptions::default() }
}

/// The codecs of the data blocks.
fn codecs(path: &Path) -> BTreeSet<u8> {
    let bytes = std::fs::read(path).unwrap();
    let table = TableReader::open_damaged(TableSource::File(Arc::new(file(path)))).unwrap();
    table.blocks().map(|(handle, _)| bytes[handle.offset as usize + handle.size as usize]).collect()
}

/// Every entry that a walk without the index finds.
fn scanned(path: &Path, end: u64) -> Vec<Owned> {
    let mut scan = BlockScan::new(Arc::new(file(path)), IDENTITY, end);
    let mut entries = Vec::new();
    // Behind the data blocks stand others, which are passed over.
    while let Some((_, Ok(block))) = scan.next_block() {
        let mut cursor = BlockCursor::new();
        cursor.set_block(block);
        cursor.seek_to_first().unwrap();
        while cursor.valid() {
            let EntryRef { key, seq, kind, expires_at, value } = cursor.entry();
            entries.push(Owned { key: key.to_vec(), seq, kind, expires_at, value: value.to_vec() });
            cursor.next().unwrap();
        }
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn tables_with_dictionaries_hold_what_was_put_into_them(
        count in prop_oneof![0usize..20, 20usize..3000],
        noisy in prop_oneof![Just(1usize), Just(2), Just(50), Just(usize::MAX)],
        block_bytes in prop_oneof![Just(64usize), Just(600), Just(8192)],
        partition_bytes in prop_oneof![Just(1usize), Just(400), Just(1 << 18)],
        dictionary_bytes in prop_oneof![Just(256usize), Just(1000), Just(1 << 16)],
        level in prop_oneof![Just(1), Just(-3), Just(9)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.sst");
        let entries: Vec<Owned> = (0..count)
            .map(|i| {
                let value = if (i + 1).is_multiple_of(noisy) { noise(i, 90) } else { record(i) };
                // Some keys have many versions, which go over blocks and partitions.
                let versions = i / 40 * 40 + if i % 40 < 25 { 0 } else { i % 40 };
                Owned::put(format!("user{versions:08}"), (count - i) as u64, value)
            })
            .collect();
        let options = TableOptions {
            block_bytes, partition_bytes, zstd_level: level, ..options(dictionary_bytes)
        };
        let summary = write(&path, &entries, &options);
        let bytes = std::fs::read(&path).unwrap();
        let plain = dir.path().join("2.sst");
        let without = write(&plain, &entries, &TableOptions { dictionary_bytes: 0, ..options.clone() });
        // Trained on a part, it may disappoint by as much as it is large.
        prop_assert!(summary.size_bytes <= without.size_bytes + dictionary_bytes as u64 + 100);
        let has_one = summary.properties.dictionary.is_some();
        prop_assert_eq!(summary.properties.codec, 1 + u8::from(has_one));
        if let Some(handle) = summary.properties.dictionary {
            prop_assert_eq!(handle.offset, 0);
            prop_assert!(handle.size as usize <= dictionary_bytes);
        }
        prop_assert_eq!(codecs(&path).contains(&2), has_one);

        let cache = Arc::new(TableCache::new(1 << 20));
        let table = Arc::new(open(&path, Some(cache)).unwrap());
        prop_assert_eq!(table.properties(), &summary.properties);
        let verified = table.verify().unwrap();
        prop_assert_eq!((verified.entries, verified.bytes), (entries.len() as u64, summary.size_bytes));
        drop(table);
        let (read, found) = read_all(&path, &entries).unwrap();
        prop_assert_eq!(&read, &entries);
        prop_assert!(found.iter().all(|found| *found));
        prop_assert_eq!(scanned(&path, summary.size_bytes - FOOTER_BYTES as u64), entries.clone());
        // The same again.
        std::fs::remove_file(&path).unwrap();
        write(&path, &entries, &options);
        prop_assert!(std::fs::read(&path).unwrap() == bytes);
    }
}

#[test]
fn a_dictionary_pays_or_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let size = |name: &str, entries: &[Owned], options: &TableOptions| {
        let summary = write(&dir.path().join(name), entries, options);
        (summary.size_bytes, summary.properties.dictionary)
    };
    let alike = records(5000);
    let (plain, none) = size("plain", &alike, &options(0));
    let (with, dictionary) = size("with", &alike, &options(4096));
    assert!(none.is_none() && dictionary.is_some() && with * 10 < plain * 8, "{with} and {plain}");
    let noise: Vec<Owned> = (0..500).map(|i| Owned::put(format!("{i:08}"), 7, noise(i, 200))).collect();
    assert_eq!(size("noise", &noise, &options(4096)).1, None);
    // Too little to train on, or to win it back on.
    for count in [0, 1, 10, 30] {
        assert_eq!(size(&format!("few {count}"), &alike[..count], &options(4096)).1, None);
    }
    // What is stored raw has none, whatever is wished.
    assert_eq!(size("raw", &alike, &TableOptions { codec: Codec::None, ..options(4096) }).1, None);
}

#[test]
fn what_is_kept_is_bounded_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let options = TableOptions { block_bytes: 64, partition_bytes: 256, ..options(1 << 20) };
    let file = Fs::default().create_new(&path).unwrap();
    let mut writer = TableWriter::new(file, IDENTITY, options).unwrap();
    let (mut before, mut released) = (0, 0);
    let entries = records(9000);
    for entry in &entries {
        writer.add(&entry.as_ref()).unwrap();
        let now = writer.estimated_bytes();
        released += usize::from(now < before);
        before = now;
    }
    assert_eq!(released, 1, "4096 blocks are enough, and take less when they are written");
    let summary = writer.finish().unwrap();
    let table = open(&path, None).unwrap();
    let reader::Layout::Partitioned(parts) = &table.layout else { panic!("it has partitions") };
    assert!(parts.top.len() > 100 && summary.properties.dictionary.is_some());
    let first = table.loader.read_index(parts.top.handle(0).unwrap()).unwrap();
    assert_eq!(first.len(), 4096, "no partition is cut while blocks are kept");
    table.verify().unwrap();
    assert_eq!(read_all(&path, &entries).unwrap().0, entries);
}

#[test]
fn a_table_is_full_by_what_it_takes_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = Fs::default().create_new(&dir.path().join("1.sst")).unwrap();
    // 400 KiB would be kept.
    let mut writer = TableWriter::new(file, IDENTITY, options(4096)).unwrap();
    let full = 64 << 10;
    let written = records(20_000).iter().position(|entry| {
        let reached = writer.has_reached(full).unwrap();
        if !reached {
            writer.add(&entry.as_ref()).unwrap();
        }
        reached
    });
    let summary = writer.finish().unwrap();
    assert_eq!(written.map(|count| count as u64), Some(summary.properties.entries));
    assert!(summary.properties.dictionary.is_some());
    assert!((full * 3 / 4..full * 9 / 8).contains(&summary.size_bytes), "{} bytes", summary.size_bytes);
}

#[test]
fn huge_values_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    for (n, huge_at) in [0, 700, 1499].into_iter().enumerate() {
        let path = dir.path().join(format!("{n}.sst"));
        let mut entries = records(1500);
        entries[huge_at].value = noise(1, 9 << 20);
        let summary = write(&path, &entries, &options(2048));
        // Behind a huge value that comes first there is nothing to train on; otherwise it is what stands
        // before.
        assert_eq!(summary.properties.dictionary.is_some(), huge_at > 0);
        let before = dir.path().join(format!("before {n}.sst"));
        let of_before = write(&before, &entries[..huge_at], &options(2048)).properties.dictionary;
        assert_eq!(of_before, summary.properties.dictionary);
        let size = of_before.map_or(0, |handle| handle.size as usize);
        assert!(std::fs::read(&path).unwrap()[..size] == std::fs::read(&before).unwrap()[..size]);
        open(&path, None).unwrap().verify().unwrap();
        assert_eq!(read_all(&path, &entries).unwrap().0, entries);
    }
}

/// A small table with a dictionary, and the bytes of its file.
fn small(path: &Path) -> (Vec<Owned>, Properties, Vec<u8>) {
    let entries = records(120);
    let summary = write(path, &entries, &TableOptions { partition_bytes: 100, ..options(400) });
    assert!(summary.properties.dictionary.is_some() && codecs(path).contains(&2));
    (entries, summary.properties, std::fs::read(path).unwrap())
}

#[test]
fn damage_anywhere_in_a_dictionary_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let (entries, properties, whole) = small(&path);
    let handle = properties.dictionary.unwrap();
    for at in 0..handle.stored_bytes() as usize {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(open(&path, None), Err(Error::Corruption(_))), "byte {at}");
        let table = TableReader::open_damaged(TableSource::File(Arc::new(file(&path)))).unwrap();
        assert!(matches!(table.check_dictionary(), Some(Error::Corruption(_))), "byte {at}");
        assert!(table.verify().is_err());
        assert!(table.blocks().all(|(_, block)| matches!(block, Err(Error::Corruption(_)))));
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(read_all(&path, &entries).unwrap().0, entries);
}

#[test]
fn a_dictionary_is_found_without_properties_and_without_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let (entries, _, whole) = small(&path);
    let footer = *open(&path, None).unwrap().footer();
    let damage = |handle: Handle| {
        let mut bytes = whole.clone();
        bytes[handle.offset as usize] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        TableReader::open_damaged(TableSource::File(Arc::new(file(&path))))
    };
    let table = damage(footer.properties).unwrap();
    assert!(table.properties().dictionary.is_none() && table.blocks().all(|(_, block)| block.is_ok()));
    assert!(damage(footer.index).is_err());
    assert_eq!(scanned(&path, whole.len() as u64), entries);
}

/// The table with other properties, which may be of any length: they stand last.
fn with_properties(whole: &[u8], footer: &Footer, properties: &[u8]) -> Vec<u8> {
    let mut bytes = whole[..footer.properties.offset as usize].to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(properties);
    format::seal(&mut bytes, start, Codec::None, IDENTITY, start as u64);
    let handle = Handle { offset: start as u64, size: properties.len() as u32 };
    let offset = bytes.len() as u64;
    Footer { properties: handle, ..*footer }.encode(offset, &mut bytes);
    bytes
}

#[test]
fn dictionaries_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let (entries, properties, whole) = small(&path);
    let table = open(&path, None).unwrap();
    let footer = *table.footer();
    let data = table.blocks().next().unwrap().0;
    let open_with = |dictionary: Option<Handle>| {
        let mut stored = Vec::new();
        Properties { dictionary, ..properties.clone() }.encode(&mut stored);
        std::fs::write(&path, with_properties(&whole, &footer, &stored)).unwrap();
        open(&path, None)
    };
    let right = properties.dictionary.unwrap();
    assert!(open_with(Some(right)).is_ok_and(|table| table.verify().is_ok()));
    for wrong in [
        Handle { size: u32::MAX, ..right },
        Handle { size: 0, ..right },
        Handle { size: right.size - 1, ..right },
        Handle { offset: u64::MAX, ..right },
        Handle { offset: whole.len() as u64 - 5, ..right },
        footer.filter,
        data,
    ] {
        assert!(matches!(open_with(Some(wrong)), Err(Error::Corruption(_))), "{wrong:?}");
    }
    // Blocks that need one that the table says it has not.
    let table = open_with(None).unwrap();
    let entry = &entries[50];
    assert!(matches!(get(&table, &entry.key, 9), Err(Error::Corruption(_))));
    assert!(matches!(table.verify(), Err(Error::Corruption(_))));
    // A handle of another length.
    let mut stored = Vec::new();
    put_varint(&mut stored, 31);
    put_bytes(&mut stored, &[0; 11]);
    std::fs::write(&path, with_properties(&whole, &footer, &stored)).unwrap();
    assert!(matches!(open(&path, None), Err(Error::Corruption(_))));
}

#[test]
fn a_dictionary_counts_in_what_an_open_table_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let (_, properties, whole) = small(&path);
    let cache = Arc::new(TableCache::new(1 << 20));
    let table = open(&path, Some(cache.clone())).unwrap();
    let handle = properties.dictionary.unwrap();
    let dictionary = Dictionary::new(&whole[..handle.size as usize], None).unwrap();
    assert!(table.pinned_bytes() > dictionary.size_bytes());
    assert!(cache.stats().alive_bytes >= dictionary.size_bytes() as u64);
    drop(table);
    assert_eq!(cache.stats().alive_bytes, 0);
}
