//! What only one module of the engine may name, so that tests can put something else in its place.

use super::finding::Finding;
use super::lexer::{Rust, is_word};
use super::paths::paths;

/// What is named by a path, the module that may name it, and what to use instead.
const SEAMS: &[(&[&str], &str, &str)] = &[
    (&["std", "sync"], "base/sync", "use crate::base::sync"),
    (&["std", "thread"], "base/sync", "use crate::base::sync::thread"),
    (&["core", "sync"], "base/sync", "use crate::base::sync"),
    (&["parking_lot"], "base/sync", "use crate::base::sync"),
    (&["crossbeam"], "base/sync", "use crate::base::sync"),
    (&["loom", "sync"], "base/sync", "use crate::base::sync"),
    (&["shuttle", "sync"], "base/sync", "use crate::base::sync"),
    (&["Instant", "now"], "base/clock", "use crate::base::clock"),
    (&["SystemTime", "now"], "base/clock", "use crate::base::clock"),
];

/// Uses of locks, threads and clocks that go past the module that stands for them.
#[must_use]
pub fn seams(rust: &Rust<'_>) -> Vec<Finding> {
    let path = &rust.file.path;
    if !path.starts_with("engine/lsm/src/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for used in paths(&rust.code).into_iter().filter(|used| !rust.in_tests(used.offset)) {
        for (name, home, instead) in SEAMS {
            let named = used.segments.windows(name.len()).any(|window| window == *name);
            let at_home = path.starts_with(&format!("engine/lsm/src/{home}"));
            if named && !at_home {
                let what = format!("{} outside {home}: {instead}", name.join("::"));
                findings.push(Finding::at(path, &rust.code, used.offset, what));
            }
        }
    }
    findings
}

/// Printing from the engine, which belongs to the tools, and forgotten `dbg!` anywhere.
#[must_use]
pub fn printing(rust: &Rust<'_>) -> Vec<Finding> {
    let path = &rust.file.path;
    // An example is a program: it shows what it does.
    let in_engine = path.starts_with("engine/") && !path.contains("/examples/");
    let mut findings = Vec::new();
    for name in ["println!", "print!", "eprintln!", "eprint!", "dbg!"] {
        for (at, _) in rust.code.match_indices(name) {
            let whole = at == 0 || !is_word(rust.code.as_bytes()[at - 1]);
            let allowed = name != "dbg!" && (!in_engine || rust.in_tests(at));
            if whole && !allowed {
                let what = format!("{name} here: report by a value, or leave it to the tool");
                findings.push(Finding::at(path, &rust.code, at, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::TextFile;

    fn count(rule: fn(&Rust<'_>) -> Vec<Finding>, path: &str, text: &str) -> usize {
        rule(&Rust::new(&TextFile::new(path, text))).len()
    }

    #[test]
    fn locks_and_clocks_fire_outside_their_module() {
        let commit = "engine/lsm/src/commit/queue.rs";
        assert_eq!(count(seams, commit, "use std::sync::Arc;"), 1);
        assert_eq!(count(seams, commit, "use std::{fmt, sync::Arc, io};"), 1);
        assert_eq!(count(seams, commit, "fn f() { parking_lot::Mutex::new(0); }"), 1);
        assert_eq!(count(seams, commit, "fn f() { std::time::Instant::now(); SystemTime::now() }"), 2);
        assert_eq!(
            count(seams, commit, "use std::time::Instant; // std::sync\nuse crate::base::sync::Arc;"),
            0
        );
        assert_eq!(count(seams, commit, "#[cfg(test)]\nmod tests { use std::sync::Arc; }"), 0);
        assert_eq!(count(seams, "engine/lsm/src/base/sync.rs", "pub use std::sync::Arc;"), 0);
        assert_eq!(count(seams, "engine/lsm/src/base/clock.rs", "fn f() { Instant::now(); }"), 0);
        assert_eq!(count(seams, "tools/cli/src/main.rs", "use std::sync::Arc;"), 0);
    }

    #[test]
    fn printing_fires_in_the_engine() {
        let engine = "engine/lsm/src/db/open.rs";
        assert_eq!(count(printing, engine, "fn f() { println!(\"x\"); eprint!(\"y\"); }"), 2);
        assert_eq!(count(printing, engine, "/// println!()\n#[test]\nfn f() { println!() }"), 0);
        assert_eq!(count(printing, "tools/cli/src/main.rs", "fn f() { println!() }"), 0);
        let debug = concat!("fn f() { db", "g!(1) }");
        assert_eq!(count(printing, "tools/cli/src/main.rs", debug), 1);
    }
}
