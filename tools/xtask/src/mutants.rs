//! Changes single expressions of the engine with cargo-mutants, and looks whether the tests notice.
//!
//! A sample, always the same one for a seed, is tried against the engine's unit tests; what survives these,
//! against short simulated runs and then against the engine's other tests. Whatever survives all of them
//! must stand, with a reason, in `tests/mutants.txt`.

use crate::runner;
use crate::state::revision;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const WHAT: &str = "a sample of 200 mutants of the engine; `ESKER_MUTANTS_SEED` chooses another";

const SAMPLE: usize = 200;

/// So many of a hundred may survive, each with a reason.
const SURVIVORS_PERCENT: f64 = 5.0;

const ENVIRONMENT: &[(&str, &str)] = &[
    ("CARGO_PROFILE_TEST_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_TEST_DEBUG", "0"),
    ("PROPTEST_CASES", "16"),
    ("ESKER_CRASH_HISTORIES", "6"),
    ("ESKER_FAULT_HISTORIES", "1"),
    ("ESKER_MODEL_SEQUENCES", "200"),
    ("ESKER_MODEL_SETS", "6"),
    ("ESKER_MODEL_REAL", "2"),
    ("ESKER_DAMAGE_STORES", "1"),
    ("ESKER_SHRINK", "0"),
];

/// Tests that mutants must get past.
struct Stage {
    name: &'static str,
    package: &'static str,
    /// Which of its tests are built: no more, since each mutant is a build.
    targets: &'static [&'static str],
    /// Which of these are run.
    filters: &'static [&'static str],
    /// So many times the seconds that the tests take untouched, a mutant may take.
    patience: f64,
}

/// The first builds the least, and most mutants go no further.
const STAGES: &[Stage] = &[
    Stage {
        name: "unit",
        package: "esker",
        targets: &["--lib"],
        filters: &["--skip=table::tests::every_damaged_byte_and_every_cut_is_found_or_harmless"],
        patience: 5.0,
    },
    Stage {
        name: "simulated",
        package: "esker-tests",
        targets: &["--test=crash", "--test=model", "--test=damage"],
        filters: &[],
        patience: 4.0,
    },
    Stage {
        name: "engine",
        package: "esker",
        targets: &["--test=basics", "--test=trouble", "--test=known_bugs"],
        filters: &[],
        patience: 5.0,
    },
];

