//! Instructions of one operation, counted by callgrind: a figure that does not drift with the
//! machine's mood. It does not see cache misses.

use crate::workload::{KEY_BYTES, VALUE_BYTES, Workload};
use esker::{Db, Durability, PrefixExtractor, ScanOptions, WriteBatch};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};

/// What callgrind collects: this function and all that it calls on the same thread.
const TOGGLE: &str = "--toggle-collect=*instructions*measured*";
const BATCH: u32 = 100;

/// An operation to be counted.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Whether the entries stand in a table (whose blocks are cached) instead of the memtable.
    flushed: bool,
    /// Whose prefixes its filter holds.
    prefix: Option<PrefixExtractor>,
    operation: fn(&Fixture, u32, u32) -> esker::Result<()>,
}

/// All cases.
pub const CASES: &[Case] = &[
    Case { name: "put", what: "one put, `Os`", flushed: false, prefix: None, operation: put },
    Case {
        name: "put-batch",
        what: "one put of a batch of 100, `Os`",
        flushed: false,
        prefix: None,
        operation: put_batch,
    },
    Case { name: "delete", what: "one delete, `Os`", flushed: false, prefix: None, operation: delete },
    Case {
        name: "get-memtable",
        what: "one get, found in the memtable",
        flushed: false,
        prefix: None,
        operation: get,
    },
    Case {
        name: "get-table",
        what: "one get, found in a cached block",
        flushed: true,
        prefix: None,
        operation: get,
    },
    Case {
        name: "get-missing",
        what: "one get, not found in a table",
        flushed: true,
        prefix: None,
        operation: get_missing,
    },
    Case {
        name: "seek",
        what: "one iterator, seek and first entry",
        flushed: true,
        prefix: None,
        operation: seek,
    },
    Case { name: "next", what: "one entry of a scan", flushed: true, prefix: None, operation: next },
    Case {
        name: "cursor",
        what: "one entry of a walk with a cursor",
        flushed: true,
        prefix: None,
        operation: cursor,
    },
    Case { name: "merge", what: "the same over two runs", flushed: false, prefix: None, operation: merged },
    Case {
        name: "prefix",
        what: "one scan of a prefix that no key has",
        flushed: true,
        prefix: None,
        operation: prefix,
    },
    Case {
        name: "prefix-filter",
        what: "the same, with an extractor",
        flushed: true,
        prefix: Some(PrefixExtractor::Fixed { bytes: KEY_BYTES as u32 }),
        operation: prefix,
    },
];

/// A store with half of the entries of a workload in it.
#[derive(Debug)]
pub struct Fixture {
    db: Db,
    workload: Workload,
}

impl Fixture {
    /// A store in `dir`. Its memtable is never full: nothing is flushed unless asked for.
    ///
    /// # Errors
    /// What the store gives.
    pub fn new(dir: &Path, case: &Case, operations: u32) -> esker::Result<Fixture> {
        let builder = Db::builder(dir).memtable_bytes(1 << 30).default_durability(Durability::Os);
        let db = builder.prefix_extractor("default", case.prefix).open()?;
        let fixture = Fixture { db, workload: Workload::new(2 * operations, 1) };
        for &i in fixture.slots().0 {
            fixture.db.put(fixture.workload.key(i), fixture.workload.value(i, 0))?;
        }
        if case.flushed {
            fixture.db.flush()?;
            // Every block is in the cache from here on.
            fixture.db.iter()?.try_for_each(|entry| entry.map(drop))?;
        }
        Ok(fixture)
    }

    /// The entries that are there, and those that are not.
    fn slots(&self) -> (&[u32], &[u32]) {
        self.workload.shuffled().split_at(self.workload.shuffled().len() / 2)
    }

    /// Does what the case says for half of the entries there are, once to warm up and once between
    /// the marks of callgrind.
    ///
    /// # Errors
    /// What the store gives.
    ///
    /// # Panics
    /// If a read does not find what it should.
    pub fn run(&self, case: &Case) -> esker::Result<u32> {
        let half = self.slots().0.len() as u32 / 2;
        (case.operation)(self, 0, half)?;
        let mut result = Ok(());
        measured(&mut || result = (case.operation)(self, half, 2 * half));
        result.map(|()| half)
    }
}

