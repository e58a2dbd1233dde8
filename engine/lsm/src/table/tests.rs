//! Tables against a sorted vector, and tables with every byte damaged in turn.

use super::*;
use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::hash::key_hash;
use crate::base::key::{EntryRef, Kind, MAX_SEQ, NEVER, Trailer, compare};
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::compress::Codec;
use crate::filter::FilterPolicy;
use crate::fs::{Fs, OpenFile};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::path::Path;

#[path = "dictionary_tests.rs"]
mod dictionaries;
#[path = "golden_tests.rs"]
mod golden;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    key: Vec<u8>,
    seq: u64,
    kind: Kind,
    expires_at: u64,
    value: Vec<u8>,
}

impl Owned {
    fn put(key: impl AsRef<[u8]>, seq: u64, value: impl AsRef<[u8]>) -> Owned {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        Owned { key, seq, kind: Kind::Put, expires_at: NEVER, value }
    }

    fn delete(key: impl AsRef<[u8]>, seq: u64) -> Owned {
        Owned { kind: Kind::Delete, ..Owned::put(key, seq, b"") }
    }

    fn as_ref(&self) -> EntryRef<'_> {
        let Owned { key, seq, kind, expires_at, value } = self;
        EntryRef { key, seq: *seq, kind: *kind, expires_at: *expires_at, value }
    }

    fn internal(&self) -> (&[u8], Trailer) {
        (&self.key, self.as_ref().trailer())
    }
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0u32..300).prop_map(|i| format!("user{i:012}").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(prop_oneof![Just(0u8), Just(255)], 0..6),
        (any::<u8>(), 0usize..200).prop_map(|(last, n)| [vec![b'p'; n], vec![last]].concat()),
        Just(b"hot".to_vec()),
    ]
}

fn any_entries(max: usize) -> impl Strategy<Value = Vec<Owned>> {
    let entry = (any_key(), 0u64..200, any::<bool>(), any::<Option<u64>>(), 0usize..60);
    prop::collection::vec(entry, 0..max).prop_map(|raw| {
        let mut entries: Vec<Owned> = raw
            .into_iter()
            .map(|(key, seq, put, expires_at, len)| match put {
                true => Owned {
                    expires_at: expires_at.unwrap_or(NEVER),
                    ..Owned::put(key, seq, vec![len as u8; len])
                },
                false => Owned::delete(key, seq),
            })
            .collect();
        entries.sort_by(|a, b| compare(a.internal(), b.internal()));
        entries.dedup_by(|a, b| a.key == b.key && a.seq == b.seq);
        entries
    })
}

fn any_options() -> impl Strategy<Value = TableOptions> {
    let sizes = (
        prop_oneof![Just(64usize), Just(300), Just(8192)],
        prop_oneof![Just(1usize), Just(400), Just(1 << 18)],
        prop_oneof![Just(0usize), Just(256), Just(4096)],
    );
    (sizes, 1u32..20, any::<bool>(), prop_oneof![Just(0u32), Just(10)]).prop_map(
        |((block_bytes, partition_bytes, dictionary_bytes), restart_interval, zstd, bits)| TableOptions {
            codec: if zstd { Codec::Zstd } else { Codec::None },
            dictionary_bytes,
            block_bytes,
            partition_bytes,
            restart_interval,
            filter: if bits == 0 { FilterPolicy::None } else { FilterPolicy::Blocked },
            bits_per_key: bits.max(1),
            ..TableOptions::default()
        },
    )
}

const IDENTITY: u64 = 0x0123_4567_89ab_cdef;

fn write(path: &Path, entries: &[Owned], options: &TableOptions) -> TableSummary {
    let file = Fs::default().create_new(path).unwrap();
    let mut writer = TableWriter::new(file, IDENTITY, options.clone()).unwrap();
    for entry in entries {
        writer.add(&entry.as_ref()).unwrap();
    }
    writer.finish().unwrap()
}

