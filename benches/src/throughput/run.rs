//! Running the phases.

use super::feed;
use super::options::Options;
use super::phase::Phase;
use super::report::{Report, Row};
use super::sync;
use crate::latency::{Latency, histogram};
use crate::process::{Fallible, Usage, dir_bytes, remove_tree, wait_until_idle};
use crate::workload::{KEY_BYTES, VALUE_BYTES, Workload, rng};
use esker::{CompactionStyle, Db, Durability, Tiered, WriteBatch};
use hdrhistogram::Histogram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const BATCH: usize = 100;

/// Runs the phases that `options` name, in their order. `progress` hears of each as it ends.
///
/// # Errors
/// Anything that goes wrong, a read that does not find what was written among it.
pub fn run(options: &Options, mut progress: impl FnMut(&Row)) -> Fallible<Report> {
    let home = match &options.dir {
        Some(dir) => tempfile::Builder::new().prefix("esker-throughput-").tempdir_in(dir)?,
        None => tempfile::Builder::new().prefix("esker-throughput-").tempdir_in(default_dir())?,
    };
    let mut bench = Bench::new(options, home.path());
    let mut phases = options.phases.clone();
    phases.sort_unstable();
    phases.dedup();
    for phase in phases {
        let from = bench.report.rows.len();
        bench.phase(phase)?;
        bench.report.rows[from..].iter().for_each(&mut progress);
    }
    if let Some(db) = bench.db.take() {
        db.close()?;
    }
    bench.report.peak_rss_bytes = Usage::now().peak_rss_bytes;
    Ok(bench.report)
}

/// The folder of the running program: in the target folder, which stands on a disk; the folder for
/// temporary files is often in memory.
fn default_dir() -> PathBuf {
    let program = std::env::current_exe().ok();
    program.and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_else(|| ".".into())
}

