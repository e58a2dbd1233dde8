//! The store of format version 1 in `fixtures/databases/v1` opens, holds what its list says, and gives the
//! right error when its files are not what they should be.
//!
//! `ESKER_FIXTURE=rewrite cargo test -p esker-tests --test compatibility` makes the store and its list anew.
//! Until 0.1.0 is tagged that is what a change of the format calls for; after that, never again.

use esker::base::checksum::{bound, context};
use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::version::{StoreState, load_manifest};
use esker::{Builder, Db, Durability, Error, FamilyOptions, Result, WriteBatch};
use esker_tests::store::{self, Files};
use esker_tests::workspace::root;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

const FIXTURE: &str = "fixtures/databases/v1";
const LIST: &str = "fixtures/databases/v1.txt";

/// The time at which the store was written, and two moments long before and long after it.
const WRITTEN_MS: u64 = 1_700_000_000_000;
const PAST_MS: u64 = 1_600_000_000_000;
const FUTURE_MS: u64 = 4_102_444_800_000;

/// What the store holds, by family and key.
type Model = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// Writes to a store and to the model of it.
struct Author {
    db: Db,
    model: Model,
}

impl Author {
    fn put(&mut self, family: &str, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.db.open_column_family(family)?.put(&key, &value)?;
        self.model.insert((family.into(), key.as_ref().into()), value.as_ref().into());
        Ok(())
    }

    fn delete(&mut self, family: &str, key: impl AsRef<[u8]>) -> Result<()> {
        self.db.open_column_family(family)?.delete(&key)?;
        self.model.remove(&(family.to_owned(), key.as_ref().to_vec()));
        Ok(())
    }

    /// Entries of which some are overwritten later, in tables of several levels.
    fn fill(&mut self) -> Result<()> {
        for round in 0..3u32 {
            for i in 0..160 {
                let i = i * 37 % 160;
                let value = format!("round {round} of {i}: {}", "sediment ".repeat((i % 5) as usize));
                self.put("default", format!("user{i:012}"), &value)?;
                self.put("zipped", format!("a shared prefix/{:05}", i * 11), &value)?;
                if round == 0 && i % 2 == 0 {
                    self.put("raw", [0xff, i as u8, 0, 7], &value)?;
                }
            }
            if round < 2 {
                self.db.compact()?;
            }
        }
        self.db.flush()
    }

    /// Deletions, entries that expire, edges of the key space.
    fn strew(&mut self) -> Result<()> {
        for i in (0..160).step_by(7) {
            self.delete("default", format!("user{i:012}"))?;
            self.delete("zipped", format!("a shared prefix/{:05}", i * 11))?;
        }
        self.put("default", "", "the empty key")?;
        self.put("default", [0xff; 40], "")?;
        self.put("raw", "long", "x".repeat(3_000))?;
        let mut batch = WriteBatch::new();
        batch.put_until(&self.db, "expired", "gone", PAST_MS).put_until(&self.db, "later", "here", FUTURE_MS);
        self.db.write(batch, Durability::Os)?;
        self.model.insert(("default".into(), b"later".to_vec()), b"here".to_vec());
        self.db.flush()
    }

    /// Small flushes, until a compaction has put a level between the first and the last.
    fn stack(&mut self) -> Result<()> {
        for round in 0.. {
            self.put("default", format!("late {}", round % 50), format!("flushed {round} times"))?;
            self.db.flush()?;
            let stats = self.db.stats();
            let used = stats.families[0].levels.iter().filter(|level| level.files > 0).count();
            if used >= 3 && stats.families[0].levels[0].files > 0 {
                break;
            }
        }
        Ok(())
    }

    /// What only the log holds when the process is killed.
    fn last_words(&mut self) -> Result<()> {
        let zipped = self.db.open_column_family("zipped")?;
        let mut batch = WriteBatch::new();
        batch.put(&self.db, "log", "in the log").delete(&zipped, "a shared prefix/00011");
        batch.put_until(&zipped, "log, for a time", "in the log, too", FUTURE_MS);
        self.db.write(batch, Durability::Sync)?;
        self.model.remove(&("zipped".to_owned(), b"a shared prefix/00011".to_vec()));
        self.model.insert(("default".into(), b"log".to_vec()), b"in the log".to_vec());
        self.model.insert(("zipped".into(), b"log, for a time".to_vec()), b"in the log, too".to_vec());
        for i in 0..40 {
            self.put("raw", format!("tail {i}"), format!("a later record {i}"))?;
        }
        Ok(())
    }
}

