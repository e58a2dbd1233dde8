//! How much is run, and a job for each of many seeds.

use super::watchdog::Watchdog;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The number in a variable of the environment, or `default` where there is none.
///
/// # Panics
/// If it is no number.
#[must_use]
pub fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Does `job` for each seed, on two threads, and returns what they gave in the order of the seeds.
///
/// # Panics
/// If a job does. One that takes more than four minutes aborts the process, and says which it was.
pub fn for_each_seed<T: Send>(
    what: &str,
    seeds: std::ops::Range<u64>,
    job: impl Fn(u64) -> T + Sync,
) -> Vec<T> {
    // For a whole history, on a machine that has something else to do.
    let watchdog = Watchdog::new(Duration::from_secs(240));
    let (next, done) = (AtomicU64::new(seeds.start), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    watchdog.now(format!("{what}, seed {seed}"));
                    let result = job(seed);
                    done.lock().expect("no job has panicked").insert(seed, result);
                }
            });
        }
    });
    done.into_inner().expect("no job has panicked").into_values().collect()
}
