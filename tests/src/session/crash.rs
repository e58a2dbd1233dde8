//! Losing power before and after everything that a history does to its disk.

use super::audit::audit;
use super::place::Place;
use super::reached::Reached;
use super::runner::{Session, named};
use crate::history::{Change, Operation, What};
use crate::oracle::{Dump, Loss, Oracle};
use esker::Durability;
use esker::base::filename::FileKind;
use esker::base::sync::Mutex;
use esker::fs::SimFs;
use esker::fs::sim::{Image, Moment, OperationKind, Phase};
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where something was lost: the kind of operation, the kind of file, and on which side of the operation.
pub type Cell = (OperationKind, &'static str, Phase);

/// What was tried and found.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Different images that were recovered, per history and operation.
    pub recoveries: u64,
    /// Images that were compared with the oracle, those also those recovered before at another operation.
    pub compared: u64,
    /// Recoveries of images taken within a recovery.
    pub second: u64,
    /// Disks left by a kill that were recovered, written to, and lost power.
    pub kills: u64,
    /// What the stores came to do.
    pub reached: Reached,
    /// How often each kind of point was crashed at.
    pub cells: BTreeMap<Cell, u64>,
    /// What went wrong.
    pub violations: Vec<String>,
}

impl Figures {
    /// Adds up.
    pub fn add(&mut self, other: Figures) {
        self.recoveries += other.recoveries;
        self.compared += other.compared;
        self.second += other.second;
        self.kills += other.kills;
        self.reached.add(other.reached);
        for (cell, count) in other.cells {
            *self.cells.entry(cell).or_default() += count;
        }
        self.violations.extend(other.violations);
    }
}

/// Whether a path leads to a copy of the store: a checkpoint, or backups.
fn is_copy(path: &Path) -> bool {
    path.iter().filter_map(|name| name.to_str()).any(|n| n == "backups" || n.starts_with("checkpoint-"))
}

/// The kind of file that a path names, in words.
#[must_use]
pub fn file_kind(path: &Path) -> &'static str {
    if is_copy(path) {
        return "copy";
    }
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    match FileKind::parse(&name) {
        Some(FileKind::Table(_)) => "table",
        Some(FileKind::Wal(_)) => "log",
        Some(FileKind::Blob(_)) => "blob",
        Some(FileKind::Manifest(_)) => "manifest",
        Some(FileKind::Options(_)) => "OPTIONS",
        Some(FileKind::Current) => "CURRENT",
        Some(FileKind::Lock) => "LOCK",
        Some(FileKind::Reserve) => "RESERVE",
        Some(FileKind::Temp(_)) => "temporary",
        Some(FileKind::Unfinished) => "UNFINISHED",
        None if name.ends_with(".table") => "outside",
        None => "directory",
    }
}

/// One of so many images is also crashed within its recovery.
const SECOND_CRASH_EVERY: u64 = 600;

/// Of a history with a value of this size ...
const LARGE_VALUE_BYTES: usize = 512 << 10;
/// ... images are taken at one of so many operations: each takes long to recover.
const LARGE_EVERY: u64 = 8;

/// One of so many histories begins with options that separate values, and one with such as keep the log for
/// readers of changes: few would come to them by themselves.
const SPECIAL_EVERY: u64 = 8;
/// The first, by number.
const SEPARATING: [u32; 3] = [6, 10, 13];
/// The others.
const WITH_FEED: [u32; 3] = [13, 8, 3];

/// The options that a history begins with.
fn first_options(seed: u64) -> u32 {
    let nth = (seed / SPECIAL_EVERY) as usize % SEPARATING.len();
    match seed % SPECIAL_EVERY {
        3 => WITH_FEED[nth],
        7 => SEPARATING[nth],
        _ => 0,
    }
}

fn has_large_value(history: &[Operation]) -> bool {
    let is_large = |change: &Change| match change.what {
        What::Put { bytes } | What::PutTtl { bytes, .. } | What::Merge { bytes, .. } => {
            bytes >= LARGE_VALUE_BYTES
        }
        What::Delete | What::DeleteRange(_) | What::DropRange(_) => false,
    };
    let writes_it = |operation: &Operation| match operation {
        Operation::Write { changes, .. }
        | Operation::Transaction { changes, .. }
        | Operation::If { changes, .. }
        | Operation::Prepare { changes, .. }
        | Operation::Ingest { changes, .. } => changes.iter().any(is_large),
        _ => false,
    };
    history.iter().any(writes_it)
}

