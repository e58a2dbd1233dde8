//! Each sentence of the contract shown to be true, and each freedom that it leaves shown taken.

use super::{Fault, Image, OperationKind, Phase, SimFs};
use crate::base::error::Error;
use crate::base::sync::{Arc, Mutex};
use crate::fs::{Fs, OpenFile};
use std::collections::BTreeSet;
use std::path::Path;

const SEEDS: u64 = 200;

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A disk with an empty directory `d`.
fn disk() -> (SimFs, Fs) {
    let sim = SimFs::new();
    let fs = Fs::Sim(sim.clone());
    fs.create_dir_all(path("d")).unwrap();
    (sim, fs)
}

fn file(fs: &Fs, name: &str, bytes: &[u8]) -> OpenFile {
    let file = fs.create_new(path(name)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// A file that is durable with its name.
fn durable_file(fs: &Fs, name: &str, bytes: &[u8]) -> OpenFile {
    let file = file(fs, name, bytes);
    file.sync().unwrap();
    fs.sync_dir(path("d")).unwrap();
    file
}

/// Every image under many seeds.
fn images(sim: &SimFs) -> impl Iterator<Item = (Image, u64, SimFs)> + '_ {
    Image::ALL.into_iter().flat_map(move |image| {
        let seeds = if image.is_random() { SEEDS } else { 1 };
        (0..seeds).map(move |seed| (image, seed, sim.image(image, seed)))
    })
}

/// Whether some image of a kind shows what is looked for.
fn shows(sim: &SimFs, image: Image, what: impl Fn(&SimFs) -> bool) -> bool {
    (0..SEEDS).any(|seed| what(&sim.image(image, seed)))
}

fn has(sim: &SimFs, name: &str) -> bool {
    sim.paths().iter().any(|found| found == path(name))
}

fn raw(sim: &SimFs, name: &str) -> Vec<u8> {
    sim.read_raw(path(name)).unwrap()
}

#[test]
fn what_was_synced_survives_everything() {
    let (sim, fs) = disk();
    durable_file(&fs, "d/a", &[7; 3_000]);
    for (image, seed, left) in images(&sim) {
        assert_eq!(raw(&left, "d/a"), [7; 3_000], "{image} {seed}");
        assert_eq!(left.digest(), sim.digest());
    }
}

#[test]
fn an_unsynced_entry_may_be_lost_although_its_content_is_synced() {
    let (sim, fs) = disk();
    file(&fs, "d/a", b"x").sync().unwrap();
    assert!(!has(&sim.image(Image::Nothing, 0), "d/a"));
    assert!(!has(&sim.image(Image::ContentOnly, 0), "d/a"));
    assert!(shows(&sim, Image::Random, |left| has(left, "d/a")));
    assert!(shows(&sim, Image::Random, |left| !has(left, "d/a")));
    assert_eq!(raw(&sim.image(Image::EntriesOnly, 0), "d/a"), b"x");
    fs.sync_dir(path("d")).unwrap();
    assert!(images(&sim).all(|(_, _, left)| raw(&left, "d/a") == b"x"));
}

#[test]
fn a_synced_entry_may_have_no_content() {
    let (sim, fs) = disk();
    file(&fs, "d/a", b"x");
    fs.sync_dir(path("d")).unwrap();
    assert_eq!(raw(&sim.image(Image::Nothing, 0), "d/a"), b"");
    assert_eq!(raw(&sim.image(Image::All, 0), "d/a"), b"x");
    assert!(shows(&sim, Image::Random, |left| raw(left, "d/a").is_empty()));
    // The length alone.
    assert!(shows(&sim, Image::Random, |left| raw(left, "d/a") == [0]));
}

#[test]
fn entries_survive_each_on_its_own() {
    let (sim, fs) = disk();
    durable_file(&fs, "d/old", b"");
    file(&fs, "d/a", b"");
    file(&fs, "d/b", b"");
    fs.remove(path("d/old")).unwrap();
    let seen: BTreeSet<_> = (0..SEEDS).map(|seed| sim.image(Image::Random, seed).paths()).collect();
    assert_eq!(seen.len(), 8, "every subset of three changes");
    let later: BTreeSet<_> = (0..SEEDS).map(|seed| sim.image(Image::LaterKept, seed).paths()).collect();
    assert!(later.iter().any(|paths| !paths.contains(&"d/a".into()) && paths.contains(&"d/b".into())));
}

#[test]
fn a_rename_is_atomic_and_volatile() {
    let (sim, fs) = disk();
    durable_file(&fs, "d/current", b"old");
    durable_file(&fs, "d/temporary", b"new");
    fs.rename(path("d/temporary"), path("d/current")).unwrap();
    let mut seen = BTreeSet::new();
    for (image, seed, left) in images(&sim) {
        let now = raw(&left, "d/current");
        assert!(now == b"old" || now == b"new", "{image} {seed}: {now:?}");
        assert_eq!(has(&left, "d/temporary"), now == b"old", "{image} {seed}");
        seen.insert(now);
    }
    assert_eq!(seen.len(), 2);
    fs.sync_dir(path("d")).unwrap();
    assert!(images(&sim).all(|(_, _, left)| raw(&left, "d/current") == b"new"));
}

#[test]
fn a_rename_between_directories_never_loses_the_file() {
    let (sim, fs) = disk();
    fs.create_dir_all(path("e")).unwrap();
    durable_file(&fs, "d/a", b"x");
    fs.rename(path("d/a"), path("e/a")).unwrap();
    let mut seen = BTreeSet::new();
    for (_, _, left) in images(&sim) {
        seen.insert(left.paths());
        assert!(!left.paths().is_empty());
    }
    assert_eq!(seen.len(), 3, "the old name, the new one, both");
    // Syncing the old directory brings the new name along; syncing the new one leaves the old.
    let (old, new) = (sim.kill_image(), sim.kill_image());
    Fs::Sim(old.clone()).sync_dir(path("d")).unwrap();
    assert!(images(&old).all(|(_, _, left)| left.paths() == [path("e/a")]));
    Fs::Sim(new.clone()).sync_dir(path("e")).unwrap();
    assert!(images(&new).all(|(_, _, left)| raw(&left, "e/a") == b"x"));
    assert!(has(&new.image(Image::Nothing, 0), "d/a"));
    assert!(!has(&new.image(Image::All, 0), "d/a"));
}

#[test]
fn a_second_name_is_volatile_until_its_directory_is_synced() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", b"x");
    fs.create_dir_all(path("e")).and_then(|()| fs.link(path("d/a"), path("e/a"))).unwrap();
    assert!([true, false].iter().all(|is| shows(&sim, Image::Random, |left| has(left, "e/a") == *is)));
    assert_eq!(sim.used(), 512, "only one of the two names takes up space");
    fs.remove(path("d/a")).unwrap();
    assert!(images(&sim).any(|(_, _, left)| left.paths().is_empty()), "gone, and not yet there");
    fs.sync_dir(path("e")).unwrap(); // what is written under one name is synced under the other
    open.write_all_at(b"y", 0).unwrap();
    fs.open_writable(path("e/a")).unwrap().sync().unwrap();
    assert!(images(&sim).all(|(_, _, left)| raw(&left, "e/a") == b"y"));
}

