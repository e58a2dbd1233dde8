//! `cargo xtask coverage`: which lines of what decodes bytes, of recovery and of repair the tests reach.

use crate::runner::{self, root};
use crate::steps::COVERAGE;
use std::collections::BTreeMap;
use std::fs;

pub(crate) const WHAT: &str = "lines of the decoders, of recovery and of repair that tests reach";

/// Where the report is written, from the root.
const REPORT: &str = "target/coverage/lcov.info";
/// What is looked at, from the root.
const SOURCES: &str = "engine/lsm/src/";
/// Less than this share of the lines of a group is a failure, in percent.
const LEAST_PERCENT: f64 = 90.0;

/// Files that belong together: their names, or folders.
struct Group {
    name: &'static str,
    files: &'static [&'static str],
}

const GROUPS: &[Group] = &[
    Group {
        name: "the decoders",
        files: &[
            "base/checksum.rs",
            "base/coding.rs",
            "base/filename.rs",
            "base/key.rs",
            "batch/decode.rs",
            "block/",
            "compress/",
            "filter/",
            "inspect/",
            "record/",
            "table/cursor.rs",
            "table/format.rs",
            "table/index.rs",
            "table/piece.rs",
            "table/properties.rs",
            "table/reader.rs",
            "table/verify.rs",
            "version/current.rs",
            "version/edit.rs",
            "version/meta.rs",
            "wal/group.rs",
        ],
    },
    Group {
        name: "recovery",
        files: &[
            "db/open.rs",
            "db/replay.rs",
            "version/checker.rs",
            "version/levels.rs",
            "version/manifest.rs",
            "version/state.rs",
            "wal/replay.rs",
        ],
    },
    Group { name: "repair", files: &["repair/"] },
];

/// Lines that could be reached, and lines that were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    all: u64,
    reached: u64,
}

impl Lines {
    fn percent(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.reached as f64 * 100.0 / self.all as f64 }
    }
}

/// Runs the tests under the instrument and prints what they reach.
pub(crate) fn run() -> Result<(), String> {
    runner::run(&COVERAGE, None)?;
    let report = root().join(REPORT);
    let text = fs::read_to_string(&report).map_err(|e| format!("cannot read {}: {e}", report.display()))?;
    let source = |file: &str| fs::read_to_string(root().join(SOURCES).join(file)).unwrap_or_default();
    let files = parse(&text, source);
    let mut short = Vec::new();
    for group in GROUPS {
        let mut sum = Lines::default();
        for (file, lines) in files.iter().filter(|(file, _)| group.files.iter().any(|f| file.starts_with(f)))
        {
            println!("  {:5.1} %  {:4} of {:4}  {file}", lines.percent(), lines.reached, lines.all);
            sum.all += lines.all;
            sum.reached += lines.reached;
        }
        let (name, Lines { all, reached }) = (group.name, sum);
        println!("figure: lines of {name} that tests reach: {reached} of {all}, {:.1} %", sum.percent());
        if sum.percent() < LEAST_PERCENT {
            short.push(name);
        }
    }
    if short.is_empty() {
        Ok(())
    } else {
        Err(format!("less than {LEAST_PERCENT} % of {}", short.join(", ")))
    }
}

/// The lines of each file of the engine in a report in the form of lcov, tests left out.
fn parse(report: &str, source: impl Fn(&str) -> String) -> BTreeMap<String, Lines> {
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut current: Option<(String, usize)> = None;
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            current =
                path.split_once(SOURCES).map(|(_, file)| (file.to_string(), end_of_code(&source(file))));
        } else if let (Some(data), Some((file, end))) = (line.strip_prefix("DA:"), &current) {
            let mut numbers = data.split(',').map(|number| number.parse::<u64>().unwrap_or(0));
            let (number, count) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            if number <= *end as u64 {
                let lines = files.entry(file.clone()).or_default();
                lines.all += 1;
                lines.reached += u64::from(count > 0);
            }
        }
    }
    files.retain(|file, _| !file.ends_with("tests.rs"));
    files
}

/// How many lines stand in front of the tests of a file.
fn end_of_code(source: &str) -> usize {
    source.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_and_of_other_crates_do_not_count() {
        let report = "TN:\nSF:/x/engine/lsm/src/block/data.rs\nDA:1,7\nDA:2,0\nDA:3,4\nDA:5,1\n\
                      end_of_record\n\
                      SF:/x/tools/cli/src/run.rs\nDA:1,1\nend_of_record\n\
                      SF:/x/engine/lsm/src/block/tests.rs\nDA:1,1\nend_of_record\n";
        let found = parse(report, |_| "a\nb\nc\n#[cfg(test)]\nmod tests {}\n".into());
        let wanted = BTreeMap::from([("block/data.rs".to_string(), Lines { all: 3, reached: 2 })]);
        assert_eq!(found, wanted);
        assert!((found["block/data.rs"].percent() - 66.7).abs() < 0.1);
    }

    #[test]
    fn every_file_that_is_looked_at_exists() {
        for file in GROUPS.iter().flat_map(|group| group.files) {
            assert!(root().join(SOURCES).join(file).exists(), "{file}");
        }
    }
}