/// Tries the sample, or what is left of it since the last time at this revision.
pub(crate) fn run() -> Result<(), String> {
    let dir = runner::root().join("target/mutants");
    let seed: usize = match env::var("ESKER_MUTANTS_SEED") {
        Ok(text) => text.parse().map_err(|_| format!("ESKER_MUTANTS_SEED is no number: {text}"))?,
        Err(_) => 1,
    };
    let begun = format!("{}, seed {seed}", revision());
    let goes_on = !begun.contains("changed")
        && fs::read_to_string(dir.join("revision")).is_ok_and(|revision| revision == begun);
    if !goes_on && dir.exists() {
        fs::remove_dir_all(&dir).map_err(|e| format!("cannot remove {}: {e}", dir.display()))?;
    }
    fs::create_dir_all(&dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    fs::write(dir.join("revision"), begun).map_err(|e| format!("cannot write: {e}"))?;
    let sample = sample(all_mutants()?, seed);
    let mut alive = sample.clone();
    for stage in STAGES {
        alive = try_all(&dir.join(stage.name), stage, &alive)?;
        println!("{}: {} of {} survive", stage.name, alive.len(), sample.len());
    }
    judge(&alive, sample.len(), seed)
}

fn all_mutants() -> Result<Vec<String>, String> {
    let mut command = Command::new("cargo");
    command
        .args(["mutants", "--list", "--package", "esker", "--colors", "never"])
        .current_dir(runner::root());
    let output = command.output().map_err(|e| format!("cannot start cargo: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(format!("{why}; `cargo install --locked cargo-mutants` installs it"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect())
}

/// Evenly from all files, starting where the seed says.
fn sample(all: Vec<String>, seed: usize) -> Vec<String> {
    let every = ((all.len() + SAMPLE / 2) / SAMPLE).max(1);
    all.into_iter().skip(seed % every).step_by(every).collect()
}

/// Tries mutants against the tests of a stage; returns those that nobody noticed. What an earlier run that
/// was interrupted found out is not tried again: each run has a folder of its own, and all of them count.
fn try_all(dir: &Path, stage: &Stage, mutants: &[String]) -> Result<Vec<String>, String> {
    let known = tried(dir, &["caught", "missed", "timeout", "unviable"]);
    let left: Vec<&String> = mutants.iter().filter(|name| !known.contains(*name)).collect();
    if !left.is_empty() {
        let runs = fs::read_dir(dir).map_or(0, Iterator::count);
        let output = dir.join((runs + 1).to_string());
        fs::create_dir_all(&output).map_err(|e| format!("cannot create {}: {e}", output.display()))?;
        let limit = (untouched(stage)?.as_secs_f64() * stage.patience).max(30.0);
        let mut command = Command::new("cargo");
        command.args(["mutants", "--package", "esker", "--colors", "never", "--baseline", "skip"]);
        command.args([format!("--timeout={limit:.0}"), format!("--test-package={}", stage.package)]);
        command.args(stage.targets.iter().map(|target| format!("--cargo-arg={target}")));
        command.arg("--output").arg(output).args(left.iter().map(|name| format!("--re=^{}$", escaped(name))));
        command.args(["--", "--"]).args(stage.filters);
        command.envs(ENVIRONMENT.iter().copied()).current_dir(runner::root());
        let status = command.status().map_err(|e| format!("cannot start cargo: {e}"))?;
        // 2: some were missed; 3: some ran out of time, which is noticing.
        if !matches!(status.code(), Some(0 | 2 | 3)) {
            return Err(format!("cargo mutants failed ({status})"));
        }
    }
    let missed = tried(dir, &["missed"]);
    Ok(mutants.iter().filter(|name| missed.contains(*name)).cloned().collect())
}

/// How long the tests of a stage take without any mutant; they must pass. (The tool's own look at the tree
/// without a change knows only the tests of the package that is changed.)
fn untouched(stage: &Stage) -> Result<Duration, String> {
    let test = |last: &[&str]| {
        let mut command = Command::new("cargo");
        command.args(["test", "--package", stage.package]).args(stage.targets).args(last);
        command.envs(ENVIRONMENT.iter().copied()).current_dir(runner::root());
        command.env("CARGO_TARGET_DIR", runner::root().join("target/mutants-base"));
        let status = command.status().map_err(|e| format!("cannot start cargo: {e}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{}: the tests fail without a mutant", stage.name))
        }
    };
    test(&["--no-run"])?;
    let begun = Instant::now();
    test(&[&["--"], stage.filters].concat())?;
    Ok(begun.elapsed())
}

/// The mutants with one of these outcomes in any run whose output is in `dir`.
fn tried(dir: &Path, outcomes: &[&str]) -> BTreeSet<String> {
    let runs = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = runs.flat_map(|run| {
        let of = |outcome| run.path().join(format!("mutants.out/{outcome}.txt"));
        outcomes.iter().map(of).collect::<Vec<_>>()
    });
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    texts.flat_map(|text| text.lines().map(String::from).collect::<Vec<_>>()).collect()
}

/// A regular expression that matches just this text.
fn escaped(text: &str) -> String {
    let special = |c: char| ".^$*+?()[]{}|\\".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// The name of a mutant without the place, which changes with every line above it.
fn placeless(name: &str) -> Option<String> {
    let (file, rest) = name.split_once(':')?;
    let (_, what) = rest.split_once(": ")?;
    Some(format!("{file}: {what}"))
}

/// Holds the survivors against the reasons.
fn judge(alive: &[String], tried: usize, seed: usize) -> Result<(), String> {
    let reasons = reasons(&reasons_path())?;
    let mut without = Vec::new();
    for name in alive {
        let reason = placeless(name).and_then(|name| reasons.get(&name));
        println!("survives: {name}\n  {}", reason.map_or("NO REASON GIVEN", String::as_str));
        without.extend(reason.is_none().then_some(name.as_str()));
    }
    let percent = alive.len() as f64 * 100.0 / tried.max(1) as f64;
    println!("figure: mutants: {} of {tried} survive ({percent:.1} %), seed {seed}", alive.len());
    if !without.is_empty() {
        return Err(format!("{} survive without a reason in tests/mutants.txt", without.len()));
    }
    if percent >= SURVIVORS_PERCENT {
        return Err(format!("{percent:.1} % survive; fewer than {SURVIVORS_PERCENT} % may"));
    }
    Ok(())
}

fn reasons_path() -> PathBuf {
    runner::root().join("tests/mutants.txt")
}

/// The reasons by mutant: a line `FILE: WHAT` and below it, indented, why nothing notices.
fn reasons(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut reasons = BTreeMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix("  "), &current) {
            (Some(reason), Some(name)) => {
                let all: &mut String = reasons.entry(String::clone(name)).or_default();
                *all += if all.is_empty() { "" } else { " " };
                *all += reason.trim();
            }
            (Some(_), None) => return Err(format!("{}: a reason for nothing: {line}", path.display())),
            (None, _) => current = Some(line.to_string()),
        }
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_even_and_follows_the_seed() {
        let all: Vec<String> = (0..805).map(|i| i.to_string()).collect();
        let first = sample(all.clone(), 1);
        assert_eq!((first.len(), first[0].as_str(), first[1].as_str()), (201, "1", "5"));
        assert_eq!(sample(all, 6)[0], "2");
    }

    #[test]
    fn outcomes_of_all_runs_count() {
        let dir = runner::root().join("target/mutants-test");
        for (run, outcome, name) in [("1", "missed", "a"), ("2", "missed", "b"), ("2", "caught", "c")] {
            let output = dir.join(run).join("mutants.out");
            fs::create_dir_all(&output).unwrap();
            fs::write(output.join(format!("{outcome}.txt")), format!("{name}\n")).unwrap();
        }
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(tried(&dir, &["missed"]).into_iter().eq(names(&["a", "b"])));
        // Nothing is left to be tried, so that no other program is started.
        assert_eq!(try_all(&dir, &STAGES[0], &names(&["b", "c"])), Ok(names(&["b"])));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn names_are_matched_as_they_stand_and_argued_without_their_place() {
        let name = "a/b.rs:3:4: replace X<'f>::c -> u32 with 0";
        assert_eq!(escaped(name), "a/b\\.rs:3:4: replace X<'f>::c -> u32 with 0");
        assert_eq!(placeless(name).as_deref(), Some("a/b.rs: replace X<'f>::c -> u32 with 0"));
    }

    #[test]
    fn every_reason_belongs_to_a_file() {
        for (name, reason) in reasons(&reasons_path()).unwrap() {
            let file = name.split(':').next().unwrap();
            assert!(runner::root().join(file).exists() && reason.len() > 10, "{name}");
        }
    }
}
