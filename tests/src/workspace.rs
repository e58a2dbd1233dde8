//! The workspace on disk, as the tests see it.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the workspace.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// The path from the workspace's root, with `/` between its parts.
    pub path: String,
    /// Its whole content.
    pub text: String,
}

impl TextFile {
    /// A file made up for a test of a rule.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        TextFile { path: path.into(), text: text.into() }
    }
}

/// The root folder of the workspace.
///
/// # Panics
/// If this crate no longer stands one folder below it.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_path_buf()
}

/// Every text file of the workspace, sorted by path: all but what is built (`target`), what the tour
/// writes (`data`), and hidden folders other than `.ci` and `.cargo`.
///
/// # Panics
/// If a folder cannot be listed.
#[must_use]
pub fn text_files() -> Vec<TextFile> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<TextFile>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("list {}: {e}", dir.display()));
    for entry in entries {
        let entry = entry.expect("a directory entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("the type of a directory entry");
        if kind.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            if !hidden && name != "target" && path != "data" {
                collect(&entry.path(), &format!("{path}/"), files);
            }
        } else if kind.is_file()
            && name != ".git"
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(TextFile { path, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_sources_and_leaves_out_what_is_built() {
        let files = text_files();
        for wanted in ["Cargo.toml", "engine/lsm/src/lib.rs", "tests/src/workspace.rs"] {
            assert!(files.iter().any(|file| file.path == wanted), "{wanted} is missing");
        }
        assert!(files.iter().all(|file| !file.path.starts_with("target/")));
    }
}
