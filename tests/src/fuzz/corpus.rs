//! Inputs that are kept.

use crate::workspace;
use std::fs;
use std::path::PathBuf;

/// The folder of a target's inputs.
#[must_use]
pub fn corpus_dir(target: &str) -> PathBuf {
    workspace::root().join("fixtures/fuzz").join(target)
}

/// The inputs that are kept for a target, by name.
///
/// # Panics
/// If they cannot be read.
#[must_use]
pub fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = corpus_dir(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("list {}: {e}", dir.display()));
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let path = entry.expect("a directory entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display())))
        })
        .collect();
    inputs.sort();
    inputs
}
