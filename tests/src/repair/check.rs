//! Whether what a repair made and said is true.

use super::damage::Damage;
use super::truth::{Newest, Truth};
use crate::history::{DROPPING, Operator, Sum};
use crate::oracle::Dump;
use crate::session::{Left, Place, file_kind};
use esker::base::clock::{Clock, ManualClock};
use esker::base::filename::FileKind;
use esker::fs::{Fs, SimFs};
use esker::hooks::Append;
use esker::ranges::Range as KeyRange;
use esker::repair::{Basis, Doubt, DoubtKind, FileRole, Loss, Use};
use esker::{Repair, RepairReport};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The part of a segment of the log in front of its records.
const HEADER_BYTES: usize = 64;

/// Where damaged stores stand.
pub const OLD: &str = "/data/store";
/// Where repaired ones go.
pub const NEW: &str = "/data/new";

/// What was tried and found.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Damaged directories.
    pub directories: u64,
    /// Of these, those in which a whole manifest was left.
    pub with_manifest: u64,
    /// Those in which no loss was found, the end was open, a loss was possible, and certain.
    pub losses: [u64; 4],
    /// Files of another store that were left among the store's own.
    pub strangers: u64,
    /// Entries that were saved.
    pub saved: u64,
    /// Entries that were known to be lost.
    pub lost: u64,
    /// Keys whose newest entry was in bytes that were not damaged.
    pub untouched: u64,
    /// Keys that showed another state than the last.
    pub changed: u64,
    /// What was wrong.
    pub violations: Vec<String>,
}

/// A repair of the store on a simulated disk, with small tables and pieces.
#[must_use]
pub fn repair(disk: &SimFs, seed: u64) -> Repair {
    repair_at(disk, seed, 0)
}

/// The same at a time.
fn repair_at(disk: &SimFs, seed: u64, now_ms: u64) -> Repair {
    let clock = Clock::Manual(ManualClock::new(now_ms));
    Repair::new(OLD)
        .clock(clock)
        .fs(Fs::Sim(disk.clone()))
        .deterministic(seed)
        .table_bytes(2 << 10)
        .memory(4 << 10)
}

/// The files of a directory.
fn files(disk: &SimFs, dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let inside = |path: &std::path::PathBuf| path.parent() == Some(dir);
    let read = |path: std::path::PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, disk.read_raw(&path).ok()?))
    };
    disk.paths().into_iter().filter(inside).filter_map(read).collect()
}

/// Damages a copy of what was left, repairs it, and holds the outcome against the truth.
///
/// # Errors
/// What is wrong, a line each.
pub fn examine(left: &Left, truth: &Truth, damages: &[Damage], seed: u64, tally: &mut Tally) {
    let disk = left.disk.kill_image();
    damages.iter().for_each(|damage| damage.inflict(&disk, Path::new(OLD)));
    let before = files(&disk, Path::new(OLD));
    let mut case = Case { left, truth, before: &before, wrong: Vec::new() };
    tally.directories += 1;
    tally.strangers += damages.iter().filter(|damage| matches!(damage, Damage::Stranger(..))).count() as u64;
    let told = crate::session::catching(|| case.run(&disk, seed, tally));
    if let Err(why) = told {
        case.wrong.push(why);
    }
    for why in case.wrong {
        tally.violations.push(format!("seed {seed}, {damages:?}: {why}"));
    }
}

struct Case<'a> {
    left: &'a Left,
    truth: &'a Truth,
    before: &'a BTreeMap<String, Vec<u8>>,
    wrong: Vec<String>,
}

