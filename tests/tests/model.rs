//! Random operations over the whole interface, compared with maps in memory.
//!
//! How many sequences: `ESKER_MODEL_SEQUENCES`, on a real disk with threads `ESKER_MODEL_REAL`, and under
//! each set of options `ESKER_MODEL_SETS`; from which seed on: `ESKER_MODEL_SEED`. See `docs/testing.md`.

use esker_tests::damage::{Counting, live_bytes};
use esker_tests::history::{Operation, Profile, generate, parse, print};
use esker_tests::oracle::Dump;
use esker_tests::session::{
    OPTION_SETS, Place, Reached, Watchdog, catching, digests, keep_failure, run, shrink,
};
use esker_tests::workspace;
use std::path::Path;
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
    catching(|| run(Place::fresh(seed), history)).map(|(reached, _)| reached)
}

fn real(history: &[Operation]) -> Result<Reached, String> {
    let dir = tempfile::tempdir().unwrap();
    catching(|| run(Place::real(&dir.path().join("store")), history)).map(|(reached, _)| reached)
}

/// Where a store is that begins with the options of this number: most do their background work on the
/// calling thread, the last ones on threads of their own, one of them in a real directory.
fn place(number: u32, seed: u64, dir: &Path) -> Place {
    let place = match OPTION_SETS as u32 - number {
        1 => Place::real(dir),
        2 | 3 => Place::fresh(seed).with_threads(),
        _ => Place::fresh(seed),
    };
    place.with_options(number)
}

/// Under each set of options. Every read on the way is compared with the model; and what the stores hold in
/// the end also with each other, unless they may have lost different things.
fn under_all_options(seed: u64, history: &[Operation]) -> Result<Reached, String> {
    let (mut all, mut first): (Reached, Option<Dump>) = Default::default();
    let loses = |operation: &Operation| matches!(operation, Operation::Kill | Operation::PowerLoss { .. });
    let comparable = !history.iter().any(loses);
    for number in 0..OPTION_SETS as u32 {
        let dir = tempfile::tempdir().unwrap();
        let place = place(number, seed, &dir.path().join("store"));
        let ran = catching(|| run(place, history));
        let (reached, dump) = ran.map_err(|why| format!("with options {number}: {why}"))?;
        all.add(reached);
        let first = first.get_or_insert_with(|| dump.clone());
        if comparable && *first != dump {
            return Err(format!("with options {number} the store ends as\n{dump:?}instead of\n{first:?}"));
        }
    }
    Ok(all)
}

fn compare(
    name: &str,
    count: u64,
    one: impl Fn(u64, &[Operation]) -> Result<Reached, String> + Sync,
) -> Reached {
    let first = number("ESKER_MODEL_SEED", 1);
    let file: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let watchdog = Watchdog::new(Duration::from_secs(60));
    let reached = Mutex::new(Reached::default());
    let (next, operations, failed) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failed.load(Ordering::Relaxed) > 3 {
                        return;
                    }
                    watchdog.now(format!("{name}, seed {seed}"));
                    let history = generate(seed, &Profile::MODEL);
                    operations.fetch_add(history.len() as u64, Ordering::Relaxed);
                    match one(seed, &history) {
                        Ok(by_this) => reached.lock().unwrap().add(by_this),
                        Err(why) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            let shortest = shrink(&history, |shorter| one(seed, shorter).is_err());
                            let path = keep_failure(&format!("{file}-{seed}"), &shortest, &why);
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
        "{name}: {count} sequences from seed {first}, {operations} operations, violations {failed}"
    );
    let reached = reached.into_inner().unwrap();
    esker_tests::figure!("{name}: {reached}");
    assert_eq!(failed, 0, "see above for the histories");
    reached
}

#[test]
fn a_simulated_store_agrees_with_the_model() {
    compare("T7 model", number("ESKER_MODEL_SEQUENCES", 1_000), simulated);
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
    compare("T7 model, real disk", number("ESKER_MODEL_REAL", 40), |_, history| real(history));
}

#[test]
fn stores_with_different_options_agree_with_the_model_and_each_other() {
    let name = format!("T7 options, {} sets", OPTION_SETS);
    let reached = compare(&name, number("ESKER_MODEL_SETS", 60), under_all_options);
    assert!(reached.shown > 0 && reached.dictionaries > 0, "{reached}");
}

#[test]
fn kept_histories_agree_with_the_model() {
    let dir = workspace::root().join("fixtures/histories");
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let history = parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let result = under_all_options(1, &history).and_then(|_| real(&history));
            result.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        }
    }
}
