//! Rules about the text itself: lengths, unfinished work, words that do not belong.

use super::finding::Finding;
use super::lexer::{Rust, closing};
use crate::workspace::TextFile;

/// The longest Rust file, in lines; a longer one says why in its first line (`//! LONG: ..`).
pub const MAX_FILE_LINES: usize = 600;
/// The longest line of Rust, in characters; a line that is one long address may be longer.
pub const MAX_LINE_CHARS: usize = 110;

/// Rust files and lines that are too long.
#[must_use]
pub fn lengths(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    let excused = file.text.strip_prefix("//! LONG: ").is_some_and(|rest| !rest.starts_with('\n'));
    if lines > MAX_FILE_LINES && !excused {
        let what = format!("{lines} lines; at most {MAX_FILE_LINES}, or say why: //! LONG: reason");
        findings.push(Finding::new(&file.path, 1, what));
    }
    for (number, line) in file.text.lines().enumerate() {
        let chars = line.chars().count();
        let address = line.contains("://") && line.split_whitespace().count() <= 2;
        if chars > MAX_LINE_CHARS && !address {
            let what = format!("{chars} characters; at most {MAX_LINE_CHARS}");
            findings.push(Finding::new(&file.path, number + 1, what));
        }
    }
    findings
}

/// Marks of unfinished work. They are written in halves here so that this file does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("not yet ", "implemented"),
    concat!("(being ", "written)"),
];

/// Marks of unfinished work, in code, comments and documents.
#[must_use]
pub fn unfinished(file: &TextFile) -> Vec<Finding> {
    find_words(file, UNFINISHED, "is unfinished: finish it or take it out")
}

/// Paths of somebody's machine and talk about how the work was done, which the reader of the project
/// does not share.
const FOREIGN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tmp/", "briefs"),
    concat!("bash", "_jobs"),
    concat!("sub", "agent"),
    concat!("design", ".md"),
];

/// Paths and words that mean nothing outside the machine or the hour in which they were written.
#[must_use]
pub fn foreign_words(file: &TextFile) -> Vec<Finding> {
    let mut findings = find_words(file, FOREIGN, "means nothing to a reader of the project");
    for (at, word) in file.text.match_indices("ecision ") {
        let number = file.text[at + word.len()..].starts_with(|c: char| c.is_ascii_digit());
        if number && at > 0 && matches!(file.text.as_bytes()[at - 1], b'd' | b'D') {
            let what = "a decision by its number: say what it says, or link its page";
            findings.push(Finding::at(&file.path, &file.text, at, what));
        }
    }
    findings
}

/// Words of `list` that stand in the text as words of their own.
fn find_words(file: &TextFile, list: &[&str], why: &str) -> Vec<Finding> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut findings = Vec::new();
    for needle in list {
        for (at, _) in file.text.match_indices(needle) {
            let before = file.text[..at].chars().next_back();
            let after = file.text[at + needle.len()..].chars().next();
            let starts = before.is_none_or(|c| !word(c) && c != '.' && c != '~');
            let ends = !needle.ends_with(word) || after.is_none_or(|c| !word(c));
            if starts && ends {
                findings.push(Finding::at(&file.path, &file.text, at, format!("`{needle}` {why}")));
            }
        }
    }
    findings
}

/// Tests that are switched off.
#[must_use]
pub fn ignored_tests(rust: &Rust<'_>) -> Vec<Finding> {
    let attributes = rust.code.match_indices("#[").map(|(at, _)| (at, closing(&rust.code, at + 1)));
    let ignoring = attributes.filter(|(at, end)| {
        let attribute = rust.code[at + 2..*end].trim_start();
        let conditional = attribute.starts_with("cfg_attr") && attribute.contains("ignore");
        conditional || attribute.starts_with("ignore")
    });
    let what = "an ignored test proves nothing: mend or remove it";
    ignoring.map(|(at, _)| Finding::at(&rust.file.path, &rust.code, at, what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TextFile {
        TextFile::new("a/src/b.rs", text)
    }

    #[test]
    fn long_files_fire_unless_they_say_why() {
        let long = "//\n".repeat(MAX_FILE_LINES + 1);
        assert_eq!(lengths(&file(&long)).len(), 1);
        assert!(lengths(&file(&"//\n".repeat(MAX_FILE_LINES))).is_empty());
        assert!(lengths(&file(&format!("//! LONG: a table of constants\n{long}"))).is_empty());
        assert_eq!(lengths(&file(&format!("//! LONG: \n{long}"))).len(), 1);
    }

    #[test]
    fn long_lines_fire() {
        let line = "\u{e9}".repeat(MAX_LINE_CHARS);
        assert!(lengths(&file(&line)).is_empty());
        let found = lengths(&file(&format!("x\n{line}y")));
        assert_eq!((found.len(), found[0].line), (1, 2));
        assert!(lengths(&file(&format!("// https://e.org/{line}"))).is_empty());
    }

    #[test]
    fn unfinished_work_fires() {
        for mark in UNFINISHED {
            assert_eq!(unfinished(&file(&format!("fn f() {{\n    // {mark}\n}}"))).len(), 1, "{mark}");
        }
        assert!(unfinished(&file(concat!("XX", "XL FIX", "MEUP; fn not", "todo", "!() {}"))).is_empty());
    }

    #[test]
    fn foreign_words_fire() {
        for word in FOREIGN {
            assert_eq!(foreign_words(&file(&format!("// see {word} for it"))).len(), 1, "{word}");
        }
        assert_eq!(foreign_words(&file(concat!("// as decis", "ion 12 says"))).len(), 1);
        assert!(foreign_words(&file("// a decision to make in 12 days; target/work/x")).is_empty());
    }

    #[test]
    fn ignored_tests_fire() {
        let found = |text: &str| ignored_tests(&Rust::new(&file(text))).len();
        assert_eq!(found("#[test]\n#[ignore]\nfn f() {}"), 1);
        assert_eq!(found("#[test]\n#[ignore = \"slow\"]\nfn f() {}"), 1);
        assert_eq!(found("#[cfg_attr(miri, ignore)]\nfn f() {}"), 1);
        assert_eq!(found("// #[ignore]\nfn ignored() {}"), 0);
    }
}
