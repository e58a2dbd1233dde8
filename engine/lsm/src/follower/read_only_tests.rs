//! Opening to read: of what a kill leaves anywhere, and while somebody writes.

use super::leading::{DIR, Interrupted, Leader, builder, held, only_read, shown};
use super::*;
use crate::base::error::Error;
use crate::base::filename::FileKind;
use crate::base::random::Random;
use crate::base::slice::Slice;
use crate::base::sync::{Arc, Mutex};
use crate::commit::Durability;
use crate::db::{Db, ScanOptions};
use crate::fs::sim::{Fault, Phase};
use crate::fs::{Fs, SimFs};
use std::path::Path;

fn open(disk: &SimFs) -> crate::base::error::Result<ReadOnlyDb> {
    builder(Fs::Sim(disk.clone())).open_read_only()
}

fn letters(family: &ReadOnlyFamily) -> String {
    family.iter().map(|entry| char::from(entry.unwrap().0[0])).collect()
}

/// Whatever a kill leaves, a reader sees what the next writer recovers, and leaves it as it is.
#[test]
fn what_a_kill_leaves_anywhere_is_read_as_it_is_recovered() {
    let (mut images, mut cut) = (0, 0);
    for seed in 0..3 {
        let sim = SimFs::new();
        let mut leader = Leader::new(&sim, seed);
        let left: Arc<Mutex<Vec<(SimFs, usize)>>> = Arc::default();
        let (random, kept, acknowledged) = (Random::seeded(seed), left.clone(), leader.acknowledged.clone());
        sim.observe(Box::new(move |_, phase, moment| {
            if random.below(4) > 0 {
                return;
            }
            let at_least = *acknowledged.lock();
            kept.lock().push((moment.kill_image(), at_least));
            if phase == Phase::Before
                && let Some(amid) = moment.kill_image_amid(random.next_u64())
            {
                kept.lock().push((amid, at_least));
            }
        }));
        for _ in 0..120 {
            leader.act();
            for (disk, at_least) in std::mem::take(&mut *left.lock()) {
                let before = disk.digest();
                let found = shown(&open(&disk).unwrap()).unwrap();
                only_read(&disk);
                assert_eq!(disk.digest(), before, "nothing has changed");
                let step = leader.step_of(&found).expect("a state that the store was in");
                assert!(step >= at_least, "{step} is before {at_least}");
                let recovered = builder(Fs::Sim(disk.clone())).open().unwrap();
                cut += u32::from(recovered.recovery().cut.is_some());
                assert_eq!(held(&recovered), found);
                images += 1;
            }
        }
        sim.stop_observing();
    }
    assert!(images > 300 && cut > 20, "{images} images, {cut} of them with a torn tail");
}

/// Between any two calls of a reader whoever writes may do anything: write, flush, compact, ingest, write the
/// manifest anew, close and open.
#[test]
fn a_reader_is_not_confused_by_who_writes_meanwhile() {
    let (mut ahead, mut tried) = (0, 0);
    for seed in 0..24 {
        let sim = SimFs::new();
        let leader = Arc::new(Mutex::new(Leader::new(&sim, seed)));
        (0..30 + seed).for_each(|_| leader.lock().act());
        let (random, writer, left) = (Random::seeded(seed), leader.clone(), Arc::new(Mutex::new(0)));
        let (often, allowed) = (1 + seed % 12, left.clone());
        let fs = Interrupted::disk_of(&sim, move || {
            let mut allowed = allowed.lock();
            if *allowed > 0 && random.below(often) == 0 {
                *allowed -= 1;
                writer.lock().act();
            }
        });
        for _ in 0..6 {
            let at_least = *leader.lock().acknowledged.lock();
            // In the end it is left in peace: it gives up sooner or later.
            *left.lock() = 20;
            let read_only = builder(fs.clone()).open_read_only().unwrap();
            let found = shown(&read_only).unwrap();
            let step = leader.lock().step_of(&found).expect("a state that the store was in");
            assert!(step >= at_least, "seed {seed}: {step} is before {at_least}");
            assert_eq!(shown(&read_only.clone()).unwrap(), found, "it stands still");
            ahead += u32::from(step > at_least);
            tried += 1;
        }
    }
    assert!(tried > 100 && ahead > 20, "{tried} were opened, {ahead} saw what came meanwhile");
}

