//! Runs a program under many schedules, and the store that the programs run on.
//!
//! - `ESKER_SCHEDULES`: how many in all; each test has a share of them.
//! - `ESKER_SCHEDULE_SEED`: the seed from which the schedulers choose.
//! - `ESKER_SCHEDULE_FILE`: run this one schedule, which a failure has left in `target/schedules`; run
//!   the test that failed alone.

use crate::background::Mode;
use crate::base::clock::{Clock, ManualClock};
use crate::base::random::Random;
use crate::base::sync::Arc;
use crate::commit::Durability;
use crate::db::{Builder, Db};
use crate::fs::{Fs, SimFs};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many schedules are run in all unless the environment says otherwise.
const SCHEDULES: u64 = 10_000;
const SEED: u64 = 20_250_117;
/// A schedule of more steps is taken for one that never ends.
const MOST_STEPS: usize = 400_000;
/// An engine's thread needs more than the few pages that shuttle gives by itself.
const STACK_BYTES: usize = 256 << 10;

/// No timer: who waits for it waits until somebody notifies.
pub(crate) const NO_TIMER: Duration = Duration::from_secs(3600);

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// Runs `program` under `share` hundredths of the schedules: half of them step by step at random, a
/// quarter each by priorities that change at two and at four random steps (Burckhardt et al., A
/// Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, 2010).
pub(crate) fn explore(name: &str, share: u64, program: fn()) {
    let failures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/schedules");
    if let Some(file) = std::env::var_os("ESKER_SCHEDULE_FILE") {
        run(ReplayScheduler::new_from_file(file).expect("a schedule"), FailurePersistence::None, program);
        return;
    }
    std::fs::create_dir_all(&failures).expect("a folder for failures");
    let (seed, wanted) = (number("ESKER_SCHEDULE_SEED", SEED), number("ESKER_SCHEDULES", SCHEDULES));
    let quarter = (wanted * share).div_ceil(400) as usize;
    let keep = FailurePersistence::File(Some(failures));
    let started = Instant::now();
    let tried = run(RandomScheduler::new_from_seed(seed, 2 * quarter), keep.clone(), program)
        + run(PctScheduler::new_from_seed(seed, 3, quarter), keep.clone(), program)
        + run(PctScheduler::new_from_seed(seed + 1, 5, quarter), keep, program);
    let text = format!(
        "figure: {name}: {tried} schedules from seed {seed} in {:.1} s, violations 0\n",
        started.elapsed().as_secs_f64()
    );
    // Past the test harness, which keeps back only what the print macros write.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn run(scheduler: impl Scheduler + 'static, keep: FailurePersistence, program: fn()) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    config.failure_persistence = keep;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(program)
}

/// The options of a store: nothing fills up and no timer runs, unless a program changes that.
pub(crate) fn builder(sim: &SimFs) -> Builder {
    let mut builder = Db::builder("/db")
        .fs(Fs::Sim(sim.clone()))
        .clock(Clock::Manual(ManualClock::new(1_000_000)))
        .memory_budget(1 << 20)
        .memtable_bytes(64 << 10)
        .wal_segment_bytes(64 << 10)
        .sync_interval(NO_TIMER)
        .default_durability(Durability::Os);
    builder.random = Random::seeded(7);
    builder
}

/// The same, so small that everything fills up and rolls over.
pub(super) fn tiny(sim: &SimFs) -> Builder {
    builder(sim)
        .memtable_bytes(1 << 10)
        .wal_segment_bytes(4 << 10)
        .target_file_bytes(1 << 10)
        .level_base_bytes(1 << 10)
        .manifest_bytes(512)
}

/// The same without threads of its own, to look at what is left.
pub(super) fn quiet(sim: &SimFs) -> Builder {
    let mut builder = builder(sim).deterministic(1);
    builder.mode = Mode::Seeded(Random::seeded(1));
    builder
}

/// Seals what the memtables hold, and waits for nothing.
pub(crate) fn seal(db: &Db) {
    db.inner().store.rotate_all();
}

/// Starts the threads of a program and waits for all of them.
pub(crate) fn together(programs: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = programs.into_iter().map(crate::base::sync::thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a thread of the program"));
}

/// One thread of a program, which shares `what`.
pub(crate) fn thread<T: Send + Sync + 'static>(
    what: &Arc<T>,
    body: impl FnOnce(&T) + Send + 'static,
) -> Box<dyn FnOnce() + Send> {
    let what = what.clone();
    Box::new(move || body(&what))
}
