//! `esker stress` as a command: whose directories it takes, how it ends, and that it leaves nobody behind.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use support::Folder;

/// Starts a stress run in `folder/tried`.
fn start(folder: &Folder) -> Child {
    let mut command = folder.command(&["stress", "--dir", "tried", "--minutes", "5"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a stress run has a process of its own; returns the number of that.
fn child_of(run: &mut Child) -> String {
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    loop {
        let children = std::fs::read_to_string(&children).unwrap_or_default();
        if let Some(number) = children.split_whitespace().next() {
            return number.to_owned();
        }
        assert!(run.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::yield_now();
    }
}

fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args([name, process]).status().unwrap().success());
}

#[test]
fn the_directory_of_somebody_else_is_refused() {
    let folder = Folder::new();
    folder.ok(&["put", "k", "v"]);
    folder.run(&["stress", "--dir", "data", "--kills", "1"]).assert_refused(1, "data holds something else");
    assert_eq!(folder.ok(&["get", "k"]), "v\n");
    folder.file("file", "");
    folder.run(&["stress", "--dir", "file", "--kills", "1"]).assert_refused(1, "file");
    folder.run(&["stress", "--dir", "tried", "--minutes", "0"]).assert_refused(2, "more than 0");
    folder.run(&["stress", "--kills", "1"]).assert_refused(2, "--dir");
}

#[test]
fn a_summary_tells_what_was_done() {
    let folder = Folder::new();
    let text = folder.ok(&["stress", "--dir", "tried", "--kills", "1", "--seed", "5", "--keep"]);
    for row in ["seed       5\n", "kills      ", "reopening  p50 ", "violations 0\n"] {
        assert!(text.contains(row), "{row:?}: {text}");
    }
    folder.ok(&["verify", "--dir", "tried/store"]);
    // What an earlier run left is taken over, and without --keep it goes.
    let json = folder.ok(&["stress", "--dir", "tried", "--kills", "1", "--json"]);
    assert!(json.contains("\"violations\":0") && json.lines().count() == 1, "{json}");
    assert!(!folder.path().join("tried/store").exists());
}

#[test]
fn an_interruption_ends_it_in_order() {
    let folder = Folder::new();
    let mut child = start(&folder);
    child_of(&mut child);
    signal("-INT", &child.id().to_string());
    let summary: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(summary.last().map(String::as_str), Some("violations 0"), "{summary:?}");
    assert!(!folder.path().join("tried").exists());
}

#[test]
fn a_process_does_not_outlive_its_parent() {
    let folder = Folder::new();
    let mut child = start(&folder);
    let number = child_of(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    // It holds the store until it is gone; then another run may begin.
    let status = format!("/proc/{number}/stat");
    let alive = || std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z "));
    while alive() {
        std::thread::yield_now();
    }
    folder.ok(&["stress", "--dir", "tried", "--kills", "1"]);
}