#[test]
fn an_entry_made_durable_is_not_undone_by_older_changes_of_it() {
    let (sim, fs) = disk();
    fs.create_dir_all(path("e")).unwrap();
    durable_file(&fs, "d/a", b"new");
    file(&fs, "e/a", b"old").sync().unwrap();
    fs.rename(path("d/a"), path("e/a")).unwrap();
    fs.sync_dir(path("d")).unwrap();
    for (image, seed, left) in images(&sim) {
        assert_eq!(raw(&left, "e/a"), b"new", "{image} {seed}");
    }
}

#[test]
fn an_unlinked_file_comes_back_until_the_directory_is_synced() {
    let (sim, fs) = disk();
    durable_file(&fs, "d/a", b"x");
    fs.remove(path("d/a")).unwrap();
    assert_eq!(raw(&sim.image(Image::Nothing, 0), "d/a"), b"x");
    assert!(!has(&sim.image(Image::All, 0), "d/a"));
    fs.sync_dir(path("d")).unwrap();
    assert!(images(&sim).all(|(_, _, left)| left.paths().is_empty()));
}

#[test]
fn sectors_survive_each_on_its_own_in_any_of_their_states() {
    let (sim, fs) = disk();
    let file = durable_file(&fs, "d/a", &[b'0'; 1536]);
    for state in [b'1', b'2'] {
        file.write_all_at(&[state; 1536], 0).unwrap();
    }
    let seen: BTreeSet<Vec<u8>> =
        (0..2_000).map(|seed| raw(&sim.image(Image::Random, seed), "d/a")).collect();
    assert!(seen.iter().all(|bytes| bytes.chunks(512).all(|s| s.iter().all(|&b| b == s[0]))));
    assert_eq!(seen.len(), 27, "three sectors in three states");
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let (sim, fs) = disk();
    let file = durable_file(&fs, "d/a", b"");
    for n in 0..4u8 {
        file.write_all_at(&[n + 1; 512], u64::from(n) * 512).unwrap();
    }
    for seed in 0..SEEDS {
        let bytes = raw(&sim.image(Image::LaterKept, seed), "d/a");
        let firsts: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
        assert!([&[0, 2, 3, 4][..], &[0, 0, 3, 4], &[0, 0, 0, 4]].contains(&&firsts[..]), "{firsts:?}");
    }
    // Across files, too: the earlier file is empty, the later one whole.
    let other = durable_file(&fs, "d/b", b"");
    other.write_all_at(b"later", 0).unwrap();
    assert!(shows(&sim, Image::LaterKept, |left| {
        raw(left, "d/a").is_empty() && raw(left, "d/b") == b"later"
    }));
}

