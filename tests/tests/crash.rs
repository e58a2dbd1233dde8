//! Losing power, killing the process and failing calls, everywhere in generated histories.
//!
//! How many histories: `ESKER_CRASH_HISTORIES`; from which seed on: `ESKER_CRASH_SEED`; see
//! `docs/testing.md`.

use esker::fs::sim::{OperationKind, Phase};
use esker_tests::history::{Operation, Profile, generate, parse, print};
use esker_tests::oracle::Loss;
use esker_tests::session::{
    Cell, Cramped, FaultKind, Figures, Place, calls_to_fail, crash_everywhere, for_each_seed, keep_failure,
    kinds_of_calls, number, run, run_on_small_disk, run_with_fault, run_with_full_disk, shrink, sync_fails,
};
use esker_tests::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Of eight histories one is long, one is deep, and one prepares transactions.
fn profile(seed: u64) -> &'static Profile {
    match seed % 8 {
        0 => &Profile::LONG,
        4 => &Profile::DEEP,
        2 => &Profile::PREPARED,
        _ => &Profile::CRASH,
    }
}

/// Which cells the histories must reach: the rest of the table cannot be reached, since the engine never does
/// such a thing to such a file.
const REACHABLE: &[(OperationKind, &[&str])] = &[
    (
        OperationKind::Create,
        &["OPTIONS", "RESERVE", "blob", "copy", "manifest", "outside", "table", "temporary"],
    ),
    (OperationKind::Write, &["OPTIONS", "blob", "copy", "log", "manifest", "outside", "table", "temporary"]),
    (
        OperationKind::Sync,
        &["OPTIONS", "RESERVE", "blob", "copy", "log", "manifest", "outside", "table", "temporary"],
    ),
    (OperationKind::Truncate, &["RESERVE", "copy", "log"]),
    (OperationKind::Allocate, &["RESERVE", "temporary"]),
    (OperationKind::Rename, &["copy", "log", "CURRENT"]),
    (OperationKind::Link, &["copy", "table"]),
    (OperationKind::Remove, &["OPTIONS", "blob", "copy", "log", "manifest", "outside", "table"]),
    (OperationKind::SyncDir, &["copy", "directory"]),
    (OperationKind::CreateDir, &["copy", "directory"]),
    (OperationKind::Lock, &["LOCK", "copy"]),
];

fn show(cells: &BTreeMap<Cell, u64>) {
    let mut rows: BTreeMap<(OperationKind, &str), [u64; 2]> = BTreeMap::new();
    for ((kind, file, phase), count) in cells {
        rows.entry((*kind, file)).or_default()[usize::from(*phase == Phase::After)] += count;
    }
    println!("| operation  | file       | before | after |");
    for ((kind, file), [before, after]) in rows {
        println!("| {kind:10} | {file:10} | {before:6} | {after:5} |");
    }
}

fn check_cells(cells: &BTreeMap<Cell, u64>) {
    for (kind, files) in REACHABLE {
        for file in *files {
            for phase in [Phase::Before, Phase::After] {
                assert!(cells.contains_key(&(*kind, *file, phase)), "no crash {phase} {kind} of a {file}");
            }
        }
    }
    let times = |kind, file| cells[&(kind, file, Phase::Before)];
    let opened = times(OperationKind::Lock, "LOCK");
    assert!(times(OperationKind::Rename, "log") > opened, "no segment of the log was ever filled");
    assert!(times(OperationKind::Create, "manifest") > opened, "no manifest was ever filled");
    for (kind, file, _) in cells.keys() {
        let known = REACHABLE.iter().any(|(known, files)| known == kind && files.contains(file));
        assert!(known, "{kind} of a {file} is missing in the table of what can be reached");
    }
}

/// Shrinks a history that failed and keeps it as a fixture; of each test only the first.
fn keep(name: &str, seed: u64, history: &[Operation], why: &str, fails: impl FnMut(&[Operation]) -> bool) {
    static KEPT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !KEPT.lock().unwrap().insert(name.into()) {
        return;
    }
    let shortest = shrink(history, fails);
    let path = keep_failure(&format!("{name}-{seed}"), &shortest, why);
    eprintln!("{name}, seed {seed}: {why}\nkept as {}:\n{}", path.display(), print(&shortest));
}

