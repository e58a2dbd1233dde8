//! What has passed already, in a file: a long run that was interrupted goes on where it stopped.

use crate::runner::{self, Outcome};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The commit, with a mark if files differ from it: then nothing that passed before counts.
pub(crate) fn revision() -> String {
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
pub(crate) struct State {
    revision: String,
    parts: Vec<(String, Vec<String>)>,
}

impl State {
    pub(crate) fn new(revision: &str) -> State {
        State { revision: revision.into(), parts: Vec::new() }
    }

    /// The state of that revision; an empty one if the file is of another or cannot be read.
    pub(crate) fn read(path: &Path, revision: &str) -> State {
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

    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.revision);
        for (line, figures) in &self.parts {
            text += &format!("{line}\n");
            figures.iter().for_each(|figure| text += &format!("  {figure}\n"));
        }
        text
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        fs::write(path, self.text()).map_err(|e| format!("cannot write {}: {e}", path.display()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|(line, _)| line.split(':').next() == Some(name))
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.parts.retain(|(line, _)| line.split(':').next() != Some(name));
    }

    /// Adds what has passed elsewhere and is not here yet.
    pub(crate) fn take_in(&mut self, other: State) {
        for part in other.parts {
            if !self.parts.iter().any(|(line, _)| line.split(':').next() == part.0.split(':').next()) {
                self.parts.push(part);
            }
        }
    }

    pub(crate) fn passed(&mut self, name: &str, outcome: &Outcome) {
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
    fn runs_beside_each_other_keep_what_both_have_passed() {
        let (mut one, mut other) = (State::new("abc"), State::new("abc"));
        one.passed("test", &outcome(&["mine"]));
        other.passed("test", &outcome(&["its"]));
        other.passed("kill", &outcome(&[]));
        one.take_in(other);
        assert_eq!(one.text(), "abc\ntest: 3 tests in 7 s\n  mine\nkill: 3 tests in 7 s\n");
    }
}