fn file(path: &Path) -> OpenFile {
    Fs::default().open(path).unwrap()
}

fn open(path: &Path, cache: Option<Arc<TableCache>>) -> Result<TableReader> {
    TableReader::open(TableSource::File(Arc::new(file(path))), Expected::default(), cache)
}

fn first_at_or_after(entries: &[Owned], key: &[u8], seq: u64) -> usize {
    let target = (key, Trailer::seek(seq));
    entries.partition_point(|e| compare(e.internal(), target) == Ordering::Less)
}

fn expect(cursor: &TableCursor, wanted: Option<&Owned>) {
    assert_eq!(cursor.valid(), wanted.is_some(), "{wanted:?}");
    if let Some(wanted) = wanted {
        assert_eq!(cursor.entry(), wanted.as_ref());
        assert_eq!((cursor.user_key(), cursor.trailer()), wanted.internal());
        assert_eq!(cursor.value_slice(), wanted.value);
    }
}

fn get(table: &TableReader, key: &[u8], seq: u64) -> Result<Option<(u64, Kind, u64, Slice)>> {
    table.get(key, key_hash(key), seq, |entry, block| {
        assert_eq!(entry.key, key);
        (entry.seq, entry.kind, entry.expires_at, block.slice(entry.value))
    })
}

fn check_summary(summary: &TableSummary, entries: &[Owned]) {
    let properties = &summary.properties;
    assert_eq!(properties.entries, entries.len() as u64);
    if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
        assert_eq!((&properties.smallest.user_key[..], properties.smallest.trailer), first.internal());
        assert_eq!((&properties.largest.user_key[..], properties.largest.trailer), last.internal());
        assert_eq!(Some(properties.max_seq), entries.iter().map(|e| e.seq).max());
        assert_eq!(Some(properties.earliest_expiry), entries.iter().map(|e| e.expires_at).min());
        assert_eq!(Some(properties.latest_expiry), entries.iter().map(|e| e.expires_at).max());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_table_is_a_sorted_vector(
        entries in any_entries(200),
        options in any_options(),
        strangers in prop::collection::vec((any_key(), 0u64..220), 20),
        walk in prop::collection::vec(any::<bool>(), 0..60),
        cached in any::<bool>(),
        fill_cache in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("000001.sst");
        let summary = write(&path, &entries, &options);
        check_summary(&summary, &entries);
        let cache = cached.then(|| Arc::new(TableCache::new(1 << 20)));
        let table = Arc::new(open(&path, cache).unwrap());
        prop_assert_eq!(table.properties(), &summary.properties);
        prop_assert_eq!(table.size_bytes(), summary.size_bytes);
        let verified = table.verify().unwrap();
        prop_assert_eq!((verified.entries, verified.bytes), (entries.len() as u64, summary.size_bytes));
        prop_assert_eq!(table.blocks().filter(|(_, block)| block.is_ok()).count() as u64,
            verified.data_blocks);

        let mut cursor = TableCursor::new(table.clone(), fill_cache);
        prop_assert!(!cursor.valid());
        cursor.seek_to_first().unwrap();
        for entry in &entries {
            expect(&cursor, Some(entry));
            cursor.next().unwrap();
        }
        expect(&cursor, None);
        cursor.seek_to_last().unwrap();
        for entry in entries.iter().rev() {
            expect(&cursor, Some(entry));
            cursor.prev().unwrap();
        }
        expect(&cursor, None);

        let own = entries.iter().flat_map(|e| [0, 1].map(|n| (e.key.clone(), e.seq.saturating_sub(n))));
        let longer = entries.iter().map(|e| ([&e.key[..], b"\0"].concat(), MAX_SEQ));
        for (key, seq) in own.chain(longer).chain(strangers) {
            let i = first_at_or_after(&entries, &key, seq);
            cursor.seek(&key, seq).unwrap();
            expect(&cursor, entries.get(i));
            cursor.seek_before(&key, seq).unwrap();
            expect(&cursor, i.checked_sub(1).and_then(|i| entries.get(i)));
            let found = get(&table, &key, seq).unwrap();
            let wanted = entries.get(i).filter(|e| e.key == key);
            let wanted = wanted.map(|e| (e.seq, e.kind, e.expires_at, Slice::copy(&e.value)));
            prop_assert_eq!(found, wanted);
            prop_assert!(table.approximate_offset(&key).unwrap() <= table.size_bytes());
        }
        if let Some(middle) = entries.get(entries.len() / 2) {
            let mut i = entries.len() / 2;
            cursor.seek(&middle.key, middle.seq).unwrap();
            for forward in walk {
                if forward { cursor.next().unwrap() } else { cursor.prev().unwrap() }
                i = if forward { i + 1 } else { i.wrapping_sub(1) };
                expect(&cursor, entries.get(i));
                if i >= entries.len() {
                    break;
                }
            }
        }
    }
}