/// Runs a history on a simulated disk, and at each point loses power in every way and, beside that, kills the
/// process; recovers what is left and compares it with the oracle.
#[must_use]
pub fn crash_everywhere(seed: u64, history: &[Operation]) -> Figures {
    let mut session = Session::new(Place::fresh(seed).with_options(first_options(seed)));
    let watch = Watch {
        seed,
        oracle: session.oracle.clone(),
        every: if has_large_value(history) { LARGE_EVERY } else { 1 },
        disk: 0,
        renamed: HashMap::new(),
        known: HashMap::new(),
        figures: Figures::default(),
        doing: "opening".into(),
    };
    let watch = Arc::new(Mutex::new(watch));
    let watching = watch.clone();
    session.on_disk = Some(Box::new(move |disk| {
        watching.lock().disk += 1;
        watching.lock().renamed.clear();
        let watching = watching.clone();
        disk.observe(Box::new(move |operation, phase, moment| {
            let mut watch = watching.lock();
            if let (Some(to), Phase::After) = (&operation.to, phase) {
                watch.renamed.insert(operation.path.clone(), file_kind(to));
            }
            if !mix(&[operation.index]).is_multiple_of(watch.every) {
                return;
            }
            let cell = (operation.kind, watch.file_of(operation), phase);
            *watch.figures.cells.entry(cell).or_default() += 1;
            let point = format!("{phase} {operation}");
            watch.point(operation.index, phase, &point, moment);
        }));
    }));
    let result = catching(|| {
        session.start()?;
        for (at, operation) in history.iter().enumerate() {
            let doing = named(at, operation);
            watch.lock().doing.clone_from(&doing);
            session.step(operation).map_err(|why| format!("{doing}: {why}"))?;
        }
        watch.lock().doing = "closing".into();
        session.finish()
    });
    if let Some(disk) = &session.place.disk {
        disk.stop_observing();
    }
    let reached = session.reached;
    drop(session);
    let mut figures = std::mem::take(&mut watch.lock().figures);
    figures.reached = reached;
    if let Err(why) = result {
        figures.violations.push(why);
    }
    figures
}

/// Takes images at each point of a history and recovers them.
struct Watch {
    seed: u64,
    oracle: Arc<Mutex<Oracle>>,
    /// Images are taken at one of so many operations.
    every: u64,
    /// Which disk of the history it is: each crash of the history's own leads to a new one.
    disk: u64,
    /// What files have become that were opened under another name.
    renamed: HashMap<PathBuf, &'static str>,
    /// What images that were recovered before gave, by their content and the time.
    known: HashMap<(u64, u64, Loss), Option<Dump>>,
    figures: Figures,
    doing: String,
}

impl Watch {
    /// The kind of file that an operation is about: for a rename what it makes, for an open file what its
    /// name has become since.
    fn file_of(&self, operation: &esker::fs::sim::Operation) -> &'static str {
        let renamed = || self.renamed.get(&operation.path).copied();
        let name = operation.to.as_ref().unwrap_or(&operation.path);
        match operation.kind {
            OperationKind::Write
            | OperationKind::Sync
            | OperationKind::Allocate
            | OperationKind::Truncate => renamed().unwrap_or_else(|| file_kind(name)),
            _ => file_kind(name),
        }
    }

    fn point(&mut self, index: u64, phase: Phase, point: &str, moment: &mut Moment<'_>) {
        let seed = mix(&[self.seed, self.disk, index, phase as u64]);
        for image in Image::ALL {
            self.image(moment.image(image, seed), Loss::Power, &format!("{image} {point}"), seed);
        }
        for image in [Image::All, Image::Random, Image::LaterKept] {
            if let Some(disk) = moment.image_amid(image, seed) {
                self.image(disk, Loss::Power, &format!("{image} amid {point}"), seed);
            }
        }
        self.image(moment.kill_image(), Loss::Kill, &format!("kill {point}"), seed);
        if let Some(disk) = moment.kill_image_amid(seed) {
            self.image(disk, Loss::Kill, &format!("kill amid {point}"), seed);
        }
    }

    fn image(&mut self, disk: SimFs, loss: Loss, point: &str, seed: u64) {
        let oracle = self.oracle.clone();
        let oracle = oracle.lock();
        let wall_ms = oracle.wall_ms();
        let key = (disk.digest(), wall_ms, loss);
        self.figures.compared += 1;
        if !self.known.contains_key(&key) {
            match loss {
                Loss::Power => self.figures.recoveries += 1,
                Loss::Kill => self.figures.kills += 1,
            }
            let second = loss == Loss::Power && mix(&[seed, key.0]).is_multiple_of(SECOND_CRASH_EVERY);
            if second {
                self.crash_again(disk.image(Image::All, 0), &oracle, point, seed);
            }
            let found = match recover(disk, wall_ms, loss, seed) {
                Ok(found) => Some(found),
                Err(why) => {
                    self.violation(point, &why);
                    None
                }
            };
            self.known.insert(key, found);
        }
        if let Some(Some(found)) = self.known.get(&key)
            && let Err(why) = oracle.explain(found, loss)
        {
            self.violation(point, &why);
        }
    }

    fn violation(&mut self, point: &str, why: &str) {
        let text = format!("{}: {point} (disk {}): {why}", self.doing, self.disk);
        self.figures.violations.push(text);
    }

    /// Loses power again at each point of a recovery.
    fn crash_again(&mut self, disk: SimFs, oracle: &Oracle, point: &str, seed: u64) {
        let images: Arc<Mutex<Vec<(SimFs, String)>>> = Arc::default();
        let taken = images.clone();
        disk.observe(Box::new(move |operation, phase, moment| {
            let seed = mix(&[seed, operation.index, phase as u64]);
            let mut taken = taken.lock();
            for image in [Image::Nothing, Image::Random, Image::Torn, Image::LaterKept, Image::Garbage] {
                let at = format!("{image} {phase} {operation}");
                taken.push((moment.image(image, seed), at));
            }
        }));
        let mut place = Place::simulated(disk.clone(), oracle.wall_ms(), seed);
        let opened = catching(|| place.open().map(drop).map_err(|e| e.to_string()));
        disk.stop_observing();
        if let Err(why) = opened {
            self.violation(point, &why);
        }
        let mut seen = std::collections::HashSet::new();
        let images = std::mem::take(&mut *images.lock());
        for (image, at) in images {
            if !seen.insert(image.digest()) {
                continue;
            }
            self.figures.second += 1;
            let found = recover(image, oracle.wall_ms(), Loss::Power, seed);
            let allowed = found.and_then(|found| oracle.explain(&found, Loss::Power));
            if let Err(why) = allowed {
                self.violation(&format!("{point}, then {at}"), &why);
            }
        }
    }
}