impl Case<'_> {
    fn run(&mut self, disk: &SimFs, seed: u64, tally: &mut Tally) -> Result<(), String> {
        let digest = disk.digest();
        let looked = repair(disk, seed).look_into(NEW);
        if disk.digest() != digest {
            self.wrong.push("looking changed the disk".into());
        }
        let report = repair_at(disk, seed, self.left.now_ms).write(NEW);
        if files(disk, Path::new(OLD)) != *self.before {
            self.wrong.push("the repair changed the damaged store".into());
        }
        let report = match report {
            Ok(report) => report,
            Err(esker::Error::NotADatabase { .. }) if !self.holds_data() => return Ok(()),
            Err(error) => return Err(format!("the repair failed: {error}")),
        };
        let looked = looked.map_err(|e| format!("looking failed: {e}"))?;
        if without_keys(&looked) != without_keys(&report) {
            self.wrong.push("looking and repairing give different reports".into());
        }
        let mut place = Place::simulated(disk.clone(), self.left.now_ms, seed);
        place.path = NEW.into();
        // Options that are lost took the operator's name with them: the user has to name it.
        let lost = report.families.iter().filter(|family| !family.options_known);
        let builder = lost.fold(place.builder(), |builder, family| {
            match Operator::of_family(self.truth.families.get(&family.id).unwrap_or(&family.name)) {
                Operator::Sum => builder.merge_operator(&family.name, Sum),
                _ => builder.merge_operator(&family.name, Append::new()),
            }
        });
        let db = builder.open().map_err(|e| format!("cannot open what was repaired: {e}\n{report}"))?;
        let verified = db.verify().map_err(|e| format!("cannot verify: {e}"))?;
        if !verified.problems.is_empty() || !verified.foreign_files.is_empty() {
            self.wrong.push(format!("{:?} {:?}", verified.problems, verified.foreign_files));
        }
        let found = Dump::read(&db).map_err(|e| format!("cannot read what was repaired: {e}"))?;
        self.compare(&report, &found, tally);
        self.count(&report);
        self.count_log(&report);
        self.judge(&report, &found);
        tally.losses[report.loss() as usize] += 1;
        tally.with_manifest += u64::from(is_certain(&report));
        tally.saved += report.entries_saved();
        tally.lost += report.files.iter().filter_map(|file| file.entries_lost).sum::<u64>();
        if !self.wrong.is_empty() {
            self.wrong.push(format!("\n{report}"));
        }
        Ok(())
    }

    /// What the report says as a whole is so.
    fn judge(&mut self, report: &RepairReport, found: &Dump) {
        let loss = report.loss();
        let data = |name: &str| {
            ["table", "log", "blob", "manifest", "CURRENT"].contains(&file_kind(Path::new(name)))
        };
        let own = self.truth.files.iter().filter(|(name, _)| data(name));
        let untouched = own.clone().all(|(name, bytes)| self.before.get(name) == Some(bytes));
        let expected = if self.left.closed { Loss::NoneFound } else { Loss::OpenEnd };
        if untouched && loss != expected {
            self.wrong.push(format!("nothing was damaged, and the report says {loss:?}"));
        }
        let changed = found.families != self.truth.visible(self.left.now_ms);
        if loss == Loss::NoneFound && (changed || report.entries_lost() != Some(0)) {
            self.wrong.push("no loss was found, but something has changed".into());
        }
        if loss == Loss::OpenEnd && (self.left.closed || report.entries_lost().is_some()) {
            let lost = report.entries_lost();
            self.wrong.push(format!("closed: {}, but the end is open, {lost:?} lost", self.left.closed));
        }
        let log = |name: &str| file_kind(Path::new(name)) == "log";
        let damaged_log = own.clone().any(|(name, bytes)| {
            // It may stand under another name.
            let stands = self.before.values().any(|after| after == bytes);
            // Padding between records may change, and nothing is the worse for it.
            let is = self.before.get(name);
            let mut records = self.truth.segments.get(name).into_iter().flatten();
            let changed =
                records.any(|(at, ..)| bytes.get(at.clone()) != is.and_then(|is| is.get(at.clone())));
            log(name) && changed && !stands
        });
        if report.entries_lost().is_some() && (!self.left.closed || damaged_log) {
            self.wrong.push("nobody can know how many entries are lost".into());
        }
        // What was dropped is not read.
        for family in report.families.iter().filter(|family| family.name != DROPPING) {
            let shown = found.families.get(&family.name).map(|entries| entries.len() as u64);
            if family.keys != shown {
                self.wrong.push(format!("{} has {shown:?} keys, not {:?}", family.name, family.keys));
            }
        }
        for file in report.files.iter().filter(|file| file.entries_gone > 0) {
            let lost = file.entries_lost.unwrap_or(0);
            let logged = self.truth.also_logged(&file.name, self.before);
            // Another table may stand under this name, and this one under another.
            let own = self.truth.tables.contains_key(&file.name) && self.has_its_end(&file.name);
            if own && file.entries_gone + logged > lost {
                let gone = file.entries_gone;
                self.wrong.push(format!("{}: {gone} of {lost} gone, {logged} are in the log", file.name));
            }
        }
    }

    /// What the report counts of the log is so.
    fn count_log(&mut self, report: &RepairReport) {
        // A segment that is missing may have the name under which another one lies there now.
        let taken = |file: &&esker::repair::RepairedFile| {
            file.role == FileRole::Log
                && file.used == Use::Taken
                && file.state != esker::repair::FileState::Missing
        };
        for file in report.files.iter().filter(taken) {
            let Some(after) = self.before.get(&file.name) else { continue };
            // It may stand under another name; no two have the same header.
            let front = |bytes: &[u8]| bytes.get(..HEADER_BYTES).map(<[u8]>::to_vec);
            let own = |name: &&String| front(&self.truth.files[*name]) == front(after);
            let Some(name) = self.truth.segments.keys().find(own) else { continue };
            let records = &self.truth.segments[name];
            if !self.has_manifest(report) {
                continue;
            }
            let total: u64 = records.iter().map(|(_, _, saved)| saved).sum();
            let same = self.truth.files.get(name) == Some(after);
            if same && file.entries_saved != total || file.entries_saved > total {
                let saved = file.entries_saved;
                self.wrong.push(format!("{}: {saved} entries saved of {total}", file.name));
            }
        }
        let all = self.truth.segments.keys().all(|name| self.truth.files.get(name) == self.before.get(name));
        let last = self.truth.last_logged;
        if all && self.has_manifest(report) && report.log.last_seq != last {
            self.wrong.push(format!("the log ends with {last:?}, not {:?}", report.log.last_seq));
        }
    }

    /// Whether an entry in bytes that are as they were must be restored.
    fn must_be_restored(&self, report: &RepairReport, newest: &Newest) -> bool {
        if newest.operand && !self.has_manifest(report) {
            // A table and the one that it was compacted into may both count.
            return false;
        }
        if newest.ingested {
            // The manifest alone says what became of it.
            return self.has_manifest(report);
        }
        if is_certain(report) {
            // Where the manifest itself is damaged, numbers of the last level say nothing; and one that was
            // cut between two edits does not know all tables.
            return self.has_manifest(report) || newest.seq > 0 && self.left.closed;
        }
        let data = |name: &str| ["table", "log"].contains(&file_kind(Path::new(name)));
        let strangers = self.before.keys().filter(|name| data(name) && !self.truth.files.contains_key(*name));
        let own = self.before.keys().filter(|name| data(name) && self.truth.files.contains_key(*name));
        // Without a manifest the store is the one of most files.
        newest.seq > 0 && own.count() > 2 * strangers.count()
    }

    /// Whether what the report goes by is a manifest, and that is as it was.
    fn has_manifest(&self, report: &RepairReport) -> bool {
        let (Basis::InForce(number) | Basis::Newest(number)) = report.basis else { return false };
        let Some(now) = self.before.get(&FileKind::Manifest(number).name()) else { return false };
        // They may stand under other names; one that is older than the last does not know everything.
        let own = self.truth.files.iter().filter(|(name, _)| name.starts_with("MANIFEST-"));
        let mut own = own.map(|(_, bytes)| bytes);
        own.clone().any(|bytes| bytes == now) && own.all(|bytes| self.before.values().any(|it| it == bytes))
    }

    /// Whether a file ends as it did, so that it is still the same one, or is missing.
    fn has_its_end(&self, name: &str) -> bool {
        let end = |bytes: &Vec<u8>| bytes[bytes.len().saturating_sub(HEADER_BYTES)..].to_vec();
        let was = self.truth.files.get(name).map(end);
        self.before.get(name).is_none_or(|is| Some(end(is)) == was)
    }

    fn holds_data(&self) -> bool {
        let kinds = ["table", "log", "manifest"];
        self.before.keys().any(|name| kinds.contains(&file_kind(Path::new(name))))
    }

    /// Every key is what it was, or in doubt; where nothing of it was damaged, it is what it was.
    fn compare(&mut self, report: &RepairReport, found: &Dump, tally: &mut Tally) {
        let now_ms = self.left.now_ms;
        let names: BTreeMap<u32, &str> = report.families.iter().map(|f| (f.id, f.name.as_str())).collect();
        for ((id, key), newest) in &self.truth.newest {
            let named = self.truth.families.get(id);
            // What was dropped is not read, and what it is then, nobody asks.
            if named.is_none_or(|name| name == DROPPING) {
                continue;
            }
            let name = names.get(id).copied().unwrap_or_default();
            let (expected, got) = (newest.at(now_ms).map(Vec::as_slice), found.get(name, key));
            let untouched = self.truth.is_untouched(newest, self.before);
            tally.untouched += u64::from(untouched);
            if expected == got {
                continue;
            }
            tally.changed += 1;
            let what = format!("{name} {} ({})", key.escape_ascii(), told(newest));
            if untouched && self.must_be_restored(report, newest) {
                self.wrong.push(format!("{what} was not damaged and is not restored, but {}", short(got)));
            } else if !newest.seqs().any(|seq| in_doubt(report, name, key, Some(seq))) {
                self.wrong.push(format!("{what} is {} and not in doubt", short(got)));
            }
        }
        for (name, entries) in &found.families {
            let family = report.families.iter().find(|family| family.name == *name);
            let id = family.map(|family| family.id);
            let known = id.is_some_and(|id| self.truth.families.contains_key(&id));
            let back = report.doubts.iter().any(|doubt| doubt.families_may_be_back);
            let back = back && !self.has_manifest(report);
            if !known && !back {
                self.wrong.push(format!("the family {name} was not there before"));
            }
            let named = id.and_then(|id| self.truth.families.get(&id)) == Some(name);
            if family.is_some_and(|family| family.name_known) && known && !named {
                self.wrong.push(format!("the family {name} had another name"));
            }
            for (key, value) in entries {
                // What a part of the operands comes to, nobody has written.
                if !self.left.merged.contains(key)
                    && !self.left.written.contains(&(key.clone(), value.clone()))
                {
                    self.wrong.push(format!("{name} {}: a value that was never written", key.escape_ascii()));
                }
                let had = id.is_some_and(|id| self.truth.newest.contains_key(&(id, key.clone())));
                let removed = |(of, range): &&(u32, Arc<KeyRange>)| Some(*of) == id && range.contains(key);
                let mut ranges = self.truth.ranges.iter().filter(removed);
                // The range that took it away may be what is missing.
                let lost = |(_, range): &(u32, Arc<KeyRange>)| in_doubt(report, name, key, Some(range.seq));
                if !had && !in_doubt(report, name, key, None) && !ranges.any(lost) {
                    self.wrong.push(format!("{name} {} is back and not in doubt", key.escape_ascii()));
                }
            }
        }
        for (id, name) in &self.truth.families {
            let kept = names.contains_key(id);
            if !kept && is_certain(report) && !report.doubts.iter().any(|d| d.families_may_be_back) {
                self.wrong.push(format!("the family {name} is gone"));
            }
        }
    }

    /// What the report counts is so.
    fn count(&mut self, report: &RepairReport) {
        for file in report.files.iter().filter(|file| file.role == FileRole::Table) {
            let (Some(lost), false) = (file.entries_lost, file.used == Use::LeftOut) else { continue };
            // The table may stand under another name.
            let Some(after) = self.before.get(&file.name) else {
                let total = self.truth.untouched_entries(&file.name, &[]).map(|(_, total)| total);
                if total.is_some_and(|total| total != lost) {
                    self.wrong.push(format!("{} had {total:?} entries, not {lost}", file.name));
                }
                continue;
            };
            let Some((intact, total)) = self.truth.untouched_entries(&file.name, after) else { continue };
            let own =
                self.truth.files.get(&file.name).is_some_and(|was| was.len() == after.len() && intact > 0);
            if own && file.entries_saved + lost != total {
                let sum = file.entries_saved + lost;
                self.wrong.push(format!("{}: {sum} entries saved and lost, of {total}", file.name));
            }
            if own && file.entries_saved > intact {
                let saved = file.entries_saved;
                self.wrong.push(format!("{}: {saved} entries saved, {intact} can be", file.name));
            }
        }
        let gone = report.files.iter().filter(|file| {
            let present = self.before.contains_key(&file.name);
            present == (file.state == esker::repair::FileState::Missing)
        });
        // A file whose content stands under another name is missing under its own.
        let gone: Vec<&str> = gone.map(|file| file.name.as_str()).collect();
        let unlisted = self.before.keys().find(|name| !report.files.iter().any(|file| file.name == **name));
        if let Some(name) = unlisted {
            self.wrong.push(format!("the report does not name {name}"));
        }
        let contents = |name: &str| self.truth.files.get(name) != self.before.get(name);
        if let Some(name) = gone.iter().find(|name| !contents(name)) {
            self.wrong.push(format!("{name} is reported as missing, or the other way round"));
        }
    }
}