#[test]
fn the_last_sector_of_a_write_may_be_torn_and_no_other() {
    let (sim, fs) = disk();
    let file = durable_file(&fs, "d/a", &[b'0'; 2048]);
    file.write_all_at(&[b'1'; 1200], 0).unwrap();
    let mut torn = 0;
    for seed in 0..SEEDS {
        let bytes = raw(&sim.image(Image::Torn, seed), "d/a");
        assert!(bytes.iter().all(|b| b"01".contains(b)));
        for whole in [&bytes[..512], &bytes[512..1024], &bytes[1200..1536], &bytes[1536..]] {
            assert!(whole.iter().all(|b| *b == whole[0]));
        }
        let last = &bytes[1024..1200];
        torn += usize::from(last.iter().any(|b| *b != last[0]));
    }
    assert!(torn > 50, "{torn}");
}

#[test]
fn garbage_stands_only_behind_the_durable_length() {
    let (sim, fs) = disk();
    let file = durable_file(&fs, "d/a", &[b'0'; 700]);
    file.write_all_at(&[b'1'; 2_000], 600).unwrap();
    let garbage = |bytes: &[u8]| bytes.iter().any(|b| !b"01\0".contains(b));
    let mut seen = 0;
    for seed in 0..SEEDS {
        let bytes = raw(&sim.image(Image::Garbage, seed), "d/a");
        assert!(bytes.len() >= 700 && !garbage(&bytes[..700]));
        seen += usize::from(garbage(&bytes));
        assert!(!garbage(&raw(&sim.image(Image::Random, seed), "d/a")));
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn a_cut_is_volatile_and_what_it_cut_off_may_come_back() {
    let (sim, fs) = disk();
    let file = durable_file(&fs, "d/a", &[7; 2_000]);
    file.truncate(600).unwrap();
    assert_eq!(raw(&sim.image(Image::Nothing, 0), "d/a"), [7; 2_000]);
    assert_eq!(raw(&sim.image(Image::All, 0), "d/a"), [7; 600]);
    for (image, seed, left) in images(&sim) {
        let bytes = raw(&left, "d/a");
        assert!((600..=2_000).contains(&bytes.len()), "{image} {seed}");
        assert!(bytes[..600].iter().all(|&b| b == 7));
    }
    assert!(shows(&sim, Image::Random, |left| (601..2_000).contains(&raw(left, "d/a").len())));
    file.sync().unwrap();
    assert!(images(&sim).all(|(_, _, left)| raw(&left, "d/a") == [7; 600]));
}

#[test]
fn a_cut_that_was_synced_leaves_zeros_where_the_file_grows_again() {
    let (sim, fs) = disk();
    let file = durable_file(&fs, "d/a", &[7; 9_000]);
    file.truncate(3_900).unwrap();
    file.truncate(9_000).unwrap();
    file.sync().unwrap();
    // Something unsynced, so that images are made from what is durable.
    file.write_all_at(&[0], 8_999).unwrap();
    for (image, seed, left) in images(&sim) {
        let bytes = raw(&left, "d/a");
        assert!(bytes[..3_900].iter().all(|&b| b == 7), "{image} {seed}");
        assert!(bytes[3_900..].iter().all(|&b| b == 0), "{image} {seed}");
    }
}

#[test]
fn a_kill_loses_nothing_and_makes_nothing_durable() {
    let (sim, fs) = disk();
    let open = file(&fs, "d/a", b"x");
    let gone = durable_file(&fs, "d/gone", b"y");
    let guard = fs.lock(path("d/LOCK"), "first").unwrap().unwrap();
    fs.sync_dir(path("d")).unwrap();
    fs.remove(path("d/gone")).unwrap();
    let killed = sim.kill_image();
    let next = Fs::Sim(killed.clone());
    assert_eq!(killed.digest(), sim.digest());
    assert_eq!(raw(&killed, "d/a"), b"x");
    assert_eq!(raw(&killed.image(Image::Nothing, 0), "d/a"), b"", "still not durable");
    assert_eq!(raw(&killed.image(Image::Nothing, 0), "d/gone"), b"y");
    // The old process is dead; the lock is free for the new one, whatever the old guard does.
    assert!(open.size().is_err() && fs.open(path("d/a")).is_err() && gone.sync().is_err());
    let _held = next.lock(path("d/LOCK"), "second").unwrap().unwrap();
    drop(guard);
    assert!(next.lock(path("d/LOCK"), "third").unwrap().is_err());
    // A later sync in the new process writes what the old one left unsynced.
    next.open(path("d/a")).unwrap().sync().unwrap();
    assert_eq!(raw(&killed.image(Image::Nothing, 0), "d/a"), b"x");
}

#[test]
fn an_image_is_unlocked_independent_and_stable() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", &[1; 5_000]);
    let _guard = fs.lock(path("d/LOCK"), "first").unwrap().unwrap();
    let left = sim.image(Image::All, 0);
    let other = Fs::Sim(left.clone());
    assert!(other.lock(path("d/LOCK"), "second").unwrap().is_ok());
    assert_eq!(left.stats().total(), 1, "it counts for itself");
    open.write_all_at(&[2; 5_000], 0).unwrap();
    assert_eq!(raw(&left, "d/a"), [1; 5_000]);
    other.open_writable(path("d/a")).unwrap().write_all_at(&[3; 10], 0).unwrap();
    assert_eq!(raw(&sim, "d/a"), [2; 5_000]);
    for (image, seed, left) in images(&sim) {
        let digest = left.digest();
        assert!(images(&left).all(|(_, _, again)| again.digest() == digest), "{image} {seed}");
        if seed > 3 {
            break;
        }
    }
}

#[test]
fn power_off_ends_everything_and_images_can_still_be_taken() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", b"x");
    sim.crash_at(sim.stats().total() + 1, Phase::Before);
    open.write_all_at(b"y", 0).unwrap();
    assert!(open.write_all_at(b"z", 0).is_err());
    assert!(sim.is_off());
    assert!(open.read_at(&mut [0], 0).is_err() && fs.list(path("d")).is_err() && open.sync().is_err());
    assert_eq!(raw(&sim.image(Image::All, 0), "d/a"), b"y");
    // After an operation: it has happened.
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", b"x");
    sim.crash_at(sim.stats().total(), Phase::After);
    assert!(open.write_all_at(b"z", 0).is_err());
    assert_eq!(raw(&sim.image(Image::All, 0), "d/a"), b"z");
    // A lock that was taken at that very point is no one's.
    let (sim, fs) = disk();
    sim.crash_at(sim.stats().total(), Phase::After);
    assert!(fs.lock(path("d/LOCK"), "x").is_err());
}

