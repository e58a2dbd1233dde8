//! The long run, part by part. What has passed for this revision is kept in `target/nightly/state`, so that a
//! run that was interrupted goes on where it stopped.

use crate::runner;
use crate::state::{State, revision};
use crate::steps::{NIGHTLY, Part};
use std::fs::{self, File};

pub(crate) const WHAT: &str = "the long run; `nightly PART..` some parts, `nightly again` from the start";

/// Runs the named parts, or those that have not passed for this revision.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let dir = runner::root().join("target/nightly");
    fs::create_dir_all(&dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    let revision = revision();
    let kept = dir.join("state");
    let mut state = match words {
        ["again"] => State::new(&revision),
        _ => State::read(&kept, &revision),
    };
    state.write(&kept)?;
    let chosen = choose(words, &state)?;
    let mut failed = Vec::new();
    for part in chosen {
        println!("== {}", part.name);
        let log = dir.join(format!("{}.log", part.name));
        let file = File::create(&log).map_err(|e| format!("cannot create {}: {e}", log.display()))?;
        let outcome = runner::run(&part.step, Some(file));
        // Parts may run beside each other: another one may have passed meanwhile.
        state.take_in(State::read(&kept, &revision));
        match outcome {
            Ok(outcome) => state.passed(part.name, &outcome),
            Err(why) => {
                eprintln!("{}: {why}; its output is in {}", part.name, log.display());
                state.forget(part.name);
                failed.push(part.name);
            }
        }
        state.write(&kept)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Outcome;

    #[test]
    fn what_has_passed_is_not_run_again() {
        let mut state = State::new("abc");
        let all = choose(&[], &state).unwrap().len();
        state.passed(NIGHTLY[0].name, &Outcome::default());
        assert_eq!(choose(&[], &state).unwrap().len(), all - 1);
        assert_eq!(choose(&["again"], &state).unwrap().len(), all);
        assert_eq!(choose(&[NIGHTLY[0].name], &state).unwrap()[0].name, NIGHTLY[0].name);
        assert!(choose(&["nothing"], &state).is_err());
        state.forget(NIGHTLY[0].name);
        assert_eq!(choose(&[], &state).unwrap().len(), all);
    }
}
