//! Every byte of small stores is damaged, every file cut at every length, sectors are zeroed, swapped and
//! misplaced, files exchanged: what is read must be what was written and nothing else.
//!
//! The readers of each kind of file must report the damage with the file and its place, end a log before
//! it, or be right that nothing of meaning has changed, and serve what stands outside of it. When the whole
//! store is opened, allowed are: an error that names a file of the store; a reported cut of the log's tail
//! that loses only what no later record knew to be synced; the right data.
//!
//! How many stores: `ESKER_DAMAGE_STORES`; from which seed on: `ESKER_DAMAGE_SEED`. See `docs/testing.md`.

use esker::base::clock::{Clock, ManualClock};
use esker::fs::{Fs, SimFs};
use esker::{Builder, Db, Durability, Error, FamilyOptions, Result, WriteBatch};
use esker_tests::damage::{Counting, Damage, Intact, Verdict, largest_during};
use esker_tests::store;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DIR: &str = "/store";

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// A disk, and what was in the store on it after each write, the last state last.
struct Subject {
    disk: SimFs,
    states: Vec<String>,
    /// How many of the last writes no record behind them knows to be synced.
    unknown: usize,
}

fn builder(disk: &SimFs, seed: u64) -> Builder {
    Db::builder(DIR)
        .fs(Fs::Sim(disk.clone()))
        .clock(Clock::Manual(ManualClock::new(1_700_000_000_000)))
        .deterministic(seed)
        .memory_budget(1 << 20)
        .memtable_bytes(8 << 10)
        .target_file_bytes(2 << 10)
        .level_base_bytes(1 << 10)
        .wal_segment_bytes(4 << 10)
}

/// A store with tables on several levels, two families, and a log of a few segments.
fn subject(seed: u64, closed: bool) -> Result<Subject> {
    let disk = SimFs::new();
    let db = builder(&disk, seed).open()?;
    // With other block sizes everything stands elsewhere.
    let block_bytes = 128 + (seed as usize % 16) * 24;
    let options = FamilyOptions { block_bytes, index_partition_bytes: 64, ..FamilyOptions::default() };
    // Of this family every other value stands in a blob file.
    let options = FamilyOptions { uncompressed_levels: 0, blob_values_from: Some(28), ..options };
    let other = db.create_column_family("other", options)?;
    for round in 0..2 {
        for i in 0..24 {
            let value = format!("value {seed} {round} {}", "of sand ".repeat(i % 4));
            db.put(format!("key{:03}", i * 5 % 24), value)?;
            other.put(format!("key{i:03}"), "gravel ".repeat(3 + i % 2))?;
        }
        db.compact()?;
        db.delete("key007")?;
        db.flush()?;
    }
    let mut states = vec![store::listing(&db)?];
    for i in 0..60 {
        let mut batch = WriteBatch::new();
        batch.put(&db, format!("log{i:02}"), "silt ".repeat(12)).delete(&other, format!("key{:03}", i % 24));
        batch.put_with_ttl(&other, format!("ttl{i:02}"), "v", Duration::from_secs(3600));
        db.write(batch, Durability::Sync)?;
        states.push(store::listing(&db)?);
    }
    if closed {
        db.close()?;
        return Ok(Subject { disk, states, unknown: 0 });
    }
    Ok(Subject { disk: disk.kill_image(), states, unknown: 1 })
}

/// A store with one table, whose blocks need its dictionary.
fn subject_with_dictionary(seed: u64) -> Result<Subject> {
    let disk = SimFs::new();
    let open = || builder(&disk, seed).memtable_bytes(64 << 10).target_file_bytes(64 << 10).open();
    let db = open()?;
    let options = FamilyOptions { block_bytes: 256, dictionary_bytes: 256, ..FamilyOptions::default() };
    let family = db.create_column_family("alike", options)?;
    for i in 0..150 {
        let value = format!(r#"{{"layer":{i},"kind":"sand","depth_mm":{}}}"#, i * 7919 % 1009);
        family.put(format!("key{i:03}"), value)?;
    }
    db.compact()?;
    assert_eq!(db.stats().families.iter().map(|family| family.dictionaries.tables).sum::<u64>(), 1);
    let states = vec![store::listing(&db)?];
    drop(family);
    db.close()?;
    // The log goes, in which all of it stands once more.
    open()?.close()?;
    Ok(Subject { disk, states, unknown: 0 })
}

/// What came of opening a damaged copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Cut,
    Right,
}

