//! Every bench, small: so that none of them rots.

use clap::Parser;
use esker_benches::growth::{grow, picture};
use esker_benches::opening::{Opening, opening};
use esker_benches::{CASES, Fixture, Options, Phase, run};
use std::time::Duration;

#[test]
fn every_phase_runs_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let arguments = ["throughput", "--entries", "3000", "--memory", "1", "--sync-ms", "20", "--dir", folder];
    let options = Options::parse_from(arguments);
    let mut heard = 0;
    let report = run(&options, |_| heard += 1).unwrap();
    assert_eq!(report.rows.len(), heard);
    let measured: Vec<_> =
        report.rows.iter().map(|row| row.phase).filter(|name| !name.starts_with('(')).collect();
    assert_eq!(measured, Phase::names().collect::<Vec<_>>());
    for row in &report.rows {
        assert!(row.operations > 0 && row.per_second > 0.0, "{row:?}");
    }
    assert!(report.disk_bytes >= report.table_bytes && report.table_bytes > 0, "{report}");
    assert!(report.peak_rss_bytes > 1 << 20 && report.fdatasync.is_some(), "{report}");
    let table = report.to_string();
    assert!(Phase::names().all(|name| table.contains(name)), "{table}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), heard);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the store is removed afterwards");
}

#[test]
fn a_phase_can_be_run_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    for phase in ["overwrite", "scan,readhot"] {
        let arguments = ["throughput", "--entries", "200", "--dir", folder, "--phases", phase];
        let report = run(&Options::parse_from(arguments), |_| ()).unwrap();
        let measured = report.rows.iter().filter(|row| !row.phase.starts_with('(')).count();
        assert_eq!(measured, phase.split(',').count(), "{report}");
    }
    let tiered = ["throughput", "--entries", "200", "--dir", folder, "--phases", "overwrite", "--tiered"];
    let report = run(&Options::parse_from(tiered), |_| ()).unwrap();
    assert!(report.tiered && report.to_string().contains("in tiers"), "{report}");
    assert!(Options::try_parse_from(["throughput", "--phases", "nothing"]).is_err());
}

#[test]
fn every_case_that_is_counted_runs() {
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(dir.path(), case, 400).unwrap();
        assert_eq!(fixture.run(case).unwrap(), 200, "{}", case.name);
    }
}

#[test]
fn a_tree_is_watched_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let growth = grow(&dir.path().join("data"), 3000, Duration::from_millis(1)).unwrap();
    let parts: Vec<_> = growth.parts.iter().map(|part| part.what).collect();
    assert_eq!(parts, ["filled", "overwritten", "half of it deleted", "rest", "compacted"]);
    assert_eq!(growth.parts[0].given, 3000 * 116);
    assert!(growth.samples.is_sorted_by_key(|sample| sample.at));
    let last = growth.samples.last().unwrap();
    let used = last.levels.iter().filter(|bytes| **bytes > 0).count();
    assert_eq!((used, last.at_level_0), (1, 0), "compacted, it stands in one level");
    let svg = picture(&growth);
    assert!(svg.starts_with("<svg xmlns=") && svg.contains("half of it deleted"), "{svg}");
    assert!(svg.contains(r#"class="level6""#) && svg.contains(r#"class="memtables""#), "{svg}");
}

#[test]
fn stores_are_opened_and_their_logs_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("stores");
    let arguments = ["opening", "--closed", "2", "--log", "1", "--memory", "1", "--runs", "2", "--dir"];
    let mut arguments: Vec<_> = arguments.map(std::ffi::OsString::from).into();
    arguments.push(folder.clone().into());
    let report = opening(&Opening::parse_from(arguments), |_| ()).unwrap();
    assert_eq!(report.opened.len(), 3);
    for opened in &report.opened {
        assert!(opened.took.len() == 2 && opened.tables > 0, "{opened:?}");
        assert!(opened.median().as_nanos() > 0);
    }
    let replayed: Vec<_> = report.opened.iter().map(|opened| opened.replayed).collect();
    assert_eq!(replayed, [false, true, true], "what stood in the log alone is in tables once it is open");
    assert!(report.to_string().lines().count() == 6, "{report}");
    assert!(!folder.exists(), "the stores are removed afterwards");
}
