//! A store that works for long, in a process of its own, while that is killed, its disk is full and its clock
//! jumps.
//!
//! Half a minute by default; `ESKER_SOAK_MINUTES` asks for as many minutes, `ESKER_SOAK_SEED` for other
//! operations. `cargo xtask soak` runs half an hour. See `docs/testing.md`.

use esker_tests::soak::{Plan, run};
use std::path::Path;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn a_store_that_works_for_long_loses_nothing_and_does_not_grow() {
    let seed = number("ESKER_SOAK_SEED").unwrap_or(1);
    let minutes = number("ESKER_SOAK_MINUTES");
    let plan = minutes.map_or_else(|| Plan::short(seed), |minutes| Plan::of_minutes(seed, minutes));
    let dir = tempfile::tempdir().unwrap();
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.log");
    println!("a line for each period goes to {}", log.display());
    let report = run(plan, Path::new(env!("CARGO_BIN_EXE_esker-actor")), dir.path(), &log).unwrap();
    esker_tests::figure!("T11 soak, seed {seed}: {report}");
    if !report.violations.is_empty() {
        let kept = dir.keep();
        panic!("{}\nthe store is kept in {}", report.violations.join("\n"), kept.display());
    }
    let excesses = report.excesses(minutes.is_some_and(|minutes| minutes >= 10));
    assert!(excesses.is_empty(), "{}", excesses.join("\n"));
    assert!(report.kills > 0 && report.reopened > 0 && report.full > 0 && report.clocks > 0);
}
