//! Running a command under `strace`.

use super::call::{Call, OPTIONS, parse};
use crate::process::Limit;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Far more than any traced command takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Whether there is a `strace`, as [`crate::needs::is_there`] says.
///
/// # Panics
/// If there must be one.
#[must_use]
pub fn is_there() -> bool {
    crate::needs::is_there("strace", "strace")
}

/// Runs a program to its end in `folder` under `strace`; returns what it said and its calls. `None` if there
/// is no `strace`, and that is allowed.
///
/// # Panics
/// If there must be one, and if the program does not succeed.
#[must_use]
pub fn run(program: &str, args: &[&str], folder: &Path) -> Option<(String, Vec<Call>)> {
    if !is_there() {
        return None;
    }
    let mut child = Command::new("strace")
        .args(OPTIONS)
        .args(["-o", "trace", program])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("strace starts");
    let limit = Limit::new(&child, LIMIT);
    // Its end would be the end of a program that listens to it.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("the output of strace");
    drop((limit, stdin));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {}: {said}", output.status);
    let trace = std::fs::read_to_string(folder.join("trace")).expect("the trace");
    Some((said, parse(&trace)))
}