/// Everything that a reader can say of a table, or the error that it met.
fn read_all(path: &Path, keys: &[Owned]) -> Result<(Vec<Owned>, Vec<bool>)> {
    let table = Arc::new(open(path, None)?);
    let _ = table.verify();
    let _ = table.blocks().filter(|(_, block)| block.is_ok()).count();
    let mut cursor = TableCursor::new(table.clone(), true);
    let mut entries = Vec::new();
    cursor.seek_to_first()?;
    while cursor.valid() {
        let EntryRef { key, seq, kind, expires_at, value } = cursor.entry();
        entries.push(Owned { key: key.to_vec(), seq, kind, expires_at, value: value.to_vec() });
        cursor.next()?;
    }
    cursor.seek_to_last()?;
    while cursor.valid() {
        cursor.prev()?;
    }
    let mut found = Vec::new();
    for entry in keys {
        let value = get(&table, &entry.key, entry.seq)?.map(|(_, _, _, value)| value);
        found.push(value.is_some_and(|value| value == entry.value));
    }
    Ok((entries, found))
}

fn small_entries() -> Vec<Owned> {
    let mut entries = vec![Owned::put(b"", 1, b"the empty key")];
    for i in 0..12u64 {
        entries.push(Owned::put(format!("user{i:012}"), 20 + i, vec![b'v'; 40]));
    }
    entries.push(Owned { expires_at: 1_700_000_000_000, ..Owned::put(b"versions", 9, b"newest") });
    entries.extend((1..6).rev().map(|seq| Owned::put(b"versions", seq, b"older, older, older")));
    entries.push(Owned::delete(b"zero", 3));
    entries
}

#[test]
fn every_damaged_byte_and_every_cut_is_found_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let entries = small_entries();
    for (n, (codec, partition_bytes)) in
        [(Codec::None, 1 << 18), (Codec::None, 60), (Codec::Zstd, 60)].into_iter().enumerate()
    {
        let options = TableOptions { codec, block_bytes: 200, partition_bytes, ..TableOptions::default() };
        let path = dir.path().join(format!("{n}.sst"));
        write(&path, &entries, &options);
        let whole = std::fs::read(&path).unwrap();
        let intact = read_all(&path, &entries).unwrap();
        assert_eq!(intact, (entries.clone(), vec![true; entries.len()]));
        let harmless = |bytes: &[u8], what: String| {
            std::fs::write(&path, bytes).unwrap();
            match read_all(&path, &entries) {
                Ok(read) => assert_eq!(read, intact, "{what}"),
                Err(Error::Corruption(_) | Error::UnsupportedVersion { .. }) => {}
                Err(other) => panic!("{what}: {other}"),
            }
            if let Ok(table) = TableReader::open_damaged(TableSource::File(Arc::new(file(&path)))) {
                let _ = (table.verify(), table.blocks().count());
            }
        };
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                harmless(&bytes, format!("byte {at} ^ {flip:#x}"));
            }
        }
        for len in 0..whole.len() {
            harmless(&whole[..len], format!("cut to {len}"));
            assert!(open(&path, None).is_err(), "cut to {len}");
        }
    }
}

