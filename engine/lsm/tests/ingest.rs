//! Tables written outside of a store and taken in.

use esker::base::clock::{Clock, ManualClock};
use esker::base::key::{EntryRef, Kind};
use esker::base::operand::Operand;
use esker::base::random::Random;
use esker::fs::sim::{Fault, Image, Phase};
use esker::fs::{Fs, SimFs};
use esker::table::{Origin, TableOptions, TableWriter};
use esker::{
    ColumnFamily, Db, Durability, Error, FamilyOptions, IngestBatch, IngestOptions, IngestRefusal, Ingested,
    SstFile, SstSettings, SstWriter, TransactionOptions, WriteBatch,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A store on a simulated disk with a clock that stands still.
struct Rig {
    disk: SimFs,
    clock: Arc<ManualClock>,
    random: Random,
}

const MOVE: IngestOptions = IngestOptions { move_files: true };
const COPY: IngestOptions = IngestOptions { move_files: false };

impl Rig {
    fn new() -> Rig {
        let rig = Rig { disk: SimFs::new(), clock: ManualClock::new(1_000_000), random: Random::seeded(7) };
        rig.fs().create_dir_all(Path::new("/files")).unwrap();
        rig
    }

    fn fs(&self) -> Fs {
        Fs::Sim(self.disk.clone())
    }

    fn open(&self) -> Db {
        let clock = Clock::Manual(self.clock.clone());
        let builder = Db::builder("/store").fs(self.fs()).clock(clock).deterministic(self.random.next_u64());
        builder.memtable_bytes(64 << 10).wal_segment_bytes(1 << 20).open().unwrap()
    }

    fn writer(&self, name: &str) -> SstWriter {
        let settings = SstSettings {
            fs: self.fs(),
            clock: Clock::Manual(self.clock.clone()),
            random: self.random.clone(),
        };
        SstWriter::create_with(file(name), &FamilyOptions::default(), settings).unwrap()
    }

    /// A file that sets these keys to `value`.
    fn file(&self, name: &str, keys: &[&str], value: &str) -> SstFile {
        let mut writer = self.writer(name);
        keys.iter().for_each(|key| writer.put(key, value).unwrap());
        writer.finish().unwrap()
    }

    /// A table that says of itself that it was made outside, whatever stands in it.
    fn table(&self, name: &str) -> TableWriter {
        let origin = Origin { outside: true, ..Origin::default() };
        let options = TableOptions { origin, ..TableOptions::default() };
        let made = self.fs().create_new(&file(name)).unwrap();
        TableWriter::new(made, self.random.next_u64(), options).unwrap()
    }

    fn is_there(&self, name: &str) -> bool {
        self.fs().open(&file(name)).is_ok()
    }
}

fn file(name: &str) -> PathBuf {
    Path::new("/files").join(name)
}

fn one(family: &ColumnFamily, name: &str) -> IngestBatch {
    let mut batch = IngestBatch::new();
    batch.add(family, file(name));
    batch
}

fn ingest(db: &Db, name: &str) -> Ingested {
    db.ingest(&one(db, name), MOVE).unwrap()
}

fn get(family: &ColumnFamily, key: &str) -> Option<String> {
    family.get(key).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn all(family: &ColumnFamily) -> Vec<String> {
    let entry = |entry: esker::Result<(esker::Slice, esker::Slice)>| {
        let (key, value) = entry.unwrap();
        format!("{}={}", key.escape_ascii(), value.escape_ascii())
    };
    let forward: Vec<String> = family.iter().unwrap().map(entry).collect();
    let mut back: Vec<String> = family.iter().unwrap().rev().map(entry).collect();
    back.reverse();
    assert_eq!(forward, back);
    forward
}

fn sound(db: &Db) {
    let report = db.verify().unwrap();
    assert!(report.problems.is_empty() && report.unnamed_files.is_empty(), "{report:?}");
}

#[test]
fn what_is_ingested_is_newer_than_what_was_there_and_older_than_what_comes() {
    let rig = Rig::new();
    let db = rig.open();
    db.put(b"a", b"old").unwrap();
    db.put(b"b", b"old").unwrap();
    db.flush().unwrap();
    db.put(b"c", b"in memory").unwrap();
    let before = db.snapshot();
    let iterator = db.iter().unwrap();
    let mut writer = rig.writer("1");
    writer.put(b"b", b"new").unwrap();
    writer.delete(b"c").unwrap();
    writer.put(b"d", b"new").unwrap();
    let made = writer.finish().unwrap();
    let done = ingest(&db, "1");
    assert_eq!((done.files[0].entries, done.files[0].bytes), (3, made.bytes));
    assert_eq!((done.seq(), done.seq()), (db.visible_seq(), db.durable_seq()));
    assert_eq!(all(&db), ["a=old", "b=new", "d=new"]);
    assert_eq!(before.get(&db, b"b").unwrap().unwrap(), b"old");
    assert_eq!(before.get(&db, b"c").unwrap().unwrap(), b"in memory");
    assert!(before.get(&db, b"d").unwrap().is_none());
    assert_eq!(iterator.count(), 3);
    sound(&db);
    db.put(b"d", b"newest").unwrap();
    db.delete(b"b").unwrap();
    assert_eq!(all(&db), ["a=old", "d=newest"]);
    drop(before);
    db.compact().unwrap();
    assert_eq!(all(&db), ["a=old", "d=newest"]);
    sound(&db);
    db.close().unwrap();
    assert_eq!(all(&rig.open()), ["a=old", "d=newest"]);
}

#[test]
fn a_snapshot_from_before_does_not_see_it_whatever_is_read() {
    let rig = Rig::new();
    let db = rig.open();
    for n in 0..40 {
        db.put(format!("k{:02}", 2 * n), "old").unwrap();
    }
    db.compact().unwrap();
    let before = db.snapshot();
    let keys: Vec<String> = (0..40).map(|n| format!("k{:02}", 2 * n + 1)).chain(["z".into()]).collect();
    rig.file("1", &keys.iter().map(String::as_str).collect::<Vec<_>>(), "new");
    let done = ingest(&db, "1");
    let all_keys: Vec<String> = (0..80).map(|n| format!("k{n:02}")).collect();
    for reopened in [false, true] {
        let seen = before.multi_get(&db, &all_keys).unwrap();
        assert_eq!(seen.iter().flatten().count(), 40, "{reopened}");
        assert_eq!(before.iter(&db).unwrap().count(), 40);
        assert_eq!(before.iter(&db).unwrap().rev().count(), 40);
        let some =
            |from: &'static [u8]| before.range(&db, from..).unwrap().next().map(|e| e.unwrap().0.to_vec());
        assert_eq!(some(b"k01"), Some(b"k02".to_vec()));
        assert_eq!(some(b"k79"), None);
        assert_eq!(db.multi_get(&all_keys).unwrap().iter().flatten().count(), 80);
        assert_eq!(db.iter().unwrap().count(), 81);
        db.compact().unwrap();
    }
    assert_eq!(done.files[0].seq, done.seq());
    sound(&db);
}

#[test]
fn a_table_goes_as_deep_as_nothing_is_above_it() {
    let rig = Rig::new();
    let db = rig.open();
    let level = |name: &str, keys: &[&str]| {
        rig.file(name, keys, name);
        ingest(&db, name).files[0].level
    };
    assert_eq!(level("1", &["b", "d"]), 6);
    assert_eq!(level("2", &["e", "f"]), 6);
    // It lies between two others, and shares keys with one.
    assert_eq!(level("3", &["a", "c"]), 0);
    assert_eq!(level("4", &["c"]), 0);
    assert_eq!(level("5", &["x"]), 6);
    db.put(b"x", b"in memory").unwrap();
    assert_eq!(level("6", &["w", "y"]), 0);
    assert_eq!(all(&db), ["a=3", "b=1", "c=4", "d=1", "e=2", "f=2", "w=6", "x=in memory", "y=6"]);
    sound(&db);
    db.compact().unwrap();
    assert_eq!(all(&db).len(), 9);
    sound(&db);
}

#[test]
fn files_of_several_families_come_at_once() {
    let rig = Rig::new();
    let db = rig.open();
    let tokens = db.column_family("tokens").unwrap();
    rig.file("1", &["a", "b"], "one");
    rig.file("2", &["c", "d"], "two");
    rig.file("3", &["a"], "three");
    let mut batch = IngestBatch::new();
    batch.add(&db, file("2")).add(&db, file("1")).add(&tokens, file("3"));
    let done = db.ingest(&batch, COPY).unwrap();
    let seqs: Vec<_> = done.files.iter().map(|file| file.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(all(&db), ["a=one", "b=one", "c=two", "d=two"]);
    assert_eq!(all(&tokens), ["a=three"]);
    assert!(rig.is_there("1") && rig.is_there("2") && rig.is_there("3"));
    let stats = db.stats();
    assert_eq!(stats.ingested_files, 3);
    assert_eq!(stats.ingested_bytes, done.files.iter().map(|file| file.bytes).sum::<u64>());
    assert_eq!(stats.families.iter().map(|f| f.levels[6].entries).sum::<u64>(), 5);
}

fn why(refused: esker::Result<Ingested>, name: &str) -> IngestRefusal {
    match refused {
        Err(Error::IngestRefused { file: named, why }) => {
            assert_eq!(*named, *file(name));
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_fit_is_refused_whole_and_named() {
    let rig = Rig::new();
    let db = rig.open();
    db.put(b"k", b"v").unwrap();
    db.flush().unwrap();
    rig.file("good", &["a", "m"], "v");
    rig.file("over", &["m", "n"], "v");
    let with = |name: &str| {
        let mut batch = one(&db, "good");
        batch.add(&db, file(name));
        db.ingest(&batch, MOVE)
    };
    assert_eq!(why(with("over"), "over"), IngestRefusal::Overlaps(file("good").into()));
    let bytes = rig.fs().read_all(&file("good"), 1 << 20).unwrap();
    rig.disk.write_raw(&file("copy"), &bytes).unwrap();
    assert_eq!(why(with("copy"), "copy"), IngestRefusal::CopyOf(file("good").into()));
    // A table of the store's own.
    let own = rig.fs().list(Path::new("/store")).unwrap().into_iter().find(|n| n.ends_with(".sst")).unwrap();
    let own = rig.fs().read_all(&Path::new("/store").join(own), 1 << 20).unwrap();
    rig.disk.write_raw(&file("own"), &own).unwrap();
    assert_eq!(why(with("own"), "own"), IngestRefusal::NotFromOutside);
    // What only a writer of another make would give.
    let mut writer = rig.table("operand");
    let operand = Operand::encode_value(0, b"+1");
    let entry = EntryRef { key: b"k", seq: 0, kind: Kind::Merge, expires_at: 5, value: &operand };
    writer.add(&entry).unwrap();
    writer.finish().unwrap();
    assert_eq!(why(with("operand"), "operand"), IngestRefusal::HoldsOperands);
    rig.table("empty").finish().unwrap();
    assert_eq!(why(with("empty"), "empty"), IngestRefusal::Empty);
    let mut writer = rig.table("numbered");
    let entry = EntryRef { key: b"k", seq: 7, kind: Kind::Put, expires_at: u64::MAX, value: b"" };
    writer.add(&entry).unwrap();
    writer.finish().unwrap();
    assert_eq!(why(with("numbered"), "numbered"), IngestRefusal::NotFromOutside);
    rig.disk.write_raw(&file("text"), b"no table at all").unwrap();
    assert!(matches!(with("text"), Err(Error::Corruption(c)) if c.file == file("text")));
    assert!(matches!(with("nothing"), Err(error) if error.is_not_found()));
    let mut newer = bytes.clone();
    let version = newer.len() - 16;
    newer[version] = 9;
    rig.disk.write_raw(&file("newer"), &newer).unwrap();
    assert!(matches!(with("newer"), Err(Error::UnsupportedVersion { file: f, .. }) if f == file("newer")));
    // Every byte of another file, in turn.
    rig.file("damaged", &["x", "y"], &"value".repeat(20));
    let sound_bytes = rig.fs().read_all(&file("damaged"), 1 << 20).unwrap();
    for at in 0..sound_bytes.len() {
        let mut bytes = sound_bytes.clone();
        bytes[at] ^= 0x40;
        rig.disk.write_raw(&file("damaged"), &bytes).unwrap();
        let refused = match with("damaged") {
            Err(Error::Corruption(c)) => c.file,
            Err(Error::UnsupportedVersion { file, .. }) => file,
            other => panic!("byte {at}: {other:?}"),
        };
        assert_eq!(refused, file("damaged"), "byte {at}");
    }
    let other = Rig::new().open();
    assert!(matches!(other.ingest(&one(&db, "good"), MOVE), Err(Error::WrongDatabase)));
    assert!(rig.is_there("good"), "nothing was moved");
    assert_eq!(all(&db), ["k=v"]);
    sound(&db);
    // And now it is taken, and not again.
    let number = {
        db.ingest(&one(&db, "good"), COPY).unwrap();
        match why(db.ingest(&one(&db, "good"), COPY), "good") {
            IngestRefusal::KnownAs(number) => number,
            other => panic!("{other:?}"),
        }
    };
    assert!(number > 0);
    assert_eq!(db.ingest(&IngestBatch::new(), MOVE).unwrap(), Ingested::default());
}

#[test]
fn a_writer_takes_keys_in_order_and_leaves_nothing_unfinished() {
    let rig = Rig::new();
    let mut writer = rig.writer("1");
    writer.put(b"b", b"1").unwrap();
    for wrong in [&b"b"[..], b"a"] {
        let refused = [writer.put(wrong, b"2"), writer.delete(wrong)];
        for refused in refused {
            assert!(matches!(refused, Err(Error::KeysOutOfOrder { previous, key })
                if *previous == *b"b" && *key == *wrong));
        }
    }
    let long = vec![b'c'; esker::base::limits::MAX_KEY_BYTES + 1];
    assert!(matches!(writer.put(&long, b""), Err(Error::KeyTooLarge { .. })));
    writer.put(&long[1..], b"").unwrap();
    assert_eq!(writer.entries(), 2);
    drop(writer);
    assert!(!rig.is_there("1"));
    assert!(matches!(rig.writer("1").finish(), Err(Error::IngestRefused { why: IngestRefusal::Empty, .. })));
    assert!(!rig.is_there("1"));
    rig.file("1", &["a"], "v");
    let settings = SstSettings { fs: rig.fs(), ..SstSettings::default() };
    assert!(SstWriter::create_with(file("1"), &FamilyOptions::default(), settings).is_err());
    assert!(rig.is_there("1"), "what was there is not touched");
}

#[test]
fn ranges_removed_before_do_not_hide_it_and_those_removed_behind_it_do() {
    let rig = Rig::new();
    let db = rig.open();
    for flushed in [false, true] {
        db.put(b"a", b"old").unwrap();
        db.delete_range("a".."m").unwrap();
        if flushed {
            db.flush().unwrap();
        }
        let name = if flushed { "1" } else { "2" };
        rig.file(name, &["b", "c"], "new");
        ingest(&db, name);
        assert_eq!(all(&db), ["b=new", "c=new"]);
        db.delete_range("c".."z").unwrap();
        assert_eq!(all(&db), ["b=new"]);
        db.flush().unwrap();
        assert_eq!(all(&db), ["b=new"]);
        db.compact().unwrap();
        assert_eq!(all(&db), ["b=new"]);
        sound(&db);
    }
}

#[test]
fn entries_expire_by_the_stores_clock() {
    let rig = Rig::new();
    let db = rig.open();
    db.put(b"a", b"old").unwrap();
    let mut writer = rig.writer("1");
    writer.put_with_ttl(b"a", b"short", Duration::from_secs(5)).unwrap();
    writer.put_until(b"b", b"until", 1_007_000).unwrap();
    writer.finish().unwrap();
    ingest(&db, "1");
    assert_eq!(all(&db), ["a=short", "b=until"]);
    rig.clock.advance(Duration::from_secs(6));
    assert_eq!(all(&db), ["b=until"]);
    rig.clock.advance(Duration::from_secs(6));
    assert!(all(&db).is_empty());
    db.compact().unwrap();
    assert_eq!(db.stats().families[0].table_bytes(), 0);
}

#[test]
fn transactions_and_conditions_see_it_as_a_write() {
    let rig = Rig::new();
    let db = rig.open();
    db.put(b"m", b"old").unwrap();
    for recorded in [true, false] {
        let mut transaction = db.begin(TransactionOptions::default()).unwrap();
        assert!(transaction.get_for_update(&db, b"m").unwrap().is_some());
        transaction.put(&db, b"q", b"mine").unwrap();
        let name = if recorded { "1" } else { "2" };
        rig.file(name, &["a", "m", "z"], name);
        ingest(&db, name);
        let conflict = transaction.commit();
        assert!(conflict.is_err(), "what it has read was written");
    }
    // What lies between the keys of a file may have been written, for all that is known.
    let mut transaction = db.begin(TransactionOptions::default()).unwrap();
    transaction.put(&db, b"~", b"mine").unwrap();
    rig.file("3", &["a", "b"], "3");
    ingest(&db, "3");
    transaction.commit().map(drop).unwrap();
    assert_eq!(get(&db, "~").as_deref(), Some("mine"));
}

#[test]
fn unlogged_writes_in_the_way_are_flushed_with_all_that_belongs_to_them() {
    let rig = Rig::new();
    let db = rig.open();
    let tokens = db.column_family("tokens").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&db, b"a", b"unlogged").put(&tokens, b"t", b"unlogged");
    db.write(batch, Durability::None).unwrap();
    rig.file("1", &["a", "b"], "new");
    ingest(&db, "1");
    rig.disk.power_off();
    let after = Rig { disk: rig.disk.image(Image::Nothing, 1), ..rig };
    drop((db, tokens));
    let db = after.open();
    assert_eq!(all(&db), ["a=new", "b=new"]);
    assert_eq!(get(&db.column_family("tokens").unwrap(), "t").as_deref(), Some("unlogged"));
}

/// Whatever was logged before it survives wherever it does, in other families, too.
#[test]
fn an_ingest_does_not_outrun_the_log() {
    let rig = Rig::new();
    let db = rig.open();
    let tokens = db.column_family("tokens").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&db, b"x", b"logged").put(&tokens, b"t", b"logged");
    db.write(batch, Durability::Os).unwrap();
    rig.file("1", &["a", "b"], "new");
    ingest(&db, "1");
    rig.disk.power_off();
    let after = Rig { disk: rig.disk.image(Image::Nothing, 1), ..rig };
    drop((db, tokens));
    let db = after.open();
    assert_eq!(all(&db), ["a=new", "b=new", "x=logged"]);
    assert_eq!(get(&db.column_family("tokens").unwrap(), "t").as_deref(), Some("logged"));
}

/// Power is lost before each call of an ingest: both families have their files or neither, whatever was
/// acknowledged before is there, nothing is left behind, and a file that was moved is in one place at least.
#[test]
fn a_loss_of_power_leaves_all_of_it_or_nothing() {
    let mut outcomes = [0, 0];
    for call in 0.. {
        let rig = Rig::new();
        let db = rig.open();
        let tokens = db.column_family("tokens").unwrap();
        db.put(b"a", b"old").unwrap();
        rig.file("1", &["a", "b"], "new");
        rig.file("2", &["t"], "new");
        let mut files = IngestBatch::new();
        files.add(&db, file("1")).add(&tokens, file("2"));
        let begun = rig.disk.stats().total();
        rig.disk.crash_at(begun + call, Phase::Before);
        let done = db.ingest(&files, MOVE);
        if !rig.disk.is_off() {
            done.unwrap();
            assert!(call > 10, "an ingest makes calls");
            break;
        }
        drop((db, tokens, files));
        for image in [Image::Nothing, Image::All, Image::LaterKept] {
            let left = Rig {
                disk: rig.disk.image(image, call),
                clock: rig.clock.clone(),
                random: rig.random.clone(),
            };
            let db = left.open();
            let tokens = db.column_family("tokens").unwrap();
            match (&all(&db)[..], &all(&tokens)[..]) {
                ([a], []) if a == "a=old" => {
                    outcomes[0] += 1;
                    assert!(left.is_there("1") && left.is_there("2"), "call {call}, {image}");
                }
                ([a, b], [t]) if (&a[..], &b[..], &t[..]) == ("a=new", "b=new", "t=new") => outcomes[1] += 1,
                (found, other) => panic!("call {call}, {image}: {found:?} {other:?}"),
            }
            sound(&db);
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

/// Each call fails in turn: the store has all of it or nothing, goes on unless a sync has failed, and then no
/// table is left that nothing names.
#[test]
fn a_call_that_fails_leaves_all_of_it_or_nothing() {
    for fault in [Fault::EIO, Fault::ENOSPC] {
        for call in 0.. {
            let rig = Rig::new();
            let db = rig.open();
            db.put(b"a", b"old").unwrap();
            rig.file("1", &["a", "b"], "new");
            let at = rig.disk.stats().total() + call;
            let hit = Arc::new(AtomicBool::new(false));
            let note = hit.clone();
            rig.disk.set_fault(Box::new(move |operation| {
                let due = operation.index == at;
                note.fetch_or(due, Ordering::Relaxed);
                due.then_some(fault)
            }));
            let done = db.ingest(&one(&db, "1"), MOVE);
            rig.disk.clear_fault();
            if !hit.load(Ordering::Relaxed) {
                done.unwrap();
                assert!(call > 5);
                break;
            }
            let expected: &[&str] = if done.is_ok() { &["a=new", "b=new"] } else { &["a=old"] };
            assert_eq!(all(&db), expected, "call {call}");
            if done.is_err() {
                assert!(rig.is_there("1"), "call {call}");
            }
            if db.health().poisoned.is_none() {
                sound(&db);
                db.put(b"c", b"more").unwrap();
            }
            drop(db);
            let db = rig.open();
            let found = all(&db);
            let whole = found.iter().any(|e| e == "a=new") && found.iter().any(|e| e == "b=new");
            assert!(whole || found.iter().all(|e| e == "a=old" || e == "c=more"), "call {call}: {found:?}");
            assert!(done.is_err() || whole);
            sound(&db);
        }
    }
}

/// Writers that fill the range again and again are overtaken, and none of their writes is lost.
#[test]
fn an_ingest_gets_its_turn_beside_writers() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("store")).unwrap();
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|thread| {
                let (db, stop) = (db.clone(), &stop);
                scope.spawn(move || {
                    let mut written = 0u64;
                    while !stop.load(Ordering::Relaxed) {
                        let mut batch = WriteBatch::new();
                        batch.put(&db, format!("k{thread}"), written.to_string());
                        db.write(batch, Durability::Os).unwrap();
                        written += 1;
                    }
                    written
                })
            })
            .collect();
        for n in 0..8 {
            let path = dir.path().join(format!("{n}.sst"));
            let mut writer = SstWriter::create(&path, &FamilyOptions::default()).unwrap();
            writer.put(b"a", n.to_string()).unwrap();
            writer.put(b"z", n.to_string()).unwrap();
            writer.finish().unwrap();
            let mut batch = IngestBatch::new();
            batch.add(&db, &path);
            db.ingest(&batch, MOVE).unwrap();
            assert_eq!(get(&db, "z"), Some(n.to_string()));
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
    });
    for (thread, written) in written.into_iter().enumerate() {
        let last = written.checked_sub(1).map(|last| last.to_string());
        assert_eq!(get(&db, &format!("k{thread}")), last);
    }
    // Compactions go on beside it: what they are writing nothing names yet.
    assert!(db.verify().unwrap().problems.is_empty());
}