#[test]
fn power_may_be_lost_anywhere() {
    let (first, count) = (number("ESKER_CRASH_SEED", 1), number("ESKER_CRASH_HISTORIES", 9));
    let all = for_each_seed("crash", first..first + count, |seed| {
        let history = generate(seed, profile(seed));
        let figures = crash_everywhere(seed, &history);
        if let Some(why) = figures.violations.first() {
            keep("crash", seed, &history, why, |shorter| {
                !crash_everywhere(seed, shorter).violations.is_empty()
            });
        }
        figures
    });
    let mut sum = Figures::default();
    all.into_iter().for_each(|figures| sum.add(figures));
    show(&sum.cells);
    let violations = sum.violations.len();
    esker_tests::figure!(
        "T1 crash: {count} histories from seed {first}, {} distinct recoveries, {} images compared, \
         {} cells, {violations} violations",
        sum.recoveries,
        sum.compared,
        sum.cells.len()
    );
    esker_tests::figure!("T1 crash: {}", sum.reached);
    esker_tests::figure!(
        "T2 second crash: {} recoveries of a crash within a recovery, seed {first}, {violations} violations",
        sum.second
    );
    esker_tests::figure!(
        "T2 kill: {} kills, then written to, then power lost, from seed {first}, {violations} violations",
        sum.kills
    );
    assert_eq!(violations, 0, "the first: {}", sum.violations[0]);
    if first == 1 && count >= 9 {
        check_cells(&sum.cells);
        let Figures { recoveries, second, kills, reached, .. } = sum;
        assert!(reached.compactions > 0 && reached.levels >= 5, "too little was reached: {reached}");
        assert!(recoveries >= 10_000, "only {recoveries} recoveries");
        assert!(second + kills >= 4_000, "only {second} second crashes and {kills} kills");
    }
}

/// Readers beside the writer see what a kill would leave, at any moment, and change nothing of what a crash
/// leaves.
#[test]
fn readers_see_what_a_kill_would_leave() {
    let (first, count) = (number("ESKER_READER_SEED", 1), number("ESKER_READER_HISTORIES", 60));
    let looks: u64 = for_each_seed("readers", first..first + count, |seed| {
        let history = generate(seed + 6_000, &Profile::READERS);
        let fails = |shorter: &[Operation]| run(Place::fresh(seed), shorter).err();
        if let Some(why) = fails(&history) {
            keep("readers", seed, &history, &why, |shorter| fails(shorter).is_some());
            panic!("seed {seed}: {why}");
        }
        if seed % 30 == 1 {
            let figures = crash_everywhere(seed, &history);
            assert_eq!(figures.violations.len(), 0, "seed {seed}, the first: {}", figures.violations[0]);
        }
        history.iter().filter(|operation| **operation == Operation::Look).count() as u64
    })
    .into_iter()
    .sum();
    esker_tests::figure!("readers: {count} histories from seed {first}, {looks} looks, violations 0");
    assert!(looks > count * 4, "only {looks} looks");
}

#[test]
fn every_call_may_fail() {
    let histories = number("ESKER_FAULT_HISTORIES", 8);
    let per_kind = number("ESKER_FAULTS", 30);
    let tried = for_each_seed("faults", 0..histories, |seed| {
        let history = generate(seed + 1_000, &Profile::CRASH);
        let calls = kinds_of_calls(seed, &history).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let (mut tried, mut violations) = (BTreeMap::new(), Vec::new());
        for kind in FaultKind::ALL {
            for index in calls_to_fail(kind, &calls, per_kind, seed) {
                *tried.entry((format!("{kind:?}"), calls[index as usize])).or_default() += 1;
                if let Err(why) = run_with_fault(seed, &history, kind, index) {
                    let why = format!("{kind:?} at call {index}: {why}");
                    if violations.is_empty() {
                        let fails =
                            |shorter: &[Operation]| run_with_fault(seed, shorter, kind, index).is_err();
                        keep("fault", seed, &history, &why, fails);
                    }
                    violations.push(format!("seed {seed}: {why}"));
                }
            }
        }
        (tried, violations)
    });
    let mut cells: BTreeMap<(String, OperationKind), u64> = BTreeMap::new();
    for (cell, count) in tried.iter().flat_map(|(tried, _)| tried) {
        *cells.entry(cell.clone()).or_default() += count;
    }
    for ((fault, call), count) in &cells {
        println!("{fault} at {call}: {count}");
    }
    let sum: u64 = cells.values().sum();
    let violations: Vec<&String> = tried.iter().flat_map(|(_, violations)| violations).collect();
    esker_tests::figure!(
        "T3 faults: {sum} runs with a failing call, {} pairs of fault and call, seeds 0 to {}, {} violations",
        cells.len(),
        histories - 1,
        violations.len()
    );
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(sum >= histories * per_kind * 10, "only {sum} runs");
    for kind in FaultKind::ALL {
        for call in OperationKind::ALL.into_iter().filter(|call| kind.fits(*call)) {
            assert!(cells.contains_key(&(format!("{kind:?}"), call)), "{kind:?} at no {call}");
        }
    }
}