struct Bench<'a> {
    options: &'a Options,
    home: &'a Path,
    workload: Workload,
    db: Option<Db>,
    /// Usage when the store was created, and bytes of keys and values given to it since.
    begun: Usage,
    given_bytes: u64,
    version: u32,
    settled: bool,
    deleted: bool,
    report: Report,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options, home: &'a Path) -> Self {
        let report = Report {
            entries: options.entries,
            memory_bytes: options.memory << 20,
            tiered: options.tiered,
            rows: Vec::new(),
            disk_bytes: 0,
            table_bytes: 0,
            write_amplification: 0.0,
            fdatasync: None,
            beside: None,
            peak_rss_bytes: 0,
        };
        Bench {
            options,
            home,
            workload: Workload::new(options.entries, options.seed),
            db: None,
            begun: Usage::now(),
            given_bytes: 0,
            version: 0,
            settled: false,
            deleted: false,
            report,
        }
    }

    fn phase(&mut self, phase: Phase) -> Fallible<()> {
        let entries = u64::from(self.options.entries);
        match phase {
            Phase::FillSeq | Phase::FillBatch | Phase::FillRandom => {
                let row = self.fill(phase)?;
                self.report.rows.push(row);
                if phase != Phase::FillRandom {
                    self.settle()?;
                }
            }
            Phase::Overwrite | Phase::Delete => {
                self.filled()?;
                let row = self.change(phase)?;
                self.report.rows.push(row);
                self.settle()?;
            }
            Phase::Sync1 | Phase::Sync8 => {
                let threads = if phase == Phase::Sync1 { 1 } else { 8 };
                let (dir, limit) = (self.fresh("synced")?, Duration::from_millis(self.options.sync_ms));
                let bare = sync::bare(&dir, limit / 4)?;
                self.report.fdatasync.get_or_insert(bare);
                let db = self.open(&dir)?;
                let row = sync::puts(&db, &self.workload, phase.name(), threads, limit)?;
                self.report.rows.push(row);
                if threads == 1 {
                    self.report.beside = Some(sync::beside(&db, &self.workload, &dir, limit)?);
                }
                db.close()?;
            }
            Phase::Feed => {
                let (dir, memory) = (self.fresh("feed")?, self.options.memory << 20);
                let row = feed::read(&dir, memory, &self.workload, phase.name())?;
                self.report.rows.push(row);
            }
            _ => {
                self.filled()?;
                self.settle()?;
                let operations = if phase == Phase::Seek10 { entries.div_ceil(5) } else { entries };
                // The first look at a block costs reading it from the system's cache: not this time.
                if phase == Phase::ReadRandom {
                    self.read(Phase::ScanForward, entries)?;
                }
                let before = Usage::now();
                self.read(phase, operations)?;
                self.report.rows.push(Row::until_now(phase.name(), operations, &before, None));
            }
        }
        Ok(())
    }

    fn open(&self, dir: &Path) -> esker::Result<Db> {
        let builder = Db::builder(dir).memory_budget(self.options.memory << 20);
        let style = match self.options.tiered {
            true => CompactionStyle::Tiered(Tiered::default()),
            false => CompactionStyle::Leveled,
        };
        builder.default_durability(Durability::Os).compaction_style("default", style).open()
    }

    /// A folder for a new store; what stood there before is removed.
    fn fresh(&self, name: &str) -> Fallible<PathBuf> {
        let dir = self.home.join(name);
        remove_tree(&dir)?;
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    fn db(&self) -> Fallible<&Db> {
        self.db.as_ref().ok_or_else(|| "there is no store".into())
    }

    /// Makes a store with all entries, if there is none.
    fn filled(&mut self) -> Fallible<()> {
        if self.db.is_none() {
            self.fill(Phase::FillRandom)?;
        }
        Ok(())
    }

    fn fill(&mut self, phase: Phase) -> Fallible<Row> {
        if let Some(db) = self.db.take() {
            db.close()?;
        }
        let dir = self.fresh("store")?;
        self.begun = Usage::now();
        (self.given_bytes, self.version) = (0, 0);
        self.db = Some(self.open(&dir)?);
        self.change(phase)
    }

    /// Writes every entry once.
    fn change(&mut self, phase: Phase) -> Fallible<Row> {
        let (db, workload, entries) = (self.db()?, &self.workload, self.options.entries);
        let order = workload.shuffled();
        // The same order twice would meet tables whose ranges hardly overlap.
        let later = Workload::new(entries, self.options.seed + 1);
        let mut timed = Timed::start()?;
        match phase {
            Phase::FillSeq => timed.each(0..entries, |i| db.put(workload.key(i), workload.value(i, 0)))?,
            Phase::FillBatch => timed.each(order.chunks(BATCH), |numbers| {
                let mut batch = WriteBatch::with_capacity(numbers.len() * (KEY_BYTES + VALUE_BYTES + 8));
                for &i in numbers {
                    batch.put(db, workload.key(i), workload.value(i, 0));
                }
                db.write(batch, Durability::Os)
            })?,
            Phase::Overwrite => timed
                .each(later.shuffled(), |&i| db.put(workload.key(i), workload.value(i, self.version + 1)))?,
            Phase::Delete => timed.each(later.shuffled(), |&i| db.delete(workload.key(i)))?,
            _ => timed.each(order, |&i| db.put(workload.key(i), workload.value(i, 0)))?,
        }
        let row = timed.end(phase.name(), u64::from(entries));
        let value_bytes = if phase == Phase::Delete { 0 } else { VALUE_BYTES };
        self.given_bytes += u64::from(entries) * (KEY_BYTES + value_bytes) as u64;
        self.version += u32::from(phase == Phase::Overwrite);
        self.settled = false;
        self.deleted = phase == Phase::Delete;
        if self.deleted {
            self.check_empty()?;
        }
        Ok(row)
    }

    fn check_empty(&mut self) -> Fallible<()> {
        match self.db()?.iter()?.next() {
            None => Ok(()),
            Some(_) => Err("an entry is left after all were deleted".into()),
        }
    }

    /// Flushes and waits until the background has nothing to do any more: it uses no processor.
    fn settle(&mut self) -> Fallible<()> {
        if self.settled {
            return Ok(());
        }
        let before = Usage::now();
        let db = self.db()?;
        db.flush()?;
        wait_until_idle(Duration::MAX);
        let table_bytes = db.stats().families.iter().map(esker::FamilyStats::table_bytes).sum();
        let disk_bytes = dir_bytes(db.path());
        self.report.rows.push(Row::until_now("(settling)", u64::from(self.options.entries), &before, None));
        if !self.deleted {
            (self.report.table_bytes, self.report.disk_bytes) = (table_bytes, disk_bytes);
            let (_, _, written) = Usage::now().since(&self.begun);
            self.report.write_amplification = written as f64 / self.given_bytes as f64;
        }
        self.settled = true;
        Ok(())
    }

    fn read(&self, phase: Phase, operations: u64) -> Fallible<()> {
        let (db, workload, entries) = (self.db()?, &self.workload, self.options.entries);
        let order = workload.shuffled();
        let mut next = rng(self.options.seed + 2);
        let mut below = |n: u32| (next() % u64::from(n)) as u32;
        match phase {
            Phase::ReadRandom => (0..operations).try_for_each(|_| hit(db, workload, below(entries))),
            Phase::ReadRandom2 => thread::scope(|scope| {
                let halves = order.chunks(order.len().div_ceil(2));
                let half = |part: &'_ [u32]| part.iter().try_for_each(|&i| hit(db, workload, i));
                let threads: Vec<_> = halves.map(|part| scope.spawn(move || half(part))).collect();
                let end = |thread: thread::ScopedJoinHandle<'_, Fallible<()>>| thread.join();
                threads.into_iter().try_for_each(|thread| end(thread).unwrap_or(Err("a panic".into())))
            }),
            Phase::ReadHot => {
                let hot = entries.div_ceil(20);
                (0..operations).try_for_each(|_| hit(db, workload, entries / 2 + below(hot)))
            }
            Phase::ReadMissing => {
                (0..operations).try_for_each(|_| match db.get(workload.missing_key(below(entries)))? {
                    None => Ok(()),
                    Some(_) => Err("a key that was never put was found".into()),
                })
            }
            Phase::Seek10 => (0..operations).try_for_each(|_| {
                let from = below(entries - 10);
                let key = workload.key(from);
                ten(db.range(&key[..]..)?.take(10))
            }),
            Phase::ScanForward => all(db.iter()?, operations),
            _ => all(db.iter()?.rev(), operations),
        }
    }
}

