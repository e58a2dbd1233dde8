//! Random commands to a store of structures on a disk that loses power, fails, does not sync and runs
//! full. What is left is always the state after one of the commands, whole, as a twin on a sound disk shows
//! it; none before the last that was durable; and everything in it agrees.
//!
//! `ESKER_STRUCTURES_CRASHES` says how many histories lose power, `ESKER_STRUCTURES_FAULTS` how many meet
//! each of the other troubles, `ESKER_STRUCTURES_SEED` from which seed on.

use esker_tests::session::{FaultKind, calls_to_fail, for_each_seed, number};
use esker_tests::twins::{Full, Losses, Step, calls, fails, history, lose_everywhere, runs_full, sync_fails};

/// Steps of a history.
const STEPS: usize = 60;
/// Calls that fail in each history, of each kind of fault.
const PER_KIND: u64 = 6;
/// Sizes of a disk that each history is tried with.
const SIZES: u64 = 8;

fn first() -> u64 {
    number("ESKER_STRUCTURES_SEED", 1)
}

fn troubles() -> u64 {
    number("ESKER_STRUCTURES_FAULTS", 6)
}

/// The first violations, and how many there are.
fn none_of(violations: &[String], about: &str) {
    let shown: Vec<String> = violations.iter().take(3).map(|why| why.chars().take(3000).collect()).collect();
    assert!(violations.is_empty(), "{about}: {} violations, the first: {shown:#?}", violations.len());
}

fn sound(seed: u64, chance: bool) -> Vec<Step> {
    history(seed, STEPS, chance)
}

#[test]
fn what_a_loss_leaves_is_a_state_that_was() {
    let (first, histories) = (first(), number("ESKER_STRUCTURES_CRASHES", 48));
    let mut sum = Losses::default();
    for mut losses in for_each_seed("losses", first..first + histories, |seed| {
        let mut losses = lose_everywhere(seed, &sound(seed, true));
        losses.violations.iter_mut().for_each(|why| *why = format!("seed {seed}: {why}"));
        losses
    }) {
        sum.add(std::mem::take(&mut losses));
    }
    let Losses { power, within, behind, kills, second, violations } = &sum;
    esker_tests::figure!(
        "structures: {histories} histories from seed {first} on, {power} losses of power, {behind} of which \
         took something back, {kills} kills; {within} of both within a command; {second} losses within a \
         recovery; violations: {}",
        violations.len()
    );
    none_of(violations, "losses");
    assert!(histories < 20 || *behind > power / 20, "{behind} of {power} losses lost anything");
    assert!(histories < 20 || second.min(kills) > &(histories * 4), "{second} second crashes, {kills} kills");
}

#[test]
fn every_call_may_fail() {
    let (first, histories) = (first(), troubles());
    let tried = for_each_seed("faults", first..first + histories, |seed| {
        let history = sound(seed, false);
        let calls = calls(seed, &history).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let (mut runs, mut read_only, mut violations) = (0_u64, 0_u64, Vec::new());
        for kind in FaultKind::ALL {
            for index in calls_to_fail(kind, &calls, PER_KIND, seed) {
                runs += 1;
                match fails(seed, &history, kind, index) {
                    Ok(became) => read_only += u64::from(became),
                    Err(why) => {
                        let call = calls[index as usize];
                        violations.push(format!("seed {seed}, {kind:?} at call {index}, {call}: {why}"));
                    }
                }
            }
        }
        (runs, read_only, violations)
    });
    let (runs, read_only) = tried.iter().fold((0, 0), |sum, (a, b, _)| (sum.0 + a, sum.1 + b));
    let violations: Vec<String> = tried.into_iter().flat_map(|(_, _, violations)| violations).collect();
    esker_tests::figure!(
        "structures, faults: {runs} runs with a failing call, {read_only} of which left the store read-only, \
         seeds {first} to {}; violations: {}",
        first + histories - 1,
        violations.len()
    );
    none_of(&violations, "faults");
    assert!(runs >= histories * PER_KIND * 10 && read_only > 0 && read_only < runs, "{read_only} of {runs}");
}

#[test]
fn a_failed_sync_is_final() {
    let (first, histories) = (first(), troubles());
    let tried = for_each_seed("failed syncs", first..first + histories, |seed| {
        let history = sound(seed + 2_000, false);
        let (mut runs, mut read_only, mut violations) = (0_u64, 0_u64, Vec::new());
        for (number, killed) in (0..).flat_map(|number| [(number, false), (number, true)]) {
            match sync_fails(seed, &history, number, killed) {
                Ok(None) => break,
                Ok(Some(became)) => {
                    runs += 1;
                    read_only += u64::from(became);
                }
                Err(why) => violations.push(format!("seed {seed}, sync {number}: {why}")),
            }
            if violations.len() > 3 {
                break;
            }
        }
        (runs, read_only, violations)
    });
    let (runs, read_only) = tried.iter().fold((0, 0), |sum, (a, b, _)| (sum.0 + a, sum.1 + b));
    let violations: Vec<String> = tried.into_iter().flat_map(|(_, _, violations)| violations).collect();
    esker_tests::figure!(
        "structures, failed syncs: {runs} runs, {read_only} of which left the store read-only, seeds {first} \
         to {}; violations: {}",
        first + histories - 1,
        violations.len()
    );
    none_of(&violations, "failed syncs");
    assert!(runs > histories * 4 && read_only > runs / 2, "{read_only} of {runs}");
}

#[test]
fn a_full_disk_heals() {
    let (first, histories) = (first(), troubles() * 2);
    let tried = for_each_seed("full disks", first..first + histories, |seed| {
        let history = sound(seed + 4_000, false);
        let (mut sum, mut violations) = (Full::default(), Vec::new());
        for turn in 0..SIZES {
            // From nothing at all, in small steps first.
            let (free, helped) = (turn * turn * 512, turn % 2 == 0);
            match runs_full(seed, &history, free, helped) {
                Ok(full) => sum.add(full),
                Err(why) => violations.push(format!("seed {seed}, {free} bytes left, {helped}: {why}")),
            }
        }
        (sum, violations)
    });
    let mut sum = Full::default();
    tried.iter().for_each(|(full, _)| sum.add(*full));
    let violations: Vec<String> = tried.into_iter().flat_map(|(_, violations)| violations).collect();
    let (Full { refused, freed }, runs) = (sum, histories * SIZES);
    esker_tests::figure!(
        "structures, full disks: {runs} runs, {refused} commands refused, {freed} made room meanwhile, seeds \
         {first} to {}; violations: {}",
        first + histories - 1,
        violations.len()
    );
    none_of(&violations, "full disks");
    assert!(refused > runs && freed > runs, "{refused} refused, {freed} made room in {runs} runs");
}