/// Makes the fixture: a store that was killed, and the list of what is in it.
fn make() -> Result<(Files, String)> {
    let disk = SimFs::new();
    let dir = Path::new("/v1");
    let db = Db::builder(dir)
        .fs(Fs::Sim(disk.clone()))
        .clock(Clock::Manual(ManualClock::new(WRITTEN_MS)))
        .deterministic(1)
        .memory_budget(1 << 20)
        .memtable_bytes(16 << 10)
        .target_file_bytes(4 << 10)
        .level_base_bytes(1 << 10)
        .wal_segment_bytes(4 << 10)
        .default_durability(Durability::Os)
        .open()?;
    let tiny = FamilyOptions { block_bytes: 256, index_partition_bytes: 64, ..FamilyOptions::default() };
    db.create_column_family("gone", FamilyOptions::default())?.put("k", "v")?;
    let zipped = FamilyOptions { zstd_level: Some(3), uncompressed_levels: 0, ..tiny.clone() };
    db.create_column_family("zipped", zipped)?;
    db.create_column_family("raw", FamilyOptions { zstd_level: None, ..tiny })?;
    db.drop_column_family("gone")?;
    let mut author = Author { db, model: Model::new() };
    author.fill()?;
    // A snapshot keeps what is overwritten and deleted below it.
    let held = author.db.snapshot();
    author.strew()?;
    author.stack()?;
    author.last_words()?;
    let killed = disk.kill_image();
    drop(held);
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let files = killed.paths().into_iter().map(|path| (name(&path), killed.read_raw(&path).unwrap()));
    let mut list = String::new();
    for family in ["default", "zipped", "raw"] {
        for ((_, key), value) in author.model.iter().filter(|((name, _), _)| name == family) {
            store::line(&mut list, family, key, value);
        }
    }
    // Neither of these holds data.
    Ok((files.filter(|(name, _)| name != "LOCK" && name != "RESERVE").collect(), list))
}

/// Makes the fixture anew, once, if that is asked for.
fn rewrite_if_asked() {
    static REWRITE: Once = Once::new();
    REWRITE.call_once(|| {
        if std::env::var_os("ESKER_FIXTURE").is_some_and(|value| value == "rewrite") {
            let (files, list) = make().unwrap();
            let _ = fs::remove_dir_all(root().join(FIXTURE));
            store::write(&root().join(FIXTURE), &files);
            fs::write(root().join(LIST), list).unwrap();
        }
    });
}

fn fixture() -> Files {
    rewrite_if_asked();
    store::files(&root().join(FIXTURE))
}

fn list() -> String {
    rewrite_if_asked();
    fs::read_to_string(root().join(LIST)).unwrap()
}

/// The fixture in a directory of its own, changed by `change`.
struct Copy {
    _temp: tempfile::TempDir,
    dir: PathBuf,
    files: Files,
}

fn copy(change: impl FnOnce(&mut Files)) -> Copy {
    let mut files = fixture();
    change(&mut files);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("v1");
    store::write(&dir, &files);
    Copy { _temp: temp, dir, files }
}

fn open(dir: &Path) -> Builder {
    // Background work on this thread: nothing changes behind the test's back. Each run has a seed of its own,
    // as identities of files must differ.
    static SEED: AtomicU64 = AtomicU64::new(2);
    Db::builder(dir)
        .deterministic(SEED.fetch_add(1, Ordering::Relaxed))
        .clock(Clock::Manual(ManualClock::new(WRITTEN_MS)))
}

impl Copy {
    /// Opens the store, which must be refused, and leave every file as it was.
    fn refused(&self) -> Error {
        let error = open(&self.dir).open().expect_err("the store must be refused");
        assert_eq!(store::files(&self.dir), self.files, "a refused open changed something: {error}");
        error
    }

    fn corrupt(&self, file: &str) {
        match self.refused() {
            Error::Corruption(c) => assert_eq!(c.file, self.dir.join(file), "{c:?}"),
            other => panic!("{file}: {other:?}"),
        }
    }

    fn too_new(&self, file: &str) {
        match self.refused() {
            Error::UnsupportedVersion { file: named, found: 2, supported: 1 } => {
                assert_eq!(named, self.dir.join(file));
            }
            other => panic!("{file}: {other:?}"),
        }
    }
}

/// The files whose names start or end with a text.
fn named(part: &str) -> Vec<String> {
    let names = fixture().into_keys();
    names.filter(|name| name.starts_with(part) || name.ends_with(part)).collect()
}

fn manifest() -> String {
    named("MANIFEST-").remove(0)
}

