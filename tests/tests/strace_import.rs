//! `esker import` under `strace`: every report of durability follows an `fdatasync` that began after the
//! bytes were written, and no file is relied on before its content and its name are durable.

use esker_tests::process::{Limit, Lines};
use esker_tests::trace::{self, Call, Findings};
use std::process::{Command, Stdio};
use std::time::Duration;

const LINES: Lines = Lines(60_000);

/// Imports under `strace`; `None` if there is no `strace` and none is demanded.
fn traced_import() -> Option<Vec<Call>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.jsonl"), LINES.text(0)).unwrap();
    let child = Command::new("strace")
        .args(trace::OPTIONS)
        .args(["-o", "trace", env!("CARGO_BIN_EXE_esker-under-test"), "import", "in.jsonl"])
        .args(["--key", "id", "--report", "--batch", "500", "--memory", "8MiB", "--dir", "data"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && std::env::var_os("CI").is_none() => {
            println!("note: there is no strace here; the order of system calls is not tried");
            return None;
        }
        Err(error) => panic!("strace: {error}"),
    };
    let limit = Limit::new(&child, Duration::from_secs(120));
    let output = child.wait_with_output().unwrap();
    drop(limit);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("durable {}\n", LINES.0)), "{said}");
    Some(trace::parse(&std::fs::read_to_string(folder.path().join("trace")).unwrap()))
}

fn without(calls: &[Call], left_out: impl Fn(&Call) -> bool) -> Findings {
    let kept: Vec<Call> = calls.iter().filter(|call| !left_out(call)).cloned().collect();
    trace::check(&kept, "data")
}

#[test]
fn nothing_is_reported_or_relied_on_before_it_is_durable() {
    let Some(calls) = traced_import() else { return };
    let found = trace::check(&calls, "data");
    let Findings { reports, groups, tables, segments, switches, removals, violations } = &found;
    esker_tests::figure!(
        "strace of an import: {reports} reports over {groups} groups, {tables} tables, {segments} \
         segments, {switches} switches of CURRENT, {removals} removals, {} violations",
        violations.len()
    );
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(*reports > 5 && *groups == 120 && *tables > 0 && *segments > 0 && *switches > 0, "{found:?}");

    // The check is not blind: whatever sync is taken away, it notices.
    let sync =
        |suffix: &'static str| move |call: &Call| call.name.ends_with("sync") && call.file.ends_with(suffix);
    for suffix in [".log", ".sst", ".tmp", "data"] {
        assert!(!without(&calls, sync(suffix)).violations.is_empty(), "{suffix}");
    }
    let manifest = |call: &Call| call.name.ends_with("sync") && call.file.starts_with("MANIFEST-");
    assert!(!without(&calls, manifest).violations.is_empty());
}