#[test]
fn an_observer_sees_each_change_from_both_sides() {
    let (sim, fs) = disk();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    sim.observe(Box::new(move |operation, phase, moment| {
        let amid = moment.image_amid(Image::All, 1);
        let bytes = |sim: &SimFs| sim.read_raw(Path::new("d/a")).ok().map(|bytes| bytes.len());
        log.lock().push((
            operation.to_string(),
            phase,
            bytes(&moment.image(Image::All, 0)),
            bytes(&moment.kill_image()),
            amid.map(|amid| bytes(&amid)),
        ));
    }));
    let open = fs.create_new(path("d/a")).unwrap();
    open.write_all_at(&[1; 1_024], 0).unwrap();
    open.size().unwrap();
    open.sync().unwrap();
    assert!(sim.stop_observing().is_some());
    fs.sync_dir(path("d")).unwrap();
    let (before, after) = (Phase::Before, Phase::After);
    let (create, write, sync) =
        ("#1 create d/a".to_string(), "#2 write d/a [0, +1024]".to_string(), "#4 sync d/a".to_string());
    let amid = seen.lock()[2].4;
    assert!(matches!(amid, Some(Some(512 | 1_024))), "{amid:?}");
    let expected = [
        (create.clone(), before, None, None, None),
        (create, after, Some(0), Some(0), None),
        (write.clone(), before, Some(0), Some(0), amid),
        (write, after, Some(1_024), Some(1_024), None),
        (sync.clone(), before, Some(1_024), Some(1_024), None),
        (sync, after, Some(1_024), Some(1_024), None),
    ];
    assert_eq!(*seen.lock(), expected);
}