fn state() -> StoreState {
    rewrite_if_asked();
    load_manifest(&Fs::default(), &root().join(FIXTURE)).unwrap().unwrap().state
}

#[test]
fn the_fixture_has_what_it_is_there_for() {
    let files = fixture();
    let bytes: usize = files.values().map(Vec::len).sum();
    assert!(bytes < 200_000, "{bytes} bytes");
    assert!(named(".log").len() > 1);
    let state = state();
    let levels = |f: &esker::version::FamilyState| f.tables.iter().filter(|level| !level.is_empty()).count();
    let levels: Vec<_> = state.families.values().map(levels).collect();
    assert!(levels.iter().any(|used| *used >= 3), "levels in use: {levels:?}");
    let metas = || state.families.values().flat_map(|f| &f.tables).flat_map(|level| level.values());
    assert!(metas().any(|m| m.deletions > 0) && metas().any(|m| m.earliest_expiry == FUTURE_MS));
    let footers = metas().map(|m| {
        let bytes = &files[&format!("{:06}.sst", m.number)];
        bytes[bytes.len() - 28]
    });
    let partitioned: Vec<bool> = footers.map(|flags| flags & 1 == 1).collect();
    assert!(partitioned.contains(&true) && partitioned.contains(&false));
    assert_eq!(
        state.families.values().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        ["default", "zipped", "raw"]
    );
}

#[test]
fn a_store_of_version_1_opens_holds_what_it_held_and_opens_again() -> Result<()> {
    let copy = copy(|_| ());
    for run in 0..3 {
        let db = open(&copy.dir).open()?;
        assert_eq!(db.recovery().clean, run > 0);
        assert_eq!(db.recovery().replayed_groups > 0, run == 0);
        assert!(db.recovery().cut.is_none() && !db.recovery().created);
        assert!(store::listing(&db)? == list(), "run {run}: other entries than the list has");
        for line in list().lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let family = db.open_column_family(fields[0])?;
            let value = family.get(unescape(fields[1]))?.unwrap_or_else(|| panic!("{line} is missing"));
            assert_eq!(value, unescape(fields[2]), "{line}");
        }
        assert!(db.get("expired")?.is_none());
        let report = db.verify()?;
        assert!(report.problems.is_empty() && report.tables >= 5, "{report:?}");
        if run == 1 {
            db.compact()?;
            assert!(store::listing(&db)? == list());
        }
        db.close()?;
    }
    let db = Db::builder(&copy.dir).open()?;
    assert!(store::listing(&db)? == list());
    db.close()
}

