//! Every workload of the arena, tiny, on Esker (and on those peers that the build has); the program that
//! runs them; and what it makes of figures.

use clap::Parser;
use esker_benches::arena::{
    Cell, Conditions, Drive, Figure, Kind, Named, Options, Outcome, PHASES, Phase, Row, SUITES, Sizes, State,
    Suite, page, phases_of, run, summary,
};
use esker_benches::{Latency, disk_bytes};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn sizes() -> Sizes {
    Sizes { entries: 600, memory_bytes: 1 << 20, longest: Duration::from_secs(20), seed: 3 }
}

#[test]
fn every_phase_of_every_suite_finds_what_was_written() {
    for (suite, kind) in SUITES.iter().flat_map(|suite| Kind::built().map(move |kind| (suite, kind))) {
        let dir = tempfile::tempdir().unwrap();
        // Waiting for a calm that few entries are not worth is no test.
        let sizes = Sizes { longest: Duration::from_secs(2), ..sizes() };
        let mut drive = Drive::new(kind, suite, sizes, dir.path());
        for phase in phases_of(suite, kind, &[]) {
            let outcome = drive.run(phase);
            if matches!(outcome, Outcome::Unsupported) && !kind.is_esker() {
                continue;
            }
            let row =
                outcome.row().unwrap_or_else(|| panic!("{kind} {} {}: {outcome:?}", suite.name, phase.name));
            assert!(row.operations > 0 && row.per_second > 0.0, "{} {}: {row:?}", suite.name, phase.name);
            assert_eq!(row.slots.iter().sum::<u64>(), row.operations, "{} {}", suite.name, phase.name);
            assert!(row.disk_bytes > 0 || row.operations < 100, "{} {}", suite.name, phase.name);
        }
        drive.end().unwrap();
        assert_eq!(disk_bytes(dir.path()), 0, "{kind} {}: the stores are removed", suite.name);
    }
}

/// Files of large values in a folder and those in it.
fn blob_files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let blobs = |path: PathBuf| match path.is_dir() {
        true => blob_files(&path),
        false => usize::from(path.extension().is_some_and(|extension| extension == "blob")),
    };
    entries.map(blobs).sum()
}

#[test]
fn large_values_stand_where_their_kind_says() {
    for (kind, apart) in [(Kind::Esker, true), (Kind::EskerInline, false)] {
        let dir = tempfile::tempdir().unwrap();
        let suite = Suite::named("values-4k").unwrap();
        let mut drive = Drive::new(kind, suite, sizes(), dir.path());
        for phase in phases_of(suite, kind, &["fillrandom".into(), "settle".into()]) {
            assert!(drive.run(phase).row().is_some(), "{kind}");
        }
        assert_eq!(blob_files(dir.path()) > 0, apart, "{kind}: values of 4 KiB and no byte more");
        drive.end().unwrap();
    }
}

#[test]
fn a_phase_alone_makes_what_it_needs() {
    let suite = Suite::named("main").unwrap();
    for phase in PHASES {
        let dir = tempfile::tempdir().unwrap();
        let sizes = Sizes { entries: 200, ..sizes() };
        let mut drive = Drive::new(Kind::Esker, suite, sizes, dir.path());
        let outcome = drive.run(phase);
        assert!(outcome.row().is_some(), "{}: {outcome:?}", phase.name);
    }
}

#[test]
fn a_phase_ends_at_its_cap() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = Sizes { entries: 50_000, longest: Duration::from_millis(1), ..sizes() };
    let mut drive = Drive::new(Kind::Esker, Suite::named("main").unwrap(), sizes, dir.path());
    for name in ["fillrandom", "readrandom", "scan", "overwrite", "delete"] {
        let phase = PHASES.iter().find(|phase| phase.name == name).unwrap();
        let outcome = drive.run(phase);
        let row = outcome.row().unwrap_or_else(|| panic!("{name}: {outcome:?}"));
        assert!((1..50_000).contains(&row.operations), "{name}: {row:?}");
    }
}

/// Runs the program with these words behind those that make everything tiny.
fn peers(out: &Path, words: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.args(["--entries", "300", "--memory", "1", "--longest-ms", "200"]);
    let ran = command.arg("--out").arg(out).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ran.status.success(), text(ran.stdout), text(ran.stderr))
}