/// Who never finds what the manifest names says which file it was, in the end.
#[test]
fn a_reader_that_is_too_slow_each_time_says_so() {
    let sim = SimFs::new();
    let leader = Arc::new(Mutex::new(Leader::new(&sim, 1)));
    (0..40).for_each(|_| leader.lock().write());
    let writer = leader.clone();
    let fs = Interrupted::disk_of(&sim, move || {
        let mut leader = writer.lock();
        (0..3).for_each(|_| leader.write());
        leader.db().compact().unwrap();
    });
    let refused = builder(fs).open_read_only();
    assert!(matches!(&refused, Err(Error::FileGone { file }) if file.starts_with(DIR)), "{refused:?}");
    let read_only = open(&sim).unwrap();
    assert!(leader.lock().step_of(&shown(&read_only).unwrap()).is_some());
}

/// All that a file may be read for may fail; then it is said, and nothing else is shown.
#[test]
fn a_read_that_fails_is_an_error() {
    let sim = SimFs::new();
    let mut leader = Leader::new(&sim, 3);
    (0..60).for_each(|_| leader.act());
    let mut failed = 0;
    for at in 0.. {
        let disk = sim.image(crate::fs::sim::Image::All, 0);
        let mut calls = 0;
        disk.set_fault(Box::new(move |_| {
            calls += 1;
            (calls == at + 1).then_some(Fault::EIO)
        }));
        match open(&disk) {
            Err(Error::Io(_)) => failed += 1,
            Err(other) => panic!("call {at}: {other}"),
            Ok(read_only) => {
                disk.clear_fault();
                let found = shown(&read_only).unwrap();
                assert_eq!(found, held(leader.db()), "call {at}");
                if disk.stats().total() < at {
                    break;
                }
            }
        }
    }
    assert!(failed > 20, "{failed}");
}

#[test]
fn where_there_is_no_store_that_is_said() {
    let sim = SimFs::new();
    let refused = open(&sim).unwrap_err();
    assert!(matches!(refused, Error::NotADatabase { .. }), "{refused}");
    Fs::Sim(sim.clone()).create_dir_all(Path::new(DIR)).unwrap();
    assert!(matches!(open(&sim), Err(Error::NotADatabase { .. })));
    drop(Leader::new(&sim, 1));
    Fs::Sim(sim.clone()).remove(&FileKind::Current.path(Path::new(DIR))).unwrap();
    let damaged = open(&sim);
    assert!(matches!(&damaged, Err(Error::Corruption(damage)) if damage.file.ends_with("CURRENT")));
}