#[test]
fn an_observer_can_switch_off() {
    let (sim, fs) = disk();
    sim.observe(Box::new(|operation, phase, moment| {
        if operation.kind == OperationKind::Write && phase == Phase::Before {
            moment.power_off();
        }
    }));
    let open = fs.create_new(path("d/a")).unwrap();
    assert!(open.write_all_at(b"x", 0).is_err());
    assert!(sim.is_off());
    assert_eq!(raw(&sim.image(Image::All, 0), "d/a"), b"");
}

/// Lets the operations of a kind go wrong, each time.
fn break_each(sim: &SimFs, kind: OperationKind, fault: Fault) {
    sim.set_fault(Box::new(move |operation| (operation.kind == kind).then_some(fault)));
}

#[test]
fn a_lying_sync_keeps_nothing_and_an_honest_one_does() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", b"");
    open.write_all_at(b"x", 0).unwrap();
    file(&fs, "d/b", b"");
    sim.set_fault(Box::new(|_| Some(Fault::LyingSync)));
    open.sync().unwrap();
    fs.sync_dir(path("d")).unwrap();
    let left = sim.image(Image::Nothing, 0);
    assert!(raw(&left, "d/a").is_empty() && !has(&left, "d/b"));
    sim.clear_fault();
    open.sync().unwrap();
    fs.sync_dir(path("d")).unwrap();
    let left = sim.image(Image::Nothing, 0);
    assert!(raw(&left, "d/a") == b"x" && has(&left, "d/b"));
}

#[test]
fn a_failed_sync_may_drop_pages_and_then_say_ok() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", &[b'0'; 2_048]);
    open.write_all_at(&[b'1'; 1_024], 0).unwrap();
    break_each(&sim, OperationKind::Sync, Fault::FailedSyncDropsPages);
    assert!(matches!(open.sync(), Err(Error::Io(_))));
    sim.clear_fault();
    open.write_all_at(&[b'2'; 512], 512).unwrap();
    open.write_all_at(&[b'3'; 1_024], 2_048).unwrap();
    open.sync().unwrap();
    let expected =
        |first, rest: u8| [vec![first; 512], vec![b'2'; 512], vec![b'0'; 1_024], vec![rest; 1_024]].concat();
    assert_eq!(raw(&sim, "d/a"), expected(b'1', b'3'), "reads go on seeing it");
    for (image, seed, left) in images(&sim) {
        assert_eq!(raw(&left, "d/a"), expected(b'0', b'3'), "{image} {seed}");
    }
    let killed = sim.kill_image();
    assert_eq!(raw(&killed, "d/a"), expected(b'1', b'3'), "in another process, too");
    killed.drop_caches();
    assert_eq!(raw(&killed, "d/a"), expected(b'0', b'3'), "until memory runs short");
}