/// Opens a store on what a loss left, reads it, checks it, writes to it, loses it (always after a kill) or
/// closes it, and opens it again: what was found first must still be there.
fn recover(disk: SimFs, wall_ms: u64, loss: Loss, seed: u64) -> Result<Dump, String> {
    catching(|| recover_and_lose(disk, wall_ms, loss, seed))
}

/// Does a job; a panic is an error like any other here.
///
/// # Errors
/// That of the job, or the text of the panic.
pub fn catching<T>(job: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("a panic: {}", text.unwrap_or_default()))
    })
}

fn recover_and_lose(disk: SimFs, wall_ms: u64, loss: Loss, seed: u64) -> Result<Dump, String> {
    let mut place = Place::simulated(disk.clone(), wall_ms, seed);
    let db = place.open().map_err(|e| format!("cannot open: {e}"))?;
    audit(&place.fs(), &place.path).map_err(|why| format!("what recovery left on the disk: {why}"))?;
    let found = Dump::read(&db).map_err(|e| format!("cannot read what was recovered: {e}"))?;
    let report = db.verify().map_err(|e| format!("cannot verify: {e}"))?;
    if !report.problems.is_empty() {
        return Err(format!("verify finds {:?}", report.problems));
    }
    let probe = || {
        let mut batch = esker::WriteBatch::new();
        batch.put(&db, b"probe", b"new");
        db.write(batch, Durability::Sync)
    };
    let probed = match probe() {
        Ok(()) => true,
        // One that has read the whole family holds what it has not written, too.
        Err(esker::Error::HeldByPrepared { .. }) if !db.prepared().is_empty() => false,
        Err(error) => return Err(format!("cannot write after recovery: {error}")),
    };
    // What a kill left in the system's memory, recovery must have made durable.
    if loss == Loss::Kill || seed.is_multiple_of(2) {
        disk.power_off();
        drop(db);
        place.disk = Some(disk.image(Image::Nothing, seed));
    } else {
        db.close().map_err(|e| format!("cannot close after recovery: {e}"))?;
    }
    let db = place.open().map_err(|e| format!("cannot open for the second time: {e}"))?;
    let again = Dump::read(&db).map_err(|e| format!("cannot read for the second time: {e}"))?;
    drop(db);
    let open = place.disk.as_ref().map_or(0, SimFs::open_files);
    if open > 0 {
        return Err(format!("{open} files are still open"));
    }
    let mut expected = found.clone();
    if probed {
        let default = expected.families.entry("default".into()).or_default();
        default.insert(b"probe".to_vec(), b"new".to_vec());
    }
    if again == expected {
        Ok(found)
    } else {
        Err(format!("what was recovered did not last: found\n{found:?}and then\n{again:?}"))
    }
}

/// One number from several (splitmix64; Steele, Lea and Flood, 2014).
pub(crate) fn mix(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |sum, number| {
        let mut x = (sum ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    })
}