#[test]
fn the_program_goes_on_where_it_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["--engines", "esker", "--suites", "main", "--phases"];
    let with = |more: &[&'static str]| [&words[..], more].concat();

    let (well, _, errors) = peers(dir.path(), &with(&["fillrandom", "--runs", "1", "--minutes", "0"]));
    assert!(well && errors.is_empty(), "no time, nothing run: {errors}");
    let (well, table, errors) = peers(dir.path(), &with(&["fillrandom,scan", "--runs", "1"]));
    assert!(well && errors.lines().count() == 2 && table.contains("fillrandom"), "{errors}\n{table}");
    // One more phase and one more run: what is there is not run again.
    let (well, table, errors) = peers(dir.path(), &with(&["fillrandom,scan,queue", "--runs", "2"]));
    assert!(well, "{errors}");
    let ran: Vec<&str> = errors.lines().map(str::trim).collect();
    let in_run = |run: &str| ran.iter().filter(|line| line.contains(run)).count();
    assert_eq!((in_run("run 1"), in_run("run 2")), (1, 3), "{errors}");
    assert!(table.contains("a spinning loop") && table.contains("a bare fdatasync"), "{table}");

    let page = std::fs::read_to_string(dir.path().join("arena.html")).unwrap();
    assert!(["fillrandom", "scan", "queue"].iter().all(|name| page.contains(name)));
    let json = std::fs::read_to_string(dir.path().join("arena.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["sections"][0]["lines"][0]["cells"][0]["runs"], 2);
    assert!(!dir.path().join("peers-stores").exists());

    let (well, _, errors) = peers(dir.path(), &with(&["scan", "--seed", "9"]));
    assert!(!well && errors.contains("--fresh"), "{errors}");
    let (well, _, errors) = peers(dir.path(), &with(&["scan", "--seed", "9", "--runs", "1", "--fresh"]));
    assert!(well && errors.lines().count() == 1, "{errors}");
}

#[test]
fn a_process_that_dies_fails_the_phase_that_it_was_in() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let words = ["peers", "--engines", "esker", "--suites", "main", "--phases", "scan,queue", "--runs", "1"];
    let options = Options::parse_from([&words[..], &["--out", out]].concat());
    for _ in 0..2 {
        // It ends without a word, and is tried again the next time.
        let mut heard = Vec::new();
        let program = Path::new("/bin/false");
        let summary = run(&options, program, |_, ended| heard.push(ended.phase.clone())).unwrap();
        assert_eq!(heard, ["scan", "queue"]);
        let cells: Vec<_> = summary.sections[0].lines.iter().flat_map(|line| &line.cells).collect();
        let why = |cell: &Cell| cell.without.clone().unwrap_or_default();
        assert!(
            cells.len() == 2 && cells.iter().all(|cell| why(cell).contains("exit status: 1")),
            "{cells:?}"
        );
    }
    let options = Options { out: Some(dir.path().join("other")), ..options };
    assert!(run(&options, Path::new("/no/such/program"), |_, _| ()).is_err());
}

#[test]
fn the_command_line_names_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let (well, list, _) = peers(dir.path(), &["--list"]);
    assert!(well && PHASES.iter().all(|phase| list.contains(phase.name) && list.contains(phase.what)));
    assert!(Phase::all().iter().all(|phase| list.contains(&format!("  {} ", phase.name))), "{list}");
    assert!(SUITES.iter().all(|suite| list.contains(suite.name) && list.contains(suite.what)), "{list}");
    assert!(Kind::ALL.iter().all(|kind| list.contains(kind.name()) && list.contains(kind.note())), "{list}");
    assert!(Options::try_parse_from(["peers", "--phases", "nothing"]).is_err());
    assert!(Options::try_parse_from(["peers", "--suites", "nothing"]).is_err());
    assert!(Options::try_parse_from(["peers", "--engines", "nothing"]).is_err());
    let rocksdb = Options::try_parse_from(["peers", "--engines", "rocksdb-zstd"]);
    assert_eq!(rocksdb.is_ok(), Kind::RocksdbZstd.is_built());
}

#[test]
fn medians_and_spread() {
    let figure = |values: &[f64]| Figure::of(values.iter().copied()).map(|f| (f.median, f.spread));
    assert_eq!(figure(&[]), None);
    assert_eq!(figure(&[4.0]), Some((4.0, 0.0)));
    assert_eq!(figure(&[5.0, 3.0]), Some((4.0, 0.5)));
    assert_eq!(figure(&[10.0, 1.0, 4.0]), Some((4.0, 2.25)));
    assert_eq!(figure(&[0.0]), Some((0.0, 0.0)));
}