fn hit(db: &Db, workload: &Workload, i: u32) -> Fallible<()> {
    match db.get(workload.key(i))? {
        Some(value) if value.len() == VALUE_BYTES => Ok(()),
        found => Err(format!("entry {i} has the value {found:?}").into()),
    }
}

fn ten(entries: impl Iterator<Item = esker::Result<(esker::Slice, esker::Slice)>>) -> Fallible<()> {
    all(entries, 10)
}

fn all(
    mut entries: impl Iterator<Item = esker::Result<(esker::Slice, esker::Slice)>>,
    expected: u64,
) -> Fallible<()> {
    let mut bytes = 0;
    entries.try_for_each(|entry| entry.map(|(key, value)| bytes += key.len() + value.len()))?;
    match bytes as u64 / (KEY_BYTES + VALUE_BYTES) as u64 {
        found if found == expected => Ok(()),
        found => Err(format!("{found} entries where there are {expected}").into()),
    }
}

/// Times a phase as a whole and each of its operations.
pub(super) struct Timed {
    before: Usage,
    last: Instant,
    histogram: Histogram<u64>,
}

impl Timed {
    pub(super) fn start() -> Fallible<Timed> {
        Ok(Timed { histogram: histogram(), before: Usage::now(), last: Instant::now() })
    }

    fn each<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut operation: impl FnMut(T) -> esker::Result<()>,
    ) -> Fallible<()> {
        for item in items {
            operation(item)?;
            self.lap();
        }
        Ok(())
    }

    /// An operation has ended, and the next begins. One reading of the clock serves both.
    pub(super) fn lap(&mut self) {
        let now = Instant::now();
        self.histogram.saturating_record((now - self.last).as_nanos() as u64);
        self.last = now;
    }

    /// What was since the last operation is nobody's.
    pub(super) fn skip(&mut self) {
        self.last = Instant::now();
    }

    pub(super) fn latency(&self) -> Latency {
        Latency::of(&self.histogram)
    }

    pub(super) fn add(&mut self, other: &Timed) -> Fallible<()> {
        Ok(self.histogram.add(&other.histogram)?)
    }

    pub(super) fn operations(&self) -> u64 {
        self.histogram.len()
    }

    pub(super) fn end(self, phase: &'static str, operations: u64) -> Row {
        Row::until_now(phase, operations, &self.before, Some(self.latency()))
    }
}
