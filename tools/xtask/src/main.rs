//! The developers' front door: `cargo xtask` lists what there is.

mod coverage;
mod fuzz;
mod mutants;
mod nightly;
mod patch;
mod planted;
mod runner;
mod state;
mod steps;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] | ["help" | "--help" | "-h"] => {
            print!("{}", help());
            return ExitCode::SUCCESS;
        }
        ["nightly", ref rest @ ..] => nightly::run(rest),
        ["fuzz", ref rest @ ..] => fuzz::run(rest),
        ["coverage"] => coverage::run(),
        ["planted", ref rest @ ..] => planted::run(rest),
        ["mutants"] => mutants::run(),
        [name] => match steps::task(name) {
            Some(task) => task.steps.iter().try_for_each(|step| runner::run(step, None).map(drop)),
            None => Err(format!("there is no task `{name}`; `cargo xtask` lists them")),
        },
        _ => Err("one task at a time; `cargo xtask` lists them".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = String::from("cargo xtask TASK\n\n");
    for task in steps::TASKS {
        text += &format!("  {:10}{}\n", task.name, task.what);
        for step in task.steps {
            text += &format!("  {:10}  $ {}\n", "", step.shown());
        }
    }
    text += &format!("  {:10}{}\n", "coverage", coverage::WHAT);
    text += &format!("  {:10}{}\n", "fuzz", fuzz::WHAT);
    text += &format!("  {:10}{}\n", "planted", planted::WHAT);
    text += &format!("  {:10}{}\n", "mutants", mutants::WHAT);
    text += &format!("  {:10}{}\n", "nightly", nightly::WHAT);
    for part in steps::NIGHTLY {
        text += &format!("  {:10}  {:10} $ {}\n", "", part.name, part.step.shown());
    }
    text
}
