//! `cargo xtask fuzz`: the coverage-guided fuzzer over one target after the other, and what of its finds is
//! kept.
//!
//! The fuzzer collects in `target/fuzz/corpus/TARGET` and starts from that and from `fixtures/fuzz/TARGET`;
//! an input that goes wrong is left in `target/fuzz/wrong/TARGET`.

use crate::runner::{self, root};
use crate::steps::Step;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const WHAT: &str = "fuzz all targets or one; `fuzz TARGET SECONDS`, `fuzz keep TARGET` the finds";

/// How long each target is fuzzed when nobody says.
const SECONDS: u64 = 300;
/// An input that takes longer than this, in seconds, is wrong.
const INPUT_SECONDS: u64 = 20;
/// An input that makes the process take more memory than this, in MiB, is wrong.
const MEMORY_MIB: u64 = 2048;
/// The longest input that is tried, in bytes.
const INPUT_BYTES: u64 = 16 << 10;

/// So many inputs of a target are kept at most, beside those that are kept whatever they reach. Which of them
/// is left to their names, which are hashes: the fuzzer finds the rest again in a minute.
const MOST_KEPT: usize = 50;

/// Inputs with these names in front are kept whatever they reach: seeds, and those that once went wrong.
const KEPT: &[&str] = &["seed-", "found-"];

/// Fuzzes what the words say.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let all = targets()?;
    let chosen = |name: &str| match all.iter().find(|target| *target == name) {
        Some(target) => Ok(target.clone()),
        None => Err(format!("there is no target `{name}`; there are {}", all.join(", "))),
    };
    build()?;
    match words {
        [] => all.iter().try_for_each(|target| fuzz(target, SECONDS)),
        ["keep"] => all.iter().try_for_each(|target| keep(target)),
        ["keep", name] => keep(&chosen(name)?),
        [name] => fuzz(&chosen(name)?, SECONDS),
        [name, seconds] => {
            let seconds = seconds.parse().map_err(|_| format!("`{seconds}` is no number of seconds"))?;
            fuzz(&chosen(name)?, seconds)
        }
        _ => Err(WHAT.into()),
    }
}

