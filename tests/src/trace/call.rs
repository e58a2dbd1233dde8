//! From the text of a trace to system calls.
//!
//! A call that another thread's came between stands in two lines, `... <unfinished ...>` and
//! `<... name resumed> ...`. The number of a line serves as the clock: a call had not begun before its
//! first line was written, and had returned when its last one was.

use std::collections::HashMap;

/// The options under which `strace` writes what [`parse`] reads: all threads, paths of descriptors, and
/// every string whole and in hexadecimal.
pub const OPTIONS: &[&str] = &[
    "-f",
    "-y",
    "-xx",
    "-s",
    "16777216",
    "-e",
    "trace=openat,pwrite64,write,sendto,recvfrom,fdatasync,fsync,rename,renameat,renameat2,unlink,unlinkat",
];

/// A system call that returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// The line at which it began.
    pub start: usize,
    /// The line at which it had returned.
    pub end: usize,
    /// What it returned.
    pub result: i64,
    /// The last part of the path of the descriptor that it was called with.
    pub file: String,
    /// Its strings: paths and data.
    pub strings: Vec<Vec<u8>>,
    /// The text of its arguments, strings left out.
    pub rest: String,
}

impl Call {
    /// The last part of the path in string `i`.
    #[must_use]
    pub fn path(&self, i: usize) -> String {
        self.strings.get(i).map_or(String::new(), |path| last_part(path))
    }
}

fn last_part(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The calls of a trace, in the order in which they began. Lines that are no calls are left out.
#[must_use]
pub fn parse(trace: &str) -> Vec<Call> {
    let mut unfinished: HashMap<(String, String), (usize, String)> = HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.trim_start().split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(resumed) = text.strip_prefix("<... ") {
            let Some((name, tail)) = resumed.split_once(" resumed>") else { continue };
            let Some((start, head)) = unfinished.remove(&(thread.to_owned(), name.to_owned())) else {
                continue;
            };
            calls.extend(call(&format!("{head}{tail}"), start, number));
        } else if let Some(head) = text.strip_suffix(" <unfinished ...>") {
            let Some((name, _)) = head.split_once('(') else { continue };
            unfinished.insert((thread.to_owned(), name.to_owned()), (number, head.to_owned()));
        } else {
            calls.extend(call(text, number, number));
        }
    }
    calls.sort_by_key(|call| call.start);
    calls
}

/// A whole call: `name(arguments) = result`.
fn call(text: &str, start: usize, end: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") ")?;
    let result = result.trim_start().strip_prefix("= ")?;
    let digits = result.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?;
    let (mut strings, mut file, mut plain) = (Vec::new(), None, String::new());
    let mut left = arguments;
    // Strings and paths are hexadecimal: no delimiter stands within them.
    while let Some(at) = left.find(['"', '<']) {
        plain.push_str(&left[..at]);
        let close = if left[at..].starts_with('"') { '"' } else { '>' };
        let length = left[at + 1..].find(close)?;
        let bytes = unescape(&left[at + 1..at + 1 + length])?;
        if close == '"' {
            strings.push(bytes);
        } else if file.is_none() {
            file = Some(last_part(&bytes));
        }
        left = &left[at + length + 2..];
    }
    plain.push_str(left);
    let file = file.unwrap_or_default();
    Some(Call { name: name.to_owned(), start, end, result: digits.parse().ok()?, file, strings, rest: plain })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    text.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = r#"7  fdatasync(5<\x2f\x64\x2f\x61\x2e\x6c\x6f\x67> <unfinished ...>
6  write(1<\x70>, "\x68\x0a", 2) = 2
7  <... fdatasync resumed>)          = 0
6  rename("\x64\x2f\x61", "\x64\x2f\x62") = -1 ENOENT (No such file or directory)
6  +++ exited with 0 +++
"#;

    #[test]
    fn interrupted_calls_are_put_together() {
        let calls = parse(TRACE);
        let about: Vec<_> =
            calls.iter().map(|c| (c.name.as_str(), c.start, c.end, c.result, c.file.as_str())).collect();
        let expected = [("fdatasync", 0, 2, 0, "a.log"), ("write", 1, 1, 2, "p"), ("rename", 3, 3, -1, "")];
        assert_eq!(about, expected);
        assert_eq!((calls[2].path(0), calls[2].path(1)), ("a".into(), "b".into()));
        assert_eq!(calls[1].strings, [b"h\n"]);
    }
}
