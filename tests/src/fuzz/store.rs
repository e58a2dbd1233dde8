//! Whole stores: what opening makes of files that are sound one by one and make no sense together.

use super::source::Source;
use super::{allocation, disk, mend, mend_table};
use crate::store::listing;
use esker::base::clock::{Clock, ManualClock};
use esker::base::filename::FileKind;
use esker::base::key::MAX_SEQ;
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, Durability, Error};

/// The most files of a store.
const MOST_FILES: usize = 24;

/// What opening may allocate besides its input: the cache and the memtables of the smallest budget.
const LEAST_BYTES: usize = 4 << 20;

/// A file of a store in an input: kind `u8`, number `u8`, length `u16`, zeros behind it `u16`, bytes.
pub(super) fn pack(files: &[(FileKind, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0];
    for (kind, bytes) in files {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let tag = match kind {
            FileKind::Current => 0,
            FileKind::Manifest(_) => 1,
            FileKind::Wal(_) => 2,
            _ => 3,
        };
        out.extend([tag, kind.number().unwrap_or_default() as u8]);
        out.extend((used as u16).to_le_bytes());
        out.extend(((bytes.len() - used) as u16).to_le_bytes());
        out.extend(&bytes[..used]);
    }
    out
}

fn unpack(source: &mut Source<'_>) -> Vec<(FileKind, Vec<u8>)> {
    let mut files = Vec::new();
    while !source.is_empty() && files.len() < MOST_FILES {
        let tag = source.below(4);
        // The last of the numbers that one byte has stands for the greatest of all.
        let number = match source.byte() {
            u8::MAX => u64::MAX,
            number => u64::from(number),
        };
        let kind = match tag {
            0 => FileKind::Current,
            1 => FileKind::Manifest(number),
            2 => FileKind::Wal(number),
            _ => FileKind::Table(number),
        };
        let (used, zeros) = (source.short(), source.short());
        let mut bytes = source.take(usize::from(used)).to_vec();
        bytes.resize(bytes.len() + usize::from(zeros), 0);
        files.push((kind, bytes));
    }
    files
}

/// The files of a store, mended.
pub(super) fn store(data: &[u8]) {
    let mut source = Source::new(data);
    let to_damage = source.byte() & 1 != 0;
    let mut files = unpack(&mut source);
    for (kind, bytes) in &mut files {
        match kind {
            FileKind::Current => *bytes = mend::current(bytes),
            FileKind::Table(_) => mend_table::table(bytes),
            _ => drop(mend::records(bytes)),
        }
    }
    let input = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let disk = disk::disk(files.iter().map(|(kind, bytes)| (kind.name(), &bytes[..])));
    let opened = allocation::within(allocation::compressible(input).max(LEAST_BYTES), || {
        builder(&disk, 1).recover_to_damage(to_damage).open()
    });
    let db = match opened {
        Ok(db) => db,
        Err(error) => return refused(&error, &files),
    };
    if db.stats().families.iter().any(|family| family.ranges.dropped > 0) {
        // Nobody reads a range that was dropped behind its entries, which the engine asserts here; and one
        // that stands in a mended manifest may lie anywhere.
        let _ = db.verify().expect("what is open can be verified");
        return;
    }
    let listed = listing(&db);
    let sound = db.verify().is_ok_and(|report| report.problems.is_empty());
    if !sound {
        return;
    }
    let listed = match listed {
        // A manifest, mended, that names no operator for a family with operands: nobody can merge these, and
        // who reads them is told so.
        Err(Error::MergeFailed { why, .. }) if why.contains("has no merge operator") => return,
        listed => listed.expect("what is sound can be read"),
    };
    backwards(&db, &listed);
    // A manifest may say that nearly all sequence numbers are used up.
    let room = db.visible_seq() < MAX_SEQ >> 1;
    match db.write(probe(&db), Durability::Sync) {
        Err(error) if room => panic!("a sound store takes writes: {error}"),
        _ => {}
    }
    let with_probe = listing(&db).expect("what is sound can be read");
    let _ = (db.stats(), db.health());
    if room {
        db.compact().expect("a sound store can be compacted");
        assert_eq!(listing(&db).expect("what is sound can be read"), with_probe, "after a compaction");
    }
    db.close().expect("a sound store can be closed");
    let db = builder(&disk, 2).open().expect("a store that was closed can be opened");
    assert_eq!(listing(&db).expect("what is sound can be read"), with_probe);
}

fn builder(disk: &SimFs, seed: u64) -> Builder {
    Db::builder(disk::DIR)
        .fs(Fs::Sim(disk.clone()))
        .clock(Clock::Manual(ManualClock::new(1_700_000_000_000)))
        .deterministic(seed)
        .create_if_missing(false)
        .memory_budget(1 << 20)
        .memtable_bytes(8 << 10)
        .target_file_bytes(2 << 10)
        .level_base_bytes(1 << 10)
        .wal_segment_bytes(4 << 10)
}

fn probe(db: &Db) -> esker::WriteBatch {
    let mut batch = esker::WriteBatch::new();
    batch.put(db, b"probe", b"new");
    batch
}

/// What may be said of a store that is not opened.
fn refused(error: &Error, files: &[(FileKind, Vec<u8>)]) {
    match error {
        Error::Corruption(damage) => assert!(damage.file.starts_with(disk::DIR), "{error}"),
        Error::UnsupportedVersion { .. } | Error::NotADatabase { .. } => {}
        Error::Io(failure) => {
            let named = files.iter().any(|(kind, _)| disk::path(&kind.name()) == failure.path);
            assert!(error.is_not_found() && !named, "{error}");
        }
        other => panic!("an error of another kind: {other:?}"),
    }
}

/// A store shows the same from both ends.
fn backwards(db: &Db, listed: &str) {
    let mut text = String::new();
    for name in db.column_families() {
        let family = db.open_column_family(&name).expect("a family that was just named");
        let entries: esker::Result<Vec<_>> = family.iter().expect("a sound store").rev().collect();
        for (key, value) in entries.expect("a sound store").into_iter().rev() {
            let found = family.get(&key).expect("a sound store");
            assert_eq!(found.as_ref(), Some(&value), "get and scan");
            crate::store::line(&mut text, &name, &key, &value);
        }
    }
    assert_eq!(text, listed, "forward and backward");
}
