//! `esker stress` on the disk that the tests run on, and one of its processes under `strace`.
//!
//! `ESKER_STRESS_KILLS` says how many processes are killed; `ESKER_STRESS_SEED` repeats the operations of a
//! run and, as far as they can be repeated, the moments. A full run:
//! `ESKER_STRESS_KILLS=2000 cargo test --release -p esker-tests --test stress`

use esker::base::random::Random;
use esker::{Db, FamilyOptions};
use esker_tests::process::Limit;
use esker_tests::trace::{self, Findings};
use std::process::{Command, Stdio};
use std::time::Duration;

const ESKER: &str = env!("CARGO_BIN_EXE_esker-under-test");

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

/// A number of the summary.
fn number(summary: &str, field: &str) -> f64 {
    let behind = summary.split(&format!("\"{field}\":")).nth(1);
    let text = behind.and_then(|text| text.split([',', '}']).next());
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{field} is not in {summary:?}"))
}

#[test]
fn nothing_that_returned_is_lost_to_a_kill() {
    let kills = number_from("ESKER_STRESS_KILLS", 60);
    let seed = number_from("ESKER_STRESS_SEED", Random::default().next_u64() >> 1);
    println!("ESKER_STRESS_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(ESKER)
        .args(["stress", "--dir", "tried", "--json"])
        .args(["--kills", &kills.to_string(), "--seed", &seed.to_string()])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Ten times of what a kill and the look at what it leaves take.
    let limit = Limit::new(&child, Duration::from_secs(120 + 6 * kills));
    let output = child.wait_with_output().unwrap();
    drop(limit);
    let summary = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let kept = folder.keep();
        panic!("seed {seed}: {}, in {}: {told}{summary}", output.status, kept.display());
    }
    let of = |field: &str| number(&summary, field);
    esker_tests::figure!(
        "kills of a process at work: {} kills ({} while opening), {} operations, {} entries read, reopened \
         in {} ms at p50, {} ms at p99, {} violations (seed {seed})",
        of("kills"),
        of("kills_of_opening"),
        of("operations"),
        of("entries_read"),
        of("reopen_p50_ms"),
        of("reopen_p99_ms"),
        of("violations"),
    );
    assert!(of("kills") >= kills as f64 && of("violations") == 0.0, "{summary}");
    assert!(of("operations") > 0.0 && of("entries_read") > 0.0, "{summary}");
    // The promise is a second; the busiest machine gets ten of them.
    assert!(of("reopen_p99_ms") < 10_000.0, "{summary}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_synced_write_returns_after_a_sync_that_began_after_its_bytes_were_written() {
    trace_one(&[]);
}

/// What goes to the log through memory shows in no trace: here all of it does, also what waits for nothing.
#[test]
fn so_it_is_where_the_log_is_written_by_calls() {
    trace_one(&["--log-by-calls"]);
}

fn trace_one(more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("store")).unwrap();
    for name in ["odds", "ends"] {
        db.create_column_family(name, FamilyOptions::default()).unwrap();
    }
    db.close().unwrap();
    let seed = number_from("ESKER_STRESS_SEED", Random::default().next_u64() >> 1).to_string();
    let args = ["stress-child", "--store", "store", "--seed", &seed, "--commits", "400"];
    let Some((said, calls)) = trace::run(ESKER, &[&args, more].concat(), folder.path()) else { return };
    assert!(said.ends_with("closed\n") && !said.contains("wrong"), "{said}");
    let found = trace::check(&calls, "store");
    let Findings { reports, groups, tables, segments, switches, removals, violations } = &found;
    esker_tests::figure!(
        "strace of a process at work: {reports} synced writes, {groups} groups, {tables} tables, {segments} \
         segments, {switches} switches of CURRENT, {removals} removals, {} violations (seed {seed})",
        violations.len()
    );
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
    let synced = said.lines().filter(|line| line.ends_with(" synced")).count();
    assert!(synced > 50 && *reports == synced, "seed {seed}: {synced} said, {found:?}");
    assert!(*groups > 100 && *tables > 0 && *segments > 0 && *switches > 0, "seed {seed}: {found:?}");
    trace::check_sees(&calls, "store");
}
