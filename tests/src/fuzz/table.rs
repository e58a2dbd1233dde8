//! Whole tables, through the reader, the cursor and the tools.

use super::agreement::{self, Entry};
use super::{allocation, disk, mend_table};
use esker::base::cursor::Cursor;
use esker::base::hash::key_hash;
use esker::base::key::MAX_SEQ;
use esker::fs::{Fs, SimFs};
use esker::inspect::TableFile;
use esker::table::{Expected, TableCursor, TableOptions, TableReader, TableSource, TableWriter};
use esker::{Error, Result};
use std::sync::Arc;

const NAME: &str = "000001.sst";

/// A table.
pub(super) fn table(data: &[u8]) {
    each(data);
    let mut mended = data.to_vec();
    mend_table::table(&mut mended);
    each(&mended);
}

fn each(bytes: &[u8]) {
    let fs = Fs::Sim(disk::disk([(NAME.to_string(), bytes)]));
    let limit = allocation::compressible(bytes.len());
    let shown = allocation::within(limit, || inspect(&fs));
    let opened = allocation::within(limit, || {
        let opened = open(&fs);
        if let Ok(reader) = &opened {
            wander(reader, bytes);
        }
        opened
    });
    let reader = match opened {
        Ok(reader) => reader,
        Err(Error::Corruption(_) | Error::UnsupportedVersion { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    if allocation::within(limit, || reader.verify()).is_ok() {
        let entries = sound(&reader, bytes.len() as u64);
        let made = |entry: &Entry| Entry { trailer: entry.written_trailer(), ..entry.clone() };
        let wanted = entries.iter().map(made).collect();
        assert_eq!(shown, Ok(wanted), "the tools show a sound table as it is");
        write_again(&entries);
    }
}

fn open(fs: &Fs) -> Result<Arc<TableReader>> {
    let source = TableSource::File(Arc::new(fs.open(&disk::path(NAME))?));
    Ok(Arc::new(TableReader::open(source, Expected::default(), None)?))
}

/// What the tools show of a table: its entries, or that there is damage.
fn inspect(fs: &Fs) -> std::result::Result<Vec<Entry>, ()> {
    let file = fs.open(&disk::path(NAME)).expect("the file was just written");
    let Ok(table) = TableFile::open(file) else { return Err(()) };
    let mut damaged = !table.damage().is_empty();
    let mut counted = 0;
    for block in table.blocks() {
        counted += block.map_or(0, |block| block.entries);
    }
    let mut entries = Vec::new();
    let walked = table.entries(|entry| {
        match entry {
            Ok(entry) => allocation::aside(|| {
                entries.push(Entry {
                    key: entry.key.to_vec(),
                    trailer: entry.trailer(),
                    expires_at: entry.expires_at,
                    value: entry.value.to_vec(),
                });
            }),
            Err(_) => damaged = true,
        }
        Ok::<_, Error>(())
    });
    walked.expect("a disk without faults");
    if damaged { Err(()) } else { Ok(entries).inspect(|all| assert_eq!(all.len() as u64, counted)) }
}

/// Goes everywhere in a table that may make no sense: errors are in order, and stick.
fn wander(reader: &Arc<TableReader>, bytes: &[u8]) {
    let keys =
        [&b""[..], &bytes[..bytes.len().min(12)], &bytes[bytes.len() / 3..bytes.len() / 2], &[0xff; 9]];
    for forward in [true, false] {
        let mut cursor = TableCursor::new(reader.clone(), false);
        let mut moved = if forward { cursor.seek_to_first() } else { cursor.seek_to_last() };
        while moved.is_ok() && cursor.valid() {
            moved = if forward { cursor.next() } else { cursor.prev() };
        }
        if moved.is_err() {
            assert!(!cursor.valid(), "no entry stands under a cursor that has met damage");
            assert!(cursor.next().is_err() && cursor.seek(b"", MAX_SEQ).is_err(), "errors stick");
        }
    }
    for key in keys {
        let mut cursor = TableCursor::new(reader.clone(), false);
        let _ = cursor.seek(key, 9).and_then(|()| if cursor.valid() { cursor.prev() } else { Ok(()) });
        let _ = cursor.seek_before(key, 9).and_then(|()| if cursor.valid() { cursor.next() } else { Ok(()) });
        let _ = reader.get(key, key_hash(key), MAX_SEQ, |entry, block| block.slice(entry.value));
        let _ = reader.approximate_offset(key);
    }
}

/// A table in which everything was found to be right.
fn sound(reader: &Arc<TableReader>, size: u64) -> Vec<Entry> {
    let mut cursor = TableCursor::new(reader.clone(), false);
    let mut entries = Vec::new();
    cursor.seek_to_first().expect("a sound table");
    while cursor.valid() {
        entries.push(Entry::at(&cursor));
        cursor.next().expect("a sound table");
    }
    assert_eq!(entries.len() as u64, reader.properties().entries);
    agreement::check(&mut cursor, &entries);
    for (i, entry) in entries.iter().enumerate().take(200) {
        let newest = i == 0 || entries[i - 1].key != entry.key;
        let seq = if newest { MAX_SEQ } else { entry.trailer.seq() };
        let found = reader.get(&entry.key, key_hash(&entry.key), seq, |found, _| found.value.to_vec());
        assert_eq!(found.expect("a sound table"), Some(entry.value.clone()));
        assert!(reader.may_contain(&entry.key));
        assert!(reader.approximate_offset(&entry.key).expect("a sound table") <= size);
    }
    entries
}

/// The entries written to a table once more, with small blocks and partitions, are read again.
fn write_again(entries: &[Entry]) {
    let Some(borrowed) = entries.iter().map(Entry::borrowed).collect::<Option<Vec<_>>>() else { return };
    if borrowed.is_empty() {
        return;
    }
    let fs = Fs::Sim(SimFs::new());
    fs.create_dir_all(std::path::Path::new(disk::DIR)).expect("a new disk");
    let file = fs.create_new(&disk::path(NAME)).expect("a new disk");
    let options =
        TableOptions { block_bytes: 64, restart_interval: 3, partition_bytes: 80, ..TableOptions::default() };
    let mut writer = TableWriter::new(file, 7, options).expect("options within their limits");
    borrowed.iter().for_each(|entry| writer.add(entry).expect("entries in order"));
    let summary = writer.finish().expect("a disk without faults");
    assert_eq!(summary.properties.entries, entries.len() as u64);
    let reader = open(&fs).expect("a table that was just written");
    reader.verify().expect("a table that was just written");
    assert_eq!(sound(&reader, summary.size_bytes), entries);
}