/// The bytes behind `escape_ascii`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.bytes();
    while let Some(byte) = chars.next() {
        bytes.push(match byte {
            b'\\' => match chars.next().unwrap() {
                b'x' => {
                    let hex = [chars.next().unwrap(), chars.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                b't' => b'\t',
                b'r' => b'\r',
                b'n' => b'\n',
                other => other,
            },
            plain => plain,
        });
    }
    bytes
}

#[test]
fn without_current_nothing_is_taken_for_a_new_store() {
    let refused = copy(|files| drop(files.remove("CURRENT"))).refused();
    assert!(matches!(&refused, Error::Corruption(c) if c.file.ends_with("CURRENT")), "{refused}");
}

#[test]
fn an_empty_cut_or_foreign_current_is_corruption_of_current() {
    let line = fixture()["CURRENT"].clone();
    let texts: [&[u8]; 5] = [b"", b"\n", &line[..line.len() - 1], b"MANIFEST-000005\n", &[0xff; 5_000]];
    for text in texts {
        copy(|files| drop(files.insert("CURRENT".into(), text.into()))).corrupt("CURRENT");
    }
}

#[test]
fn a_manifest_that_is_missing_cut_empty_or_another_stores_is_named() {
    let name = manifest();
    let missing = copy(|files| drop(files.remove(&name))).refused();
    assert!(missing.to_string().contains(&name), "{missing}");
    let size = fixture()[&name].len();
    for len in [0, 1, 63, 64, 65, 100] {
        copy(|files| files.get_mut(&name).unwrap().truncate(len)).corrupt(&name);
    }
    // What is left reads as a manifest; but it names tables that have been removed since.
    let old = copy(|files| files.get_mut(&name).unwrap().truncate(size / 2)).refused();
    assert!(matches!(old, Error::Corruption(_)), "{old}");
    let log = fixture()[&named(".log")[0]].clone();
    copy(|files| drop(files.insert(name.clone(), log))).corrupt(&name);
    let stranger = |files: &mut Files| {
        let bytes = files.get_mut(&name).unwrap();
        bytes[24] ^= 1;
        rebind(bytes);
    };
    copy(stranger).corrupt(&name);
}

/// Makes the checksum of a log's or manifest's header right again.
fn rebind(bytes: &mut [u8]) {
    bytes[12..16].fill(0);
    let identity = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    let checksum = bound(&bytes[..64], identity, 0);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn files_of_a_newer_version_are_refused_as_such() {
    for name in [manifest(), named(".log")[0].clone()] {
        let newer = |files: &mut Files| {
            let bytes = files.get_mut(&name).unwrap();
            bytes[8] = 2;
            rebind(bytes);
        };
        copy(newer).too_new(&name);
    }
    for name in named(".sst") {
        let newer = |files: &mut Files| {
            let bytes = files.get_mut(&name).unwrap();
            let at = bytes.len() - 64;
            let footer = &mut bytes[at..];
            footer[48] = 2;
            let identity = u64::from_le_bytes(footer[40..48].try_into().unwrap());
            let checksum = bound(&footer[..52], identity, at as u64);
            footer[52..56].copy_from_slice(&checksum.to_le_bytes());
        };
        let copy = copy(newer);
        // The newest tables only: obsolete ones, which a killed store leaves, are not opened.
        if state().table_numbers().any(|number| name == format!("{number:06}.sst")) {
            copy.too_new(&name);
        }
    }
    let newer = |files: &mut Files| {
        let line = String::from_utf8(files["CURRENT"].clone()).unwrap();
        let text = line.trim_end().rsplit_once(' ').unwrap().0.replacen(" 1 ", " 2 ", 1);
        let checksum = bound(text.as_bytes(), 0, 0).wrapping_sub(context(0, 0));
        files.insert("CURRENT".into(), format!("{text} {checksum:08x}\n").into());
    };
    copy(newer).too_new("CURRENT");
}

#[test]
fn a_table_that_is_missing_cut_or_another_is_named() {
    let tables: Vec<String> = state().table_numbers().map(|n| format!("{n:06}.sst")).collect();
    for pair in tables.windows(2) {
        let (name, other) = (&pair[0], fixture()[&pair[1]].clone());
        copy(|files| drop(files.remove(name))).corrupt(name);
        copy(|files| drop(files.insert(name.clone(), other))).corrupt(name);
        let size = fixture()[name].len();
        for len in [0, 10, size - 1] {
            copy(|files| files.get_mut(name).unwrap().truncate(len)).corrupt(name);
        }
    }
}

#[test]
fn a_log_segment_that_is_missing_is_noticed() {
    let logs: Vec<String> = named(".log");
    let oldest = format!("{:06}.log", state().oldest_wal);
    copy(|files| drop(files.remove(&oldest))).corrupt(&oldest);
    // A hole in the middle shows where the log goes on behind it: at the end of the one before.
    if let Some([before, missing, _]) = logs.windows(3).find(|w| w[0] >= oldest) {
        copy(|files| drop(files.remove(missing))).corrupt(before);
    }
}

#[test]
fn foreign_files_are_left_alone_and_do_not_make_a_store() -> Result<()> {
    let copy = copy(|files| {
        files.insert("notes.txt".into(), b"mine".into());
        files.insert("5.sst".into(), b"mine, too".into());
    });
    let db = open(&copy.dir).open()?;
    assert_eq!(db.verify()?.foreign_files, ["5.sst", "notes.txt"]);
    assert!(store::listing(&db)? == list());
    db.close()?;
    let after = store::files(&copy.dir);
    assert_eq!((&after["notes.txt"], &after["5.sst"]), (&b"mine".to_vec(), &b"mine, too".to_vec()));

    let temp = tempfile::tempdir().unwrap();
    let foreign = Files::from([("notes.txt".to_owned(), b"mine".to_vec())]);
    store::write(temp.path(), &foreign);
    let error = open(temp.path()).open().unwrap_err();
    assert!(
        matches!(error, Error::NotADatabase { .. }) && error.to_string().contains("notes.txt"),
        "{error}"
    );
    assert_eq!(store::files(temp.path()), foreign);
    assert!(!temp.path().join("LOCK").exists());
    assert!(open(&temp.path().join("notes.txt")).open().is_err());
    let absent = open(&temp.path().join("absent")).create_if_missing(false).open().unwrap_err();
    assert!(matches!(absent, Error::NotADatabase { .. }) && !temp.path().join("absent").exists());
    Ok(())
}
