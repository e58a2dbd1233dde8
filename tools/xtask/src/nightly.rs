//! The long run, part by part. What has passed for this revision is kept in `target/nightly/state`, so that a
//! run that was interrupted goes on where it stopped.

use crate::runner::{self, Outcome};
use crate::steps::{NIGHTLY, Part};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

pub(crate) const WHAT: &str = "the long run; `nightly PART..` some parts, `nightly again` from the start";

/// Runs the named parts, or those that have not passed for this revision.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let dir = runner::root().join("target/nightly");
    fs::create_dir_all(&dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    let revision = revision();
    let mut state = match words {
        ["again"] => State::new(&revision),
        _ => State::read(&dir.join("state"), &revision),
    };
    let chosen = choose(words, &state)?;
    let mut failed = Vec::new();
    for part in chosen {
        println!("== {}", part.name);
        let log = dir.join(format!("{}.log", part.name));
        let file = File::create(&log).map_err(|e| format!("cannot create {}: {e}", log.display()))?;
        match runner::run(&part.step, Some(file)) {
            Ok(outcome) => state.passed(part.name, &outcome),
            Err(why) => {
                eprintln!("{}: {why}; its output is in {}", part.name, log.display());
                state.forget(part.name);
                failed.push(part.name);
            }
        }
        state.write(&dir.join("state"))?;
    }
    print!("{}", state.text());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn choose(words: &[&str], state: &State) -> Result<Vec<&'static Part>, String> {
    match words {
        [] => Ok(NIGHTLY.iter().filter(|part| !state.has(part.name)).collect()),
        ["again"] => Ok(NIGHTLY.iter().collect()),
        names => names.iter().map(|name| named(name)).collect(),
    }
}

fn named(name: &str) -> Result<&'static Part, String> {
    NIGHTLY.iter().find(|part| part.name == name).ok_or_else(|| format!("there is no nightly part `{name}`"))
}

/// The commit, with a mark if files differ from it: then nothing that passed before counts.
fn revision() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(runner::root()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        output.status.success().then_some(text)
    };
    match (git(&["rev-parse", "HEAD"]), git(&["status", "--porcelain"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => format!("{commit}, changed"),
        _ => "unknown".into(),
    }
}

/// What has passed: a first line with the revision, then a line for each part and, indented, its figures.
#[derive(Debug, PartialEq, Eq)]
struct State {
    revision: String,
    parts: Vec<(String, Vec<String>)>,
}

impl State {
    fn new(revision: &str) -> State {
        State { revision: revision.into(), parts: Vec::new() }
    }

    /// The state of that revision; an empty one if the file is of another or cannot be read.
    fn read(path: &Path, revision: &str) -> State {
        let text = fs::read_to_string(path).unwrap_or_default();
        let comparable = !revision.ends_with("changed") && revision != "unknown";
        if comparable { State::parse(&text, revision) } else { State::new(revision) }
    }

    fn parse(text: &str, revision: &str) -> State {
        let mut state = State::new(revision);
        let mut lines = text.lines();
        if lines.next() != Some(revision) {
            return state;
        }
        for line in lines {
            match (line.strip_prefix("  "), state.parts.last_mut()) {
                (Some(figure), Some((_, figures))) => figures.push(figure.into()),
                _ => state.parts.push((line.into(), Vec::new())),
            }
        }
        state
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", self.revision);
        for (line, figures) in &self.parts {
            text += &format!("{line}\n");
            figures.iter().for_each(|figure| text += &format!("  {figure}\n"));
        }
        text
    }

    fn write(&self, path: &Path) -> Result<(), String> {
        fs::write(path, self.text()).map_err(|e| format!("cannot write {}: {e}", path.display()))
    }

    fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|(line, _)| line.split(':').next() == Some(name))
    }

    fn forget(&mut self, name: &str) {
        self.parts.retain(|(line, _)| line.split(':').next() != Some(name));
    }

    fn passed(&mut self, name: &str, outcome: &Outcome) {
        self.forget(name);
        let line = format!("{name}: {} tests in {} s", outcome.passed, outcome.seconds);
        self.parts.push((line, outcome.figures.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(figures: &[&str]) -> Outcome {
        Outcome { seconds: 7, passed: 3, figures: figures.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn the_state_is_read_back_as_it_was_written() {
        let mut state = State::new("abc");
        state.passed("test", &outcome(&["violations 0", "recoveries 12"]));
        state.passed("kill", &outcome(&[]));
        assert_eq!(State::parse(&state.text(), "abc"), state);
        assert_eq!(
            state.text(),
            "abc\ntest: 3 tests in 7 s\n  violations 0\n  recoveries 12\nkill: 3 tests in 7 s\n"
        );
    }

    #[test]
    fn another_revision_starts_anew() {
        let mut state = State::new("abc");
        state.passed("test", &outcome(&[]));
        assert!(!State::parse(&state.text(), "abd").has("test"));
        assert_eq!(State::parse("", "abc"), State::new("abc"));
    }

    #[test]
    fn what_has_passed_is_not_run_again() {
        let mut state = State::new("abc");
        let all = choose(&[], &state).unwrap().len();
        state.passed(NIGHTLY[0].name, &outcome(&[]));
        assert_eq!(choose(&[], &state).unwrap().len(), all - 1);
        assert_eq!(choose(&["again"], &state).unwrap().len(), all);
        assert_eq!(choose(&[NIGHTLY[0].name], &state).unwrap()[0].name, NIGHTLY[0].name);
        assert!(choose(&["nothing"], &state).is_err());
        state.forget(NIGHTLY[0].name);
        assert_eq!(choose(&[], &state).unwrap().len(), all);
    }
}