/// A state in which every engine ran every phase of every suite twice.
fn whole_state() -> State {
    let conditions = Conditions { entries: 7, memory_bytes: 1 << 20, longest_ms: 1, seed: 1, build: 1 };
    let mut state = State::new(conditions);
    let latency = |us: f64| Latency {
        p50_us: us,
        p90_us: 2.0 * us,
        p99_us: 3.0 * us,
        p999_us: 4.0 * us,
        p9999_us: 5.0 * us,
        max_us: 6.0 * us,
        mean_us: 1.5 * us,
    };
    for suite in SUITES {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            for run in 0..2 {
                let job = state.job(suite.name, kind, run);
                job.spin = Some(latency(2.0));
                for phase in phases_of(suite, kind, &[]) {
                    let per_second = (at + 1) as f64 * 1000.0 + f64::from(run) * 100.0;
                    let row = Row {
                        operations: 5,
                        per_second,
                        cpu_us: 2.0,
                        latency: Some(latency(at as f64 + 1.0)),
                        slots: vec![1, 2, 0, 2],
                        ..Row::default()
                    };
                    let outcome = match (phase.name, kind) {
                        ("queue", Kind::RocksdbZstd) => Outcome::Failed("out of <space> & time".into()),
                        ("merge", Kind::RocksdbMixed) => Outcome::Unsupported,
                        _ => Outcome::Measured(Box::new(row)),
                    };
                    job.results.push(Named { phase: phase.name.into(), outcome });
                }
            }
        }
    }
    state
}

#[test]
fn rows_are_compared_with_the_better_rocksdb() {
    let summary = summary(&whole_state());
    let line = |name: &str| summary.sections[0].lines.iter().find(|line| line.phase == name).unwrap();
    let get = line("readrandom");
    assert_eq!(get.rocksdb().unwrap().kind, Kind::RocksdbMixed);
    let esker = get.of(Kind::Esker).unwrap();
    let rate =
        |kind: Kind| 1050.0 + 1000.0 * Kind::ALL.iter().position(|&other| other == kind).unwrap() as f64;
    let ratio = rate(Kind::Esker) / rate(Kind::RocksdbMixed);
    assert_eq!((esker.runs, esker.ratio, esker.cpu_ratio), (2, Some(ratio), Some(1.0)));
    assert_eq!(get.of(Kind::Redb).unwrap().ratio, Some(rate(Kind::Redb) / rate(Kind::RocksdbMixed)));
    let (queue, merge) = (line("queue"), line("merge"));
    assert_eq!(queue.rocksdb().unwrap().kind, Kind::RocksdbMixed);
    assert_eq!(queue.of(Kind::RocksdbZstd).unwrap().without.as_deref(), Some("out of <space> & time"));
    assert_eq!(merge.rocksdb().unwrap().kind, Kind::RocksdbZstd);
    for (suite, setting, other) in [
        ("values-4k", Kind::RocksdbBlobs, Kind::EskerInline),
        ("tiers", Kind::RocksdbUniversal, Kind::EskerTiered),
    ] {
        let section = summary.sections.iter().find(|section| section.suite == suite).unwrap();
        let line = section.lines.iter().find(|line| line.phase == "overwrite").unwrap();
        let better = line.rocksdb().unwrap().kind;
        assert_eq!((better, line.cells.len()), (setting, 4), "{suite}");
        assert_eq!(line.of(other).unwrap().ratio, Some(rate(other) / rate(setting)), "{suite}");
    }
    let table = summary.to_string();
    assert!(table.contains("out of <space> & time") && table.contains("not offered"), "{table}");
    assert!(PHASES.iter().all(|phase| table.contains(phase.name)));
}

#[test]
fn the_page_shows_every_row_and_is_well_formed() {
    let page = page(&summary(&whole_state()));
    for suite in SUITES {
        assert!(page.contains(&format!("<h2>{}</h2>", suite.name)));
    }
    for phase in PHASES {
        assert!(page.contains(&format!("<td>{}</td>", phase.name)), "{}", phase.name);
        assert!(page.contains(&format!("<b>{}</b>", phase.name)), "{}", phase.name);
    }
    assert!(page.contains("out of &lt;space&gt; &amp; time"));
    assert!(!page.contains("http") && !page.contains("<script"), "nothing from elsewhere");
    check_tags(&page);
}

/// Every element is closed, in order, and every ampersand begins an entity.
fn check_tags(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..at + rest[at..].find('>').unwrap()];
        rest = &rest[at + tag.len() + 2..];
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for (at, _) in page.match_indices('&') {
        let entity = &page[at..(at + 7).min(page.len())];
        assert!(
            ["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|known| entity.starts_with(known)),
            "{entity}"
        );
    }
}