#[test]
fn a_failed_sync_may_lose_the_length_and_entries() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", b"");
    open.write_all_at(b"lost", 0).unwrap();
    file(&fs, "d/b", b"");
    sim.set_fault(Box::new(|_| Some(Fault::FailedSyncDropsPages)));
    assert!(open.sync().is_err() && fs.sync_dir(path("d")).is_err());
    sim.clear_fault();
    open.sync().unwrap();
    fs.sync_dir(path("d")).unwrap();
    assert!(has(&sim, "d/b"));
    for (_, _, left) in images(&sim) {
        assert!(raw(&left, "d/a").is_empty() && !has(&left, "d/b"));
    }
    // What was written again is no longer lost.
    break_each(&sim, OperationKind::Sync, Fault::FailedSyncDropsPages);
    let other = fs.open_writable(path("d/b")).unwrap();
    other.write_all_at(b"lost", 0).unwrap();
    assert!(other.sync().is_err());
    sim.clear_fault();
    other.write_all_at(b"kept", 0).unwrap();
    sim.drop_caches();
    assert_eq!(raw(&sim, "d/b"), b"kept");
    // A later write makes the length durable and leaves a hole where the lost bytes were.
    open.write_all_at(&[1; 512], 512).unwrap();
    open.sync().unwrap();
    assert_eq!(raw(&sim.image(Image::Nothing, 0), "d/a"), [[0; 512], [1; 512]].concat());
}

#[test]
fn errors_come_as_asked_for() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", b"abc");
    break_each(&sim, OperationKind::Write, Fault::ENOSPC);
    assert!(matches!(open.write_all_at(b"x", 0), Err(Error::DiskFull(_))));
    break_each(&sim, OperationKind::Open, Fault::EMFILE);
    assert!(matches!(fs.open(path("d/a")), Err(Error::Io(_))));
    break_each(&sim, OperationKind::Read, Fault::EIO);
    assert!(open.read_at(&mut [0], 0).is_err());
    assert_eq!(raw(&sim, "d/a"), b"abc");
    let mut times = 0;
    sim.set_fault(Box::new(move |_| {
        times += 1;
        (times < 3).then_some(Fault::EINTR)
    }));
    open.write_all_at(b"x", 0).unwrap();
    assert_eq!(raw(&sim, "d/a"), b"xbc", "an interrupted call is tried again");
    break_each(&sim, OperationKind::Write, Fault::EINTR);
    assert!(open.write_all_at(b"y", 0).is_err(), "but not for ever");
    break_each(&sim, OperationKind::Read, Fault::EINTR);
    assert!(open.read_at(&mut [0], 0).is_err());
    break_each(&sim, OperationKind::Write, Fault::ShortWrite(1));
    open.write_all_at(b"12345", 0).unwrap();
    break_each(&sim, OperationKind::Read, Fault::ShortRead(2));
    let mut bytes = [0; 5];
    open.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"12345");
    break_each(&sim, OperationKind::Read, Fault::FlipBit { byte: 6, bit: 1 });
    open.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"10345");
    break_each(&sim, OperationKind::Rename, Fault::ErrnoAfter(libc::EIO));
    assert!(fs.rename(path("d/a"), path("d/b")).is_err());
    assert!(has(&sim, "d/b"), "it happened all the same");
    break_each(&sim, OperationKind::Lock, Fault::ErrnoAfter(libc::EIO));
    assert!(fs.lock(path("d/LOCK"), "x").is_err());
    sim.clear_fault();
    assert!(fs.lock(path("d/LOCK"), "x").unwrap().is_ok(), "what failed holds nothing");
}

