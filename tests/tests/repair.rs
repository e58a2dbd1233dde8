//! Damaged directories from generated histories: a repair saves everything that is intact, and nothing that
//! it says is false.

use esker::fs::SimFs;
use esker::fs::sim::{Image, Phase};
use esker::repair::Loss;
use esker::{Db, Error};
use esker_tests::figure;
use esker_tests::history::{Profile, generate};
use esker_tests::oracle::Dump;
use esker_tests::repair::{NEW, OLD, Tally, Truth, damages, examine, repair};
use esker_tests::session::{Left, Place, leave, leave_in};
use std::path::Path;

/// Damages of each history's directory.
const DAMAGES: u64 = 8;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the history of a seed leaves.
fn left(seed: u64) -> Left {
    let profile = if seed.is_multiple_of(2) { Profile::LONG } else { Profile::CRASH };
    leave(seed, &generate(seed, &profile), !seed.is_multiple_of(3)).unwrap()
}

fn open_new(disk: &SimFs, now_ms: u64, seed: u64) -> esker::Result<Db> {
    let mut place = Place::simulated(disk.clone(), now_ms, seed);
    place.path = NEW.into();
    place.open()
}

/// The same of a store that separates values: all, most, or in two tiers.
fn left_apart(seed: u64) -> Left {
    let profile = if seed.is_multiple_of(2) { Profile::LONG } else { Profile::CRASH };
    let place = Place::fresh(seed).with_options([6, 10, 13][seed as usize / 2 % 3]);
    leave_in(place, &generate(seed, &profile), !seed.is_multiple_of(3)).unwrap()
}

/// Damages what histories leave, and repairs it.
fn sweep(repairs: u64, seed: u64, left: fn(u64) -> Left) -> Tally {
    let mut tally = Tally::default();
    for history in 0..repairs.div_ceil(DAMAGES) {
        let left = left(seed + history);
        let truth = Truth::read(&left.disk, Path::new(OLD), left.now_ms).unwrap();
        for number in 0..DAMAGES.min(repairs - history * DAMAGES) {
            let seed = (seed + history) * 1_000 + number;
            let damages = damages(&left.disk, Path::new(OLD), seed);
            examine(&left, &truth, &damages, seed, &mut tally);
        }
    }
    tally
}

#[test]
fn of_a_store_that_separates_values_the_rest_is_saved_and_the_report_is_true() {
    let (repairs, seed) =
        (from_environment("ESKER_REPAIRS", 200) / 2, from_environment("ESKER_REPAIR_SEED", 1));
    let Tally { directories, losses, saved, lost, untouched, violations, .. } =
        sweep(repairs, seed, left_apart);
    figure!(
        "repair of stores with blob files: {directories} damaged directories (seed {seed}); loss certain {}, \
         possible {}; {saved} entries saved, {lost} known lost; {untouched} newest entries in undamaged \
         bytes; violations {}",
        losses[Loss::Certain as usize],
        losses[Loss::Possible as usize],
        violations.len()
    );
    assert!(violations.is_empty(), "{}", violations[..violations.len().min(5)].join("\n\n"));
    assert!(repairs < 100 || lost > 0 && untouched > 0, "{losses:?}");
}

#[test]
fn whatever_is_damaged_the_rest_is_saved_and_the_report_is_true() {
    let (repairs, seed) = (from_environment("ESKER_REPAIRS", 200), from_environment("ESKER_REPAIR_SEED", 1));
    let tally = sweep(repairs, seed, left);
    let Tally { directories, with_manifest, losses, strangers, saved, lost, untouched, changed, violations } =
        tally;
    figure!(
        "repair: {directories} damaged directories (seed {seed}), {with_manifest} with a whole manifest, \
         {strangers} files of another store; loss certain {}, possible {}, end open {}, not found {}; \
         {saved} entries saved, {lost} known lost; {untouched} newest entries in undamaged bytes, \
         {changed} keys changed; violations {}",
        losses[Loss::Certain as usize],
        losses[Loss::Possible as usize],
        losses[Loss::OpenEnd as usize],
        losses[Loss::NoneFound as usize],
        violations.len()
    );
    assert!(violations.is_empty(), "{}", violations[..violations.len().min(5)].join("\n\n"));
    assert!(
        repairs < 200 || (losses.iter().all(|n| *n > 0) && strangers > 0 && lost > 0 && changed > 0),
        "{losses:?}"
    );
}