#[test]
fn a_damaged_block_leaves_its_neighbours_readable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let options =
        TableOptions { block_bytes: 200, partition_bytes: 60, codec: Codec::None, ..Default::default() };
    let summary = write(&path, &small_entries(), &options);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let table = Arc::new(open(&path, None).unwrap());
    let blocks: Vec<_> = table.blocks().map(|(handle, block)| (handle.offset, block.is_ok())).collect();
    assert_eq!(blocks.len() as u64, summary.properties.data_blocks);
    assert!(blocks.iter().all(|&(offset, ok)| ok == (offset != 0)), "{blocks:?}");
    assert!(matches!(table.verify(), Err(Error::Corruption(_))));
    // The error sticks to a cursor that met it.
    let mut cursor = TableCursor::new(table, true);
    assert!(cursor.seek_to_first().is_err() && !cursor.valid());
    assert!(cursor.next().is_err() && cursor.seek(b"zero", 9).is_err() && !cursor.valid());
}

#[test]
fn a_table_says_what_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let summary = write(&path, &small_entries(), &TableOptions::default());
    let source = || TableSource::File(Arc::new(file(&path)));
    let expect = |identity, size_bytes| {
        TableReader::open(source(), Expected { identity, size_bytes, base: 0 }, None).map(drop)
    };
    expect(Some(IDENTITY), Some(summary.size_bytes)).unwrap();
    let error = expect(Some(7), None).unwrap_err().to_string();
    assert!(error.contains("expected table 0x0000000000000007"), "{error}");
    assert!(matches!(expect(None, Some(5)), Err(Error::Corruption(_))));
    let mut bytes = std::fs::read(&path).unwrap();
    let version = bytes.len() - 16;
    bytes[version] = 2;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(open(&path, None), Err(Error::UnsupportedVersion { found: 2, supported: 1, .. })));
    for text in [&b""[..], b"notes", &[b'x'; 500]] {
        std::fs::write(&path, text).unwrap();
        let error = open(&path, None).unwrap_err().to_string();
        assert!(error.contains("not a table"), "{error}");
    }
}

#[test]
fn values_of_any_size_have_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let entries: Vec<Owned> = (0..30)
        .map(|i| Owned::put(vec![i as u8; 1 + i * 1000], 5, vec![i as u8; (i % 5) * 300_000]))
        .collect();
    write(&path, &entries, &TableOptions::default());
    let table = open(&path, None).unwrap();
    assert_eq!(table.verify().unwrap().entries, 30);
    assert_eq!(read_all(&path, &entries).unwrap().0, entries);
}

#[test]
fn reads_go_through_the_cache_and_the_account() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let entries: Vec<Owned> =
        (0..2000).map(|i| Owned::put(format!("user{i:012}"), 1, vec![7u8; 100])).collect();
    write(&path, &entries, &TableOptions { partition_bytes: 500, ..TableOptions::default() });
    let cache = Arc::new(TableCache::new(1 << 20));
    let table = Arc::new(open(&path, Some(cache.clone())).unwrap());
    let mut scan = TableCursor::new(table.clone(), false);
    scan.seek_to_first().unwrap();
    while scan.valid() {
        scan.next().unwrap();
    }
    assert_eq!(cache.stats().cached_bytes, 0, "a scan that leaves no trace");
    let (_, _, _, value) = get(&table, &entries[1000].key, 1).unwrap().unwrap();
    let before = cache.stats();
    assert!(get(&table, &entries[1000].key, 1).unwrap().is_some());
    let after = cache.stats();
    assert_eq!((after.misses, after.hits - before.hits), (before.misses, 3), "filter, index, block");
    drop((scan, table));
    let alive = cache.stats().alive_bytes;
    assert!(alive > 4000 && alive < 9000, "the value still pins its block: {alive}");
    drop(value);
    assert_eq!(cache.stats().alive_bytes, 0);
}