impl Subject {
    /// Damages a copy, opens and reads it. `Err` says how it is wrong.
    fn try_with(&self, seed: u64, path: &Path, damaged: &[u8]) -> std::result::Result<Outcome, String> {
        let disk = self.disk.kill_image();
        disk.write_raw(path, damaged).map_err(|e| e.to_string())?;
        let twin = self.disk.kill_image();
        twin.write_raw(path, damaged).map_err(|e| e.to_string())?;
        self.check_keys(&twin, seed)?;
        let read = AssertUnwindSafe(|| {
            let db = builder(&disk, seed).open()?;
            let cut = db.recovery().cut.clone();
            let text = store::listing(&db)?;
            for name in db.column_families() {
                let family = db.open_column_family(&name)?;
                for entry in family.iter()? {
                    let (key, value) = entry?;
                    assert!(family.get(&key)?.is_some_and(|found| found == value), "get and scan differ");
                }
            }
            Ok((cut, text))
        });
        match catch_unwind(read) {
            Err(_) => Err("a panic".into()),
            Ok(Err(error)) => match &error {
                Error::Corruption(c) if c.file.starts_with(DIR) => Ok(Outcome::Refused),
                Error::UnsupportedVersion { .. } | Error::NotADatabase { .. } => Ok(Outcome::Refused),
                other => Err(format!("an error of another kind: {other:?}")),
            },
            Ok(Ok((cut, text))) => {
                let least = self.states.len() - 1 - self.unknown;
                match self.states.iter().position(|state| *state == text) {
                    Some(at) if at + 1 == self.states.len() => Ok(Outcome::Right),
                    Some(at) if at >= least && cut.is_some() => Ok(Outcome::Cut),
                    Some(at) => Err(format!("{} writes are lost, cut: {cut:?}", self.states.len() - 1 - at)),
                    None => Err(format!("other data than was ever there, cut: {cut:?}")),
                }
            }
        }
    }

    /// Whether each key that can be read has its value, of some moment, and any other an error that names a
    /// file.
    fn check_keys(&self, disk: &SimFs, seed: u64) -> std::result::Result<(), String> {
        let last = self.states.last().map_or("", String::as_str);
        let read = AssertUnwindSafe(|| {
            // The log is cut at the damage: what is left is the state of some moment.
            let Ok(db) = builder(disk, seed).recover_to_damage(true).open() else {
                return Ok(());
            };
            for line in last.lines() {
                let mut words = line.split('\t');
                let (Some(name), Some(key)) = (words.next(), words.next()) else { continue };
                let Ok(family) = db.open_column_family(name) else { continue };
                match family.get(key) {
                    Ok(Some(found)) => {
                        let mut line = String::new();
                        store::line(&mut line, name, key.as_bytes(), &found);
                        if !self.states.iter().any(|state| state.contains(&line)) {
                            return Err(format!("a value that was never there: {line}"));
                        }
                    }
                    Ok(None) if db.recovery().cut.is_some() => {}
                    Err(Error::Corruption(c)) if c.file.starts_with(DIR) => {}
                    Ok(None) => return Err(format!("{key} of {name} is gone, and nothing was cut")),
                    Err(other) => return Err(format!("an error of another kind: {other:?}")),
                }
            }
            Ok(())
        });
        catch_unwind(read).unwrap_or_else(|_| Err("a panic".into()))
    }

    /// The other files of the same kind.
    fn siblings(&self, path: &Path) -> Vec<Vec<u8>> {
        let others = self.files().into_iter().filter(|other| other.extension() == path.extension());
        others.filter(|other| other != path).map(|other| self.disk.read_raw(&other).unwrap()).collect()
    }