fn is_certain(report: &RepairReport) -> bool {
    matches!(report.basis, Basis::InForce(_) | Basis::Newest(_))
}

fn without_keys(report: &RepairReport) -> RepairReport {
    let mut report = report.clone();
    report.written = false;
    report.families.iter_mut().for_each(|family| (family.keys, family.expired) = (None, None));
    report
}

/// Whether the report names a key as doubtful: the write with this number, or any.
fn in_doubt(report: &RepairReport, family: &str, key: &[u8], seq: Option<u64>) -> bool {
    let about = |doubt: &&Doubt| {
        doubt.family.as_deref().is_none_or(|name| name == family) && doubt.keys.contains(key)
    };
    report.doubts.iter().filter(about).any(|doubt| match seq {
        // The last level has forgotten the number that a lost table or record had.
        Some(0) => doubt.kind != DoubtKind::OpenEnd || doubt.seqs.contains(0),
        Some(seq) => doubt.seqs.contains(seq),
        None => doubt.kind != DoubtKind::OpenEnd,
    })
}

fn told(newest: &Newest) -> String {
    let Newest { seq, file, bytes, value, .. } = newest;
    let kind = if value.is_some() { "value" } else { "deletion" };
    format!("{kind} {seq} in {file} at {bytes:?}")
}

fn short(value: Option<&[u8]>) -> String {
    value.map_or("absent".into(), |value| format!("{} bytes", value.len()))
}
