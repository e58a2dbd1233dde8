//! `esker import` under `strace`: every report of durability follows an `fdatasync` that began after the
//! bytes were written, and no file is relied on before its content and its name are durable.

use esker_tests::process::Lines;
use esker_tests::trace::{self, Call, Findings};

const LINES: Lines = Lines(60_000);

/// Imports under `strace`; `None` if there is none.
fn traced_import() -> Option<Vec<Call>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.jsonl"), LINES.text(0)).unwrap();
    let args = "import in.jsonl --key id --report --batch 500 --memory 8MiB --dir data";
    let args: Vec<&str> = args.split(' ').collect();
    let (said, calls) = trace::run(env!("CARGO_BIN_EXE_esker-under-test"), &args, folder.path())?;
    assert!(said.contains(&format!("durable {}\n", LINES.0)), "{said}");
    Some(calls)
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

    trace::check_sees(&calls, "data");
}