#[test]
fn a_full_disk_heals() {
    let histories = number("ESKER_FAULT_HISTORIES", 8);
    let per_history = number("ESKER_FAULTS", 50);
    let tried = for_each_seed("full disk", 0..histories, |seed| {
        let history = generate(seed + 3_000, &Profile::CRASH);
        let calls =
            kinds_of_calls(seed, &history).unwrap_or_else(|why| panic!("seed {seed}: {why}")).len() as u64;
        let mut violations = Vec::new();
        for turn in 0..per_history {
            let index = turn * calls / per_history;
            if let Err(why) = run_with_full_disk(seed, &history, index) {
                let why = format!("full from call {index} on: {why}");
                if violations.is_empty() {
                    let fails = |shorter: &[Operation]| run_with_full_disk(seed, shorter, index).is_err();
                    keep("full-disk", seed, &history, &why, fails);
                }
                violations.push(format!("seed {seed}: {why}"));
            }
        }
        violations
    });
    let violations: Vec<&String> = tried.iter().flatten().collect();
    let runs = histories * per_history;
    esker_tests::figure!(
        "T3 full disks: {runs} runs, seeds 0 to {}, {} violations",
        histories - 1,
        violations.len()
    );
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn a_disk_of_any_size_is_lived_with() {
    let histories = number("ESKER_FAULT_HISTORIES", 8);
    let per_history = number("ESKER_FAULTS", 50);
    let tried = for_each_seed("small disk", 0..histories, |seed| {
        let history = generate(seed + 4_000, &Profile::CRASH);
        let (mut sum, mut violations) = (Cramped::default(), Vec::new());
        for turn in 0..per_history {
            // From nothing at all, in small steps first.
            let (free, helped) = (turn * turn * 48, turn % 2 == 0);
            match run_on_small_disk(seed, &history, free, helped) {
                Ok(cramped) => sum.add(cramped),
                Err(why) => {
                    let why = format!("with {free} bytes left: {why}");
                    if violations.is_empty() {
                        let fails =
                            |shorter: &[Operation]| run_on_small_disk(seed, shorter, free, helped).is_err();
                        keep("small-disk", seed, &history, &why, fails);
                    }
                    violations.push(format!("seed {seed}: {why}"));
                }
            }
        }
        (sum, violations)
    });
    let mut sum = Cramped::default();
    tried.iter().for_each(|(cramped, _)| sum.add(*cramped));
    let violations: Vec<&String> = tried.iter().flat_map(|(_, violations)| violations).collect();
    let runs = histories * per_history;
    esker_tests::figure!(
        "small disks: {runs} runs, seeds 0 to {}, {sum}, {} violations",
        histories - 1,
        violations.len()
    );
    assert!(violations.is_empty(), "{violations:#?}");
    let enough = sum.refused > runs && sum.opened > runs / 2 && sum.not_opened > 0;
    assert!(enough, "the disks were hardly ever full: {sum}");
}

#[test]
fn a_failed_sync_is_final() {
    let histories = number("ESKER_FAULT_HISTORIES", 8);
    let tried = for_each_seed("failed syncs", 0..histories, |seed| {
        let history = generate(seed + 2_000, &Profile::CRASH);
        let (mut tried, mut violations) = (0_u64, Vec::new());
        let each = (0..).flat_map(|number| [Loss::Kill, Loss::Power].map(|loss| (number, loss)));
        for (number, loss) in each {
            match sync_fails(seed, &history, number, loss) {
                Ok(true) => tried += 1,
                Ok(false) => break,
                Err(why) => {
                    let why = format!("sync {number}: {why}");
                    if violations.is_empty() {
                        let fails = |shorter: &[Operation]| sync_fails(seed, shorter, number, loss).is_err();
                        keep("failed-sync", seed, &history, &why, fails);
                    }
                    violations.push(format!("seed {seed}: {why}"));
                }
            }
        }
        (tried, violations)
    });
    let sum: u64 = tried.iter().map(|(tried, _)| tried).sum();
    let violations: Vec<&String> = tried.iter().flat_map(|(_, violations)| violations).collect();
    esker_tests::figure!(
        "T2 failed syncs: {sum} runs, each then lost and reopened twice, seeds 0 to {}, {} violations",
        histories - 1,
        violations.len()
    );
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(sum > histories, "too few syncs");
}

#[test]
fn kept_histories_survive_crashes() {
    let dir = workspace::root().join("fixtures/histories");
    let mut names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    names.sort();
    assert!(!names.is_empty(), "no histories in {}", dir.display());
    let mut sum = Figures::default();
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let history = parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let figures = crash_everywhere(1, &history);
        assert!(figures.violations.is_empty(), "{}: {}", path.display(), figures.violations[0]);
        sum.add(figures);
    }
    esker_tests::figure!("T1 kept histories: {} recoveries, seed 1, {}", sum.recoveries, sum.reached);
    assert!(sum.reached.moves > 0, "no table changed its level without being rewritten");
}
