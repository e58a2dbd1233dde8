//! What a rule says about a line.

use std::fmt;

/// A line that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the workspace's root.
    pub path: String,
    /// The line, counted from 1; 0 if it is about the whole file.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Finding { path: path.into(), line, what: what.into() }
    }

    /// A finding about the line in which the byte `offset` of `text` stands.
    pub(crate) fn at(path: &str, text: &str, offset: usize, what: impl Into<String>) -> Self {
        Finding::new(path, text[..offset].matches('\n').count() + 1, what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Fails a test with everything that a rule found.
///
/// # Panics
/// If there is a finding.
pub fn report(rule: &str, findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{rule}: {} found\n{}", lines.len(), lines.join("\n"));
}
