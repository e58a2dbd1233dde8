//! Golden text: what a test produced, compared with what stands in a file.
//!
//! `cargo xtask golden` runs the tests with `ESKER_GOLDEN=rewrite`; then the files take over what the tests
//! produce, and the difference is reviewed like any other change.

use crate::workspace;
use std::env;
use std::fs;
use std::path::Path;

/// Compares `actual` with the golden file at `path` (from the workspace's root).
///
/// # Panics
/// If they differ, with the first line that does, and if the file cannot be read or rewritten.
pub fn check(path: &str, actual: &str) {
    compare(&workspace::root().join(path), actual, rewriting());
}

/// Compares `actual` with the part of a file that stands between the line `<!-- begin NAME -->` and the line
/// `<!-- end NAME -->`.
///
/// # Panics
/// As [`check`], and if the two lines are not there.
pub fn check_part(path: &str, name: &str, actual: &str) {
    let file = workspace::root().join(path);
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("read {path}: {e}"));
    let whole = with_part(&text, name, actual).unwrap_or_else(|| panic!("{path} marks no part {name}"));
    compare(&file, &whole, rewriting());
}

fn rewriting() -> bool {
    env::var_os("ESKER_GOLDEN").is_some_and(|value| value == "rewrite")
}

fn compare(file: &Path, actual: &str, rewrite: bool) {
    let expected = fs::read_to_string(file).unwrap_or_default();
    if expected == actual {
        return;
    }
    if rewrite {
        fs::write(file, actual).unwrap_or_else(|e| panic!("rewrite {}: {e}", file.display()));
        return;
    }
    let same = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end)").to_string();
    panic!(
        "{}:{}: expected\n  {}\nfound\n  {}\nIf the new text is right: cargo xtask golden",
        file.display(),
        same + 1,
        line(&expected),
        line(actual)
    );
}

fn with_part(text: &str, name: &str, part: &str) -> Option<String> {
    let begin = format!("<!-- begin {name} -->\n");
    let end = format!("<!-- end {name} -->\n");
    let start = text.find(&begin)? + begin.len();
    let stop = start + text[start..].find(&end)?;
    Some(format!("{}{}{}", &text[..start], part, &text[stop..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_marked_part_alone() {
        let text = "a\n<!-- begin t -->\nold\n<!-- end t -->\nz\n";
        assert_eq!(with_part(text, "t", "new\n").unwrap(), "a\n<!-- begin t -->\nnew\n<!-- end t -->\nz\n");
        assert!(with_part(text, "u", "").is_none());
    }

    #[test]
    #[should_panic(expected = "found\n  c")]
    fn a_difference_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("g");
        compare(&file, "a\nb\n", true);
        compare(&file, "a\nb\n", false);
        compare(&file, "a\nc\n", false);
    }
}