/// Callgrind counts between the beginning and the end of this function.
#[inline(never)]
pub fn measured(body: &mut dyn FnMut()) {
    black_box(body)();
}

fn put(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    let Fixture { db, workload } = fixture;
    let absent = &fixture.slots().1[from as usize..to as usize];
    absent.iter().try_for_each(|&i| db.put(workload.key(i), workload.value(i, 0)))
}

fn put_batch(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    let Fixture { db, workload } = fixture;
    let absent = &fixture.slots().1[from as usize..to as usize];
    absent.chunks(BATCH as usize).try_for_each(|numbers| {
        let mut batch = WriteBatch::with_capacity(numbers.len() * (KEY_BYTES + VALUE_BYTES + 8));
        for &i in numbers {
            batch.put(db, workload.key(i), workload.value(i, 0));
        }
        db.write(batch, Durability::Os)
    })
}

fn delete(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    let present = &fixture.slots().0[from as usize..to as usize];
    present.iter().try_for_each(|&i| fixture.db.delete(fixture.workload.key(i)))
}

fn get(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    for &i in &fixture.slots().0[from as usize..to as usize] {
        let found = black_box(fixture.db.get(fixture.workload.key(i))?);
        assert!(found.is_some_and(|value| value.len() == VALUE_BYTES), "entry {i} is not there");
    }
    Ok(())
}

fn get_missing(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    for &i in &fixture.slots().0[from as usize..to as usize] {
        let found = black_box(fixture.db.get(fixture.workload.missing_key(i))?);
        assert!(found.is_none(), "entry {i} is there");
    }
    Ok(())
}

fn seek(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    for &i in &fixture.slots().0[from as usize..to as usize] {
        let key = fixture.workload.key(i);
        let first = black_box(fixture.db.range(&key[..]..)?.next()).transpose()?;
        assert!(first.is_some_and(|(found, _)| found == key), "entry {i} is not there");
    }
    Ok(())
}

fn prefix(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    for &i in &fixture.slots().0[from as usize..to as usize] {
        let found = black_box(fixture.db.prefix(fixture.workload.missing_key(i))?.next());
        assert!(found.is_none(), "an entry begins as {i} would");
    }
    Ok(())
}

fn next(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    let mut entries = fixture.db.iter()?;
    for _ in from..to {
        let entry = black_box(entries.next()).transpose()?;
        assert!(entry.is_some(), "there are more entries");
    }
    Ok(())
}

fn cursor(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    let mut cursor = fixture.db.cursor(ScanOptions::default())?;
    cursor.seek_to_first()?;
    for _ in from..to {
        assert!(black_box(cursor.key()).len() == KEY_BYTES && black_box(cursor.value()).len() == VALUE_BYTES);
        cursor.next()?;
    }
    Ok(())
}

/// Puts each tenth entry into the memtable again, the first time, and walks.
fn merged(fixture: &Fixture, from: u32, to: u32) -> esker::Result<()> {
    if from == 0 {
        fixture.db.flush()?;
        for &i in fixture.slots().0.iter().step_by(10) {
            fixture.db.put(fixture.workload.key(i), fixture.workload.value(i, 1))?;
        }
    }
    cursor(fixture, from, to)
}

/// Counts the instructions of one operation of `case`: starts this program again under callgrind,
/// which must be installed, and asks it for the case.
///
/// # Errors
/// If callgrind cannot be started, or does not say what is expected of it.
pub fn run_under_callgrind(case: &Case, operations: u32) -> Result<f64, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("callgrind.out");
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", TOGGLE])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args(["--run", case.name, "--operations", &operations.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start valgrind: {error}"))?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into());
    }
    let counted: u32 = String::from_utf8(ran.stdout)?.trim().parse()?;
    let profile = std::fs::read_to_string(&out)?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.ok_or("callgrind gave no totals")?.trim().parse()?;
    Ok(total as f64 / f64::from(counted))
}