/// The targets, by the folders of their inputs.
pub(crate) fn targets() -> Result<Vec<String>, String> {
    let dir = root().join("fixtures/fuzz");
    let entries = fs::read_dir(&dir).map_err(|e| format!("cannot list {}: {e}", dir.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// `cargo fuzz` needs flags that are unstable, but every toolchain knows them.
fn build() -> Result<(), String> {
    let words = ["cargo", "fuzz", "build", "--fuzz-dir", "tests/fuzz", "--target-dir", "target/fuzz"];
    // AddressSanitizer runs over the unit tests; without it twice as much is tried here in the same time.
    let words = words.iter().chain(&["--sanitizer", "none", "any"]).map(ToString::to_string).collect();
    runner::run(&step(&[("RUSTC_BOOTSTRAP", "1")], words, Duration::from_secs(1800)), None).map(drop)
}

/// A step made here. Its few words live as long as the process, as those of all steps do.
fn step(environment: &[(&'static str, &str)], words: Vec<String>, limit: Duration) -> Step {
    let keep = |text: &str| -> &'static str { Box::leak(text.to_string().into_boxed_str()) };
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, keep(value))).collect();
    let command: Vec<&'static str> = words.iter().map(|word| keep(word)).collect();
    Step {
        environment: Box::leak(environment.into_boxed_slice()),
        command: Box::leak(command.into_boxed_slice()),
        limit,
        needs_tests: false,
    }
}

/// The fuzzer over one target, with its own words behind the folders of inputs.
fn fuzzer(target: &str, dirs: &[PathBuf], words: Vec<String>, limit: Duration) -> Step {
    let program = root().join("target/fuzz/x86_64-unknown-linux-gnu/release/any");
    let mut command = vec![program.to_string_lossy().into_owned()];
    command.extend(dirs.iter().map(|dir| dir.to_string_lossy().into_owned()));
    command.extend(words);
    command.extend([format!("-timeout={INPUT_SECONDS}"), format!("-rss_limit_mb={MEMORY_MIB}")]);
    command.push(format!("-max_len={INPUT_BYTES}"));
    step(&[("ESKER_FUZZ", target)], command, limit)
}

fn folder(path: &str, target: &str) -> Result<PathBuf, String> {
    let dir = root().join(path).join(target);
    fs::create_dir_all(&dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    Ok(dir)
}

fn fuzz(target: &str, seconds: u64) -> Result<(), String> {
    let (corpus, wrong) = (folder("target/fuzz/corpus", target)?, folder("target/fuzz/wrong", target)?);
    let log = root().join(format!("target/fuzz/{target}.log"));
    let file = File::create(&log).map_err(|e| format!("cannot create {}: {e}", log.display()))?;
    let words = vec![
        format!("-max_total_time={seconds}"),
        "-print_final_stats=1".into(),
        format!("-artifact_prefix={}/", wrong.display()),
    ];
    let limit = Duration::from_secs(seconds + 120);
    let kept = root().join("fixtures/fuzz").join(target);
    let run = runner::run(&fuzzer(target, &[corpus.clone(), kept], words, limit), Some(file));
    run.map_err(|why| format!("{why}\nthe input that went wrong is in {}", wrong.display()))?;
    let text = fs::read_to_string(&log).map_err(|e| format!("cannot read {}: {e}", log.display()))?;
    println!("figure: {}", figure(target, &text));
    Ok(())
}

/// What a run of the fuzzer came to, from its own report.
fn figure(target: &str, log: &str) -> String {
    let stat = |name: &str| {
        let line = log.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line.and_then(|rest| rest.trim_start_matches(':').trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let status = log.lines().rev().find(|line| line.starts_with('#') && line.contains("cov: "));
    let status = status.unwrap_or_default();
    let words: Vec<&str> = status.split_whitespace().collect();
    let behind = |name: &str| words.windows(2).find(|pair| pair[0] == name).map_or("?", |pair| pair[1]);
    format!(
        "fuzzing {target}: {} inputs, {} edges, {} in the corpus, {} MiB at most, 0 wrong",
        stat("number_of_executed_units"),
        behind("cov:"),
        behind("corp:").split('/').next().unwrap_or_default(),
        stat("peak_rss_mb"),
    )
}

/// Puts into `fixtures/fuzz` the fewest inputs that reach all that was reached, in the place of those that
/// were there.
fn keep(target: &str) -> Result<(), String> {
    let (corpus, before) = (folder("target/fuzz/corpus", target)?, folder("target/fuzz/before", target)?);
    let kept = folder("fixtures/fuzz", target)?;
    let failed = |e: std::io::Error| format!("cannot move the inputs of {target}: {e}");
    for name in nameless(&kept).map_err(failed)? {
        fs::rename(kept.join(&name), before.join(&name)).map_err(failed)?;
    }
    // Without counters an input counts that reaches a new edge, not one that takes an old one more often.
    let words = ["-merge=1", "-set_cover_merge=1", "-use_counters=0"].map(String::from).to_vec();
    let dirs = [kept.clone(), corpus, before];
    runner::run(&fuzzer(target, &dirs, words, Duration::from_secs(1800)), None)?;
    for name in nameless(&kept).map_err(failed)?.iter().skip(MOST_KEPT) {
        fs::remove_file(kept.join(name)).map_err(failed)?;
    }
    Ok(())
}

/// The names of the inputs in a folder that the fuzzer has named, in order.
fn nameless(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !KEPT.iter().any(|front| name.starts_with(front)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::NIGHTLY;

    #[test]
    fn every_target_is_a_part_of_the_nightly_run() {
        for target in targets().unwrap() {
            let part = NIGHTLY.iter().find(|part| part.name == format!("fuzz-{target}"));
            let part = part.unwrap_or_else(|| panic!("no part fuzz-{target}"));
            assert_eq!(part.step.command[3..], [&target, "300"]);
        }
    }

    #[test]
    fn the_report_of_the_fuzzer_is_read() {
        let log = "#2\tINITED cov: 11 ft: 12 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                   #99\tDONE   cov: 205 ft: 900 corp: 31/4kb lim: 4 exec/s: 9 rss: 60Mb\n\
                   stat::number_of_executed_units: 99\nstat::peak_rss_mb:              61\n\
                   ###### Recommended dictionary. ######\n";
        let wanted = "fuzzing log: 99 inputs, 205 edges, 31 in the corpus, 61 MiB at most, 0 wrong";
        assert_eq!(figure("log", log), wanted);
    }
}
