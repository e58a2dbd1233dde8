//! A real file system that runs full while a store works on it, and has room again.
//!
//! The test starts itself once more in a name space of its own, where it may mount a file system in memory.
//! Where the system does not allow that, it says so; `ESKER_FULL_DISK=must` (`cargo xtask nightly full-disk`)
//! makes that a failure.

use esker::{Db, Durability, Error};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Where the process within the name space finds its file system.
const MOUNTED: &str = "ESKER_MOUNTED";

/// What of the disk is not the store's, and is given back to it now and then, in bytes.
const BALLAST: usize = 6 << 20;

const ROUNDS: u32 = 6;

/// Nobody waits for so long, not on the busiest machine.
const HANGS: Duration = Duration::from_secs(20);

/// The promise, which is held against a machine that has nothing else to do: the long run's.
const RESUMED: Duration = Duration::from_secs(1);

#[test]
fn a_real_disk_runs_full_and_has_room_again() {
    if let Some(mounted) = std::env::var_os(MOUNTED) {
        return work(&PathBuf::from(mounted));
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = r#"mount -t tmpfs -o size=40m esker "$1" && shift && exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]).arg(dir.path());
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "a_real_disk_runs_full_and_has_room_again", "--nocapture"]);
    let output = command.env(MOUNTED, dir.path()).output().expect("util-linux is part of the base system");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let refused = said.contains("unshare failed") || said.contains("permission denied");
    if refused && !must() {
        esker_tests::figure!(
            "a real full disk: not tried, no file system may be mounted here: {}",
            said.trim()
        );
        return;
    }
    assert!(output.status.success(), "{said}");
    let figure = said.lines().find_map(|line| line.strip_prefix("figure: ")).expect("a figure");
    esker_tests::figure!("{figure}");
}

/// Whether this is the long run.
fn must() -> bool {
    std::env::var("ESKER_FULL_DISK").as_deref() == Ok("must")
}

/// What the store must hold.
struct Expected {
    entries: BTreeMap<u32, u8>,
    next: u32,
}

fn key(n: u32) -> String {
    format!("user{n:012}")
}

/// A value that does not compress.
fn value(n: u32, version: u8) -> Vec<u8> {
    let mut state = u64::from(n) << 8 | u64::from(version);
    let mut bytes = Vec::with_capacity(3_000);
    while bytes.len() < 3_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

fn open(dir: &Path) -> Db {
    Db::builder(dir).memory_budget(8 << 20).open().unwrap()
}

fn put(db: &Db, n: u32, version: u8) -> esker::Result<()> {
    let mut batch = esker::WriteBatch::new();
    batch.put(db, key(n), value(n, version));
    db.write(batch, Durability::Sync)
}

fn check(db: &Db, expected: &Expected) {
    let mut found = BTreeMap::new();
    for entry in db.iter().unwrap() {
        let (key, value) = entry.unwrap();
        let n: u32 = std::str::from_utf8(&key[4..]).unwrap().parse().unwrap();
        found.insert(n, value);
    }
    for (n, version) in &expected.entries {
        assert_eq!(found.remove(n).expect("what was acknowledged is there"), value(*n, *version), "of {n}");
        assert_eq!(db.get(key(*n)).unwrap().unwrap(), value(*n, *version), "of {n}");
    }
    assert!(found.is_empty(), "{} entries that nobody has written or that were deleted", found.len());
}

/// Takes the ballast's room at a moment when the store's reserve is whole: in what is left it might not be
/// made again, and deletions are to have it.
fn take(db: &Db, ballast: &Path) {
    let began = Instant::now();
    let whole = || db.health().full.is_none();
    // What the store is at meanwhile may find the disk full: then it is given the room back.
    while !(whole() && written(ballast) && whole()) {
        assert!(began.elapsed() < HANGS, "no room for the ballast: {:?}", db.health());
        fs::remove_file(ballast).or_else(|error| gone(&error)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether there was room for the ballast.
fn written(ballast: &Path) -> bool {
    let written = fs::write(ballast, vec![1; BALLAST]);
    assert!(written.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::StorageFull), "{written:?}");
    written.is_ok()
}

fn gone(error: &std::io::Error) -> std::io::Result<()> {
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    Ok(())
}

fn work(mounted: &Path) {
    let (data, ballast) = (mounted.join("data"), mounted.join("ballast"));
    let mut expected = Expected { entries: BTreeMap::new(), next: 0 };
    let (mut refused, mut deleted_when_full, mut slowest) = (0, 0, Duration::ZERO);
    let mut db = open(&data);
    for round in 0..ROUNDS {
        take(&db, &ballast);
        let full = loop {
            match put(&db, expected.next, 0) {
                Ok(()) => {
                    expected.entries.insert(expected.next, 0);
                    expected.next += 1;
                }
                Err(error) => break error,
            }
            assert!(expected.next < 100_000, "the disk never runs full");
        };
        assert!(matches!(full, Error::DiskFull(_)), "{full}");
        refused += 1;
        assert!(db.health().poisoned.is_none(), "{:?}", db.health());
        check(&db, &expected);
        // Deletions go on, and what they free is no secret of the store's.
        for n in expected.entries.keys().copied().step_by(40).collect::<Vec<_>>() {
            db.delete(key(n)).unwrap();
            expected.entries.remove(&n);
            deleted_when_full += 1;
        }
        let began = Instant::now();
        fs::remove_file(&ballast).unwrap();
        let n = expected.next;
        expected.next += 1;
        while let Err(error) = put(&db, n, 1) {
            assert!(matches!(error, Error::DiskFull(_)), "{error}");
            assert!(began.elapsed() < HANGS, "writes do not resume: {error}");
            std::thread::sleep(Duration::from_millis(1));
        }
        slowest = slowest.max(began.elapsed());
        expected.entries.insert(n, 1);
        check(&db, &expected);
        // Nearly all of it goes, so that there is room for another round, and for what a compaction keeps.
        for n in expected.entries.keys().copied().filter(|n| n % 16 != round % 16).collect::<Vec<_>>() {
            db.delete(key(n)).unwrap();
            expected.entries.remove(&n);
        }
        // What it needs for its output may have to be freed by the background first.
        let began = Instant::now();
        while let Err(error) = db.compact_range::<&[u8], _>(..) {
            assert!(matches!(error, Error::DiskFull(_)), "{error}");
            assert!(began.elapsed() < HANGS, "nothing makes room: {error}");
            std::thread::sleep(Duration::from_millis(1));
        }
        if round % 2 == 1 {
            db.close().unwrap();
            db = open(&data);
            assert!(db.recovery().clean);
            check(&db, &expected);
        }
    }
    assert!(!must() || slowest < RESUMED, "writes resumed only after {slowest:?}");
    esker_tests::figure!(
        "a real full disk: {ROUNDS} rounds, {} writes, {refused} times full, {deleted_when_full} deletions \
         then; writes resumed within {} ms at most; 0 violations",
        expected.next,
        slowest.as_millis()
    );
}