#[test]
fn a_full_disk_refuses_and_heals() {
    let (sim, fs) = disk();
    sim.set_capacity(Some(4 * 512));
    let open = file(&fs, "d/a", &[1; 1_000]);
    assert_eq!(sim.used(), 1_024);
    // What fits is written, as far as whole sectors go.
    assert!(matches!(open.write_all_at(&[2; 2_000], 1_000), Err(Error::DiskFull(_))));
    assert_eq!(open.size().unwrap(), 2_048);
    assert_eq!(sim.used(), 2_048);
    assert!(matches!(open.write_all_at(&[3], 2_048), Err(Error::DiskFull(_))));
    assert!(matches!(open.allocate(2_049), Err(Error::DiskFull(_))));
    assert!(matches!(fs.create_new(path("d/b")), Err(Error::DiskFull(_))));
    open.write_all_at(&[3; 2_048], 0).unwrap();
    // An unlinked file keeps its space while it is open.
    fs.remove(path("d/a")).unwrap();
    assert_eq!(sim.used(), 2_048);
    drop(open);
    assert_eq!(sim.used(), 0);
    let open = file(&fs, "d/b", b"");
    open.truncate(1 << 20).unwrap();
    assert_eq!(sim.used(), 0, "a hole takes no space");
    open.write_all_at(&[1; 512], 512_000).unwrap();
    assert_eq!(sim.used(), 512);
}

#[test]
fn a_write_into_reserved_space_never_meets_a_full_disk() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", b"");
    open.allocate(3_000).unwrap();
    // Not synced yet: where the length survives, the space does.
    for (image, seed, left) in images(&sim) {
        let len = raw(&left, "d/a").len() as u64;
        assert_eq!(left.used(), len.div_ceil(512) * 512, "{image} {seed}");
    }
    open.sync().unwrap();
    assert_eq!(sim.used(), 3_072);
    sim.set_capacity(Some(1));
    open.write_all_at(&[1; 3_000], 0).unwrap();
    assert!(open.write_all_at(&[1; 73], 3_000).is_err());
    for (image, seed, left) in images(&sim) {
        let open = Fs::Sim(left.clone()).open_writable(path("d/a")).unwrap();
        assert!(open.write_all_at(&[2; 3_000], 0).is_ok(), "{image} {seed}");
    }
    open.truncate(1_000).unwrap();
    assert_eq!(sim.used(), 1_024);
}

#[test]
fn damage_reaches_what_is_durable() {
    let (sim, fs) = disk();
    let open = durable_file(&fs, "d/a", b"abcdef");
    sim.flip(path("d/a"), 1, 0x20).unwrap();
    sim.corrupt(path("d/a"), 4, |bytes| bytes.fill(b'!')).unwrap();
    sim.write_raw(path("new/dir/b"), b"raw").unwrap();
    assert!(sim.flip(path("d/a"), 6, 1).is_err());
    for seen in [sim.clone(), sim.image(Image::Nothing, 0)] {
        assert_eq!(raw(&seen, "d/a"), b"aBcd!!");
        assert_eq!(raw(&seen, "new/dir/b"), b"raw");
        assert_eq!(seen.paths(), [path("d/a"), path("new/dir/b")]);
    }
    let mut bytes = [0; 6];
    open.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"aBcd!!", "open files see it");
    fs.remove(path("d/a")).unwrap();
    sim.write_raw(path("d/a"), b"").unwrap();
    assert!(images(&sim).all(|(_, _, left)| raw(&left, "d/a").is_empty()));
}

#[test]
fn operations_are_counted_by_kind() {
    let (sim, fs) = disk();
    let open = file(&fs, "d/a", b"x");
    open.read_at(&mut [0; 2], 0).unwrap();
    assert_eq!(sim.stats().to_string(), "create=1 read=2 write=1 create-dir=1");
    assert_eq!((sim.stats().of(OperationKind::Read), sim.stats().total()), (2, 5));
    assert!(OperationKind::ALL.iter().enumerate().all(|(n, kind)| *kind as usize == n));
}
