//! Random operations over the whole interface, compared with maps in memory.
//!
//! How many sequences: `ESKER_MODEL_SEQUENCES`, and on a real disk with threads `ESKER_MODEL_REAL`; from
//! which seed on: `ESKER_MODEL_SEED`. See `docs/testing.md`.

use esker_tests::damage::{Counting, live_bytes};
use esker_tests::history::{Operation, Profile, generate, parse, print};
use esker_tests::session::{
    OPTION_SETS, Place, Reached, Watchdog, catching, digests, keep_failure, run, shrink,
};
use esker_tests::workspace;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn simulated(seed: u64, history: &[Operation]) -> Result<Reached, String> {
    catching(|| run(Place::fresh(seed), history))
}

fn real(history: &[Operation]) -> Result<Reached, String> {
    let dir = tempfile::tempdir().unwrap();
    catching(|| run(Place::real(&dir.path().join("store")), history))
}

/// Runs so many sequences, each under so many variants: `one` gets the seed, the variant and the history.
fn compare(
    name: &str,
    count: u64,
    variants: u64,
    one: impl Fn(u64, u64, &[Operation]) -> Result<Reached, String> + Sync,
) {
    let first = number("ESKER_MODEL_SEED", 1);
    let watchdog = Watchdog::new(Duration::from_secs(60));
    let reached = Mutex::new(Reached::default());
    let (next, operations, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let (seed, variant) = (first + turn / variants, turn % variants);
                    if seed >= first + count || failed.load(Ordering::Relaxed) > 3 {
                        return;
                    }
                    watchdog.now(format!("{name}, seed {seed}, variant {variant}"));
                    let history = generate(seed, &Profile::MODEL);
                    operations.fetch_add(history.len() as u64, Ordering::Relaxed);
                    match one(seed, variant, &history) {
                        Ok(by_this) => reached.lock().unwrap().add(by_this),
                        Err(why) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            let shortest = shrink(&history, |shorter| one(seed, variant, shorter).is_err());
                            let path = keep_failure(&format!("{name}-{seed}"), &shortest, &why);
                            let text = print(&shortest);
                            eprintln!("{name}, seed {seed}: {why}\nkept as {}:\n{text}", path.display());
                        }
                    }
                }
            });
        }
    });
    let (operations, failed) = (operations.into_inner(), failed.into_inner());
    esker_tests::figure!(
        "T7 {name}: {count} sequences from seed {first}, under {variants} sets of options, \
         {operations} operations, {failed} violations"
    );
    esker_tests::figure!("T7 {name}: {}", reached.into_inner().unwrap());
    assert_eq!(failed, 0, "see above for the histories");
}

#[test]
fn a_simulated_store_agrees_with_the_model() {
    compare("model", number("ESKER_MODEL_SEQUENCES", 1_000), 1, |seed, _, history| simulated(seed, history));
}

#[test]
fn every_set_of_options_agrees_with_the_model() {
    let count = number("ESKER_OPTION_SEQUENCES", 40);
    compare("options", count, OPTION_SETS as u64, |seed, set, history| {
        catching(|| run(Place::fresh(seed).with_options(set as u32), history))
    });
}

#[test]
fn one_seed_gives_the_same_disk_bit_for_bit() {
    let mut compared = 0;
    for (name, profile) in Profile::ALL {
        for seed in 0..4 {
            let history = generate(seed, profile);
            let once =
                digests(Place::fresh(seed), &history).unwrap_or_else(|why| panic!("{name} {seed}: {why}"));
            let twice = digests(Place::fresh(seed), &history).unwrap();
            let differ = once.iter().zip(&twice).position(|(a, b)| a != b);
            assert_eq!(differ, None, "{name}, seed {seed}: the disks differ after this operation");
            assert_eq!((once.len(), twice.len()), (history.len() + 1, history.len() + 1));
            let other = digests(Place::fresh(seed + 100), &history).unwrap();
            assert_ne!(once.last(), other.last(), "{name}: another seed gives the same disk");
            compared += once.len();
        }
    }
    esker_tests::figure!("replay: {compared} disks compared, seeds 0 to 3 of each profile, 0 differ");
}

#[test]
fn nothing_stays_in_memory_when_a_store_is_closed() {
    for (name, profile) in Profile::ALL {
        let history = generate(5, profile);
        let live = || {
            run(Place::fresh(5), &history).unwrap_or_else(|why| panic!("{name}: {why}"));
            live_bytes()
        };
        // The first time, what lasts as long as the thread is made.
        live();
        let (before, after) = (live(), live());
        assert_eq!(before, after, "{name}: bytes are kept");
    }
}

#[test]
fn a_real_store_with_threads_agrees_with_the_model() {
    compare("model-real", number("ESKER_MODEL_REAL", 40), 1, |_, _, history| real(history));
}

#[test]
fn kept_histories_agree_with_the_model() {
    let dir = workspace::root().join("fixtures/histories");
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let history = parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let result = simulated(1, &history).and_then(|_| real(&history));
            result.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        }
    }
}