/// Files that are missing while the manifest names them are damage, and not the doing of somebody who writes.
#[test]
fn a_file_that_is_missing_is_damage() {
    let sim = SimFs::new();
    let mut leader = Leader::new(&sim, 1);
    (0..80).for_each(|_| leader.write());
    leader.db().flush().unwrap();
    leader.write();
    let mut kinds = std::collections::BTreeSet::new();
    for name in Fs::Sim(sim.clone()).list(Path::new(DIR)).unwrap() {
        let kind = match FileKind::parse(&name) {
            Some(FileKind::Table(_)) => "table",
            Some(FileKind::Wal(_)) => "log",
            Some(FileKind::Manifest(_)) => "manifest",
            _ => continue,
        };
        let disk = sim.image(crate::fs::sim::Image::All, 0);
        let path = Path::new(DIR).join(&name);
        Fs::Sim(disk.clone()).remove(&path).unwrap();
        let damaged = open(&disk);
        assert!(matches!(&damaged, Err(Error::Corruption(damage)) if damage.file == path), "{name}");
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

/// The torn tail stays where it is; what was once synced and is wrong now is refused.
#[test]
fn a_damaged_middle_of_the_log_is_refused() {
    let sim = SimFs::new();
    let db = builder(Fs::Sim(sim.clone())).open().unwrap();
    for key in ["a", "b", "c", "d"] {
        db.put(key, "v").unwrap();
        db.sync().unwrap();
    }
    let names = Fs::Sim(sim.clone()).list(Path::new(DIR)).unwrap();
    let mut logs = names.iter().filter(|name| matches!(FileKind::parse(name), Some(FileKind::Wal(_))));
    let log = Path::new(DIR).join(logs.next_back().unwrap());
    let bytes = sim.read_raw(&log).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    let (mut refused, mut cut) = (0, 0);
    for at in 64..end {
        let disk = sim.image(crate::fs::sim::Image::All, 0);
        disk.flip(&log, at, 0x10).unwrap();
        let before = disk.digest();
        match open(&disk) {
            Ok(read_only) => {
                let found = letters(&read_only);
                assert!("abcd".starts_with(&found) && found.len() >= 2, "{at}: {found:?}");
                cut += 1;
            }
            Err(Error::Corruption(damage)) => {
                assert_eq!(damage.file, log);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(disk.digest(), before);
    }
    assert!(refused > 100 && cut > 20, "{refused} refused, {cut} cut");
}

#[test]
fn what_does_not_fit_is_refused_with_how_much_there_is() {
    let sim = SimFs::new();
    let db = builder(Fs::Sim(sim.clone())).memory_budget(64 << 20).memtable_bytes(32 << 20);
    let db = db.wal_segment_bytes(1 << 20).open().unwrap();
    for n in 0..40u32 {
        db.put(n.to_be_bytes(), vec![n as u8; 64 << 10]).unwrap();
    }
    let refused = open(&sim);
    assert!(matches!(refused, Err(Error::LogTooLarge { limit: 1_048_576, bytes }) if bytes > 1 << 20));
    let wide = builder(Fs::Sim(sim.clone())).memory_budget(16 << 20).open_read_only().unwrap();
    assert_eq!(wide.iter().count(), 40);
    db.flush().unwrap();
    assert_eq!(open(&sim).unwrap().iter().keys_only().count(), 40);
}

/// Every way to read, in tables and in what the log holds, both ways, with prepared transactions beside.
#[test]
fn all_that_reads_can_be_asked() {
    let sim = SimFs::new();
    let db = builder(Fs::Sim(sim.clone())).open().unwrap();
    for key in ["a", "b", "c", "d"] {
        db.put(key, "old").unwrap();
    }
    db.flush().unwrap();
    db.put("b", "new").unwrap();
    db.delete("c").unwrap();
    let read_only = open(&sim).unwrap();
    db.put("z", "later").unwrap();
    assert_eq!((read_only.path(), read_only.seq()), (Path::new(DIR), 6));
    assert_eq!(read_only.column_families(), ["default"]);
    assert!(matches!(read_only.column_family("other"), Err(Error::NoSuchFamily { name }) if name == "other"));
    let values = read_only.multi_get(&["a", "b", "c", "z"]).unwrap();
    let values: Vec<_> = values.iter().map(|value| value.as_deref()).collect();
    assert_eq!(values, [Some(&b"old"[..]), Some(b"new"), None, None]);
    let mut context = crate::base::observe::ReadContext::default();
    assert_eq!(read_only.get_with_context("a", &mut context).unwrap().unwrap(), b"old");
    assert_eq!((context.memtables, context.tables), (1, 1));
    let both: Vec<_> = read_only.iter().rev().map(|entry| entry.unwrap().0).collect();
    assert_eq!(both, ["d", "b", "a"]);
    let mut ends = read_only.range("a".."d");
    assert_eq!(
        (ends.next().unwrap().unwrap().0, ends.next_back().unwrap().unwrap().0),
        (Slice::copy(b"a"), Slice::copy(b"b"))
    );
    assert!(ends.next().is_none() && ends.next_back().is_none());
    let mut cursor = read_only.cursor(ScanOptions::default());
    assert!(cursor.seek("bb").unwrap() && cursor.key() == b"d" && cursor.value() == b"old");
    assert!(cursor.prev().unwrap() && cursor.value_slice() == b"new");
    assert!(cursor.seek_for_prev("az").unwrap() && cursor.key() == b"a");
    assert!(!cursor.prev().unwrap() && !cursor.next().unwrap() && cursor.key().is_empty());
    let explained = read_only.explain("c").to_string();
    assert!(explained.contains("nothing; sequence number 6 deleted it"), "{explained}");
    let stats = read_only.stats();
    assert_eq!((stats.seq, stats.families[0].memtable_entries, stats.families[0].entries), (6, 2, 4));
}

/// Time goes on for who reads, and stands still in a snapshot.
#[test]
fn entries_end_while_they_are_read() {
    let (sim, clock) = (SimFs::new(), crate::base::clock::ManualClock::new(5_000));
    let with = |builder: crate::db::Builder| builder.clock(crate::base::clock::Clock::Manual(clock.clone()));
    let db = with(builder(Fs::Sim(sim.clone()))).open().unwrap();
    db.put_with_ttl("k", "v", std::time::Duration::from_millis(100)).unwrap();
    let read_only = with(builder(Fs::Sim(sim.clone()))).open_read_only().unwrap();
    let snapshot = read_only.snapshot();
    clock.advance(std::time::Duration::from_millis(100));
    assert!(read_only.get("k").unwrap().is_none() && read_only.iter().next().is_none());
    assert!(snapshot.get("k").unwrap().is_some() && snapshot.iter().next().is_some());
    assert!(read_only.column_family("default").unwrap().get("k").unwrap().is_none());
    // The wall clock is set back: what the log says of time counts.
    clock.set_wall_ms(1_000);
    db.put("other", "v").unwrap();
    assert!(with(builder(Fs::Sim(sim.clone()))).open_read_only().unwrap().get("k").unwrap().is_none());
}

/// Tables that are removed can still be read by who has them open.
#[test]
fn what_is_shown_can_be_read_when_its_files_are_gone() {
    let sim = SimFs::new();
    let mut leader = Leader::new(&sim, 1);
    (0..100).for_each(|_| leader.write());
    let (read_only, open_before) = (open(&sim).unwrap(), sim.open_files());
    let before = shown(&read_only).unwrap();
    (0..200).for_each(|_| leader.write());
    leader.db().compact().unwrap();
    assert_eq!(shown(&read_only).unwrap(), before);
    drop(read_only);
    drop(leader);
    assert!(open_before > 2 && sim.open_files() == 0, "nothing stays open");
}

/// A directory that cannot be written to can be read; and a real one is left as it is, to the byte.
#[test]
fn a_directory_that_cannot_be_written_to_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let db = Db::open(&path).unwrap();
    db.put("k", "v").unwrap();
    let content = || -> Vec<(std::path::PathBuf, Vec<u8>, std::time::SystemTime)> {
        let mut all: Vec<_> = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
                (path.clone(), std::fs::read(&path).unwrap(), modified)
            })
            .collect();
        all.sort();
        all
    };
    let before = content();
    let mode = |bits| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
    mode(0o555);
    let read_only = Db::open_read_only(&path);
    mode(0o755);
    assert_eq!(read_only.unwrap().get("k").unwrap().unwrap(), b"v");
    assert!(content() == before);
    let mut batch = crate::batch::WriteBatch::new();
    batch.put(&db, "more", "");
    db.write(batch, Durability::Sync).unwrap();
    db.close().unwrap();
    let closed = content();
    assert!(Db::open_read_only(&path).unwrap().contains_key("more").unwrap());
    assert!(content() == closed);
}