    /// Damages every file in every way and reads it; opens the whole store with one of `open_every` of them.
    fn sweep(&self, seed: u64, open_every: usize) -> Sum {
        let mut sum = Sum::default();
        let largest = |job: &mut dyn FnMut()| largest_during(job).1;
        // What opening the store takes when it is whole.
        let whole = self.disk.read_raw(&self.files()[0]).unwrap();
        let ordinary = largest(&mut || drop(self.try_with(seed, &self.files()[0], &whole)));
        for path in self.files() {
            let intact = Intact::read(&self.disk.kill_image(), &path).unwrap_or_else(|why| panic!("{why}"));
            let Some(intact) = intact else { continue };
            let kind = path.extension().or(path.file_name()).unwrap_or_default().to_string_lossy();
            let kind = kind.split('-').next().unwrap_or_default().to_owned();
            let siblings = self.siblings(&path);
            for (turn, damage) in Damage::each(intact.bytes(), &siblings, 1).into_iter().enumerate() {
                let damaged = damage.of(intact.bytes());
                if damaged == intact.bytes() {
                    continue;
                }
                let mut wrong = None;
                // An exchanged file is whole by itself: only the store can tell.
                let exchanged = matches!(damage, Damage::Sibling(_));
                if !exchanged {
                    let disk = SimFs::new();
                    disk.write_raw(&path, &damaged).unwrap();
                    let judged = catch_unwind(AssertUnwindSafe(|| intact.judge(&disk, &damaged)));
                    match judged.unwrap_or_else(|_| Err("a panic".into())) {
                        Ok(verdict) => {
                            *sum.verdicts.entry((kind.clone(), verdict as usize)).or_default() += 1
                        }
                        Err(why) => wrong = Some(why),
                    }
                }
                if exchanged || turn % open_every == 0 {
                    let mut outcome = Ok(Outcome::Right);
                    let asked = largest(&mut || outcome = self.try_with(seed, &path, &damaged));
                    match outcome {
                        Ok(outcome) => sum.opened[outcome as usize] += 1,
                        Err(why) => wrong = Some(format!("opened: {why}")),
                    }
                    if asked > ordinary.max(2 * damaged.len()) {
                        wrong = Some(format!("opened: {asked} bytes at once, more than {ordinary}"));
                    }
                }
                sum.wrong.extend(wrong.map(|why| format!("{} {damage}: {why}", path.display())));
            }
        }
        sum
    }

    fn files(&self) -> Vec<PathBuf> {
        let lock = Path::new(DIR).join("LOCK");
        self.disk.paths().into_iter().filter(|path| *path != lock).collect()
    }
}

/// What came of it.
#[derive(Default)]
struct Sum {
    /// By kind of file and [`Verdict`].
    verdicts: BTreeMap<(String, usize), u64>,
    /// By [`Outcome`].
    opened: [u64; 3],
    wrong: Vec<String>,
}

/// One of so many damaged files is put back into its store, which is then opened.
const OPEN_EVERY: usize = 10;

#[test]
fn no_damage_goes_unnoticed() {
    let (first, stores) = (number("ESKER_DAMAGE_SEED", 1), number("ESKER_DAMAGE_STORES", 1));
    let mut sum = Sum::default();
    for seed in first..first + stores {
        // One store was closed, the other killed.
        let halves = [true, false]
            .map(|closed| std::thread::spawn(move || subject(seed, closed).unwrap().sweep(seed, OPEN_EVERY)));
        for half in halves {
            let half = half.join().unwrap();
            for (cell, count) in half.verdicts {
                *sum.verdicts.entry(cell).or_default() += count;
            }
            sum.opened.iter_mut().zip(half.opened).for_each(|(sum, count)| *sum += count);
            sum.wrong.extend(half.wrong);
        }
    }
    let of = |verdict: Verdict| {
        let those = sum.verdicts.iter().filter(|((_, of), _)| *of == verdict as usize);
        those.map(|((kind, _), count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
    };
    let (read, [refused, cut, right]): (u64, _) = (sum.verdicts.values().sum(), sum.opened);
    esker_tests::figure!(
        "T4 damage: {read} damaged files read, {} stores opened, seed {first}, {} violations",
        refused + cut + right,
        sum.wrong.len()
    );
    esker_tests::figure!("T4 damage: detected {}", of(Verdict::Detected));
    esker_tests::figure!("T4 damage: cut {}; harmless {}", of(Verdict::Cut), of(Verdict::Harmless));
    esker_tests::figure!("T4 damage: opening refused {refused}, cut {cut}, all there {right}");
    let shown = &sum.wrong[..sum.wrong.len().min(20)];
    assert!(shown.is_empty(), "{} are wrong, such as\n{}", sum.wrong.len(), shown.join("\n"));
    assert!(read >= 60_000 * stores, "only {read} damaged files");
}

#[test]
fn no_damage_of_a_table_with_a_dictionary_goes_unnoticed() {
    let sum = subject_with_dictionary(1).unwrap().sweep(1, OPEN_EVERY);
    let read: u64 = sum.verdicts.values().sum();
    let [refused, cut, right] = sum.opened;
    esker_tests::figure!(
        "T4 damage, a dictionary: {read} damaged files read, {} stores opened, {} violations",
        refused + cut + right,
        sum.wrong.len()
    );
    let shown = &sum.wrong[..sum.wrong.len().min(20)];
    assert!(shown.is_empty(), "{} are wrong, such as\n{}", sum.wrong.len(), shown.join("\n"));
    let detected = sum.verdicts.get(&("sst".to_owned(), Verdict::Detected as usize));
    assert!(detected.is_some_and(|count| *count >= 10_000), "{detected:?} damaged tables");
}
