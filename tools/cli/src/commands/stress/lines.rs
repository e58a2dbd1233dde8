//! What the child says: a line for each thing that has returned. A line is written at once and whole; what
//! was written before a kill is read after it.

use std::fmt;

/// One line of the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The store is open; the greatest sequence number that is visible.
    Open(u64),
    /// A write returned.
    Done {
        /// The writer.
        writer: u8,
        /// The number of its commit.
        commit: u32,
        /// The sequence number of the first operation.
        first: u64,
        /// The sequence number of the last one.
        last: u64,
        /// Whether it was a synced write.
        synced: bool,
    },
    /// A family was created or dropped: the commit of writer 0.
    Family(u32),
    /// A flush, numbered, begins.
    Flushing(u32),
    /// It returned.
    Flushed(u32),
    /// So many entries were read and found in order.
    Scanned(u64),
    /// Something that must not be.
    Wrong(String),
    /// The child cannot go on, through no fault of the store's.
    Failed(String),
    /// The store was closed in good order.
    Closed,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Open(seq) => write!(f, "open {seq}"),
            Line::Done { writer, commit, first, last, synced } => {
                let synced = if *synced { " synced" } else { "" };
                write!(f, "done {writer} {commit} {first} {last}{synced}")
            }
            Line::Family(commit) => write!(f, "family {commit}"),
            Line::Flushing(number) => write!(f, "flushing {number}"),
            Line::Flushed(number) => write!(f, "flushed {number}"),
            Line::Scanned(entries) => write!(f, "scanned {entries}"),
            Line::Wrong(what) => write!(f, "wrong {}", what.replace('\n', " ")),
            Line::Failed(why) => write!(f, "failed {}", why.replace('\n', " ")),
            Line::Closed => f.write_str("closed"),
        }
    }
}

impl Line {
    /// Reads a line, without its end.
    #[must_use]
    pub fn parse(text: &str) -> Option<Line> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        Some(match (word, words.as_slice()) {
            ("open", [seq]) => Line::Open(seq.parse().ok()?),
            ("done", [writer, commit, first, last, synced @ ..]) => Line::Done {
                writer: writer.parse().ok()?,
                commit: commit.parse().ok()?,
                first: first.parse().ok()?,
                last: last.parse().ok()?,
                synced: match synced {
                    [] => false,
                    ["synced"] => true,
                    _ => return None,
                },
            },
            ("family", [commit]) => Line::Family(commit.parse().ok()?),
            ("flushing", [number]) => Line::Flushing(number.parse().ok()?),
            ("flushed", [number]) => Line::Flushed(number.parse().ok()?),
            ("scanned", [entries]) => Line::Scanned(entries.parse().ok()?),
            ("wrong", _) => Line::Wrong(rest.to_owned()),
            ("failed", _) => Line::Failed(rest.to_owned()),
            ("closed", _) => Line::Closed,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let done = |synced| Line::Done { writer: 1, commit: 17, first: 1235, last: 1238, synced };
        for line in [
            Line::Open(12),
            done(true),
            done(false),
            Line::Family(3),
            Line::Flushing(4),
            Line::Flushed(4),
            Line::Scanned(99),
            Line::Wrong("a key is missing".into()),
            Line::Failed("the disk is full".into()),
            Line::Closed,
        ] {
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
        for text in ["", "done", "done 1 2 3", "done 1 2 3 4 sync", "open x", "opened 1"] {
            assert_eq!(Line::parse(text), None, "{text}");
        }
    }
}