/// Bytes that pass their checksums and are wrong all the same: what a bug would write.
#[test]
fn intact_pieces_that_do_not_fit_together_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.sst");
    let options =
        TableOptions { block_bytes: 200, partition_bytes: 60, codec: Codec::None, ..Default::default() };
    write(&path, &small_entries(), &options);
    let whole = std::fs::read(&path).unwrap();
    let table = open(&path, None).unwrap();
    let mut handles: Vec<Handle> = table.blocks().map(|(handle, _)| handle).collect();
    let reader::Layout::Partitioned(parts) = &table.layout else {
        panic!("the table is large enough for partitions")
    };
    let (top, filters) = (&parts.top, &parts.filters);
    handles.extend(filters);
    handles.extend((0..top.len()).filter_map(|i| top.handle(i)));
    let footer = table.footer();
    handles.extend([footer.properties, footer.index, footer.filter]);
    let (mut found, mut total) = (0, 0);
    for handle in handles {
        let (start, size) = (handle.offset as usize, handle.size as usize);
        for at in (start..start + size).step_by(3) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x04;
            let mut sealed = bytes[start..start + size].to_vec();
            format::seal(&mut sealed, 0, Codec::None, IDENTITY, handle.offset);
            bytes[start..start + sealed.len()].copy_from_slice(&sealed);
            std::fs::write(&path, &bytes).unwrap();
            let _ = read_all(&path, &small_entries());
            total += 1;
            found += usize::from(!open(&path, None).is_ok_and(|table| table.verify().is_ok()));
        }
    }
    // What nobody can tell: values, sequence numbers in the middle, set bits of filters, times.
    assert!(found * 10 > total * 4, "{found} of {total}");
}

#[test]
fn a_table_says_how_many_deletions_follow_one_another() {
    for (runs, longest) in [(&[63, 63][..], 0), (&[64], 64), (&[70, 90, 80], 90), (&[0], 0)] {
        let mut entries = Vec::new();
        for &run in runs {
            entries.push(Owned::put(format!("{:05}", entries.len()), 7, "v"));
            for _ in 0..run {
                entries.push(Owned::delete(format!("{:05}", entries.len()), 7));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.sst");
        let options = TableOptions { block_bytes: 256, ..TableOptions::default() };
        assert_eq!(write(&path, &entries, &options).properties.longest_deletions, longest);
        let table = open(&path, None).unwrap();
        assert_eq!(table.properties().longest_deletions, longest);
        table.verify().unwrap();
    }
}

#[test]
fn entries_out_of_order_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = Fs::default().create_new(&dir.path().join("1.sst")).unwrap();
    let mut writer = TableWriter::new(file, 1, TableOptions::default()).unwrap();
    writer.add(&Owned::put(b"b", 1, b"").as_ref()).unwrap();
    let refused = writer.add(&Owned::put(b"a", 1, b"").as_ref()).unwrap_err();
    assert!(
        matches!(&refused, Error::InvalidArgument { why, .. } if why.contains("out of order")),
        "{refused}"
    );
}

#[test]
fn options_out_of_range_are_named() {
    let refused = |options: TableOptions| options.validate().unwrap_err().to_string();
    assert!(refused(TableOptions { block_bytes: 1, ..Default::default() }).contains("block_bytes"));
    assert!(refused(TableOptions { dictionary_bytes: 9, ..Default::default() }).contains("dictionary_bytes"));
    assert!(refused(TableOptions { bits_per_key: 0, ..Default::default() }).contains("bits_per_key"));
    TableOptions::default().validate().unwrap();
}