#[test]
fn a_repair_of_an_intact_store_loses_nothing() {
    for seed in 1..=12 {
        let left = left(seed);
        let truth = Truth::read(&left.disk, Path::new(OLD), left.now_ms).unwrap();
        let disk = left.disk.kill_image();
        let report = repair(&disk, seed).write(NEW).unwrap();
        let (loss, lost) = if left.closed { (Loss::NoneFound, Some(0)) } else { (Loss::OpenEnd, None) };
        assert_eq!((report.loss(), report.entries_lost()), (loss, lost), "seed {seed}\n{report}");
        let text = report.to_string();
        let names = |name: &str| text.lines().filter(|line| line.trim_start().starts_with(name)).count();
        assert!(report.files.iter().all(|file| names(&file.name) == 1), "a line for each file:\n{text}");
        // Read before the new store is opened: its first compaction may zero what everybody sees.
        let again = Truth::read(&disk, Path::new(NEW), left.now_ms).unwrap();
        let db = open_new(&disk, left.now_ms, seed).unwrap();
        let found = Dump::read(&db).unwrap();
        assert_eq!(found.families, truth.visible(left.now_ms), "seed {seed}\n{report}");
        drop(db);
        // Opening the original shows the same.
        let mut place = Place::simulated(left.disk.kill_image(), left.now_ms, seed);
        assert_eq!(Dump::read(&place.open().unwrap()).unwrap().families, found.families, "seed {seed}");
        // Times of expiry and sequence numbers are kept.
        for (key, newest) in truth.newest.iter().filter(|(_, newest)| newest.value.is_some()) {
            if truth.families.contains_key(&key.0) {
                let kept = &again.newest[key];
                assert_eq!((kept.seq, kept.expires_at), (newest.seq, newest.expires_at), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_repair_may_crash_anywhere_and_be_made_again() {
    let (mut crashes, mut stores) = (0u64, 0u64);
    let mut violations: Vec<String> = Vec::new();
    for seed in [2, 5] {
        let left = left(seed);
        let damages = damages(&left.disk, Path::new(OLD), 77 + seed);
        let damaged = left.disk.kill_image();
        damages.iter().for_each(|damage| damage.inflict(&damaged, Path::new(OLD)));
        let whole = damaged.kill_image();
        let before = whole.stats().total();
        repair(&whole, seed).write(NEW).unwrap();
        let expected = Dump::read(&open_new(&whole, left.now_ms, seed).unwrap()).unwrap();
        let original = damaged_files(&damaged);
        let mut images = Vec::new();
        let disk = damaged.image(Image::All, 0);
        let collected = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let taken = collected.clone();
        disk.observe(Box::new(move |operation, phase, moment| {
            let mut taken = taken.lock().unwrap();
            for image in [Image::Nothing, Image::All, Image::Random, Image::LaterKept, Image::EntriesOnly] {
                let at = format!("{image} {phase} {operation}");
                taken.push((moment.image(image, operation.index * 2 + u64::from(phase == Phase::After)), at));
            }
            taken.push((moment.kill_image(), format!("kill {phase} {operation}")));
        }));
        repair(&disk, seed).write(NEW).unwrap();
        disk.stop_observing();
        images.append(&mut collected.lock().unwrap());
        let mut seen = std::collections::HashSet::new();
        for (image, at) in images {
            if !seen.insert(image.digest()) {
                continue;
            }
            crashes += 1;
            if damaged_files(&image) != original {
                violations.push(format!("seed {seed}, {at}: the original has changed"));
            }
            let read = |disk: &SimFs| Dump::read(&open_new(disk, left.now_ms, seed).unwrap()).unwrap();
            match repair(&image, seed + 1).write(NEW) {
                Ok(_) => {}
                Err(Error::InvalidArgument { what: "into", .. }) => stores += 1,
                Err(error) => violations.push(format!("seed {seed}, {at}: {error}")),
            }
            if read(&image).families != expected.families {
                violations.push(format!("seed {seed}, {at}: another store was made"));
            }
        }
        assert!(whole.stats().total() > before);
    }
    figure!(
        "repair: {crashes} distinct crashes of a repair (seeds 2, 5), {stores} after the end; violations {}",
        violations.len()
    );
    assert!(violations.is_empty(), "{}", violations[..violations.len().min(5)].join("\n"));
    assert!(crashes > 100 && stores > 0);
}

fn damaged_files(disk: &SimFs) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let inside = |path: &std::path::PathBuf| path.parent() == Some(Path::new(OLD));
    disk.paths()
        .into_iter()
        .filter(inside)
        .map(|path| (path.clone(), disk.read_raw(&path).unwrap()))
        .collect()
}

#[test]
fn a_repair_onto_a_full_disk_says_so_and_cleans_up() {
    let left = left(4);
    let need = {
        let disk = left.disk.kill_image();
        let before = disk.used();
        repair(&disk, 1).write(NEW).unwrap();
        disk.used() - before
    };
    assert!(need > 4096);
    for part in 1..8 {
        let disk = left.disk.kill_image();
        disk.set_capacity(Some(disk.used() + need * part / 16));
        let error = repair(&disk, 1).write(NEW).unwrap_err();
        assert!(matches!(error, Error::DiskFull(_)), "{error}");
        disk.set_capacity(None);
        let copy = disk.image(Image::All, 0);
        assert!(open_new(&copy, left.now_ms, 1).is_ok_and(|db| db.recovery().created));
        repair(&disk, 1).write(NEW).unwrap();
        open_new(&disk, left.now_ms, 1).unwrap();
    }
}

#[test]
fn what_may_not_be_repaired_is_refused() {
    let left = left(4);
    let disk = left.disk.kill_image();
    let mut place = Place::simulated(disk.clone(), left.now_ms, 1);
    let db = place.open().unwrap();
    assert!(matches!(repair(&disk, 1).write(NEW), Err(Error::Locked { .. })));
    assert!(matches!(repair(&disk, 1).look(), Err(Error::Locked { .. })));
    db.close().unwrap();
    let into = |dir: &str| repair(&disk, 1).write(dir);
    assert!(matches!(into(OLD), Err(Error::InvalidArgument { what: "into", .. })));
    assert!(matches!(into("/data/store/new"), Err(Error::InvalidArgument { what: "into", .. })));
    disk.write_raw(Path::new("/data/other/notes.txt"), b"mine").unwrap();
    assert!(matches!(into("/data/other"), Err(Error::InvalidArgument { what: "into", .. })));
    assert_eq!(disk.read_raw(Path::new("/data/other/notes.txt")).unwrap(), b"mine");
    into(NEW).unwrap();
    assert!(matches!(into(NEW), Err(Error::InvalidArgument { what: "into", .. })));
    assert!(matches!(
        esker::Repair::new("/data/other").fs(esker::fs::Fs::Sim(disk.clone())).look(),
        Err(Error::NotADatabase { .. })
    ));
}

#[test]
fn a_table_without_index_and_footer_is_read_block_by_block() {
    let left = left(2);
    let truth = Truth::read(&left.disk, Path::new(OLD), left.now_ms).unwrap();
    let disk = left.disk.image(Image::All, 0);
    for (name, blocks) in &truth.tables {
        let (last, _) = blocks.last().unwrap();
        disk.corrupt(&Path::new(OLD).join(name), last.end as u64, |bytes| bytes.fill(0)).unwrap();
    }
    let report = repair(&disk, 1).write(NEW).unwrap();
    // What keeps the loss from being none is that this store was not closed, if it was not.
    let expected = if left.closed { (Loss::NoneFound, Some(0)) } else { (Loss::OpenEnd, None) };
    assert_eq!((report.loss(), report.entries_lost()), expected, "{report}");
    assert!(truth.tables.len() > 5);
    let found = Dump::read(&open_new(&disk, left.now_ms, 1).unwrap()).unwrap();
    assert_eq!(found.families, truth.visible(left.now_ms));
}

#[test]
fn a_store_in_use_is_not_repaired_and_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let db = Db::open(&old).unwrap();
    db.put(b"k", b"v").unwrap();
    let error = Db::repair(&old, &new).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(!new.exists());
    db.close().unwrap();
    let before = esker_tests::store::files(&old);
    let lock = std::fs::read(old.join("LOCK")).unwrap();
    Db::repair(&old, &new).unwrap();
    assert_eq!((esker_tests::store::files(&old), std::fs::read(old.join("LOCK")).unwrap()), (before, lock));
    assert_eq!(Db::open(&new).unwrap().get(b"k").unwrap().unwrap(), b"v");
}
